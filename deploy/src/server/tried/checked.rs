//! Whether a group's queries are queries, before anything is deployed by them. Asked by the API with settings that are about to be applied;
//! hands back what the source of metrics says of each that it does not take, and where in it.
//!
//! The source itself is asked, since it is what will read them: which functions and which modifiers there are depends on its version and
//! on how it was started.

use std::time::Duration;

use croft_proto::Timestamp;

use super::{Wanted, wanted};
use crate::metrics::{Metrics, SourceError, Within};
use crate::verdict::Settings;

/// All of them together: a person waits, and a query is to be known as one, not to be answered.
const CHECK: Duration = Duration::from_secs(15);
/// A selector has to be one of raw samples over any time.
const RAW_MS: u64 = 1_000;

/// A place within a query: its line and its byte on that line, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The byte on it. One past the last where the query ends too soon.
    pub column: u32,
}

/// A query that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// A sentence that begins with the path in the group.
    pub said: String,
    /// Where in the query, if that was said.
    pub within: Option<Position>,
}

/// What the source says of a group's queries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Those that it does not take.
    pub wrong: Vec<Wrong>,
    /// What is to be known of others, each in a sentence that begins with a path.
    pub notes: Vec<String>,
}

/// Asks the source what it makes of each query. One that it cannot be asked about now is taken, and that is noted.
pub async fn check_all(source: &dyn Metrics, settings: &Settings, now: Timestamp) -> Checked {
    let all = wanted(settings);
    let mut checked = Checked::default();
    let mut done = 0;
    let checking = async {
        // One after the other: Prometheus has others to answer.
        for one in &all {
            match ask(source, one, now).await {
                Ok(()) => {}
                Err(SourceError::Query(why)) => checked.wrong.push(wrong(source, one, &why)),
                Err(SourceError::Data(why)) => checked.notes.push(format!(
                    "x-croft.verdicts.{}: {} cannot work `{}` out now: {why}",
                    one.path,
                    source.name(),
                    one.query
                )),
                Err(SourceError::Down(why)) => return Some(why),
            }
            done += 1;
        }
        None
    };
    let why = match tokio::time::timeout(CHECK, checking).await {
        Ok(why) => why,
        Err(_elapsed) => Some(format!("nothing for {} s", CHECK.as_secs())),
    };
    if let Some(why) = why {
        let which = match (all.len(), done) {
            (1, _) => "its query was not looked at".to_string(),
            (all, 0) => format!("its {all} queries were not looked at"),
            (all, done) => format!("{} of its {all} queries were not looked at", all - done),
        };
        checked.notes.push(format!(
            "x-croft.verdicts: {which}, since {} does not answer ({why}): croft alarm test does it later",
            source.name()
        ));
    }
    checked
}

async fn ask(source: &dyn Metrics, one: &Wanted<'_>, now: Timestamp) -> Result<(), SourceError> {
    source.instant(one.query, now).await?;
    if !one.is_raw {
        return Ok(());
    }
    let after = Timestamp::from_millis(now.millis().saturating_sub(RAW_MS));
    let raw = source.samples(one.query, Within { after, to: now }).await;
    raw.map(drop).map_err(|error| match error {
        // It is a query, so what is wrong is that it is more than a selector.
        SourceError::Query(_) => SourceError::Query(
            "a selector of raw samples is needed, such as http_requests_total{job=\"shop\"}".into(),
        ),
        other @ (SourceError::Data(_) | SourceError::Down(_)) => other,
    })
}

fn wrong(source: &dyn Metrics, one: &Wanted<'_>, why: &str) -> Wrong {
    let (within, why) = parted(why);
    Wrong {
        said: format!(
            "x-croft.verdicts.{}: {} does not take this query: {why}",
            one.path,
            source.name()
        ),
        within,
    }
}

/// Where in the query, and what is wrong there.
///
/// **Source.** Prometheus: `invalid parameter "query": 1:12: parse error: unclosed left parenthesis`; before 3.0 without the first part.
fn parted(why: &str) -> (Option<Position>, &str) {
    const SAID: &str = "parse error: ";
    let why = why
        .strip_prefix("invalid parameter \"query\": ")
        .unwrap_or(why);
    let Some((place, said)) = why.split_once(SAID) else {
        return (None, why);
    };
    let place = place.trim_end().trim_end_matches(':');
    let within = place.split_once(':').and_then(|(line, column)| {
        let (line, column) = (line.parse().ok()?, column.parse().ok()?);
        Some(Position { line, column })
    });
    match within {
        Some(_) => (within, said),
        None => (None, why),
    }
}

#[cfg(test)]
mod tests {
    use croft_proto::deploy::VerdictSettings;
    use serde_json::{Value, json};

    use super::*;
    use crate::metrics::scripted::Scripted;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn settings(written: Value) -> Settings {
        let Value::Object(map) = written else {
            panic!("settings are a map");
        };
        Settings::read(&VerdictSettings(map)).unwrap()
    }

    #[tokio::test]
    async fn each_query_that_is_none_is_told_with_its_path() {
        let settings = settings(json!({
            "metrics": [{"name": "errors", "requests": "all{", "bad": "bad"}],
            "guards": {"up": "up{"},
            "thresholds": [{"name": "p50", "query": "p50", "max": 1}, {"name": "p99", "query": "p99{", "max": 1}],
            "alarms": [{"AlarmName": "5xx", "Query": "all{", "Period": 60, "EvaluationPeriods": 1, "Threshold": 5,
                "ComparisonOperator": "GreaterThanThreshold"}],
        }));
        let found = check_all(&Scripted::default(), &settings, NOW).await;
        let paths = found
            .wrong
            .iter()
            .map(|wrong| wrong.said.split(": ").next());
        let paths: Vec<&str> = paths.flatten().collect();
        assert_eq!(
            paths,
            [
                "x-croft.verdicts.metrics[0].requests",
                "x-croft.verdicts.guards.up",
                "x-croft.verdicts.thresholds[1].query",
                "x-croft.verdicts.alarms[0].Query",
            ]
        );
        assert_eq!(found.notes, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_source_that_is_away_is_no_mistake_of_the_queries() {
        let settings =
            settings(json!({"thresholds": [{"name": "p99", "query": "p99{", "max": 1}]}));
        let found = check_all(&Scripted::away(), &settings, NOW).await;
        assert_eq!(found.wrong, []);
        assert_eq!(
            found.notes,
            [
                "x-croft.verdicts: its query was not looked at, since the metrics' source does not answer (it is away): croft alarm test does it later"
            ]
        );
    }

    #[test]
    fn the_place_is_taken_from_what_prometheus_says() {
        let at = |line, column| Some(Position { line, column });
        for (why, wanted) in [
            (
                "invalid parameter \"query\": 1:47: parse error: unclosed left parenthesis",
                (at(1, 47), "unclosed left parenthesis"),
            ),
            (
                "2:3: parse error: unexpected <by>",
                (at(2, 3), "unexpected <by>"),
            ),
            (
                "invalid position: parse error: unexpected",
                (None, "invalid position: parse error: unexpected"),
            ),
            ("something else", (None, "something else")),
        ] {
            assert_eq!(parted(why), wanted);
        }
    }
}
