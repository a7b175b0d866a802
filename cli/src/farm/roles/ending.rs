//! The first signal asks a role to end in order, the second to end at once.

use std::time::Duration;

use croft_worker::farm::Standing;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Ctrl-C, and what service managers send.
#[derive(Debug)]
pub(crate) struct Signals(Signal, Signal);

impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self(
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ))
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

/// Tells a worker to drain at the first signal, and to leave after that time or at the second one.
pub(crate) async fn drain(
    signals: &mut Signals,
    standing: &watch::Sender<Standing>,
    limit: Duration,
) {
    signals.next().await;
    let seconds = limit.as_secs();
    eprintln!(
        "croft: taking no more builds; running ones may go on for {seconds} s and are then given back (once more to give them back now)"
    );
    standing.send_replace(Standing::Draining);
    tokio::select! {
        () = signals.next() => {}
        () = tokio::time::sleep(limit) => {}
    }
    standing.send_replace(Standing::Leaving);
}
