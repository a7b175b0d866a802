//! A metric that must stay between limits. Takes the values of a query; says when too many of the last ones were outside. The
//! window slides: what failed long ago is forgotten, unlike in tools that count over the whole release.

use std::collections::VecDeque;

use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

/// Limits, and how often they may be passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Threshold {
    /// No value may be below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// No value may be above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Values are taken so often; those that come sooner are not looked at.
    pub interval_ms: u64,
    /// So many values outside are borne; one more fails the release.
    pub failure_limit: u32,
    /// Among so many of the last values.
    pub window: u32,
}

/// Most values that are kept.
const WINDOW_MAX: u32 = 1000;

/// A value and when it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// When.
    pub at: Timestamp,
    /// What.
    pub value: f64,
}

/// A threshold over one deployment.
#[derive(Clone, Debug)]
pub struct Watched {
    threshold: Threshold,
    last: VecDeque<Measured>,
    failed: Option<Measured>,
}

impl Watched {
    /// A threshold that has seen no value.
    #[must_use]
    pub fn new(threshold: Threshold) -> Self {
        Self {
            threshold,
            last: VecDeque::new(),
            failed: None,
        }
    }

    /// Takes a value; the one that failed the release, once there is one. A look without a value is not taken: why there is none
    /// is [`super::Missing`]'s matter.
    pub fn look(&mut self, at: Timestamp, value: f64) -> Option<Measured> {
        let due = self
            .last
            .back()
            .is_none_or(|last| at.millis_since(last.at) >= self.threshold.interval_ms);
        if !due || value.is_nan() || self.failed.is_some() {
            return self.failed;
        }
        let measured = Measured { at, value };
        self.last.push_back(measured);
        let window = self.threshold.window.clamp(1, WINDOW_MAX);
        if self.last.len() > usize::try_from(window).unwrap_or(usize::MAX) {
            self.last.pop_front();
        }
        if self.failures() > self.threshold.failure_limit {
            self.failed = Some(measured);
        }
        self.failed
    }

    /// How many of the last values were outside.
    #[must_use]
    pub fn failures(&self) -> u32 {
        let outside = self
            .last
            .iter()
            .filter(|last| self.is_outside(last.value))
            .count();
        u32::try_from(outside).unwrap_or(u32::MAX)
    }

    fn is_outside(&self, value: f64) -> bool {
        self.threshold.min.is_some_and(|min| value < min)
            || self.threshold.max.is_some_and(|max| value > max)
    }

    /// The value that failed the release, once there is one.
    #[must_use]
    pub fn failed(&self) -> Option<Measured> {
        self.failed
    }

    /// The last values, the oldest first.
    pub fn last(&self) -> impl Iterator<Item = Measured> + '_ {
        self.last.iter().copied()
    }

    /// Its limits.
    #[must_use]
    pub fn threshold(&self) -> &Threshold {
        &self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(failure_limit: u32, window: u32) -> Watched {
        Watched::new(Threshold {
            min: Some(0.1),
            max: Some(0.9),
            interval_ms: 60_000,
            failure_limit,
            window,
        })
    }

    /// A value a minute; the minute that failed.
    fn failed_at(watched: &mut Watched, values: &[f64]) -> Option<usize> {
        (1..).zip(values).find_map(|(minute, value)| {
            let at = Timestamp::from_millis(minute * 60_000);
            watched.look(at, *value).and(usize::try_from(minute).ok())
        })
    }

    #[test]
    fn one_failure_more_than_the_limit_fails() {
        let values = [0.5, 1.0, 0.5, 0.0, 0.5, 2.0, 0.5];
        assert_eq!(failed_at(&mut watched(2, 10), &values), Some(6));
        assert_eq!(failed_at(&mut watched(0, 10), &values), Some(2));
        assert_eq!(failed_at(&mut watched(3, 10), &values), None);
    }

    #[test]
    fn a_failure_outside_of_the_window_is_forgotten() {
        let values = [1.0, 1.0, 0.5, 0.5, 0.5, 1.0, 1.0];
        assert_eq!(failed_at(&mut watched(2, 5), &values), None);
        assert_eq!(failed_at(&mut watched(2, 6), &values), Some(6));
    }

    #[test]
    fn a_value_on_the_limit_is_inside() {
        assert_eq!(failed_at(&mut watched(0, 5), &[0.1, 0.9]), None);
    }

    #[test]
    fn values_that_come_too_soon_or_are_not_numbers_are_not_taken() {
        let mut watched = watched(1, 5);
        for second in 0..60 {
            assert_eq!(
                watched.look(Timestamp::from_millis(second * 1000), 5.0),
                None
            );
        }
        assert_eq!(watched.failures(), 1);
        assert_eq!(watched.look(Timestamp::from_millis(60_000), f64::NAN), None);
        assert!(watched.look(Timestamp::from_millis(61_000), 5.0).is_some());
    }
}
