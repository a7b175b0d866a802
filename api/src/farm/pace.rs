//! How fast somebody may ask: a bucket of requests, or of bytes, that fills at a steady rate. Asked by the gate for every request.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::limits::PACES_MAX;

/// A bucket.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Millionths of a request.
    level: u64,
    filled: Instant,
}

/// Buckets by whose they are.
#[derive(Debug)]
pub(super) struct Paces<K> {
    per_second: u64,
    burst: u64,
    buckets: Mutex<HashMap<K, Bucket>>,
}

/// Of a request.
const WHOLE: u64 = 1_000_000;

impl<K: Eq + Hash> Paces<K> {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: u64::from(per_second.max(1)),
            burst: u64::from(burst.max(1)) * WHOLE,
            buckets: Mutex::default(),
        }
    }

    /// Passes when there is one, and leaves it; or says in how many seconds there will be one. For what only counts when it turns out bad.
    pub(super) fn look(&self, whose: &K, now: Instant) -> Result<(), u64> {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bucket) = buckets.get(whose) else {
            return Ok(());
        };
        self.enough(filled(bucket, self.per_second, self.burst, now), WHOLE)
    }

    fn enough(&self, level: u64, wanted: u64) -> Result<(), u64> {
        let missing = wanted.saturating_sub(level);
        if missing == 0 {
            return Ok(());
        }
        Err(missing.div_ceil(self.per_second * WHOLE).max(1))
    }

    /// Takes one request out of the bucket, or says in how many seconds there will be one.
    pub(super) fn take(&self, whose: K, now: Instant) -> Result<(), u64> {
        self.take_many(whose, 1, now)
    }

    /// The same of so many at once.
    pub(super) fn take_many(&self, whose: K, count: u32, now: Instant) -> Result<(), u64> {
        let wanted = u64::from(count) * WHOLE;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= PACES_MAX && !buckets.contains_key(&whose) {
            // Those that are full have nothing to remember.
            let (rate, burst) = (self.per_second, self.burst);
            buckets.retain(|_, bucket| filled(bucket, rate, burst, now) < burst);
            if buckets.len() >= PACES_MAX {
                buckets.clear();
            }
        }
        let full = Bucket {
            level: self.burst,
            filled: now,
        };
        let bucket = buckets.entry(whose).or_insert(full);
        let level = filled(bucket, self.per_second, self.burst, now);
        self.enough(level, wanted)?;
        *bucket = Bucket {
            level: level - wanted,
            filled: now,
        };
        Ok(())
    }
}

fn filled(bucket: &Bucket, per_second: u64, burst: u64, now: Instant) -> u64 {
    let micros = now.saturating_duration_since(bucket.filled).as_micros();
    let micros = u64::try_from(micros).unwrap_or(u64::MAX);
    // A millionth of a request for each microsecond, at one a second.
    let gained = micros.saturating_mul(per_second);
    bucket.level.saturating_add(gained).min(burst)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_the_steady_rate() {
        let paces = Paces::new(10, 3);
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(paces.take("a", start), Ok(()));
        }
        assert_eq!(paces.take("a", start), Err(1));
        assert_eq!(paces.take("b", start), Ok(()), "another's bucket is full");
        let later = start + Duration::from_millis(100);
        assert_eq!(paces.take("a", later), Ok(()));
        assert_eq!(paces.take("a", later), Err(1));
        let much_later = start + Duration::from_secs(100);
        for _ in 0..3 {
            assert_eq!(paces.take("a", much_later), Ok(()));
        }
        assert_eq!(paces.take("a", much_later), Err(1), "no more than a burst");
    }

    #[test]
    fn what_is_large_takes_as_much_as_it_is() {
        let paces = Paces::new(100, 250);
        let start = Instant::now();
        assert_eq!(paces.take_many("a", 200, start), Ok(()));
        assert_eq!(paces.take_many("a", 200, start), Err(2));
        assert_eq!(paces.take_many("a", 50, start), Ok(()));
        let later = start + Duration::from_secs(2);
        assert_eq!(paces.take_many("a", 200, later), Ok(()));
    }

    #[test]
    fn who_only_looks_takes_nothing() {
        let paces = Paces::new(1, 1);
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(paces.look(&"a", start), Ok(()));
        }
        assert_eq!(paces.take("a", start), Ok(()));
        assert_eq!(paces.look(&"a", start), Err(1));
        assert_eq!(paces.look(&"b", start), Ok(()));
        assert_eq!(paces.look(&"a", start + Duration::from_secs(1)), Ok(()));
    }
}
