//! What a pool has done so far, for whoever measures it. Counted by the pool's steps, read by its owner.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a pool of warm containers has done since it was made, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Builds that got a warm container.
    pub warm_hits: u64,
    /// Builds for which a container was started once they were known, whatever came of it.
    pub cold_starts: u64,
    /// Warm containers that were started.
    pub started: u64,
    /// Warm containers that could not be started.
    pub not_started: u64,
    /// Warm containers whose runner was gone when they were looked at.
    pub died: u64,
    /// Warm containers that went without having served a build: of a tag that moved, too many, or idle for too long.
    pub unused: u64,
    /// Warm containers into which a build's sources could not be mounted; their builds started cold.
    pub not_furnished: u64,
    /// Containers or folders that could not be removed, for the next sweep.
    pub not_removed: u64,
    /// Networks that were made for containers to join one after the other.
    pub networks_made: u64,
    /// Containers that joined one instead of having one made for them.
    pub networks_joined: u64,
    /// Networks that went because a build had used them.
    pub networks_used: u64,
    /// Warm containers that stand ready now.
    pub ready: u64,
}

/// The counters themselves.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) warm_hits: AtomicU64,
    pub(super) cold_starts: AtomicU64,
    pub(super) started: AtomicU64,
    pub(super) not_started: AtomicU64,
    pub(super) died: AtomicU64,
    pub(super) unused: AtomicU64,
    pub(super) not_furnished: AtomicU64,
    pub(super) not_removed: AtomicU64,
    pub(super) networks_made: AtomicU64,
    pub(super) networks_joined: AtomicU64,
    pub(super) networks_used: AtomicU64,
}

impl Tally {
    pub(super) fn read(&self, ready: usize) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            warm_hits: read(&self.warm_hits),
            cold_starts: read(&self.cold_starts),
            started: read(&self.started),
            not_started: read(&self.not_started),
            died: read(&self.died),
            unused: read(&self.unused),
            not_furnished: read(&self.not_furnished),
            not_removed: read(&self.not_removed),
            networks_made: read(&self.networks_made),
            networks_joined: read(&self.networks_joined),
            networks_used: read(&self.networks_used),
            ready: ready as u64,
        }
    }
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
