//! How a worker is, for whoever asks it over HTTP. Written by its loop; read by the composition root's probe.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// An answer is no longer news after so long: the bus is spoken to every three seconds, the ledger every five.
const LATELY: Duration = Duration::from_secs(20);

/// How a worker is. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Vitals(Arc<Mutex<Signs>>);

#[derive(Debug, Default)]
struct Signs {
    bus: Option<Instant>,
    ledger: Option<Instant>,
    unfit: Option<String>,
    is_draining: bool,
}

/// How a worker was when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The bus has answered lately.
    pub has_bus: bool,
    /// The ledger has.
    pub has_ledger: bool,
    /// Why the machine takes no builds.
    pub unfit: Option<String>,
    /// It was told to take no more.
    pub is_draining: bool,
}

impl Condition {
    /// Whether it would take a build.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.has_bus && self.has_ledger && self.unfit.is_none() && !self.is_draining
    }
}

impl Vitals {
    /// How it is now.
    #[must_use]
    pub fn now(&self) -> Condition {
        let signs = self.signs();
        let lately = |when: Option<Instant>| when.is_some_and(|when| when.elapsed() <= LATELY);
        Condition {
            has_bus: lately(signs.bus),
            has_ledger: lately(signs.ledger),
            unfit: signs.unfit.clone(),
            is_draining: signs.is_draining,
        }
    }

    pub(super) fn bus_answered(&self) {
        self.signs().bus = Some(Instant::now());
    }

    pub(super) fn ledger_answered(&self) {
        self.signs().ledger = Some(Instant::now());
    }

    pub(super) fn unfit(&self, why: Option<String>) {
        self.signs().unfit = why;
    }

    pub(super) fn draining(&self, is_draining: bool) {
        self.signs().is_draining = is_draining;
    }

    fn signs(&self) -> MutexGuard<'_, Signs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_worker_is_ready_while_both_have_answered_lately_and_nothing_keeps_it() {
        let vitals = Vitals::default();
        assert!(!vitals.now().is_ready());
        vitals.bus_answered();
        vitals.ledger_answered();
        assert!(vitals.now().is_ready());
        vitals.draining(true);
        assert!(!vitals.now().is_ready());
        vitals.draining(false);
        vitals.unfit(Some("full".into()));
        assert!(!vitals.now().is_ready());
        vitals.unfit(None);
        tokio::time::advance(LATELY + Duration::from_secs(1)).await;
        let condition = vitals.now();
        assert!(!condition.has_bus && !condition.has_ledger);
    }
}
