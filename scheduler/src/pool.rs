//! A pool: its line, what its workers say of themselves, and the hints that are out. Asked what to publish.
//!
//! At most so many hints are out as slots are free, and [`SPARE_HINTS`] more, so that no worker waits for a server: everybody
//! else waits in the line, where priorities and fairness still count.

use std::collections::HashMap;

use croft_ledger::Seq;
use croft_proto::farm::BuildId;

use crate::line::Line;

/// Hints beyond the free slots: one for each of two workers that become free between two announcements.
const SPARE_HINTS: usize = 2;

/// A hint that nobody has claimed is published again: it, or its taker, may be gone.
const HINT_MS: u64 = 10_000;

/// A worker that has not announced itself for so long has no free slots: three announcements.
pub const WORKER_GONE_MS: u64 = 15_000;

/// What a worker says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Its name.
    pub worker: String,
    /// Whose builds it takes.
    pub pool: String,
    /// How many more it would take now; 0 while it drains.
    pub slots_free: u32,
}

/// A hint to publish: where a worker finds a build to claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Which pool's workers it is for.
    pub pool: String,
    /// Which build.
    pub build: BuildId,
    /// The attempt to claim.
    pub attempt: u32,
    /// The build's last sequence: what a claim expects.
    pub last: Seq,
}

#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) line: Line,
    /// When each hint that is out was published.
    out: HashMap<BuildId, u64>,
    /// Free slots, and when each worker said so.
    workers: HashMap<String, (u32, u64)>,
}

impl Pool {
    pub(crate) fn announce(&mut self, announced: Announced, now_ms: u64) {
        let said = (announced.slots_free, now_ms);
        self.workers.insert(announced.worker, said);
    }

    /// Forgets workers that are silent.
    pub(crate) fn tick(&mut self, now_ms: u64) {
        self.workers
            .retain(|_, (_, said)| now_ms.saturating_sub(*said) <= WORKER_GONE_MS);
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// A worker has claimed something: until it announces itself again it has a slot less.
    pub(crate) fn claimed(&mut self, worker: &str) {
        if let Some((free, _)) = self.workers.get_mut(worker) {
            *free = free.saturating_sub(1);
        }
    }

    pub(crate) fn slots_free(&self) -> usize {
        self.workers.values().map(|(free, _)| *free as usize).sum()
    }

    pub(crate) fn out(&self) -> usize {
        self.out.len()
    }

    pub(crate) fn is_out(&self, build: BuildId) -> bool {
        self.out.contains_key(&build)
    }

    /// When the build's hint that is out was published last.
    pub(crate) fn out_since(&self, build: BuildId) -> Option<u64> {
        self.out.get(&build).copied()
    }

    /// How many more hints may go out. None at all while nobody is there to take one.
    pub(crate) fn room(&self) -> usize {
        if self.workers.is_empty() {
            return 0;
        }
        (self.slots_free() + SPARE_HINTS).saturating_sub(self.out.len())
    }

    pub(crate) fn put_out(&mut self, build: BuildId, now_ms: u64) {
        self.out.insert(build, now_ms);
    }

    /// True when a hint was out.
    pub(crate) fn take_in(&mut self, build: BuildId) -> bool {
        self.out.remove(&build).is_some()
    }

    /// Hints to publish again, in order.
    pub(crate) fn stale(&mut self, now_ms: u64) -> Vec<BuildId> {
        let is_stale = |published: u64| now_ms.saturating_sub(published) >= HINT_MS;
        let mut stale: Vec<BuildId> = self
            .out
            .iter()
            .filter(|(_, published)| is_stale(**published))
            .map(|(build, _)| *build)
            .collect();
        stale.sort_unstable();
        for build in &stale {
            self.out.insert(*build, now_ms);
        }
        stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(worker: &str, slots_free: u32) -> Announced {
        Announced {
            worker: worker.into(),
            pool: "default".into(),
            slots_free,
        }
    }

    #[test]
    fn hints_are_out_for_free_slots_and_two_more() {
        let mut pool = Pool::default();
        assert_eq!(pool.room(), 0, "nobody is there");
        pool.announce(announced("a", 3), 0);
        pool.announce(announced("b", 0), 0);
        assert_eq!(pool.room(), 5);
        for number in 0..5 {
            pool.put_out(BuildId::derived([number; 16]), 0);
        }
        assert_eq!(pool.room(), 0);
        assert!(pool.take_in(BuildId::derived([0; 16])));
        pool.claimed("a");
        assert_eq!(pool.room(), 0, "a slot and a hint less");
        pool.announce(announced("a", 3), 1_000);
        assert_eq!(pool.room(), 1);
    }

    #[test]
    fn a_silent_worker_has_no_slots_and_an_unclaimed_hint_goes_out_again() {
        let mut pool = Pool::default();
        pool.announce(announced("a", 3), 0);
        pool.put_out(BuildId::derived([1; 16]), 5_000);
        assert_eq!(pool.stale(14_999), []);
        assert_eq!(pool.stale(15_000), [BuildId::derived([1; 16])]);
        assert_eq!(pool.stale(15_001), []);
        pool.tick(WORKER_GONE_MS);
        assert_eq!(pool.workers(), 1);
        pool.tick(WORKER_GONE_MS + 1);
        assert_eq!((pool.workers(), pool.room()), (0, 0));
    }
}
