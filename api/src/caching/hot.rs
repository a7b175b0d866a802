//! The hot set: verified bytes of blobs that are named by their own hash, in memory, bounded. Filled by `fetch` with what
//! it has just checked, and asked by it before the pool is. What a name points to at the moment is never in here.
//!
//! A blob is handed out for so long only; then the pool is asked again, which notes that it is used: else what is asked for
//! most would look idle to a collection.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use tokio::time::{Duration, Instant};

/// As often as the pool notes a use.
const KEPT_MAX: Duration = Duration::from_secs(3600);

/// In whose scope, and which bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HotName {
    pub(super) scope: Arc<str>,
    pub(super) sha256: [u8; 32],
}

/// Blobs in memory; the ones not asked for lately make room for new ones.
#[derive(Debug)]
pub(super) struct HotSet {
    bytes_max: usize,
    shelf: RwLock<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    blobs: HashMap<HotName, Blob>,
    /// Every blob once, the one to look at next first.
    order: VecDeque<HotName>,
    bytes: usize,
}

#[derive(Debug)]
struct Blob {
    bytes: Bytes,
    /// When it came from the pool.
    since: Instant,
    /// Asked for since it was last looked at. A flag and no list: a hit takes only the lock that readers share.
    used: AtomicBool,
}

impl HotSet {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            shelf: RwLock::default(),
        }
    }

    /// The blob's bytes, if it is hot.
    pub(super) fn get(&self, name: &HotName, now: Instant) -> Option<Bytes> {
        let shelf = self.shelf.read().unwrap_or_else(PoisonError::into_inner);
        let blob = shelf.blobs.get(name)?;
        if now.duration_since(blob.since) >= KEPT_MAX {
            return None;
        }
        // Written only when it changes: processors need not pass the line back and forth.
        if !blob.used.load(Ordering::Relaxed) {
            blob.used.store(true, Ordering::Relaxed);
        }
        Some(blob.bytes.clone())
    }

    /// Keeps a blob, unless it alone would take more than there is. `bytes` must own no more memory than they show.
    pub(super) fn keep(&self, name: HotName, bytes: Bytes, now: Instant) {
        if bytes.len() > self.bytes_max || bytes.is_empty() {
            return;
        }
        let mut shelf = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(blob) = shelf.blobs.get_mut(&name) {
            blob.since = now;
            return;
        }
        while shelf.bytes + bytes.len() > self.bytes_max {
            if !shelf.drop_one() {
                return;
            }
        }
        shelf.bytes += bytes.len();
        shelf.order.push_back(name.clone());
        let used = AtomicBool::new(false);
        let since = now;
        shelf.blobs.insert(name, Blob { bytes, since, used });
    }

    /// How many blobs there are, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        let shelf = self.shelf.read().unwrap_or_else(PoisonError::into_inner);
        (shelf.blobs.len(), shelf.bytes)
    }
}

impl Shelf {
    /// Drops the first blob that was not asked for since it was last looked at; false when there is none at all.
    fn drop_one(&mut self) -> bool {
        while let Some(name) = self.order.pop_front() {
            let used = self.blobs.get(&name).map(|blob| &blob.used);
            if used.is_some_and(|used| used.swap(false, Ordering::Relaxed)) {
                self.order.push_back(name);
            } else {
                let dropped = self.blobs.remove(&name);
                self.bytes -= dropped.map_or(0, |blob| blob.bytes.len());
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u8) -> HotName {
        HotName {
            scope: "trusted".into(),
            sha256: [number; 32],
        }
    }

    fn blob(size_bytes: usize) -> Bytes {
        vec![7; size_bytes].into()
    }

    #[test]
    fn it_never_holds_more_than_it_may() {
        let hot = HotSet::new(1000);
        for number in 0..200 {
            hot.keep(name(number), blob(usize::from(number) * 10), Instant::now());
            assert!(hot.size().1 <= 1000);
        }
        assert_eq!(
            hot.get(&name(101), Instant::now()),
            None,
            "larger than all there is"
        );
    }

    #[test]
    fn what_is_asked_for_stays_and_what_is_not_goes() {
        let hot = HotSet::new(300);
        for number in 0..3 {
            hot.keep(name(number), blob(100), Instant::now());
        }
        hot.get(&name(0), Instant::now()).unwrap();
        hot.keep(name(3), blob(100), Instant::now());
        assert!(hot.get(&name(0), Instant::now()).is_some());
        assert!(hot.get(&name(1), Instant::now()).is_none());
        assert_eq!(hot.size(), (3, 300));
    }

    #[test]
    fn the_same_bytes_in_another_scope_are_not_seen() {
        let hot = HotSet::new(300);
        hot.keep(name(1), blob(100), Instant::now());
        let elsewhere = HotName {
            scope: "fork".into(),
            ..name(1)
        };
        assert_eq!(hot.get(&elsewhere, Instant::now()), None);
    }

    #[test]
    fn keeping_a_blob_twice_counts_it_once() {
        let hot = HotSet::new(300);
        hot.keep(name(1), blob(100), Instant::now());
        hot.keep(name(1), blob(100), Instant::now());
        assert_eq!(hot.size(), (1, 100));
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let hot = HotSet::new(0);
        hot.keep(name(1), blob(1), Instant::now());
        assert_eq!(hot.size(), (0, 0));
    }

    #[test]
    fn after_an_hour_the_pool_is_asked_again() {
        let hot = HotSet::new(300);
        let start = Instant::now();
        hot.keep(name(1), blob(100), start);
        assert!(hot.get(&name(1), start + KEPT_MAX / 2).is_some());
        assert_eq!(hot.get(&name(1), start + KEPT_MAX), None);
        hot.keep(name(1), blob(100), start + KEPT_MAX);
        assert!(hot.get(&name(1), start + KEPT_MAX).is_some());
        assert_eq!(hot.size(), (1, 100));
    }
}
