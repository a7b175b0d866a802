//! Who looks on while an event runs. Implemented by whoever shows it or sends it on; told by hooks and installer.

use croft_proto::deploy::{DeploymentId, LifecycleEvent};

/// Where a script printed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

impl Stream {
    /// What stands before its lines in AWS's logs.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Stdout => "[stdout]",
            Self::Stderr => "[stderr]",
        }
    }
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// An event begins.
    Event(LifecycleEvent),
    /// A script begins.
    Script {
        /// As its AppSpec names it.
        location: &'a str,
        /// The deployment that brought it.
        from: &'a DeploymentId,
    },
    /// A script printed a line.
    Line {
        /// Where.
        stream: Stream,
        /// Without its end.
        text: &'a str,
    },
    /// The agent has something to say about what it does.
    Note(&'a str),
}

/// Someone who looks on. Called from the thread that runs the event, which waits for it.
pub trait Watch: Sync {
    /// Something happens.
    fn said(&self, said: &Said<'_>);
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn said(&self, _said: &Said<'_>) {}
}
