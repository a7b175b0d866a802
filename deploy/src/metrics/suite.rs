//! What every source of metrics must do, as a list of cases. A source under test holds [`recorded`], and nothing else of those names.

use std::collections::BTreeMap;

use croft_proto::Timestamp;
use futures_util::future::BoxFuture;

use super::{Metrics, Sample, Series, SourceError, Within};

/// When the recorded samples begin, where a test is free to choose.
pub const BEGIN: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A case, by name.
#[derive(Debug)]
pub struct Case {
    /// A sentence.
    pub name: &'static str,
    /// Panics when it is not so. The moment is when the recorded samples begin.
    pub run: fn(&dyn Metrics, Timestamp) -> BoxFuture<'_, ()>,
}

/// All of them.
pub const CASES: &[Case] = &[
    Case {
        name: "raw samples have their own times and the first moment is not within",
        run: |source, begin| Box::pin(raw(source, begin)),
    },
    Case {
        name: "a series that counts from nothing has its first sample when it appears",
        run: |source, begin| Box::pin(appears(source, begin)),
    },
    Case {
        name: "a query has a value at each moment or none",
        run: |source, begin| Box::pin(range(source, begin)),
    },
    Case {
        name: "a query of several series gives each with its labels",
        run: |source, begin| Box::pin(several(source, begin)),
    },
    Case {
        name: "a name that nobody knows gives nothing",
        run: |source, begin| Box::pin(nothing(source, begin)),
    },
    Case {
        name: "a query that cannot be read is a mistake and not an outage",
        run: |source, begin| Box::pin(mistake(source, begin)),
    },
];

/// What a source under test holds: two instances scraped every five seconds at different moments, and the errors of one, which appear late.
#[must_use]
pub fn recorded(begin: Timestamp) -> Vec<Series> {
    let series = |name: &str, instance: &str, first_ms: u64, values: &[f64]| {
        let at = |number: usize| {
            let passed = first_ms + 5_000 * u64::try_from(number).unwrap_or(0);
            Timestamp::from_millis(begin.millis() + passed)
        };
        let samples = values.iter().enumerate();
        Series {
            labels: BTreeMap::from([
                ("__name__".to_owned(), name.to_owned()),
                ("instance".to_owned(), instance.to_owned()),
            ]),
            samples: samples
                .map(|(number, value)| Sample {
                    at: at(number),
                    value: *value,
                })
                .collect(),
        }
    };
    vec![
        series("suite_requests", "a:80", 0, &[10.0, 20.0, 35.0, 5.0]),
        series("suite_requests", "b:80", 1_234, &[1.0, 2.0, 3.0, 4.0]),
        series("suite_errors", "a:80", 10_000, &[1.0, 1.0]),
    ]
}

/// The selector that a series is found by.
#[must_use]
pub fn selector(series: &Series) -> String {
    series.labels.get("__name__").cloned().unwrap_or_default()
}

fn after(begin: Timestamp, ms: u64) -> Timestamp {
    Timestamp::from_millis(begin.millis() + ms)
}

fn of<'s>(found: &'s [Series], instance: &str) -> &'s Series {
    let is = |series: &&Series| {
        series
            .labels
            .get("instance")
            .is_some_and(|one| one == instance)
    };
    found.iter().find(is).expect("the instance has a series")
}

fn times(series: &Series, begin: Timestamp) -> Vec<(u64, f64)> {
    let samples = series.samples.iter();
    samples
        .map(|sample| (sample.at.millis_since(begin), sample.value))
        .collect()
}

async fn raw(source: &dyn Metrics, begin: Timestamp) {
    let within = Within {
        after: begin,
        to: after(begin, 10_000),
    };
    let found = source.samples("suite_requests", within).await;
    let found = found.expect("it answers");
    assert_eq!(found.len(), 2);
    assert_eq!(
        times(of(&found, "a:80"), begin),
        [(5_000, 20.0), (10_000, 35.0)]
    );
    assert_eq!(
        times(of(&found, "b:80"), begin),
        [(1_234, 1.0), (6_234, 2.0)]
    );
}

async fn appears(source: &dyn Metrics, begin: Timestamp) {
    let within = |ms| Within {
        after: begin,
        to: after(begin, ms),
    };
    let before = source.samples("suite_errors", within(9_999)).await;
    assert_eq!(before, Ok(Vec::new()));
    let found = source.samples("suite_errors", within(10_000)).await;
    let found = found.expect("it answers");
    assert_eq!(times(of(&found, "a:80"), begin), [(10_000, 1.0)]);
}

async fn range(source: &dyn Metrics, begin: Timestamp) {
    let (from, to) = (after(begin, 4_000), after(begin, 12_000));
    let found = source.range("suite_errors", from, to, 4_000).await;
    let found = found.expect("it answers");
    assert_eq!(times(of(&found, "a:80"), begin), [(12_000, 1.0)]);
    let found = source.instant("suite_errors", after(begin, 9_000)).await;
    assert_eq!(found, Ok(Vec::new()));
}

async fn several(source: &dyn Metrics, begin: Timestamp) {
    let found = source.instant("suite_requests", after(begin, 6_500)).await;
    let found = found.expect("it answers");
    assert_eq!(found.len(), 2);
    assert_eq!(times(of(&found, "a:80"), begin), [(6_500, 20.0)]);
    assert_eq!(times(of(&found, "b:80"), begin), [(6_500, 2.0)]);
}

async fn nothing(source: &dyn Metrics, begin: Timestamp) {
    let within = Within {
        after: begin,
        to: after(begin, 60_000),
    };
    assert_eq!(source.samples("suite_nobody", within).await, Ok(Vec::new()));
    assert_eq!(source.instant("suite_nobody", begin).await, Ok(Vec::new()));
}

async fn mistake(source: &dyn Metrics, begin: Timestamp) {
    let found = source.instant("suite_requests{", begin).await;
    assert!(matches!(found, Err(SourceError::Query(_))), "{found:?}");
}

/// Of a source that cannot be reached.
///
/// # Panics
/// When it says anything else.
pub async fn a_source_that_is_away_is_down(source: &dyn Metrics) {
    let found = source.instant("suite_requests", BEGIN).await;
    assert!(matches!(found, Err(SourceError::Down(_))), "{found:?}");
}
