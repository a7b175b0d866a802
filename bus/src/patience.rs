//! How long putting output waits for those who follow it: pure, and the same for both buses.
//!
//! A build has so much patience for each of its followers. When it is spent, that one is not waited for until it has caught up;
//! so a follower that reads slower than a build writes costs it the patience once, not once a chunk.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::Place;

/// Followers of one build that are waited for; more are taken as they come. Over a broker, those who went without a word
/// stay known until the build ends.
const FOLLOWERS_MAX: usize = 256;

/// A build's followers, as far as those who put know them.
#[derive(Debug)]
pub(crate) struct Followers<K> {
    known: HashMap<K, Follower>,
    patience: Duration,
    /// A follower no more chunks than this behind has caught up.
    slack: u64,
}

#[derive(Debug)]
struct Follower {
    place: Place,
    /// Of the patience for it.
    left: Duration,
}

impl<K: Eq + Hash> Followers<K> {
    /// Of a build of which so many chunks are kept: who is less than half of them behind has caught up.
    pub(crate) fn new(patience: Duration, chunks_max: usize) -> Self {
        Self {
            known: HashMap::new(),
            patience,
            slack: u64::try_from(chunks_max / 2).expect("a count is smaller"),
        }
    }

    /// A follower wants that next; `head` is what is put next. All patience is there again for one that has caught up.
    pub(crate) fn took(&mut self, who: K, place: Place, head: Place) {
        let left = self.patience;
        let is_new = !self.known.contains_key(&who);
        if is_new && self.known.len() >= FOLLOWERS_MAX {
            return;
        }
        let follower = self.known.entry(who).or_insert(Follower { place, left });
        follower.place = place;
        let caught_up = Place {
            chunk: head.chunk.saturating_sub(self.slack),
            ..head
        };
        if place >= caught_up {
            follower.left = left;
        }
    }

    /// A follower is gone.
    pub(crate) fn left(&mut self, who: &K) {
        self.known.remove(who);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// How long to wait before everything before `kept` goes: none when nobody wants any of it, or no patience is left.
    pub(crate) fn wait(&self, kept: Place) -> Option<Duration> {
        let lagging = self.known.values().filter(|one| one.place < kept);
        lagging
            .map(|one| one.left)
            .max()
            .filter(|left| !left.is_zero())
    }

    /// So long was waited for those who still lag.
    pub(crate) fn waited(&mut self, for_: Duration, kept: Place) {
        for one in self.known.values_mut().filter(|one| one.place < kept) {
            one.left = one.left.saturating_sub(for_);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn at(chunk: u64) -> Place {
        Place { attempt: 1, chunk }
    }

    #[test]
    fn only_who_lags_is_waited_for_and_only_as_long_as_there_is_patience() {
        let mut followers = Followers::new(PATIENCE, 5);
        assert_eq!(followers.wait(at(5)), None);
        followers.took("fast", at(9), at(9));
        followers.took("slow", at(4), at(9));
        assert_eq!(followers.wait(at(4)), None);
        assert_eq!(followers.wait(at(5)), Some(PATIENCE));
        followers.waited(PATIENCE / 2, at(5));
        assert_eq!(followers.wait(at(5)), Some(PATIENCE / 2));
        // It reads a little, always too late, whatever others do: what was spent stays spent.
        followers.took("slow", at(5), at(10));
        followers.took("fast", at(10), at(10));
        followers.waited(PATIENCE / 2, at(6));
        assert_eq!(followers.wait(at(6)), None);
        followers.took("slow", at(7), at(10));
        assert_eq!(followers.wait(at(8)), None);
        followers.took("slow", at(8), at(10));
        assert_eq!(followers.wait(at(9)), Some(PATIENCE));
        followers.left(&"slow");
        followers.left(&"fast");
        assert!(followers.is_empty());
    }
}
