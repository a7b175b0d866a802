//! Where metrics are asked for: raw samples, and values of queries. Implemented by whoever can reach Prometheus; asked by the loop, with what
//! a [`crate::watch::Watch`] wants to know.
//!
//! Raw samples come with the time of their scrape, and nothing that the source has worked out: a rate or an `increase()` loses the first
//! error of a series, and spreads one error over all windows that see it.

use std::collections::BTreeMap;

use croft_proto::Timestamp;
use futures_util::future::BoxFuture;

/// A script in place of a source, for tests.
#[cfg(any(test, feature = "suite"))]
pub mod scripted;
/// What every source must do.
#[cfg(any(test, feature = "suite"))]
pub mod suite;

/// A value, and when it was scraped or worked out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// What. It may be infinite, or not a number.
    pub value: f64,
}

/// What has one set of labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The labels, its name as `__name__` among them.
    pub labels: BTreeMap<String, String>,
    /// Its samples, the oldest first. May be empty.
    pub samples: Vec<Sample>,
}

/// A time: after the first moment, up to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within {
    /// Not this moment, but what follows it.
    pub after: Timestamp,
    /// This moment too.
    pub to: Timestamp,
}

/// Why a source says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// It does not answer, or with an error of its own. That says nothing of a release.
    #[error("the metrics' source does not answer: {0}")]
    Down(String),
    /// It does not take the query for one: whoever wrote it can mend it.
    #[error("the metrics' source does not take the query: {0}")]
    Query(String),
    /// It takes the query, and what there is now is too much for it, or does not fit it.
    #[error("the metrics' source cannot work the query out: {0}")]
    Data(String),
}

/// A source of metrics.
pub trait Metrics: Send + Sync {
    /// The raw samples of a selector, such as `http_requests_total{job="shop"}`, within a time. Series without samples may be left out.
    ///
    /// # Errors
    /// [`SourceError`].
    ///
    /// # Cancel
    /// Nothing is left behind.
    fn samples<'a>(
        &'a self,
        selector: &'a str,
        within: Within,
    ) -> BoxFuture<'a, Result<Vec<Series>, SourceError>>;

    /// The values of a query at `from`, and every so many milliseconds up to `to`. Moments without a value are left out.
    ///
    /// # Errors
    /// [`SourceError`].
    ///
    /// # Cancel
    /// Nothing is left behind.
    fn range<'a>(
        &'a self,
        query: &'a str,
        from: Timestamp,
        to: Timestamp,
        step_ms: u64,
    ) -> BoxFuture<'a, Result<Vec<Series>, SourceError>>;

    /// Who is asked, for people.
    fn name(&self) -> String {
        "the metrics' source".to_string()
    }

    /// The values of a query at one moment: a series with one sample for each.
    ///
    /// # Errors
    /// [`SourceError`].
    fn instant<'a>(
        &'a self,
        query: &'a str,
        at: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<Series>, SourceError>> {
        self.range(query, at, at, 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_script_does_what_a_source_must() {
        for case in suite::CASES {
            let source = scripted::Scripted::default();
            for series in suite::recorded(suite::BEGIN) {
                source.record(&suite::selector(&series), series);
            }
            (case.run)(&source, suite::BEGIN).await;
        }
        suite::a_source_that_is_away_is_down(&scripted::Scripted::away()).await;
    }
}
