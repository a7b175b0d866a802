//! Sources that this server has had kept in the store, and until when: one tree is built many times, and asking the store anew for
//! each build costs more than all else of a submission. Fed and asked by whoever starts builds.
//!
//! What it knows is what the store has promised: only a person who removes a tree breaks that, and then the build says which
//! source is gone.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use croft_cache::{HOLD_MS_MAX, Id};
use croft_proto::Timestamp;

/// Trees remembered: some kilobytes. One that is forgotten is asked for anew.
const TREES_MAX: usize = 4_096;

/// What a tree is kept for beyond the longest that its build may wait and run, so that the next builds of it need not ask.
const BEYOND_MS: u64 = 2 * 60 * 60 * 1000;

/// What a tree must be kept for beyond that: whoever looks after it has time to.
const BEYOND_MS_MIN: u64 = 60 * 60 * 1000;

#[derive(Debug, Default)]
pub(super) struct Held(Mutex<HashMap<Id, Timestamp>>);

/// How long a tree must be kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) now: Timestamp,
    /// For its build.
    pub(super) ms: u64,
}

impl Need {
    /// Until when to ask the store for it.
    pub(super) fn until(self) -> Timestamp {
        let ms = self.ms.saturating_add(BEYOND_MS);
        Timestamp::from_millis(self.now.millis().saturating_add(ms))
    }

    /// The store keeps nothing for longer than its own limit: then most of that is enough.
    fn is_met(self, until: Timestamp) -> bool {
        let most = HOLD_MS_MAX - (BEYOND_MS - BEYOND_MS_MIN);
        let ms = self.ms.saturating_add(BEYOND_MS_MIN).min(most);
        until.millis() >= self.now.millis().saturating_add(ms)
    }
}

impl Held {
    /// Whether the tree is known to be kept for long enough.
    pub(super) fn covers(&self, tree: &Id, need: Need) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(tree).is_some_and(|until| need.is_met(*until))
    }

    /// The store keeps it until then.
    pub(super) fn note(&self, tree: Id, until: Timestamp, now: Timestamp) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= TREES_MAX {
            held.retain(|_, until| *until > now);
        }
        if held.len() >= TREES_MAX {
            held.clear();
        }
        held.insert(tree, until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 60 * 60 * 1000;

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_millis(hours * HOUR)
    }

    fn need(now: u64, hours: u64) -> Need {
        Need {
            now: at(now),
            ms: hours * HOUR,
        }
    }

    #[test]
    fn a_tree_is_asked_for_anew_once_what_is_left_is_little_more_than_its_build_needs() {
        let (held, tree) = (Held::default(), Id::of(b"tree"));
        assert!(!held.covers(&tree, need(100, 8)));
        assert_eq!(need(100, 8).until(), at(110));
        held.note(tree, at(110), at(100));
        assert!(held.covers(&tree, need(101, 8)));
        assert!(!held.covers(&tree, need(102, 8)));
        assert!(!held.covers(&Id::of(b"other"), need(101, 8)));
    }

    #[test]
    fn what_the_store_keeps_at_most_is_enough_for_an_hour() {
        let (held, tree) = (Held::default(), Id::of(b"tree"));
        held.note(tree, at(124), at(100));
        assert!(held.covers(&tree, need(101, 50)));
        assert!(!held.covers(&tree, need(102, 50)));
    }

    #[test]
    fn memory_of_it_is_bounded() {
        let held = Held::default();
        for number in 0..3 * TREES_MAX {
            held.note(Id::of(&number.to_be_bytes()), at(110), at(100));
        }
        assert!(held.0.lock().unwrap().len() <= TREES_MAX);
    }
}
