//! Whether a release is a good one. Takes what is measured of a canary and of what it replaces; hands one decision to the
//! deployment's engine, with the evidence for it.
//!
//! Five detectors that know nothing of each other, and one function that weighs what they say.

/// What counters counted, from raw samples.
mod counter;
/// Slow requests, from a histogram's buckets.
mod histogram;
/// What the hour before teaches about bursts.
mod history;
/// The bet against a clean release.
mod wealth;
/// The sequential canary test.
mod sequential;
/// Health, crash loops, requests that mostly fail.
mod guard;
/// Limits on the values of a query.
mod threshold;
/// What to do when a metric has no value.
mod missing;
/// What is measured, as its author writes it.
mod settings;
/// Which keys that may have.
mod shape;
/// One decision out of all of it.
mod decide;
/// Why, for later.
mod evidence;
/// What could be found at today's traffic.
mod power;

pub use counter::{Counter, Counts, CountsFrom, NotACount, Together};
pub use decide::{Decision, Finding, Scope, Why, decide};
pub use evidence::{Evidence, Trigger, of_alarm, of_alert, of_guard, of_sequential, of_threshold};
pub use guard::{Check, Guard, GuardRules, Hit};
pub use histogram::{HistogramError, SlowerThan};
pub use history::{BLOCK_UNKNOWN_MS, BLOCKS_MIN, Errors, History, Learned, Lesson};
pub use missing::{Cause, Gap, Kind, Missing, OnTimeout, Policy};
pub use power::{Asked, seconds_to_convict, sentence};
pub use sequential::{Against, CURVE_POINTS_MAX, Point, Rules, Sequential, Suspicion};
pub use settings::{Baseline, Counted, Guards, Hosts, Limit, Metric, Settings};
pub use threshold::{Measured, Threshold, Watched};

#[cfg(test)]
mod tests {
    use croft_proto::Timestamp;

    use super::*;

    /// Both counters of one instance, as a scrape shows them.
    struct Process {
        name: &'static str,
        requests: f64,
        errors: f64,
    }

    impl Process {
        fn serve(&mut self, requests: f64, errors: f64) {
            self.requests += requests;
            self.errors += errors;
        }

        fn restart(&mut self) {
            (self.requests, self.errors) = (0.0, 0.0);
        }
    }

    /// The counters of one arm.
    struct Arm {
        requests: Counter,
        errors: Counter,
    }

    impl Arm {
        fn new(from: CountsFrom) -> Self {
            Self {
                requests: Counter::new(from),
                errors: Counter::new(from),
            }
        }

        /// The series of errors is not there before the first one.
        fn scrape(&mut self, at: Timestamp, process: &Process) -> Counts {
            let errors = (process.errors > 0.0).then_some(("500", process.errors));
            let requests = [("all", process.requests)];
            Counts {
                requests: self.requests.scrape(process.name, at, requests).unwrap(),
                bad: self.errors.scrape(process.name, at, errors).unwrap(),
            }
        }
    }

    /// A canary beside one old instance, both restarted once; the second of the rollback.
    fn taken_back_at(canary_errors: impl Fn(u64) -> f64) -> Option<(u64, Evidence)> {
        let learned = Learned::nothing(1000);
        let against = Against::Concurrent { weight: 0.1 };
        let mut test = Sequential::new(&Rules::default(), learned, against, 1);
        let mut arms = (
            Arm::new(CountsFrom::Zero),
            Arm::new(CountsFrom::FirstSample),
        );
        let process = |name, requests, errors| Process {
            name,
            requests,
            errors,
        };
        let mut new = process("new", 0.0, 0.0);
        let mut old = process("old", 1_000_000.0, 5_000.0);
        let mut together = Together::default();
        for second in 1..=600 {
            let at = Timestamp::from_millis(1_800_000_000_000 + second * 1000);
            if second == 20 {
                new.restart();
                old.restart();
            }
            new.serve(10.0, canary_errors(second));
            old.serve(90.0, if second % 10 == 3 { 1.0 } else { 0.0 });
            let canary = arms.0.scrape(at, &new);
            // Every third scrape of the old instance is lost.
            let baseline = (second % 3 != 0).then(|| arms.1.scrape(at, &old));
            if let Some((canary, baseline)) = together.poll(Some(canary), baseline) {
                test.poll(at, canary, baseline);
            }
            let finding = of_sequential("errors", "http_errors_total", at, &test);
            if let Decision::RollBack { evidence, .. } = decide(Scope::Release, [finding]) {
                return Some((second, *evidence));
            }
        }
        None
    }

    #[test]
    fn from_raw_scrapes_to_a_rollback_with_its_evidence() {
        let (second, evidence) = taken_back_at(|_| 2.0).unwrap();
        assert!((40..150).contains(&second), "{second}");
        let canary = evidence.canary.unwrap();
        assert!((canary.ratio().unwrap() - 0.2).abs() < 0.01, "{canary:?}");
        assert_eq!(evidence.query.as_deref(), Some("http_errors_total"));
        assert!(!evidence.curve.is_empty());
    }

    #[test]
    fn restarts_and_lost_scrapes_take_no_good_release_back() {
        let rarely = |second: u64| if second % 90 == 7 { 1.0 } else { 0.0 };
        assert_eq!(taken_back_at(rarely), None);
    }

    /// What is decided about a metric with that trouble, every ten seconds for half an hour.
    fn decided(trouble: impl Fn(u64) -> Option<Cause>) -> Vec<Decision> {
        let mut missing = Missing::new(Kind::Ratio, Policy::default());
        (0..180)
            .map(|look| {
                let at = Timestamp::from_millis(1_800_000_000_000 + look * 10_000);
                let gap = missing.look(at, trouble(look));
                decide(Scope::Release, [Finding::of_gap("ratio", "q", at, gap)])
            })
            .collect()
    }

    fn count(decided: &[Decision], is: impl Fn(&Decision) -> bool) -> usize {
        decided.iter().filter(|decision| is(decision)).count()
    }

    #[test]
    fn a_source_that_is_away_for_five_minutes_holds_the_release_and_no_more() {
        let all = decided(|look| (30..60).contains(&look).then_some(Cause::SourceDown));
        let held = count(&all, |one| matches!(one, Decision::Hold { .. }));
        let gone_on = count(&all, |one| *one == Decision::Continue);
        assert_eq!((held, gone_on), (30, 150));
    }

    #[test]
    fn a_service_without_traffic_is_held_for_a_while_and_then_goes_on() {
        let all = decided(|_| Some(Cause::NoTraffic));
        let held = count(&all, |one| matches!(one, Decision::Hold { .. }));
        let gone_on = count(&all, |one| *one == Decision::Continue);
        assert_eq!((held, gone_on), (60, 120));
    }
}
