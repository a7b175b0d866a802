//! Slow requests, from a histogram's cumulative buckets. Takes the buckets of one instance as they were scraped; hands counts to
//! the same detectors as errors.
//!
//! Never a quantile: a quantile of a few requests is an interpolation between two buckets, and two quantiles cannot be added.

use croft_proto::Timestamp;

use super::counter::{Counter, Counts, CountsFrom, NotACount};

/// Why a histogram cannot say what is asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HistogramError {
    /// No bucket ends at the asked latency, nor above it.
    #[error("no bucket ends at or above {asked} s; those there are end at {known:?}")]
    NoBucket {
        /// Seconds.
        asked: f64,
        /// Where the buckets end.
        known: Vec<f64>,
    },
    /// The bucket of all requests is missing.
    #[error("there is no bucket `+Inf`")]
    NoTotal,
    /// A bucket's value cannot be a count.
    #[error(transparent)]
    NotACount(#[from] NotACount),
}

/// One histogram over all its instances: how many requests were slower than a bucket.
#[derive(Clone, Debug)]
pub struct SlowerThan {
    seconds: f64,
    all: Counter,
    fast: Counter,
}

impl SlowerThan {
    /// Counts requests slower than the first bucket that ends at that many seconds or above.
    #[must_use]
    pub fn new(seconds: f64, from: CountsFrom) -> Self {
        Self {
            seconds,
            all: Counter::new(from),
            fast: Counter::new(from),
        }
    }

    /// An instance that was never seen counts from zero from now on.
    pub fn begin(&mut self, instance: &str) {
        self.all.begin(instance);
        self.fast.begin(instance);
    }

    /// A scrape of an instance that does not have the histogram yet.
    pub fn idle(&mut self, instance: &str, at: Timestamp) {
        for counter in [&mut self.all, &mut self.fast] {
            // Of no series none can be wrong.
            counter.scrape(instance, at, []).unwrap_or_default();
        }
    }

    /// What one instance counted since its last scrape, of one series of buckets. `buckets` are pairs of the upper end in seconds,
    /// which is infinite for all requests, and the count.
    ///
    /// # Errors
    /// [`HistogramError`]: a mistake in the configuration, but for `NotACount`.
    pub fn scrape(
        &mut self,
        instance: &str,
        at: Timestamp,
        buckets: &[(f64, f64)],
    ) -> Result<Counts, HistogramError> {
        let all = buckets.iter().find(|(end, _)| end.is_infinite());
        let (_, all) = all.ok_or(HistogramError::NoTotal)?;
        let fast = buckets
            .iter()
            .filter(|(end, _)| end.is_finite() && *end >= self.seconds)
            .min_by(|one, other| one.0.total_cmp(&other.0));
        let (_, fast) = fast.ok_or_else(|| HistogramError::NoBucket {
            asked: self.seconds,
            known: buckets.iter().map(|(end, _)| *end).collect(),
        })?;
        let requests = self.all.scrape(instance, at, [("", *all)])?;
        let fast = self.fast.scrape(instance, at, [("", *fast)])?;
        Ok(Counts {
            requests,
            // A scrape may fall between the two being counted.
            bad: (requests - fast).max(0.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn buckets(tenth: f64, half: f64, all: f64) -> [(f64, f64); 3] {
        [(0.1, tenth), (0.5, half), (f64::INFINITY, all)]
    }

    #[test]
    fn requests_slower_than_the_bucket_are_the_bad_ones() {
        let mut slow = SlowerThan::new(0.3, CountsFrom::FirstSample);
        slow.scrape("a", at(1), &buckets(50.0, 90.0, 100.0))
            .unwrap();
        let counts = slow.scrape("a", at(2), &buckets(60.0, 105.0, 120.0));
        let expected = Counts {
            requests: 20.0,
            bad: 5.0,
        };
        assert_eq!(counts, Ok(expected));
    }

    #[test]
    fn a_restart_counts_anew_in_all_buckets() {
        let mut slow = SlowerThan::new(0.5, CountsFrom::FirstSample);
        slow.scrape("a", at(1), &buckets(50.0, 90.0, 100.0))
            .unwrap();
        let counts = slow.scrape("a", at(2), &buckets(3.0, 4.0, 6.0)).unwrap();
        assert!((counts.requests - 6.0).abs() < 1e-9 && (counts.bad - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_latency_that_no_bucket_knows_is_a_mistake_that_names_the_buckets() {
        let mut slow = SlowerThan::new(2.0, CountsFrom::Zero);
        let error = slow
            .scrape("a", at(1), &buckets(0.0, 0.0, 0.0))
            .unwrap_err();
        assert!(error.to_string().contains("0.5"), "{error}");
        let error = slow.scrape("a", at(1), &[(3.0, 1.0)]).unwrap_err();
        assert_eq!(error, HistogramError::NoTotal);
    }
}
