//! Builds in containers of an image the user names, made by the Docker engine of this machine.
//!
//! Receives a [`Request`]; asks the engine for a container whose first process is the static runner, waits for the runner to
//! call on a socket in the build's own folder, and hands back a [`Slot`]. Commands and their output never pass through the
//! engine. What absent means: no `docker` program is used (but for the user's credential helpers), nothing is asked of the
//! engine while commands run, and nothing of a build is kept in it.

/// How the user's docker is set up: which engine, which configuration.
mod docker;
/// The engine itself.
mod engine;
/// Which version of its interface it speaks.
mod ping;
/// An image's name.
mod reference;
/// The image: here already, or pulled.
mod image;
/// Fetching it from its registry.
mod pull;
/// Who the user is to a registry.
mod credentials;
/// Reading base64.
mod base64;
/// What a pull has done so far.
mod pull_progress;
/// What a container may use.
mod limits;
/// Sources as a container gets them.
mod sources;
/// The socket and the pipe between container and worker.
mod doors;
/// What the engine is asked to make.
mod create;
/// From a container that was made to a runner that stands.
mod start;
/// Containers that stand before their build is known.
mod warm;
/// An engine that is started again.
mod patient;
/// Containers that a killed croft left.
mod sweep;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

pub use docker::{Docker, Pulls};
pub use engine::engine_version;
pub use image::Pull;
pub use limits::{
    Limits, PROCESSES_MAX, SHARED_MEMORY_BYTES, parse_cpu_millis, parse_memory_bytes,
};
pub(crate) use patient::Patient;
pub use patient::Seen;
pub use sweep::{Swept, sweep};
pub use warm::{Counts, Settings, Warm};

use crate::request::SignIn;

use super::{Error, Hold, Place, Progress, Report, Request, Runtime, Slot, View};
use engine::Engine;
use image::Image;
use reference::Reference;
use start::Started;
use warm::Lent;

/// What kind of container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The image's name, as `docker run` takes it.
    pub image: String,
    /// When it is fetched.
    pub pull: Pull,
    /// Who one is to its registry; in place of the logins of the user's docker.
    pub login: Option<SignIn>,
    /// `none`, `host`, `bridge`, a network's name or `container:ID`; `None` is the engine's default.
    pub network: Option<String>,
    /// Whether the container may do what the machine may: needed for an engine inside. Then the image's own entrypoint runs
    /// first, since that is what starts the engine.
    pub privileged: bool,
    /// What it may use.
    pub limits: Limits,
    /// After how long a silence of this process the runner leaves, and all it started ends; `None` is never, as long as this
    /// process exists.
    pub lease: Option<Duration>,
}

/// The lease of a farm's builds: as long as it takes until a worker that is not heard is given up.
pub const LEASE: Duration = Duration::from_secs(15);

impl Options {
    /// A container of that image, everything else as usual.
    #[must_use]
    pub fn new(image: String) -> Self {
        Self {
            image,
            pull: Pull::Missing,
            login: None,
            network: None,
            privileged: false,
            limits: Limits::default(),
            lease: None,
        }
    }
}

/// Makes containers.
#[derive(Clone, Debug)]
pub struct Container {
    runner: PathBuf,
    home: PathBuf,
    docker: Docker,
    options: Options,
}

impl Container {
    /// Containers whose runner is the one in the folder `runner`, of a croft whose state directory is `home` (by which they
    /// are found if croft is killed), made by the engine of the user's `docker`.
    #[must_use]
    pub fn new(runner: PathBuf, home: PathBuf, docker: Docker, options: Options) -> Self {
        Self {
            runner,
            home,
            docker,
            options,
        }
    }

    async fn make(&self, request: &Request, report: Report<'_>) -> Result<Slot, Error> {
        check_rights()?;
        let reference = Reference::parse(&self.options.image)?;
        let socket = self.docker.socket()?;
        let ready = async {
            let engine = Engine::connect(&socket).await?;
            let image =
                image::provide(&engine, &self.docker, &reference, &self.options, report).await?;
            Ok((engine, image))
        };
        let (ready, views) = tokio::join!(ready, sources::views(&self.runner, request, report));
        match (ready, views) {
            (Ok((engine, image)), Ok(views)) => {
                let held = self.held(engine, &image, views, None);
                self.place(held, &image, request, report).await
            }
            (Err(error), Ok(views)) => {
                sources::take_away(&views)?;
                Err(error)
            }
            (Err(error), Err(_)) | (Ok(_), Err(error)) => Err(error),
        }
    }

    /// A place in a container of an image that is there, on that network or one of its own.
    async fn make_of(
        &self,
        engine: Engine,
        image: &Image,
        network: Option<Box<Lent>>,
        request: &Request,
        report: Report<'_>,
    ) -> Result<Slot, Error> {
        let views = sources::views(&self.runner, request, report).await?;
        let held = self.held(engine, image, views, network);
        self.place(held, image, request, report).await
    }

    fn held(
        &self,
        engine: Engine,
        image: &Image,
        views: Vec<View>,
        network: Option<Box<Lent>>,
    ) -> Held {
        Held {
            engine,
            container: None,
            leaves_by_itself: create::leaves_by_itself(&self.options, image),
            views,
            network,
        }
    }

    async fn place(
        &self,
        mut held: Held,
        image: &Image,
        request: &Request,
        report: Report<'_>,
    ) -> Result<Slot, Error> {
        let filled = self.fill(&mut held, image, request, report).await;
        let placed = filled.and_then(|started| {
            let seen = super::layers::seen(&request.sources, &held.views);
            let place = Place::of(started.process, &self.runner, &request.directory, seen);
            let place = place.map_err(Error::at("cannot find the container's first process"))?;
            Ok((started, place))
        });
        match placed {
            Ok((started, place)) => Ok(self.slot(started, place, held)),
            Err(error) => {
                held.leaves_by_itself = false;
                // The first error is the one to tell; what it left is swept later.
                Box::new(held).release().await.unwrap_or_default();
                Err(error)
            }
        }
    }

    /// Makes and starts a container; once more with copies when the engine does not see the overlays.
    async fn fill(
        &self,
        held: &mut Held,
        image: &Image,
        request: &Request,
        report: Report<'_>,
    ) -> Result<Started, Error> {
        let started = self.start(held, image, request).await?;
        if sources::arrived(&started.root, request, &held.views) {
            return Ok(started);
        }
        report(Progress::Copying(
            "the container engine does not see what is mounted here".to_string(),
        ));
        drop(started);
        if let Some(id) = held.container.take() {
            held.engine.remove(&id).await?;
        }
        sources::copies(request, &mut held.views).await?;
        self.start(held, image, request).await
    }

    async fn start(
        &self,
        held: &mut Held,
        image: &Image,
        request: &Request,
    ) -> Result<Started, Error> {
        let mut body = create::body(
            &self.options,
            image,
            &self.home,
            &self.runner,
            request,
            &held.views,
        );
        if let Some(network) = &held.network {
            let joined = network.join(&mut body, &request.directory);
            joined.map_err(Error::at("cannot make the network's files"))?;
        }
        let patience = start::patience(create::kept_entrypoint(&self.options, image));
        let doors = doors::Doors::open(&request.directory)
            .map_err(Error::at("cannot make the build's socket"))?;
        let id = start::create(&held.engine, body).await?;
        held.container = Some(id.clone());
        let mut started = start::start(&held.engine, &id, doors, patience).await?;
        if let Some(lease) = self.options.lease {
            started.link.renew(lease);
        }
        Ok(started)
    }

    fn slot(&self, started: Started, place: Place, held: Held) -> Slot {
        Slot {
            link: started.link,
            output: started.output,
            root: started.root,
            environment: started.environment,
            runtimes: started.runtimes,
            image: self.options.image.clone(),
            confine: false,
            place,
            hold: Box::new(held),
        }
    }
}

fn check_rights() -> Result<(), Error> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Error::User {
        code: "CLIENT_ERROR",
        message: "builds need root for now: run `sudo croft run`".into(),
    })
}

impl Runtime for Container {
    fn provision<'a>(
        &'a self,
        request: &'a Request,
        report: Report<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Slot, Error>> + Send + 'a>> {
        Box::pin(self.make(request, report))
    }
}

/// A container and the views mounted for it.
#[derive(Debug)]
struct Held {
    engine: Engine,
    container: Option<String>,
    /// Whether the container goes when its runner does.
    leaves_by_itself: bool,
    views: Vec<View>,
    /// What the container joined.
    network: Option<Box<Lent>>,
}

impl Hold for Held {
    fn release(self: Box<Self>) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        Box::pin(async move {
            let Self {
                engine,
                container,
                leaves_by_itself,
                views,
                network,
            } = *self;
            // Side by side: a container keeps what it was given until it ends.
            let unmounted = tokio::task::spawn_blocking(move || sources::take_away(&views));
            let removed = match &container {
                Some(id) if leaves_by_itself => engine.leave(id).await,
                Some(id) => engine.remove(id).await,
                None => Ok(()),
            };
            let unmounted = unmounted
                .await
                .map_err(|gone| Error::at("cannot unmount")(std::io::Error::other(gone)))?;
            // That of a container which may still be there goes.
            if let Some(network) = network.filter(|_| removed.is_ok()) {
                network.back().await;
            }
            removed.and(unmounted)
        })
    }
}
