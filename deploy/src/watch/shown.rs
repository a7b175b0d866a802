//! What is shown of a watch: how it stands now, and what was known before the deployment began.

use croft_proto::Timestamp;
use croft_proto::deploy::{Watched, WatchedCounts, WatchedMetric, WatchedPoint, WatchedQuery};

use super::Watch;
use super::metric::MetricWatch;
use crate::alarm::AlarmState;
use crate::state::Deployment;
use crate::verdict::{Asked, Counts, Decision, Lesson, Rules, Sequential, sentence};

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
            metrics: self.metrics.iter().flat_map(metric).collect(),
            queries: self.queries.iter().filter_map(shown_query).collect(),
            read_to: Some(self.read_to),
        }
    }

    /// What is known before the first host: what the detectors can find, what fires already, and what does not answer.
    #[must_use]
    pub fn notes(&self, deployment: &Deployment) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.settings.metrics.is_empty() && self.metrics.is_empty() {
            notes.push(
                "canary metrics: the sides of containers share their hosts, so they are not compared".to_owned(),
            );
        }
        let weight = first_weight(deployment);
        for metric in &self.metrics {
            notes.extend(self.notes_of(metric, weight));
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

    fn notes_of(&self, metric: &MetricWatch, weight: f64) -> Vec<String> {
        let name = &metric.settings.name;
        if let Some(why) = metric.mistake() {
            return vec![format!("`{name}`: {why}")];
        }
        let Some(learned) = &metric.learned else {
            return Vec::new();
        };
        let Some((rps, usual)) = metric.past.rate() else {
            return vec![format!(
                "`{name}`: no request was counted in the hour before, so nothing is known of its usual errors, and the limit is tighter"
            )];
        };
        let rules = Rules::default();
        let is_unlearned = learned.from == Lesson::TooLittle;
        let alpha = if is_unlearned {
            rules.alpha_unlearned
        } else {
            rules.alpha
        };
        let mut notes: Vec<String> = REGRESSIONS
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
                format!("`{name}`: {}", sentence(&asked, learned))
            })
            .collect();
        if is_unlearned {
            notes.push(format!(
                "`{name}`: the hour before had too few errors to learn how they come, so the limit is tighter"
            ));
        }
        notes
    }
}

/// The share of the traffic that the first step gives the new revision.
fn first_weight(deployment: &Deployment) -> f64 {
    use croft_proto::deploy::Step;
    let Some(plan) = &deployment.plan else {
        return WEIGHT_ASSUMED;
    };
    let mut first_run = None;
    for step in &plan.steps {
        if let Step::Shift { percent, .. } = step {
            return (f64::from(*percent) / 100.0).clamp(0.01, 0.9);
        }
        if let Step::Run { targets, .. } = step {
            first_run.get_or_insert(targets.to - targets.from);
        }
    }
    let at_once = first_run.unwrap_or(1).min(plan.rule.at_once_max).max(1);
    let share = f64::from(at_once) / f64::from(plan.targets.max(1));
    share.clamp(0.01, 0.9)
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
