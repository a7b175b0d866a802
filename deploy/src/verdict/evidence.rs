//! Why a release was taken back, for whoever asks later. Made by the detectors; kept with the deployment as JSON and shown by
//! `croft deployment explain`.

use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

use super::counter::Counts;
use super::decide::{Finding, Why};
use super::guard::{Guard, Hit};
use super::history::Lesson;
use super::missing::Cause;
use super::sequential::{Against, CURVE_POINTS_MAX, Point, Sequential, Suspicion};
use super::threshold::Watched;
use crate::alarm::{Alarm, AlarmState, Firing};

/// Which kind of detector took a release back, the quickest first. Words for a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// A person.
    Manual,
    /// A guard rail.
    Guard,
    /// The sequential canary test.
    Sequential,
    /// A threshold on a query.
    Threshold,
    /// An alarm of our own.
    Alarm,
    /// An alert from outside.
    Webhook,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Manual,
        Self::Guard,
        Self::Sequential,
        Self::Threshold,
        Self::Alarm,
        Self::Webhook,
    ];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Guard => "guard",
            Self::Sequential => "sequential",
            Self::Threshold => "threshold",
            Self::Alarm => "alarm",
            Self::Webhook => "webhook",
        }
    }
}

/// What a detector knew when it said that a release must go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Which kind of detector.
    pub trigger: Trigger,
    /// What was measured: a metric, an alarm or an alert, by name.
    pub metric: String,
    /// When.
    pub at: Timestamp,
    /// A sentence for a person.
    pub sentence: String,
    /// The query, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The value that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What the canary counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Counts>,
    /// What its baseline counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Counts>,
    /// Whether the baseline was the past, and not instances that served at the same time.
    #[serde(default)]
    pub historical: bool,
    /// How it came about: the wealth of the sequential test, or the last values of a threshold. At most [`CURVE_POINTS_MAX`] points.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<Point>,
}

impl Evidence {
    /// That somebody, or something, said so.
    #[must_use]
    pub fn said(trigger: Trigger, metric: String, at: Timestamp, sentence: String) -> Self {
        Self {
            trigger,
            metric,
            at,
            sentence,
            query: None,
            value: None,
            canary: None,
            baseline: None,
            historical: false,
            curve: Vec::new(),
        }
    }

    /// That a metric had no value for too long.
    #[must_use]
    pub fn missing(
        metric: String,
        query: &str,
        at: Timestamp,
        cause: Cause,
        since: Timestamp,
    ) -> Self {
        let seconds = at.millis_since(since) / 1000;
        let sentence = format!(
            "`{metric}` has had no value for {seconds} s ({}), and its policy says that this fails the release",
            cause.word()
        );
        Self {
            query: Some(query.to_owned()),
            ..Self::said(Trigger::Threshold, metric, at, sentence)
        }
    }
}

/// What the sequential test of a metric says.
#[must_use]
pub fn of_sequential(metric: &str, query: &str, at: Timestamp, test: &Sequential) -> Finding {
    match test.suspicion() {
        Suspicion::None => Finding::Clear,
        Suspicion::Suspected => Finding::Hold(Why::Suspicion {
            metric: metric.to_owned(),
            wealth: test.wealth(),
            decides_at: test.decides_at(),
        }),
        Suspicion::Convicted => Finding::Against(Box::new(convicted(metric, query, at, test))),
    }
}

fn convicted(metric: &str, query: &str, at: Timestamp, test: &Sequential) -> Evidence {
    let (canary, baseline) = test.counted();
    let historical = test.against() == Against::History;
    let (whom, other) = if historical {
        let usual = test.learned().blocks_per_request * canary.requests;
        (
            "the hour before",
            format!("{usual:.1} were to be expected at most"),
        )
    } else {
        (
            "the old instances",
            format!("{} of {}", baseline.bad, baseline.requests),
        )
    };
    let taught = match test.learned().from {
        Lesson::History => "",
        Lesson::TooLittle => ", with a tighter limit since its history taught too little",
    };
    let sentence = format!(
        "`{metric}`: {} of {} requests of the new revision were bad, against {whom}: {other}; in {} separate moments. Evidence {:.0}, needed {:.0}{taught}",
        canary.bad,
        canary.requests,
        test.blocks(),
        test.wealth(),
        test.decides_at(),
    );
    Evidence {
        query: Some(query.to_owned()),
        value: Some(short(test.wealth())),
        canary: Some(canary),
        baseline: Some(baseline),
        historical,
        curve: test.curve().map(shortened).collect(),
        ..Evidence::said(Trigger::Sequential, metric.to_owned(), at, sentence)
    }
}

fn shortened(point: Point) -> Point {
    Point {
        wealth: short(point.wealth),
        ..point
    }
}

/// Four digits: more would be kept for nobody.
fn short(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// What the guard rails say.
#[must_use]
pub fn of_guard(at: Timestamp, guard: &Guard) -> Finding {
    let Some(hit) = guard.hit() else {
        return Finding::Clear;
    };
    let (metric, sentence, counts) = match hit {
        Hit::Unhealthy { instances, of } => (
            "health",
            format!("{instances} of {of} instances fail their health checks"),
            None,
        ),
        Hit::CrashLoop { instances, of } => (
            "restarts",
            format!("{instances} of {of} instances restart again and again"),
            None,
        ),
        Hit::Errors { counts } => (
            "errors",
            format!(
                "{} of the last {} requests failed",
                counts.bad, counts.requests
            ),
            Some(*counts),
        ),
    };
    Finding::Against(Box::new(Evidence {
        value: counts.and_then(Counts::ratio),
        canary: counts,
        ..Evidence::said(Trigger::Guard, metric.into(), at, sentence)
    }))
}

/// What a threshold says.
#[must_use]
pub fn of_threshold(metric: &str, query: &str, watched: &Watched) -> Finding {
    let Some(failed) = watched.failed() else {
        return Finding::Clear;
    };
    let limits = watched.threshold();
    let limit = |name: &str, limit: Option<f64>| limit.map(|limit| format!(" {name} {limit}"));
    let sentence = format!(
        "`{metric}` was {}, outside of{}{}, for the {}. time among the last {} looks",
        failed.value,
        limit("min", limits.min).unwrap_or_default(),
        limit("max", limits.max).unwrap_or_default(),
        watched.failures(),
        limits.window,
    );
    let kept = watched.last().count().saturating_sub(CURVE_POINTS_MAX);
    let point = |measured: super::threshold::Measured| Point {
        at: measured.at,
        wealth: measured.value,
    };
    Finding::Against(Box::new(Evidence {
        query: Some(query.to_owned()),
        value: Some(failed.value),
        curve: watched.last().skip(kept).map(point).collect(),
        ..Evidence::said(Trigger::Threshold, metric.to_owned(), failed.at, sentence)
    }))
}

/// What an alarm says. One without data says nothing: it is not in `ALARM`.
#[must_use]
pub fn of_alarm(at: Timestamp, alarm: &Alarm) -> Finding {
    match alarm.state() {
        AlarmState::Ok | AlarmState::InsufficientData => Finding::Clear,
        AlarmState::Alarm => {
            let definition = alarm.definition();
            let sentence = format!(
                "alarm `{}` fires: {} of {} data points of {} s were {} {}",
                definition.alarm_name,
                definition.datapoints(),
                definition.evaluation_periods,
                definition.period,
                definition.comparison_operator.sign(),
                definition.threshold,
            );
            let name = definition.alarm_name.clone();
            Finding::Against(Box::new(Evidence {
                query: Some(definition.query.clone()),
                value: alarm.value(),
                ..Evidence::said(Trigger::Alarm, name, at, sentence)
            }))
        }
    }
}

/// What an alert from outside says.
#[must_use]
pub fn of_alert(firing: &Firing) -> Finding {
    let label = firing.alert.labels.get("alertname");
    let name = label.unwrap_or(&firing.alert.fingerprint).clone();
    let how = if firing.groups.is_empty() {
        "found by polling"
    } else {
        "told by webhook"
    };
    let sentence = format!("alert `{name}` fires, {how}");
    Finding::Against(Box::new(Evidence::said(
        Trigger::Webhook,
        name,
        firing.heard,
        sentence,
    )))
}

#[cfg(test)]
mod tests {
    use super::super::guard::GuardRules;
    use super::super::history::Learned;
    use super::super::sequential::Rules;
    use super::super::threshold::Threshold;
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + seconds * 1000)
    }

    fn evidence(finding: Finding) -> Evidence {
        let Finding::Against(evidence) = finding else {
            panic!("{finding:?}");
        };
        *evidence
    }

    fn tested(seconds: u64) -> Sequential {
        let against = Against::Concurrent { weight: 0.1 };
        let mut test = Sequential::new(&Rules::default(), Learned::nothing(1000), against, 1);
        for second in 1..=seconds {
            let counts = |requests, bad| Counts { requests, bad };
            test.poll(at(second), counts(10.0, 1.0), counts(90.0, 0.0));
        }
        test
    }

    #[test]
    fn a_conviction_can_be_read_and_kept() {
        let test = tested(120);
        let said = evidence(of_sequential("errors", "q", at(120), &test));
        assert_eq!(said.trigger, Trigger::Sequential);
        assert!(
            said.sentence.contains("120 of 1200 requests"),
            "{}",
            said.sentence
        );
        assert!(said.sentence.contains("taught too little"));
        assert!(!said.curve.is_empty() && !said.historical);
        let json = serde_json::to_string(&said).unwrap();
        assert!(json.len() < 16 * 1024, "{}", json.len());
        assert_eq!(serde_json::from_str::<Evidence>(&json).unwrap(), said);
    }

    #[test]
    fn a_suspicion_holds() {
        let finding = of_sequential("errors", "q", at(40), &tested(40));
        assert!(matches!(finding, Finding::Hold(_)), "{finding:?}");
        assert_eq!(
            of_sequential("errors", "q", at(5), &tested(5)),
            Finding::Clear
        );
    }

    #[test]
    fn a_threshold_and_a_guard_rail_say_what_was_passed() {
        let mut watched = Watched::new(Threshold {
            min: None,
            max: Some(0.05),
            interval_ms: 1000,
            failure_limit: 0,
            window: 5,
        });
        assert_eq!(of_threshold("ratio", "q", &watched), Finding::Clear);
        watched.look(at(1), 0.2);
        let said = evidence(of_threshold("ratio", "q", &watched));
        assert_eq!(said.value, Some(0.2));
        assert!(said.sentence.contains("max 0.05"), "{}", said.sentence);

        let mut guard = Guard::new(GuardRules::default(), ["a".to_owned()]);
        assert_eq!(of_guard(at(1), &guard), Finding::Clear);
        guard.restarted("a");
        guard.restarted("a");
        let said = evidence(of_guard(at(1), &guard));
        assert!(said.sentence.contains("1 of 1"), "{}", said.sentence);
    }
}
