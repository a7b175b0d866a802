//! Entries whose use was noted lately: noting costs a request, or a wait for the disk, and days decide what a collection keeps. Asked
//! by whoever uses an entry again and again: fronts for other tools, workers that build one tree many times.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use croft_proto::Timestamp;
use object_store::path::Path;

use crate::Store;

/// The use of an entry is noted once in this time.
const NOTE_EVERY_MS: u64 = 3600 * 1000;

/// Entries remembered; more are noted again too early, which costs a request each.
const NOTED_MAX: usize = 100_000;

/// When each was noted last, by this process.
#[derive(Debug, Default)]
pub(crate) struct Noted(Mutex<HashMap<Path, Timestamp>>);

impl Noted {
    /// True when the use is to be noted now; it counts as noted then.
    fn is_due(&self, entry: &Path, now: Timestamp) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = noted
            .get(entry)
            .is_some_and(|last| now.millis() < last.millis().saturating_add(NOTE_EVERY_MS));
        if is_fresh {
            return false;
        }
        if noted.len() >= NOTED_MAX {
            noted.clear();
        }
        noted.insert(entry.clone(), now);
        true
    }
}

impl Store {
    /// Notes that an entry is used, so that a collection keeps what is; at most once an hour.
    pub(crate) fn note_use(&self, entry: &Path, now: Timestamp) {
        if self.noted.is_due(entry, now) {
            self.touch(entry, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_noted_once_an_hour() {
        let (noted, entry) = (Noted::default(), Path::from("entries/a/b"));
        let at = |ms| Timestamp::from_millis(1_000_000 + ms);
        assert!(noted.is_due(&entry, at(0)));
        assert!(!noted.is_due(&entry, at(NOTE_EVERY_MS - 1)));
        assert!(noted.is_due(&Path::from("entries/a/c"), at(1)));
        assert!(noted.is_due(&entry, at(NOTE_EVERY_MS)));
    }
}
