//! The loop that feeds the decisions and carries them out. Made by the composition root with a ledger and a bus; asked through its
//! [`Handle`] by the API. Any number of servers run it side by side: what one appends, all fold.

/// What the loop is asked, and by whom.
mod handle;
/// Wishes on their way into the ledger.
mod wishes;
/// Appends that must be known to have happened or not.
pub(crate) mod surely;
/// What workers say of themselves.
mod seen;
/// Renewals before everything is folded.
pub(crate) mod behind;
/// What is measured.
mod metrics;
/// The loop.
mod run;

use std::sync::Arc;
use std::time::Duration;

use croft_bus::Bus;
use croft_ledger::{Clock, Ledger};
use croft_proto::farm::Lease;
use tokio::sync::{mpsc, watch};

pub use handle::{Failed, Handle, PoolLine, Progress, Refused, Started};
pub use metrics::Metrics;
pub use run::ServerError;
pub use seen::WorkerSeen;

use handle::Command;

/// Callers that wait for the loop. It answers hundreds in the time of one fsync; more than this are a storm, and wait outside.
const COMMANDS_MAX: usize = 1024;

/// What a server is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The truth.
    pub ledger: Arc<dyn Ledger>,
    /// What is on its way.
    pub bus: Arc<dyn Bus>,
    /// How long attempts may be silent; the same in all of a farm.
    pub lease: Lease,
    /// What time it is.
    pub clock: Clock,
    /// What it counts.
    pub metrics: Metrics,
}

/// A server's loop, to be run.
#[derive(Debug)]
pub struct Server {
    parts: Parts,
    commands: mpsc::Receiver<Command>,
    progress: watch::Sender<Progress>,
}

impl Server {
    /// A server, and the way to ask it.
    #[must_use]
    pub fn new(parts: Parts) -> (Self, Handle) {
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let (progress, watched) = watch::channel(Progress::default());
        let server = Self {
            parts,
            commands,
            progress,
        };
        (server, Handle::new(sender, watched))
    }
}

/// How often time passes for the decisions: whoever is silent for a lease is noticed so much later at most.
const TICK: Duration = Duration::from_millis(250);

/// After so many of those the broker is asked whether it answers, and things are counted.
const TICKS_A_SECOND: u64 = 4;

/// Before a stream that ended is asked for again.
const AGAIN: Duration = Duration::from_secs(1);
