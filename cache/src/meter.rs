//! How far long work has come, for whoever draws a bar. Filled by workers; read at any time from another thread.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes done and bytes to do. Both only grow; a new piece of work adds to what is to do.
#[derive(Debug, Default)]
pub struct Meter {
    total: AtomicU64,
    done: AtomicU64,
}

impl Meter {
    /// Bytes done so far, and bytes to do in all as far as that is known.
    #[must_use]
    pub fn read(&self) -> (u64, u64) {
        let done = self.done.load(Ordering::Relaxed);
        (done, self.total.load(Ordering::Relaxed).max(done))
    }

    pub(crate) fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }
}
