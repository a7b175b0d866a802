//! A source whose samples were written by a test. Queries are texts that series were recorded under; it works nothing out.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use croft_proto::Timestamp;
use futures_util::future::BoxFuture;

use super::{Metrics, Sample, Series, SourceError, Within};

/// A sample is the value of its series for so long: Prometheus' lookback.
const LOOKBACK_MS: u64 = 300_000;

#[derive(Debug, Default)]
struct Script {
    recorded: BTreeMap<String, Vec<Series>>,
    is_away: bool,
    samples_max: Option<usize>,
}

/// A source for tests.
#[derive(Debug, Default)]
pub struct Scripted(Mutex<Script>);

impl Scripted {
    /// One that does not answer.
    #[must_use]
    pub fn away() -> Self {
        let source = Self::default();
        source.leave(true);
        source
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it answers, or not.
    pub fn leave(&self, is_away: bool) {
        self.script().is_away = is_away;
    }

    /// From now on it refuses what has more raw samples than that.
    pub fn limit(&self, samples_max: Option<usize>) {
        self.script().samples_max = samples_max;
    }

    /// Adds samples to what a query gives; those of the same labels are one series.
    pub fn record(&self, query: &str, series: Series) {
        let mut script = self.script();
        let known = script.recorded.entry(query.to_owned()).or_default();
        match known.iter_mut().find(|one| one.labels == series.labels) {
            Some(known) => known.samples.extend(series.samples),
            None => known.push(series),
        }
    }

    fn ask(
        &self,
        query: &str,
        of: impl Fn(&Series) -> Vec<Sample>,
    ) -> Result<Vec<Series>, SourceError> {
        let script = self.script();
        if script.is_away {
            return Err(SourceError::Down("it is away".into()));
        }
        if query.matches('{').count() != query.matches('}').count() {
            let end = query.len() + 1;
            return Err(SourceError::Query(format!(
                "1:{end}: parse error: `{query}` does not end"
            )));
        }
        let recorded = script.recorded.get(query).map(Vec::as_slice);
        let found = recorded.unwrap_or_default().iter().map(|series| Series {
            labels: series.labels.clone(),
            samples: of(series),
        });
        Ok(found.filter(|series| !series.samples.is_empty()).collect())
    }
}

impl Metrics for Scripted {
    fn samples<'a>(
        &'a self,
        selector: &'a str,
        within: Within,
    ) -> BoxFuture<'a, Result<Vec<Series>, SourceError>> {
        let is_within = |sample: &&Sample| within.after < sample.at && sample.at <= within.to;
        let found = self.ask(selector, |series| {
            series.samples.iter().filter(is_within).copied().collect()
        });
        let most = self.script().samples_max.unwrap_or(usize::MAX);
        let found = found.and_then(|found| {
            let all: usize = found.iter().map(|series| series.samples.len()).sum();
            let refused = || SourceError::Data(format!("{all} samples: at most {most}"));
            (all <= most).then_some(found).ok_or_else(refused)
        });
        Box::pin(std::future::ready(found))
    }

    fn range<'a>(
        &'a self,
        query: &'a str,
        from: Timestamp,
        to: Timestamp,
        step_ms: u64,
    ) -> BoxFuture<'a, Result<Vec<Series>, SourceError>> {
        let found = self.ask(query, |series| {
            let moments =
                (from.millis()..=to.millis()).step_by(usize::try_from(step_ms).unwrap_or(1));
            let value = |at: u64| {
                let before = series.samples.iter().rev();
                let last = before
                    .filter(|sample| sample.at.millis() <= at)
                    .find(|sample| at - sample.at.millis() < LOOKBACK_MS)?;
                Some(Sample {
                    at: Timestamp::from_millis(at),
                    value: last.value,
                })
            };
            moments.filter_map(value).collect()
        });
        Box::pin(std::future::ready(found))
    }
}
