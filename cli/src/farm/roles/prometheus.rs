//! Metrics, asked for: Prometheus over its HTTP API. Made from the words, from the address that alarms are asked for at too; asked by those
//! who deploy.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use croft_deploy::metrics::{Metrics, Sample, Series, SourceError, Within};
use croft_proto::Timestamp;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::monitored;

/// An answer takes no longer: a minute's samples of a large fleet are some megabytes.
const ANSWER: Duration = Duration::from_secs(10);
/// Larger answers are refused: somebody has asked for all series that there are.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Answers that are read at once, whoever asks: each may be large.
const AT_ONCE_MAX: usize = 8;

type Asking<'a> = Pin<Box<dyn Future<Output = Result<Vec<Series>, SourceError>> + Send + 'a>>;

/// A Prometheus server, or what speaks as one.
#[derive(Debug)]
pub(crate) struct Prometheus {
    http: Client,
    base: Url,
    turns: Semaphore,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Row {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    #[serde(default)]
    value: Option<(f64, String)>,
}

impl Prometheus {
    /// The one that the words name, if they name one.
    ///
    /// # Errors
    /// When the address is none.
    pub(crate) fn of(prometheus: Option<&str>) -> anyhow::Result<Option<Self>> {
        let Some(text) = prometheus else {
            return Ok(None);
        };
        let (http, base) = monitored::way("--prometheus", text, "api/v1/", ANSWER)?;
        Ok(Some(Self {
            http,
            base,
            turns: Semaphore::new(AT_ONCE_MAX),
        }))
    }

    async fn ask(&self, path: &str, query: &[(&str, String)]) -> Result<Vec<Series>, SourceError> {
        let url = self
            .base
            .join(path)
            .map_err(|error| SourceError::Down(error.to_string()))?;
        let down = |error: reqwest::Error| {
            SourceError::Down(format!("{:#}", anyhow::Error::from(error.without_url())))
        };
        // A query may be longer than an address.
        let mut form = url.clone();
        form.query_pairs_mut().extend_pairs(query);
        let body = form.query().unwrap_or_default().to_owned();
        let asking = self
            .http
            .post(url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        let mut answer = asking.send().await.map_err(down)?;
        let status = answer.status();
        // Not before it answers: one that hangs must not have its questions wait for each other.
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|closed| SourceError::Down(closed.to_string()))?;
        let mut bytes = Vec::new();
        while let Some(more) = answer.chunk().await.map_err(down)? {
            if bytes.len() + more.len() > ANSWER_BYTES_MAX {
                return Err(SourceError::Data(format!(
                    "its answer is larger than {} MiB: name fewer series",
                    ANSWER_BYTES_MAX >> 20
                )));
            }
            bytes.extend_from_slice(&more);
        }
        // Megabytes of numbers are read beside the tasks that others wait for.
        let reading = tokio::task::spawn_blocking(move || read(status, &bytes));
        reading
            .await
            .unwrap_or_else(|gone| Err(SourceError::Down(gone.to_string())))
    }
}

/// **Source.** Prometheus' HTTP API: 400 is what is no query, 422 what cannot be worked out; all else is its own. VictoriaMetrics says 422 of both.
fn read(status: StatusCode, bytes: &[u8]) -> Result<Vec<Series>, SourceError> {
    let parsed: Result<Answer, _> = serde_json::from_slice(bytes);
    let answer = match parsed {
        Ok(answer) => answer,
        Err(_) if !status.is_success() => return Err(SourceError::Down(format!("HTTP {status}"))),
        Err(error) => {
            return Err(SourceError::Down(format!(
                "it says something else: {error}"
            )));
        }
    };
    if answer.status != "success" {
        let why = answer.error.unwrap_or_else(|| format!("HTTP {status}"));
        return Err(match status {
            StatusCode::BAD_REQUEST => SourceError::Query(why),
            StatusCode::UNPROCESSABLE_ENTITY if why.contains("cannot parse") => {
                SourceError::Query(why)
            }
            StatusCode::UNPROCESSABLE_ENTITY => SourceError::Data(why),
            _ => SourceError::Down(why),
        });
    }
    let data = answer
        .data
        .ok_or_else(|| SourceError::Down("it says nothing".into()))?;
    series(data)
}

fn series(data: Data) -> Result<Vec<Series>, SourceError> {
    let wrong =
        |error: serde_json::Error| SourceError::Down(format!("it says something else: {error}"));
    let rows: Vec<Row> = match data.result_type.as_str() {
        "matrix" | "vector" => serde_json::from_value(data.result).map_err(wrong)?,
        "scalar" => vec![Row {
            metric: BTreeMap::new(),
            values: Vec::new(),
            value: Some(serde_json::from_value(data.result).map_err(wrong)?),
        }],
        other => {
            return Err(SourceError::Query(format!(
                "it gives a {other}, and numbers are needed"
            )));
        }
    };
    let read = rows.into_iter().map(|row| Series {
        labels: row.metric,
        samples: row
            .values
            .into_iter()
            .chain(row.value)
            .filter_map(sample)
            .collect(),
    });
    Ok(read.filter(|series| !series.samples.is_empty()).collect())
}

fn sample((seconds, value): (f64, String)) -> Option<Sample> {
    let at = Duration::try_from_secs_f64(seconds).ok()?;
    // Thousandths as they were before they became a fraction.
    let ms = (at.as_nanos() + 500_000) / 1_000_000;
    let at = Timestamp::from_millis(u64::try_from(ms).ok()?);
    let value = match value.as_str() {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        number => number.parse().ok()?,
    };
    Some(Sample { at, value })
}

fn seconds(at: Timestamp) -> String {
    format!("{}.{:03}", at.millis() / 1000, at.millis() % 1000)
}

impl Metrics for Prometheus {
    fn samples<'a>(&'a self, selector: &'a str, within: Within) -> Asking<'a> {
        Box::pin(async move {
            let long_ms = within.to.millis_since(within.after);
            if long_ms == 0 {
                return Ok(Vec::new());
            }
            // A range selector gives raw samples with the times of their scrapes.
            let query = format!("{selector}[{long_ms}ms]");
            let asked = [("query", query), ("time", seconds(within.to))];
            let mut found = self.ask("query", &asked).await?;
            for series in &mut found {
                // Whether the first moment is within changed with Prometheus 3.
                series
                    .samples
                    .retain(|sample| within.after < sample.at && sample.at <= within.to);
            }
            found.retain(|series| !series.samples.is_empty());
            Ok(found)
        })
    }

    fn range<'a>(
        &'a self,
        query: &'a str,
        from: Timestamp,
        to: Timestamp,
        step_ms: u64,
    ) -> Asking<'a> {
        Box::pin(async move {
            let asked = [
                ("query", query.to_owned()),
                ("start", seconds(from)),
                ("end", seconds(to)),
                ("step", format!("{}.{:03}", step_ms / 1000, step_ms % 1000)),
            ];
            self.ask("query_range", &asked).await
        })
    }

    fn name(&self) -> String {
        format!("Prometheus at {}", monitored::place(&self.base))
    }
}

#[cfg(test)]
mod tests;
