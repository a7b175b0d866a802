//! One canary metric of one deployment: its counters, what the hour before taught, and its tests. Fed with scrapes in the order of their
//! times; asked for what it finds.

use croft_proto::Timestamp;

use super::past::Past;
use super::scrapes::Ends;
use super::timeline::Arm;
use crate::verdict::{
    Against, Baseline, Cause, Counted, Counter, Counts, CountsFrom, Finding, Kind, Learned, Metric,
    Missing, Policy, Rules, Sequential, SlowerThan, Together, of_sequential,
};

/// Without a request for so long there is no traffic: longer than the gaps of a service that is asked every half minute.
const NO_TRAFFIC_MS: u64 = 120_000;

/// The series of one selector in one scrape: labels and value.
pub(super) type Scraped<'s> = Vec<(&'s str, f64)>;

/// What one instance showed of the metric in one scrape.
#[derive(Debug, Default)]
pub(super) struct Shown<'s> {
    pub(super) requests: Scraped<'s>,
    pub(super) bad: Scraped<'s>,
    /// The upper ends of buckets, and counts.
    pub(super) buckets: Vec<(f64, f64)>,
}

impl Shown<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.bad.is_empty() && self.buckets.is_empty()
    }
}

#[derive(Debug)]
enum Counters {
    Two { requests: Counter, bad: Counter },
    Slow(Box<SlowerThan>),
}

/// A metric under watch.
#[derive(Debug)]
pub(super) struct MetricWatch {
    pub(super) settings: Metric,
    counters: Counters,
    pub(super) baseline: Baseline,
    /// How many metrics share alpha.
    sharing: u32,
    pub(super) past: Past,
    pub(super) learned: Option<Learned>,
    /// Against old instances.
    pub(super) concurrent: Option<Sequential>,
    /// Against the hour before.
    pub(super) historical: Option<Sequential>,
    weight: Option<f64>,
    together: Together,
    canary: Option<Counts>,
    old: Option<Counts>,
    /// When the canary was last seen to have the series, and to be asked anything.
    seen_at: Option<Timestamp>,
    asked_at: Option<Timestamp>,
    missing: Missing,
    gap: Finding,
    /// When it was last looked at, and had no value.
    lacked_at: Option<Timestamp>,
    /// Why the source did not take its query in the last round.
    pub(super) refused: Option<String>,
    /// The instance whose samples are a mistake, and which one.
    wrong: Option<(String, String)>,
}

impl MetricWatch {
    pub(super) fn new(
        settings: &Metric,
        baseline: Baseline,
        sharing: u32,
        policy: &Policy,
    ) -> Option<Self> {
        let from = CountsFrom::FirstSample;
        let counters = match settings.counted()? {
            Counted::Counters { .. } => Counters::Two {
                requests: Counter::new(from),
                bad: Counter::new(from),
            },
            Counted::Histogram { slower_than, .. } => {
                Counters::Slow(Box::new(SlowerThan::new(slower_than, from)))
            }
        };
        let policy = settings.missing.as_ref().unwrap_or(policy);
        Some(Self {
            settings: settings.clone(),
            counters,
            baseline,
            sharing,
            past: Past::default(),
            learned: None,
            concurrent: None,
            historical: None,
            weight: None,
            together: Together::default(),
            canary: None,
            old: None,
            seen_at: None,
            asked_at: None,
            missing: Missing::new(Kind::Ratio, policy.clone()),
            gap: Finding::Clear,
            lacked_at: None,
            refused: None,
            wrong: None,
        })
    }

    /// A scrape of one instance; what it counted since its last.
    pub(super) fn scrape(
        &mut self,
        instance: &str,
        at: Timestamp,
        arm: Arm,
        shown: Shown<'_>,
    ) -> Counts {
        let is_empty = shown.is_empty();
        if arm == Arm::Canary {
            // A process that nobody saw before began after the deployment did: it counts from zero.
            match &mut self.counters {
                Counters::Two { requests, bad } => {
                    requests.begin(instance);
                    bad.begin(instance);
                }
                Counters::Slow(slow) => slow.begin(instance),
            }
        }
        let counted = match &mut self.counters {
            Counters::Two { requests, bad } => {
                let all = requests.scrape(instance, at, shown.requests);
                let of_them = bad.scrape(instance, at, shown.bad);
                all.and_then(|requests| {
                    of_them.map(|bad| Counts {
                        // A scrape may fall between the two being counted.
                        requests: requests.max(bad),
                        bad,
                    })
                })
                .map_err(|error| error.to_string())
            }
            Counters::Slow(slow) if is_empty => {
                slow.idle(instance, at);
                Ok(Counts::NONE)
            }
            Counters::Slow(slow) => slow
                .scrape(instance, at, &shown.buckets)
                .map_err(|error| error.to_string()),
        };
        let counted = match counted {
            Ok(counted) => {
                self.wrong.take_if(|(of, _)| of == instance && !is_empty);
                counted
            }
            Err(error) => {
                self.wrong = Some((instance.to_owned(), error));
                return Counts::NONE;
            }
        };
        match arm {
            Arm::Canary => {
                if !is_empty {
                    self.seen_at = Some(at);
                }
                if counted.requests > 0.0 {
                    self.asked_at = Some(at);
                }
                self.canary = Some(self.canary.unwrap_or(Counts::NONE).plus(counted));
            }
            Arm::Baseline => self.old = Some(self.old.unwrap_or(Counts::NONE).plus(counted)),
            Arm::Neither => {}
        }
        counted
    }

    /// What the hour before was like is known now.
    pub(super) fn learn(&mut self, scrape_ms: u64) {
        if self.learned.is_none() {
            self.learned = Some(self.past.lesson(scrape_ms));
        }
        (self.canary, self.old) = (None, None);
    }

    /// A second is over: what both sides counted goes to the tests. What the canary counted, for the guard rails.
    pub(super) fn slot(&mut self, at: Timestamp, weight: Option<f64>) -> Counts {
        let (canary, old) = (self.canary.take(), self.old.take());
        let Some(learned) = &self.learned else {
            return Counts::NONE;
        };
        let (rules, sharing) = (Rules::default(), self.sharing);
        let is_concurrent = weight.is_some() && self.baseline != Baseline::History;
        if let Some(weight) = weight.filter(|_| is_concurrent) {
            let test = self.concurrent.get_or_insert_with(|| {
                Sequential::new(
                    &rules,
                    learned.clone(),
                    Against::Concurrent { weight },
                    sharing,
                )
            });
            if self
                .weight
                .replace(weight)
                .is_some_and(|known| (known - weight).abs() > f64::EPSILON)
            {
                test.shift(weight);
            }
            if let Some((canary, old)) = self.together.poll(canary, old) {
                test.poll(at, canary, old);
            }
        } else if let Some(canary) = canary
            && self.baseline != Baseline::Concurrent
            && self.past.has_traffic()
        {
            let test = self.historical.get_or_insert_with(|| {
                Sequential::new(&rules, learned.clone(), Against::History, sharing)
            });
            test.poll(at, canary, Counts::NONE);
        }
        canary.unwrap_or(Counts::NONE)
    }

    /// Looks whether it has a value at all: after every round, but once a scrape while it has none, since what is forgiven is counted in
    /// looks. `expected_from` is since when the canary may serve.
    pub(super) fn look(&mut self, at: Timestamp, expected_from: Option<Timestamp>, scrape_ms: u64) {
        let Some(from) = expected_from else { return };
        let fresh = |moment: Option<Timestamp>, for_ms: u64| {
            moment.is_some_and(|moment| at.millis_since(moment) <= for_ms)
        };
        let is_young = |for_ms: u64| at.millis_since(from) <= for_ms;
        let scrapes_ms = 3 * scrape_ms + 2_000;
        let cause = if self.mistake().is_some() {
            Some(Cause::Refused)
        } else if !fresh(self.seen_at, scrapes_ms) && !is_young(scrapes_ms) {
            Some(Cause::NoSeries)
        } else if !fresh(self.asked_at, NO_TRAFFIC_MS) && !is_young(scrapes_ms) {
            Some(Cause::NoTraffic)
        } else {
            None
        };
        let lacked_at = self.lacked_at.filter(|_| cause.is_some());
        if lacked_at.is_some_and(|last| at.millis_since(last) < scrape_ms) {
            return;
        }
        self.lacked_at = cause.map(|_| at);
        let gap = self.missing.look(at, cause);
        self.gap = Finding::of_gap(&self.settings.name, self.settings.query(), at, gap);
    }

    /// Why it cannot be read.
    pub(super) fn mistake(&self) -> Option<&str> {
        let wrong = self.wrong.as_ref().map(|(_, why)| why);
        self.refused.as_ref().or(wrong).map(String::as_str)
    }

    /// Why it has no value now.
    pub(super) fn lacks(&self) -> Option<Cause> {
        self.missing.cause()
    }

    pub(super) fn findings(&self, at: Timestamp) -> Vec<Finding> {
        let tests = [&self.concurrent, &self.historical].into_iter().flatten();
        let query = self.settings.query();
        let said = tests.map(|test| of_sequential(&self.settings.name, query, at, test));
        said.chain([self.gap.clone()]).collect()
    }
}

/// Buckets of one scrape, those of all sets of labels added up by their upper ends.
pub(super) fn buckets(found: &mut Ends, end: &str, value: f64) {
    let parsed = match end {
        "+Inf" => Some(f64::INFINITY),
        other => other.parse::<f64>().ok(),
    };
    if let Some(end) = parsed {
        let known = found.entry(end.to_bits()).or_insert((end, 0.0));
        known.1 += value;
    }
}
