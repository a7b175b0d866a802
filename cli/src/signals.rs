//! The signals that ask a service to end. Waited for by whatever runs until it is told to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

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
