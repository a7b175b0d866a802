//! The host side of a deployment: brings a revision to this machine, runs its lifecycle events, and takes it back.
//!
//! Commands enter; diagnostics, and what scripts print, leave. What holds by absence: nothing on the host is changed by an
//! Install before all of its changes are planned and written down; no event that is over is run again; no script is waited
//! for beyond its time, whatever it leaves behind; nothing here speaks to a server, and to nobody but this machine's container engine and
//! what is to serve in its containers.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// What is remembered.
mod state;
/// Who looks on.
mod watch;
/// What scripts print, until the farm has it.
mod spool;
/// Bringing a revision.
mod bundle;
/// What a revision on this host says.
mod revision;
/// Running scripts.
mod hooks;
/// Putting files in place.
mod install;
/// Running a container.
mod container;
/// One event, whichever it is.
mod perform;
/// What would be done.
mod forecast;
/// One host.
mod host;
/// Without a server.
pub mod local;

pub use bundle::{Bundle, BundleError, BundleKind, EarlierRevision, LocalBundle, Site, Staged};
pub use container::Containers;
pub use forecast::{Forecast, ForecastError, Hook, HookScript};
pub use host::{Host, HostError, Settings};
pub use install::{Permitted, PlanError, Preview};
pub use revision::{Files, NoSpec};
pub use spool::{Piece, Spool, Spooling};
pub use state::durable::Error as StateError;
pub use state::journal::Refusal;
pub use watch::{Said, Stream, Unwatched, Watch};

#[cfg(test)]
mod testing;
