//! What counters counted between two looks. Takes raw samples, as they were scraped, from whoever asks the metrics' source;
//! hands increments to the detectors.
//!
//! Never a rate that somebody else worked out: PromQL's `increase()` extrapolates to the ends of its window, loses the first
//! error of a series that did not exist before, and spreads one error over all windows that see it.

use std::collections::BTreeMap;

use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

/// What was counted: so many requests, of which so many were bad (failed, or slower than a bucket).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// All of them.
    pub requests: f64,
    /// The bad ones among them.
    pub bad: f64,
}

impl Counts {
    /// Nothing.
    pub const NONE: Self = Self {
        requests: 0.0,
        bad: 0.0,
    };

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            bad: self.bad + other.bad,
        }
    }

    /// The share of bad ones; nothing without requests.
    #[must_use]
    pub fn ratio(self) -> Option<f64> {
        (self.requests > 0.0).then(|| self.bad / self.requests)
    }
}

/// What a series counts from that was never seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountsFrom {
    /// From its first sample: it counted before anybody looked.
    FirstSample,
    /// From zero: its process began after we began to look.
    Zero,
}

/// A value that no counter can have: not a number, infinite or below zero.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a counter cannot be {value}")]
pub struct NotACount {
    /// What was read.
    pub value: f64,
}

/// The series of one instance.
#[derive(Clone, Debug)]
struct Instance {
    seen_at: Timestamp,
    last: BTreeMap<String, f64>,
}

/// One counter, with all its series on all instances.
#[derive(Clone, Debug)]
pub struct Counter {
    from: CountsFrom,
    instances: BTreeMap<String, Instance>,
}

impl Counter {
    /// A counter of which nothing was seen; `from` is for instances that appear.
    #[must_use]
    pub fn new(from: CountsFrom) -> Self {
        Self {
            from,
            instances: BTreeMap::new(),
        }
    }

    /// How much one instance counted since its last scrape, over all its series.
    ///
    /// A value below the last is a restart: all of it was counted since. A series that an instance did not have at its last scrape
    /// counts from zero: many programs make the series of a status with its first request. A scrape that is no newer than the last
    /// counts nothing.
    ///
    /// # Errors
    /// [`NotACount`]; then nothing of the scrape is taken, and the next one counts for both.
    pub fn scrape<'a>(
        &mut self,
        instance: &str,
        at: Timestamp,
        series: impl IntoIterator<Item = (&'a str, f64)> + Clone,
    ) -> Result<f64, NotACount> {
        for (_, value) in series.clone() {
            if !value.is_finite() || value < 0.0 {
                return Err(NotACount { value });
            }
        }
        let known = self.instances.get_mut(instance);
        let first = known.is_none();
        if known.is_some_and(|known| at <= known.seen_at) {
            return Ok(0.0);
        }
        let counts_from_zero = !first || self.from == CountsFrom::Zero;
        let known = self
            .instances
            .entry(instance.to_owned())
            .or_insert_with(|| Instance {
                seen_at: at,
                last: BTreeMap::new(),
            });
        known.seen_at = at;
        let mut counted = 0.0;
        for (name, value) in series {
            match known.last.get_mut(name) {
                Some(last) => {
                    counted += if value < *last { value } else { value - *last };
                    *last = value;
                }
                None => {
                    if counts_from_zero {
                        counted += value;
                    }
                    known.last.insert(name.to_owned(), value);
                }
            }
        }
        Ok(counted)
    }

    /// An instance that was never seen counts from zero from now on.
    pub fn begin(&mut self, instance: &str) {
        if !self.instances.contains_key(instance) {
            let fresh = Instance {
                seen_at: Timestamp::default(),
                last: BTreeMap::new(),
            };
            self.instances.insert(instance.to_owned(), fresh);
        }
    }

    /// Forgets an instance that is gone for good.
    pub fn forget(&mut self, instance: &str) {
        self.instances.remove(instance);
    }

    /// When an instance was last scraped.
    #[must_use]
    pub fn seen_at(&self, instance: &str) -> Option<Timestamp> {
        self.instances.get(instance).map(|known| known.seen_at)
    }
}

/// Increments of both arms, handed on only together: while one arm is silent the other's are kept, so that both cover the same
/// time whenever they are compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Together {
    canary: Counts,
    baseline: Counts,
    canary_spoke: bool,
    baseline_spoke: bool,
}

impl Together {
    /// What is to be compared now: both arms' counts since the last time, or nothing while one of them has not spoken since.
    /// `None` is an arm that could not be read; an arm without requests has [`Counts::NONE`].
    pub fn poll(
        &mut self,
        canary: Option<Counts>,
        baseline: Option<Counts>,
    ) -> Option<(Counts, Counts)> {
        if let Some(counts) = canary {
            self.canary = self.canary.plus(counts);
            self.canary_spoke = true;
        }
        if let Some(counts) = baseline {
            self.baseline = self.baseline.plus(counts);
            self.baseline_spoke = true;
        }
        if !(self.canary_spoke && self.baseline_spoke) {
            return None;
        }
        let both = (self.canary, self.baseline);
        *self = Self::default();
        Some(both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn a_restart_counts_all_that_the_new_process_has_counted() {
        let mut counter = Counter::new(CountsFrom::FirstSample);
        assert_eq!(counter.scrape("a", at(1), [("s", 100.0)]), Ok(0.0));
        assert_eq!(counter.scrape("a", at(2), [("s", 130.0)]), Ok(30.0));
        assert_eq!(counter.scrape("a", at(3), [("s", 4.0)]), Ok(4.0));
        assert_eq!(counter.scrape("a", at(4), [("s", 9.0)]), Ok(5.0));
    }

    #[test]
    fn the_first_error_of_a_series_that_did_not_exist_is_counted() {
        let mut counter = Counter::new(CountsFrom::FirstSample);
        assert_eq!(counter.scrape("a", at(1), []), Ok(0.0));
        assert_eq!(counter.scrape("a", at(2), [("code=500", 1.0)]), Ok(1.0));
    }

    #[test]
    fn an_instance_that_was_there_before_counts_from_its_first_sample() {
        let mut old = Counter::new(CountsFrom::FirstSample);
        assert_eq!(old.scrape("a", at(1), [("s", 7000.0)]), Ok(0.0));
        let mut fresh = Counter::new(CountsFrom::Zero);
        assert_eq!(fresh.scrape("b", at(1), [("s", 3.0)]), Ok(3.0));
    }

    #[test]
    fn instances_with_the_same_series_do_not_mix() {
        let mut counter = Counter::new(CountsFrom::FirstSample);
        counter.scrape("a", at(1), [("s", 100.0)]).unwrap();
        counter.scrape("b", at(1), [("s", 5.0)]).unwrap();
        assert_eq!(counter.scrape("b", at(2), [("s", 6.0)]), Ok(1.0));
        assert_eq!(counter.scrape("a", at(2), [("s", 100.0)]), Ok(0.0));
    }

    #[test]
    fn the_same_scrape_twice_counts_once_and_an_older_one_not_at_all() {
        let mut counter = Counter::new(CountsFrom::Zero);
        assert_eq!(counter.scrape("a", at(5), [("s", 2.0)]), Ok(2.0));
        assert_eq!(counter.scrape("a", at(5), [("s", 2.0)]), Ok(0.0));
        assert_eq!(counter.scrape("a", at(4), [("s", 1.0)]), Ok(0.0));
        assert_eq!(counter.scrape("a", at(6), [("s", 3.0)]), Ok(1.0));
    }

    #[test]
    fn what_is_not_a_count_is_refused_and_the_next_scrape_counts_for_both() {
        let mut counter = Counter::new(CountsFrom::Zero);
        assert_eq!(counter.scrape("a", at(1), [("s", 2.0)]), Ok(2.0));
        for value in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(counter.scrape("a", at(2), [("s", value)]).is_err());
        }
        assert_eq!(counter.scrape("a", at(3), [("s", 9.0)]), Ok(7.0));
    }

    #[test]
    fn a_silent_arm_keeps_the_other_waiting_and_nothing_is_lost() {
        let counts = |requests, bad| Counts { requests, bad };
        let mut together = Together::default();
        assert_eq!(together.poll(Some(counts(10.0, 1.0)), None), None);
        assert_eq!(together.poll(Some(counts(10.0, 0.0)), None), None);
        assert_eq!(
            together.poll(None, Some(counts(270.0, 2.0))),
            Some((counts(20.0, 1.0), counts(270.0, 2.0)))
        );
        assert_eq!(together.poll(None, None), None);
    }
}
