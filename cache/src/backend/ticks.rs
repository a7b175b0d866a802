//! Time that only moves forward, for deadlines and idleness. Received from whoever opens a store; no wall clock is read.

use std::time::Instant;

#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};

/// Milliseconds since some moment of this process.
#[derive(Clone, Debug)]
pub(crate) enum Ticks {
    /// The system's.
    Real(Instant),
    /// Moved by a test.
    #[cfg(test)]
    Hand(Arc<AtomicU64>),
}

impl Ticks {
    /// The system's, from now on.
    pub(crate) fn real() -> Self {
        Self::Real(Instant::now())
    }

    pub(crate) fn now_ms(&self) -> u64 {
        match self {
            Self::Real(start) => u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            #[cfg(test)]
            Self::Hand(now) => now.load(Ordering::SeqCst),
        }
    }
}
