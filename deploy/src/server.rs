//! The loop that feeds the decisions and carries them out. Made by the composition root with a ledger; asked through its `Handle` by the
//! API. Any number of servers run it side by side: what one appends, all fold, and each gives hosts the same commands.

/// What hosts are to do, until they ask.
mod mailbox;
/// What was deployed before, for people.
mod book;
/// What the loop is asked, and by whom.
mod handle;
/// Telling balancers.
mod routing;
/// One after the other, and letting hosts in and out.
mod balancers;
/// Alarms.
mod alarms;
/// Watches of deployments that are measured.
mod verdicts;
/// A group's queries, tried.
mod tried;
/// What is measured.
mod metrics;
/// The loop.
mod run;

use std::sync::Arc;

use croft_bus::Bus;
use croft_ledger::{Clock, Ledger};
use tokio::sync::{mpsc, watch};

pub use alarms::{Alerts, BLIND_MS_MAX, Wanted};
pub use book::{Book, Remembered};
pub use handle::{Done, Failed, Handle, HostKey, Progress, Refused, Seen};
pub use metrics::Counts;
pub use routing::{Balanced, Local, Routing};
pub use run::ServerError;
pub use tried::{Checked, Listed, Position, Tried, Wrong, check_all, listed, try_all};

use crate::metrics::Metrics;
use handle::{Command, Keys};
use mailbox::Mailbox;

/// Callers that wait for the loop.
const COMMANDS_MAX: usize = 1024;

/// What a server is made of.
#[derive(Clone)]
pub struct Parts {
    /// The truth.
    pub ledger: Arc<dyn Ledger>,
    /// Where the farm's servers tell each other which hosts they hear.
    pub bus: Arc<dyn Bus>,
    /// What this server is told from others by there; drawn at each start.
    pub nonce: u64,
    /// What time it is.
    pub clock: Clock,
    /// Those who tell balancers.
    pub routing: Arc<dyn Routing>,
    /// Where alarms are asked for; none where they are only pushed.
    pub alerts: Option<Arc<dyn Alerts>>,
    /// Where metrics are asked for, if anywhere.
    pub metrics: Option<Arc<dyn Metrics>>,
    /// What is counted.
    pub counts: Counts,
}

/// A server's loop, to be run.
pub struct Server {
    parts: Parts,
    commands: mpsc::Receiver<Command>,
    progress: watch::Sender<Progress>,
    mailbox: Arc<Mailbox>,
    keys: Arc<Keys>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server")
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parts")
    }
}

impl Server {
    /// A server, and the way to ask it.
    #[must_use]
    pub fn new(parts: Parts) -> (Self, Handle) {
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let (progress, watched) = watch::channel(Progress::default());
        let mailbox = Arc::new(Mailbox::default());
        let keys = Arc::new(Keys::default());
        let handle = Handle::new(
            sender,
            watched,
            Arc::clone(&mailbox),
            Arc::clone(&keys),
            parts.alerts.is_some(),
            parts.metrics.clone(),
        );
        let server = Self {
            parts,
            commands,
            progress,
            mailbox,
            keys,
        };
        (server, handle)
    }
}

#[cfg(test)]
mod tests;
