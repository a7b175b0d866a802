//! What is shown of a watch: how it stands now, and what was known before the deployment began.

use croft_proto::Timestamp;
use croft_proto::deploy::{Watched, WatchedCounts, WatchedMetric, WatchedPoint, WatchedQuery};

use super::metric::MetricWatch;
use super::{Apart, Watch};
use crate::alarm::AlarmState;
use crate::state::Deployment;
use crate::verdict::{
    Asked, Baseline, Counts, Decision, Learned, Lesson, Rules, Sequential, sentence,
};

/// Regressions that the pre-flight asks about: one that everybody notices, and one that few do.
const REGRESSIONS: [f64; 2] = [0.1, 0.02];
/// The share of the traffic that is assumed where nobody knows yet.
const WEIGHT_ASSUMED: f64 = 0.1;
/// A sentence is no longer, and there are no more: they are one event.
const NOTE_CHARS_MAX: usize = 400;
const NOTES_MAX: usize = 60;

fn counts(counts: Counts) -> WatchedCounts {
    WatchedCounts {
        requests: counts.requests,
        bad: counts.bad,
    }
}

/// Three digits: more are nobody's.
fn short(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

fn test(name: &str, against: &str, test: &Sequential) -> WatchedMetric {
    let (canary, baseline) = test.counted();
    let curve = test.curve().map(|point| WatchedPoint {
        at: point.at,
        wealth: short(point.wealth),
    });
    WatchedMetric {
        name: name.to_owned(),
        against: against.to_owned(),
        wealth: short(test.wealth()),
        decides_at: test.decides_at(),
        canary: counts(canary),
        baseline: counts(baseline),
        curve: curve.collect(),
    }
}

fn metric(metric: &MetricWatch) -> Vec<WatchedMetric> {
    let name = &metric.settings.name;
    let tests = [
        ("concurrent", &metric.concurrent),
        ("history", &metric.historical),
    ];
    let mut shown: Vec<WatchedMetric> = tests
        .iter()
        .filter_map(|(against, one)| Some(test(name, against, one.as_ref()?)))
        .collect();
    if shown.is_empty() {
        shown.push(WatchedMetric {
            name: name.clone(),
            against: "nothing".into(),
            wealth: 1.0,
            decides_at: 0.0,
            canary: WatchedCounts::default(),
            baseline: WatchedCounts::default(),
            curve: Vec::new(),
        });
    }
    shown
}

const fn word(state: AlarmState) -> &'static str {
    match state {
        AlarmState::Ok => "OK",
        AlarmState::Alarm => "ALARM",
        AlarmState::InsufficientData => "INSUFFICIENT_DATA",
    }
}

impl Watch {
    /// How it stands.
    #[must_use]
    pub fn shown(&self, now: Timestamp) -> Watched {
        let holds = match self.decision(now) {
            Decision::Continue | Decision::RollBack { .. } => Vec::new(),
            Decision::Hold { why } => why.iter().map(ToString::to_string).collect(),
        };
        let error = self.source_error.as_ref();
        let error = error.map(|error| format!("the metrics' source: {error}"));
        Watched {
            holds: holds.into_iter().chain(error).collect(),
            metrics: self.tested().flat_map(metric).collect(),
            queries: self.queries.iter().filter_map(shown_query).collect(),
            read_to: Some(self.read_to),
        }
    }

    /// What is known before the first host: what the detectors can find, what fires already, and what does not answer.
    #[must_use]
    pub fn notes(&self, deployment: &Deployment) -> Vec<String> {
        let mut notes = Vec::new();
        let canary = Canary::of(deployment);
        match &self.apart {
            Apart::No(instance) => notes.push(format!(
                "no series is of one container alone ({} is `{instance}`), so neither metrics nor guard rails see any: it has to end in the port \
                 of one, or x-croft.verdicts.hosts.map has to name it as `<host>-blue` or `<host>-green`",
                self.settings.hosts.label
            )),
            Apart::Unknown | Apart::Yes => {
                let of_metrics = self.metrics.iter();
                notes.extend(of_metrics.flat_map(|metric| self.notes_of(metric, canary)));
            }
        }
        for query in &self.queries {
            if let Some(why) = &query.mistake {
                notes.push(format!("`{}`: {why}", query.name()));
            }
            match query.alarm() {
                Some((_, true)) => notes.push(format!(
                    "alarm `{}` fires already: it does not count until it ends and begins again",
                    query.name()
                )),
                Some((alarm, false)) if alarm.state() == AlarmState::InsufficientData => {
                    notes.push(format!("alarm `{}` has no data", query.name()));
                }
                Some(_) | None => {}
            }
        }
        for (query, why) in &self.mistakes {
            notes.push(format!("`{query}`: {why}"));
        }
        notes.truncate(NOTES_MAX);
        for note in &mut notes {
            note.truncate(note.floor_char_boundary(NOTE_CHARS_MAX));
        }
        notes
    }

    fn notes_of(&self, metric: &MetricWatch, canary: Canary) -> Vec<String> {
        let name = &metric.settings.name;
        if let Some(why) = metric.mistake() {
            return vec![format!("`{name}`: {why}")];
        }
        let Some(learned) = &metric.learned else {
            return Vec::new();
        };
        let is_concurrent = metric.baseline != Baseline::History && canary.has_old_beside;
        let is_historical = metric.baseline != Baseline::Concurrent && metric.past.has_traffic();
        if !is_concurrent && !is_historical {
            return vec![format!(
                "`{name}`: there will be no test of it: {}",
                untested(metric)
            )];
        }
        let mut notes = match metric.past.rate() {
            None => vec![format!(
                "`{name}`: no request was counted in the hour before, so nothing is known of its usual errors, and the limit is tighter"
            )],
            Some(rate) => self.found_soon(name, learned, rate, (canary.weight, is_concurrent)),
        };
        if is_concurrent && !is_historical && metric.baseline == Baseline::Auto {
            notes.push(format!(
                "`{name}`: it is tested while old instances serve, and not after the last of them: {LITTLE_PAST}"
            ));
        }
        notes
    }

    /// How soon regressions of a metric would be found, at `rate` requests a second of which a share is bad as a rule, with that share of
    /// them for the canary, beside old instances or against the hour before.
    fn found_soon(
        &self,
        name: &str,
        learned: &Learned,
        (rps, usual): (f64, f64),
        (weight, is_concurrent): (f64, bool),
    ) -> Vec<String> {
        let rules = Rules::default();
        let is_unlearned = learned.from == Lesson::TooLittle;
        let (alpha, against) = match (is_concurrent, is_unlearned) {
            (true, false) => (rules.alpha, ""),
            (true, true) => (rules.alpha_unlearned, ""),
            (false, _) => (rules.alpha_unlearned, ", against the hour before"),
        };
        let found = REGRESSIONS
            .into_iter()
            .filter(|regressed| *regressed > usual)
            .map(|regressed| {
                let asked = Asked {
                    canary_rps: rps * weight,
                    baseline_rps: rps * (1.0 - weight),
                    usual,
                    regressed,
                    decides_at: self.metrics.len() as f64 / alpha,
                    tolerance: rules.tolerance,
                };
                format!("`{name}`: {}{against}", sentence(&asked, learned))
            });
        let unlearned = is_unlearned.then(|| {
            format!(
                "`{name}`: the hour before had too few errors, or requests for too short, to learn how errors come, so the limit is tighter"
            )
        });
        found.chain(unlearned).collect()
    }
}

/// Why nothing can be compared with the hour before.
const LITTLE_PAST: &str = "the hour before has less than ten minutes of requests";

/// Why a metric is compared with nothing.
fn untested(metric: &MetricWatch) -> String {
    const ALONE: &str = "no old instance serves beside the new ones";
    const OTHERS: &str = "only the other detectors watch";
    match metric.baseline {
        Baseline::Auto => format!("{ALONE}, and {LITTLE_PAST}; {OTHERS}"),
        Baseline::Concurrent => format!("{ALONE} (`baseline: concurrent`); {OTHERS}"),
        Baseline::History => format!("{LITTLE_PAST} (`baseline: history`); {OTHERS}"),
    }
}

/// What the new revision begins with.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Canary {
    /// Its share of the traffic.
    weight: f64,
    /// Whether old instances serve while it does.
    has_old_beside: bool,
}

impl Canary {
    fn of(deployment: &Deployment) -> Self {
        use croft_proto::deploy::Step;
        let Some(plan) = &deployment.plan else {
            return Self {
                weight: WEIGHT_ASSUMED,
                has_old_beside: true,
            };
        };
        let mut shifts = plan.steps.iter().filter_map(|step| match step {
            Step::Shift { percent, .. } => Some(*percent),
            Step::Run { .. } | Step::Ready { .. } | Step::Bake { .. } | Step::Watch { .. } => None,
        });
        if let Some(percent) = shifts.next() {
            return Self {
                weight: (f64::from(percent) / 100.0).clamp(0.01, 0.9),
                has_old_beside: percent < 100,
            };
        }
        let mut runs = plan.steps.iter().filter_map(|step| match step {
            Step::Run { targets, .. } => Some(targets.to - targets.from),
            Step::Shift { .. } | Step::Ready { .. } | Step::Bake { .. } | Step::Watch { .. } => {
                None
            }
        });
        let at_once = runs.next().unwrap_or(1).min(plan.rule.at_once_max).max(1);
        let share = f64::from(at_once) / f64::from(plan.targets.max(1));
        Self {
            weight: share.clamp(0.01, 0.9),
            has_old_beside: at_once < plan.targets,
        }
    }
}

fn shown_query(query: &super::QueryWatch) -> Option<WatchedQuery> {
    if let Some((alarm, fired_before)) = query.alarm() {
        let mut state = word(alarm.state()).to_owned();
        if fired_before {
            state.push_str(" (since before the deployment)");
        }
        return Some(WatchedQuery {
            name: query.name().to_owned(),
            kind: "alarm".into(),
            state,
            value: alarm.value(),
        });
    }
    let (limit, value, failures) = query.threshold()?;
    let state = if failures == 0 {
        "OK".to_owned()
    } else {
        format!("{failures} of the last {} outside", limit.window)
    };
    Some(WatchedQuery {
        name: query.name().to_owned(),
        kind: "threshold".into(),
        state,
        value,
    })
}
