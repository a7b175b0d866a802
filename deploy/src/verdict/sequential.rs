//! The sequential canary test: does the canary fail more often than what it replaces? Takes increments of both arms as they
//! come and what the hour before has taught; hands back how strong the evidence is. It may be asked at every poll: its promise does
//! not wear out by looking.
//!
//! Errors are cut in blocks of time. A block begins with an error on either arm and lasts as long as the bursts of the past; it
//! counts as one unit, split between the arms as its errors are, or as more when the past shows that errors of a block are
//! independent. The null model: in a block the canary's share of the errors is, on average, at most what its share of the requests
//! (times `tolerance`) makes it, whatever the blocks before were. That holds for single errors, for bursts that fall on one instance
//! and for bursts that all instances share. It does not hold for bursts that outlast their block, which is why the length of
//! blocks is learned; that part is a heuristic.

use std::collections::VecDeque;

use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

use super::counter::Counts;
use super::history::{Learned, Lesson};
use super::wealth::{self, Wealth};

/// Requests of pretended past in the ratio of exposures, so that the first few real ones do not decide it.
const EXPOSURE_PRIOR: f64 = 100.0;

/// Points of the curve that are kept with a deployment.
pub const CURVE_POINTS_MAX: usize = 120;

/// When the test suspects and when it decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rules {
    /// The chance of a false rollback for all metrics of a deployment together.
    pub alpha: f64,
    /// The same where there was too little to learn from, or the baseline is the past.
    pub alpha_unlearned: f64,
    /// A canary with so many times the baseline's errors is still a good one.
    pub tolerance: f64,
    /// Never decide with fewer errors of the canary.
    pub errors_min: f64,
    /// Nor with fewer separate blocks that hold errors of the canary.
    pub blocks_min: u32,
    /// Wealth at which traffic stops to move to the canary.
    pub suspect_at: f64,
    /// A suspicion that no further error of the canary confirms ends after so long: where nothing fails, nothing would ever
    /// disprove it either.
    pub suspect_ms_max: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            alpha: 1e-3,
            alpha_unlearned: 1e-4,
            tolerance: 1.5,
            errors_min: 3.0,
            blocks_min: 3,
            suspect_at: 20.0,
            suspect_ms_max: 10 * 60_000,
        }
    }
}

/// Whom the canary is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "with"
)]
pub enum Against {
    /// Instances of the old revision that serve at the same time.
    Concurrent {
        /// The share of the traffic that the canary is meant to have, between 0 and 1.
        weight: f64,
    },
    /// The hour before: no old instance serves any more. Weaker, since it blames the release for whatever else has changed.
    History,
}

/// What the test says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Suspicion {
    /// Nothing speaks against the canary, or not enough.
    None,
    /// Enough to move no more traffic to it.
    Suspected,
    /// Enough to take it back. Stays, once said.
    Convicted,
}

/// A point of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// What a stake of 1 had become.
    pub wealth: f64,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    until_ms: u64,
    canary: f64,
    baseline: f64,
}

/// The test of one metric over one deployment.
#[derive(Clone, Debug)]
pub struct Sequential {
    rules: Rules,
    learned: Learned,
    against: Against,
    alpha: f64,
    began: Option<Timestamp>,
    polled: Option<Timestamp>,
    /// Since the weight was last changed.
    exposure: (f64, f64),
    /// Requests of the canary that no block has been charged for, for a test against history.
    uncharged: f64,
    block: Option<Block>,
    wealth: Wealth,
    canary: Counts,
    baseline: Counts,
    blocks: u32,
    /// When the last of them ended.
    accused: Option<Timestamp>,
    suspicion: Suspicion,
    curve: VecDeque<Point>,
    curve_every_ms: u64,
}

impl Sequential {
    /// A test that has seen nothing. `metrics` is how many of them share the rules' alpha.
    #[must_use]
    pub fn new(rules: &Rules, learned: Learned, against: Against, metrics: u32) -> Self {
        let unlearned = learned.from == Lesson::TooLittle || against == Against::History;
        let alpha = if unlearned {
            rules.alpha_unlearned
        } else {
            rules.alpha
        };
        Self {
            rules: rules.clone(),
            learned,
            against,
            alpha: alpha / f64::from(metrics.max(1)),
            began: None,
            polled: None,
            exposure: (0.0, 0.0),
            uncharged: 0.0,
            block: None,
            wealth: Wealth::new(),
            canary: Counts::NONE,
            baseline: Counts::NONE,
            blocks: 0,
            accused: None,
            suspicion: Suspicion::None,
            curve: VecDeque::with_capacity(CURVE_POINTS_MAX),
            curve_every_ms: 1,
        }
    }

    /// The canary's share of the traffic is another from now on.
    pub fn shift(&mut self, weight: f64) {
        if let Against::Concurrent { weight: old } = &mut self.against {
            *old = weight;
        }
        self.exposure = (0.0, 0.0);
    }

    /// Takes what both arms counted up to `at`; what is to be said now.
    pub fn poll(&mut self, at: Timestamp, canary: Counts, baseline: Counts) -> Suspicion {
        let began = *self.began.get_or_insert(at);
        let since = self.polled.replace(at).unwrap_or(at);
        self.wealth.begin_due(at.millis_since(began));
        self.canary = self.canary.plus(canary);
        self.baseline = self.baseline.plus(baseline);
        self.exposure.0 += canary.requests;
        self.exposure.1 += baseline.requests;
        self.uncharged += canary.requests;
        if canary.bad > 0.0 || baseline.bad > 0.0 {
            let until_ms = since.millis() + self.learned.block_ms;
            let block = self.block.get_or_insert(Block {
                until_ms,
                canary: 0.0,
                baseline: 0.0,
            });
            block.canary += canary.bad;
            block.baseline += baseline.bad;
        }
        if let Some(block) = self.block.take_if(|block| block.until_ms <= at.millis()) {
            self.close(at, block);
            self.judge(at);
        }
        if self.suspicion == Suspicion::Suspected && self.is_stale(at) {
            self.suspicion = Suspicion::None;
        }
        self.suspicion
    }

    fn is_stale(&self, at: Timestamp) -> bool {
        self.accused
            .is_none_or(|accused| at.millis_since(accused) > self.rules.suspect_ms_max)
    }

    fn close(&mut self, at: Timestamp, block: Block) {
        let errors = block.canary + block.baseline;
        let independent = self.learned.dispersion.map_or(1.0, |each| errors / each);
        let units = independent
            .max(self.learned.units_min)
            .min(self.learned.units_max);
        if block.canary > 0.0 {
            self.blocks += 1;
            self.accused = Some(at);
        }
        let ratios = match self.against {
            Against::Concurrent { weight } => {
                let canary = self.exposure.0 + EXPOSURE_PRIOR * weight;
                let baseline = self.exposure.1 + EXPOSURE_PRIOR * (1.0 - weight);
                wealth::concurrent(
                    units * block.canary / errors,
                    units * block.baseline / errors,
                    (canary / baseline.max(f64::MIN_POSITIVE)).clamp(1e-6, 1e6),
                    self.rules.tolerance,
                )
            }
            Against::History => {
                let expected = self.uncharged * self.learned.blocks_per_request;
                self.uncharged = 0.0;
                let units = if block.canary > 0.0 { 1.0 } else { 0.0 };
                wealth::historical(units, expected, self.rules.tolerance)
            }
        };
        self.wealth.take(&ratios);
    }

    fn judge(&mut self, at: Timestamp) {
        let wealth = self.wealth.value();
        self.draw(at, wealth);
        if self.suspicion == Suspicion::Convicted {
            return;
        }
        let enough =
            self.canary.bad >= self.rules.errors_min && self.blocks >= self.rules.blocks_min;
        self.suspicion = if enough && wealth >= 1.0 / self.alpha {
            Suspicion::Convicted
        } else if wealth >= self.rules.suspect_at {
            Suspicion::Suspected
        } else {
            Suspicion::None
        };
    }

    /// Keeps the curve short: when it is full every second point goes, and points come half as often.
    fn draw(&mut self, at: Timestamp, wealth: f64) {
        let due = self
            .curve
            .back()
            .is_none_or(|last| at.millis_since(last.at) >= self.curve_every_ms);
        let decisive = wealth >= self.rules.suspect_at;
        if !due && !decisive {
            return;
        }
        if self.curve.len() >= CURVE_POINTS_MAX {
            let mut odd = false;
            self.curve.retain(|_| {
                odd = !odd;
                odd
            });
            let span = match (self.curve.front(), self.curve.back()) {
                (Some(first), Some(last)) => last.at.millis_since(first.at),
                _ => 0,
            };
            let points = u64::try_from(self.curve.len()).unwrap_or(u64::MAX);
            self.curve_every_ms = (span / points.max(1)).max(1);
        }
        self.curve.push_back(Point { at, wealth });
    }

    /// What is said now.
    #[must_use]
    pub fn suspicion(&self) -> Suspicion {
        self.suspicion
    }

    /// What a stake of 1 has become.
    #[must_use]
    pub fn wealth(&self) -> f64 {
        self.wealth.value()
    }

    /// The wealth at which it convicts.
    #[must_use]
    pub fn decides_at(&self) -> f64 {
        1.0 / self.alpha
    }

    /// All that both arms counted.
    #[must_use]
    pub fn counted(&self) -> (Counts, Counts) {
        (self.canary, self.baseline)
    }

    /// Blocks with errors of the canary.
    #[must_use]
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    /// How the wealth went; at most [`CURVE_POINTS_MAX`] points, the oldest first.
    pub fn curve(&self) -> impl Iterator<Item = Point> + '_ {
        self.curve.iter().copied()
    }

    /// What it was taught before.
    #[must_use]
    pub fn learned(&self) -> &Learned {
        &self.learned
    }

    /// Whom it compares with.
    #[must_use]
    pub fn against(&self) -> Against {
        self.against
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTH: Against = Against::Concurrent { weight: 0.1 };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + seconds * 1000)
    }

    fn counts(requests: f64, bad: f64) -> Counts {
        Counts { requests, bad }
    }

    fn steady() -> Learned {
        Learned {
            block_ms: 1000,
            dispersion: Some(1.0),
            units_min: 1.0,
            units_max: 3.0,
            blocks_per_request: 0.001,
            from: Lesson::History,
        }
    }

    /// Polls once a second; the second of the conviction.
    fn convicted_at(
        test: &mut Sequential,
        seconds: u64,
        mut canary_bad: impl FnMut(u64) -> f64,
        mut baseline_bad: impl FnMut(u64) -> f64,
    ) -> Option<u64> {
        (1..=seconds).find(|second| {
            let canary = counts(10.0, canary_bad(*second));
            let baseline = counts(90.0, baseline_bad(*second));
            test.poll(at(*second), canary, baseline) == Suspicion::Convicted
        })
    }

    #[test]
    fn a_canary_that_fails_a_tenth_is_convicted_in_seconds_though_the_baseline_has_no_error() {
        let mut test = Sequential::new(&Rules::default(), steady(), TENTH, 1);
        let found = convicted_at(&mut test, 60, |_| 1.0, |_| 0.0);
        assert!(found.is_some_and(|second| second <= 8), "{found:?}");
        assert!(test.wealth() >= test.decides_at());
    }

    #[test]
    fn a_canary_that_fails_as_its_baseline_does_never_is() {
        let mut test = Sequential::new(&Rules::default(), steady(), TENTH, 1);
        let each = |every: u64| {
            move |second: u64| {
                if second.is_multiple_of(every) {
                    1.0
                } else {
                    0.0
                }
            }
        };
        assert_eq!(
            convicted_at(&mut test, 7200, each(18), each(2)),
            None,
            "wealth {}",
            test.wealth()
        );
    }

    #[test]
    fn one_burst_of_any_size_convicts_nobody_but_stops_the_traffic_from_moving() {
        let mut test = Sequential::new(&Rules::default(), steady(), TENTH, 1);
        let found = convicted_at(
            &mut test,
            600,
            |second| if second == 5 { 9.0 } else { 0.0 },
            |_| 0.0,
        );
        assert_eq!(found, None);
        assert_eq!(test.suspicion(), Suspicion::Suspected);
    }

    #[test]
    fn a_suspicion_that_nothing_confirms_ends_and_comes_back_with_the_next_error() {
        let mut test = Sequential::new(&Rules::default(), steady(), TENTH, 1);
        let early = |second| if second <= 3 { 1.0 } else { 0.0 };
        assert_eq!(convicted_at(&mut test, 600, early, |_| 0.0), None);
        assert_eq!(test.suspicion(), Suspicion::Suspected);
        let quiet = test.poll(at(604), counts(10.0, 0.0), counts(90.0, 0.0));
        assert_eq!(quiet, Suspicion::None);
        let again = test.poll(at(605), counts(10.0, 1.0), counts(90.0, 0.0));
        assert_eq!(again, Suspicion::Suspected);
    }

    #[test]
    fn errors_within_a_learned_burst_are_one_unit() {
        let bursty = Learned {
            block_ms: 10_000,
            dispersion: Some(40.0),
            units_max: 1.0,
            ..steady()
        };
        let mut test = Sequential::new(&Rules::default(), bursty, TENTH, 1);
        let burst = |second| if second <= 9 { 5.0 } else { 0.0 };
        assert_eq!(convicted_at(&mut test, 60, burst, |_| 0.0), None);
        assert_eq!(test.blocks(), 1);
        assert!(test.wealth() < 10.0, "{}", test.wealth());
    }

    #[test]
    fn errors_that_both_arms_share_by_their_traffic_do_not_count_against_the_canary() {
        let mut test = Sequential::new(&Rules::default(), steady(), TENTH, 1);
        // The database is away: everything fails, everywhere.
        let found = convicted_at(&mut test, 600, |_| 10.0, |_| 90.0);
        assert_eq!(found, None);
        assert!(test.wealth() < 1.0, "{}", test.wealth());
    }

    #[test]
    fn a_service_without_history_is_judged_by_a_tighter_alpha_and_longer_blocks() {
        let known = Sequential::new(&Rules::default(), steady(), TENTH, 2);
        let unknown = Sequential::new(&Rules::default(), Learned::nothing(1000), TENTH, 2);
        assert!((known.decides_at() - 2000.0).abs() < 1e-6);
        assert!((unknown.decides_at() - 20_000.0).abs() < 1e-6);
        let mut unknown = unknown;
        let found = convicted_at(&mut unknown, 600, |_| 1.0, |_| 0.0);
        assert!(
            found.is_some_and(|second| (30..120).contains(&second)),
            "{found:?}"
        );
    }

    #[test]
    fn a_fault_that_begins_late_is_found_though_much_was_lost_before() {
        let mut test = Sequential::new(&Rules::default(), steady(), TENTH, 1);
        let found = convicted_at(
            &mut test,
            3600,
            |second| if second > 1000 { 1.0 } else { 0.0 },
            |second| if second.is_multiple_of(2) { 1.0 } else { 0.0 },
        );
        assert!(
            found.is_some_and(|second| (1001..1060).contains(&second)),
            "{found:?}"
        );
    }

    #[test]
    fn against_the_past_a_release_is_judged_by_what_the_past_had() {
        let mut test = Sequential::new(&Rules::default(), steady(), Against::History, 1);
        assert!((test.decides_at() - 10_000.0).abs() < 1e-6);
        // A thousandth of the blocks per request was usual: one a hundred seconds.
        let usual = |second: u64| if second.is_multiple_of(100) { 1.0 } else { 0.0 };
        assert_eq!(convicted_at(&mut test, 3600, usual, |_| 0.0), None);
        let mut test = Sequential::new(&Rules::default(), steady(), Against::History, 1);
        let found = convicted_at(&mut test, 600, |_| 1.0, |_| 0.0);
        assert!(found.is_some_and(|second| second < 30), "{found:?}");
        let mut test = Sequential::new(
            &Rules::default(),
            Learned::nothing(1000),
            Against::History,
            1,
        );
        assert_eq!(convicted_at(&mut test, 3600, |_| 1.0, |_| 0.0), None);
    }

    #[test]
    fn a_shift_of_traffic_is_not_taken_for_errors() {
        let mut test = Sequential::new(&Rules::default(), steady(), TENTH, 1);
        let each = |second: u64, every: u64| {
            if second.is_multiple_of(every) {
                1.0
            } else {
                0.0
            }
        };
        for second in 1..=600 {
            let canary = counts(10.0, each(second, 100));
            test.poll(at(second), canary, counts(90.0, each(second, 11)));
        }
        test.shift(0.5);
        for second in 601..=1800 {
            let (canary, baseline) = (each(second, 20), each(second + 7, 20));
            let said = test.poll(at(second), counts(50.0, canary), counts(50.0, baseline));
            assert_ne!(said, Suspicion::Convicted, "at {second}");
        }
    }

    #[test]
    fn the_curve_stays_short_and_keeps_its_ends() {
        let mut test = Sequential::new(&Rules::default(), steady(), TENTH, 1);
        convicted_at(&mut test, 5000, |_| 0.0, |_| 1.0);
        let curve: Vec<Point> = test.curve().collect();
        assert!(curve.len() <= CURVE_POINTS_MAX, "{}", curve.len());
        assert!(curve.len() > CURVE_POINTS_MAX / 3, "{}", curve.len());
        assert_eq!(curve[0].at, at(2));
        assert!(curve.last().unwrap().at > at(4800));
        assert!(curve.windows(2).all(|two| two[0].at < two[1].at));
    }
}
