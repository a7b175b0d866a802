//! Where commands run. A `Request` enters, a `Slot` leaves: a place with the static runner in it, ready for commands.
//! Two implementations, one suite: `sandbox` and `container`.

/// The static runner's file on this machine.
mod binary;
/// Talking to the runner.
mod link;
/// Copy-on-write views and copies of source directories.
mod workspace;
/// Layers mounted late over a place's directories.
mod layers;
/// Namespaces of this machine.
pub mod sandbox;
/// Containers of an image, through the engine.
pub mod container;
/// What of this machine a sandbox sees.
mod view;
/// What holds in every runtime.
#[cfg(test)]
pub(crate) mod suite;

use std::fs::File;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use croft_beneath::Root;
use croft_runner::protocol::Variable;

pub use binary::install_runner;
pub use layers::{Cover, Layered, NotLayered, Place};
pub use link::{Ended, Link};
pub(crate) use sandbox::PIPE_BYTES;
pub(crate) use view::mounted_below;
pub use workspace::View;

/// A source directory and where a build sees it.
#[derive(Clone, Debug)]
pub struct Source {
    /// On this machine, absolute.
    pub directory: PathBuf,
    /// In the build, such as `/codebuild/output/src123/src`.
    pub inside: PathBuf,
    /// Whether the build works on the directory itself instead of a copy-on-write view.
    pub in_place: bool,
}

/// What a build needs to run in.
#[derive(Clone, Debug)]
pub struct Request {
    /// `<project>:<uuid>`; labels everything that could be left behind.
    pub build_id: String,
    /// A directory of this build's own on this machine, on a disk, readable by root only. Removed by the caller.
    pub directory: PathBuf,
    /// The primary source first.
    pub sources: Vec<Source>,
    /// `CROFT_HOME` and whatever else of Croft's a build must not see.
    pub hidden: Vec<PathBuf>,
    /// More of the host's folders, read-only: where on this machine, and where in the build.
    pub extra: Vec<(PathBuf, PathBuf)>,
}

/// Something a person should see while a place is being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// One line, such as a layer's download.
    Line(String),
    /// The overlay could not be used and the source is being copied, for the reason given.
    Copying(String),
}

/// Receives progress.
pub type Report<'r> = &'r (dyn Fn(Progress) + Send + Sync);

/// A place with the static runner in it.
#[derive(Debug)]
pub struct Slot {
    /// Commands go here.
    pub link: Link,
    /// Everything the commands print comes from here.
    pub output: File,
    /// The build's own root directory, seen from outside; for collectors.
    pub root: Root,
    /// What the build starts with: in a container the image's own variables, in a sandbox a chosen few of the host's.
    pub environment: Vec<Variable>,
    /// The image's `runtimes.yml`, when it has one.
    pub runtimes: Option<Vec<u8>>,
    /// The image's reference, or `sandbox`.
    pub image: String,
    /// Whether commands give up their capabilities.
    pub confine: bool,
    /// Where its processes are; for layers.
    pub place: Place,
    /// Ends everything that runs in the place and takes it away.
    pub hold: Box<dyn Hold>,
}

impl Slot {
    /// Covers directories of the place with other directories' files: see [`Place::layer`].
    ///
    /// # Errors
    /// When one cannot be covered; then none is.
    pub async fn layer(&self, covers: &[Cover]) -> Result<Vec<Layered>, NotLayered> {
        self.place.layer(&self.root, covers).await
    }

    /// Ends every process in the place and removes the place.
    ///
    /// # Errors
    /// When something of it could not be removed; the sweeper will try again.
    pub async fn release(mut self) -> Result<(), Error> {
        self.link.quit().await;
        let Self {
            link,
            output,
            root,
            hold,
            ..
        } = self;
        // Open descriptors would keep mounts busy.
        drop((link, output, root));
        hold.release().await
    }
}

/// What keeps a place alive.
pub trait Hold: std::fmt::Debug + Send {
    /// Ends every process in the place and removes the place. Afterwards nothing of it is left: no process, mount,
    /// container or file.
    fn release(self: Box<Self>) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;
}

/// Makes places.
pub trait Runtime: Send + Sync {
    /// A place for one build.
    ///
    /// # Errors
    /// [`Error::User`] when the user can mend it, [`Error::Registry`] when an image's registry does not answer as it should,
    /// [`Error::Infrastructure`] otherwise.
    ///
    /// # Cancel
    /// What was made so far stays until the sweeper's next run.
    fn provision<'a>(
        &'a self,
        request: &'a Request,
        report: Report<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Slot, Error>> + Send + 'a>>;
}

/// AWS's code for every image that cannot be had, by whoever's fault.
pub(crate) const UNABLE_TO_PULL: &str = "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE";

/// Why there is no place to run in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user's to mend: an image that does not exist, rights that are missing.
    #[error("{message}")]
    User {
        /// AWS's code for it, such as `BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE`.
        code: &'static str,
        /// What happened and what to do.
        message: String,
    },
    /// A registry that cannot be reached or does not work: neither the user's fault nor this machine's.
    #[error("{doing}")]
    Registry {
        /// What was being done, and what may help.
        doing: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// This machine's or the engine's fault.
    #[error("{doing}")]
    Infrastructure {
        /// What was being done.
        doing: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Wraps an error of this machine's.
    pub(crate) fn at(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Infrastructure { doing, source }
    }
}
