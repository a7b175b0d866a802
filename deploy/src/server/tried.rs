//! A group's queries, asked once: what each gives now, for whoever writes them. Asked by the API with the settings that are applied.

/// Whether each is one.
mod checked;

use croft_proto::Timestamp;
use serde::Serialize;

use crate::metrics::{Metrics, Series, SourceError, Within};
use crate::verdict::{Counted, Settings};

pub use checked::{Checked, Position, Wrong, check_all};

/// Raw samples are looked for in this time: longer than most scrapes are apart.
const LOOK_BACK_MS: u64 = 120_000;
/// Values of one query that are shown.
const VALUES_MAX: usize = 3;

/// What one query gave.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tried {
    /// Of which metric, threshold or alarm.
    pub name: String,
    /// `metric`, `guard`, `threshold` or `alarm`.
    pub kind: &'static str,
    /// The query.
    pub query: String,
    /// How many series it has.
    pub series: usize,
    /// The first values.
    pub values: Vec<f64>,
    /// `OK`; `ALARM` when a value passes its limit now; `MISTAKE`; `INSUFFICIENT_DATA`; `SOURCE_DOWN`.
    pub state: &'static str,
    /// What to know of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A query of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Of which metric, threshold or alarm.
    pub name: String,
    /// `metric`, `guard`, `threshold` or `alarm`.
    pub kind: &'static str,
    /// The query.
    pub query: String,
}

/// All queries of the settings.
#[must_use]
pub fn listed(settings: &Settings) -> Vec<Listed> {
    let all = wanted(settings).into_iter().map(|one| Listed {
        name: one.name,
        kind: one.kind,
        query: one.query.to_owned(),
    });
    all.collect()
}

/// What is wanted of one query.
struct Wanted<'s> {
    name: String,
    /// Where it stands in `x-croft.verdicts`.
    path: String,
    kind: &'static str,
    query: &'s str,
    /// Whether raw samples are wanted; else one value.
    is_raw: bool,
    /// Whether a value is bad.
    is_bad: Box<dyn Fn(f64) -> bool + Send + Sync + 's>,
}

fn wanted(settings: &Settings) -> Vec<Wanted<'_>> {
    let raw = |name: String, path: String, kind, query| Wanted {
        name,
        path,
        kind,
        query,
        is_raw: true,
        is_bad: Box::new(|_| false),
    };
    let mut all = Vec::new();
    for (number, metric) in settings.metrics.iter().enumerate() {
        let selectors = [
            ("requests", &metric.requests),
            ("bad", &metric.bad),
            ("histogram", &metric.histogram),
        ];
        for (field, selector) in selectors {
            if let Some(selector) = selector {
                let path = format!("metrics[{number}].{field}");
                all.push(raw(
                    format!("{}.{field}", metric.name),
                    path,
                    "metric",
                    selector,
                ));
            }
        }
    }
    let guards = [
        ("up", &settings.guards.up),
        ("started", &settings.guards.started),
    ];
    for (field, selector) in guards {
        if let Some(selector) = selector {
            let path = format!("guards.{field}");
            all.push(raw(path.clone(), path, "guard", selector));
        }
    }
    for (number, limit) in settings.thresholds.iter().enumerate() {
        all.push(Wanted {
            name: limit.name.clone(),
            path: format!("thresholds[{number}].query"),
            kind: "threshold",
            query: &limit.query,
            is_raw: false,
            is_bad: Box::new(|value| {
                limit.min.is_some_and(|min| value < min) || limit.max.is_some_and(|max| value > max)
            }),
        });
    }
    for (number, alarm) in settings.alarms.iter().enumerate() {
        all.push(Wanted {
            name: alarm.alarm_name.clone(),
            path: format!("alarms[{number}].Query"),
            kind: "alarm",
            query: &alarm.query,
            is_raw: false,
            is_bad: Box::new(|value| alarm.comparison_operator.breaches(value, alarm.threshold)),
        });
    }
    all
}

/// Asks each query of the settings once, and says what it gives.
pub async fn try_all(source: &dyn Metrics, settings: &Settings, now: Timestamp) -> Vec<Tried> {
    let mut all = Vec::new();
    let mut down = None;
    // One after the other: a person waits, and Prometheus has others to answer.
    for one in &wanted(settings) {
        let found = match &down {
            Some(error) => Err(SourceError::clone(error)),
            None if one.is_raw => {
                let after = Timestamp::from_millis(now.millis().saturating_sub(LOOK_BACK_MS));
                source.samples(one.query, Within { after, to: now }).await
            }
            None => source.instant(one.query, now).await,
        };
        if let Err(error @ SourceError::Down(_)) = &found {
            down = Some(error.clone());
        }
        all.push(tried(one, found, settings));
    }
    all
}

fn tried(
    wanted: &Wanted<'_>,
    found: Result<Vec<Series>, SourceError>,
    settings: &Settings,
) -> Tried {
    let mut tried = Tried {
        name: wanted.name.clone(),
        kind: wanted.kind,
        query: wanted.query.to_owned(),
        series: 0,
        values: Vec::new(),
        state: "OK",
        message: None,
    };
    let mut say = |state, message: String| (tried.state, tried.message) = (state, Some(message));
    let series = match found {
        Ok(series) => series,
        Err(error @ SourceError::Down(_)) => {
            say("SOURCE_DOWN", error.to_string());
            return tried;
        }
        Err(error @ (SourceError::Query(_) | SourceError::Data(_))) => {
            say("MISTAKE", error.to_string());
            return tried;
        }
    };
    let values = series.iter().filter_map(|one| one.samples.last());
    let values: Vec<f64> = values.map(|last| last.value).collect();
    match (values.as_slice(), wanted.is_raw) {
        // A counter of what has never failed may not be there yet.
        ([], _) => say("INSUFFICIENT_DATA", "it gives nothing now".to_owned()),
        ([value], false) if !value.is_finite() => {
            say("INSUFFICIENT_DATA", format!("it gives {value}"));
        }
        ([value], false) if (wanted.is_bad)(*value) => {
            say("ALARM", format!("{value} is outside of its limits now"));
        }
        ([_], false) => {}
        (_, false) => say(
            "MISTAKE",
            format!("it gives {} series, and one value is needed", series.len()),
        ),
        (_, true) => {
            let label = &settings.hosts.label;
            if !series.iter().any(|one| one.labels.contains_key(label)) {
                say("MISTAKE", format!("its series have no label `{label}`"));
            } else if let Some(why) = wrong_buckets(wanted, &series, settings) {
                say("MISTAKE", why);
            }
        }
    }
    tried.series = series.len();
    tried.values = values
        .into_iter()
        .take(VALUES_MAX)
        .filter(|value| value.is_finite())
        .collect();
    tried
}

/// Whether a histogram's buckets can say what is asked.
fn wrong_buckets(wanted: &Wanted<'_>, series: &[Series], settings: &Settings) -> Option<String> {
    let metric = settings.metrics.iter().find(|metric| {
        metric.histogram.as_deref() == Some(wanted.query) && wanted.name.starts_with(&metric.name)
    })?;
    let Some(Counted::Histogram { slower_than, .. }) = metric.counted() else {
        return None;
    };
    let ends = series.iter().filter_map(|one| one.labels.get("le"));
    let ends: Vec<f64> = ends.filter_map(|end| end.parse().ok()).collect();
    let has_end = ends
        .iter()
        .any(|end| end.is_finite() && *end >= slower_than);
    (!has_end).then(|| format!("no bucket ends at or above {slower_than} s"))
}
