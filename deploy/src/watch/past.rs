//! The hour before a deployment, as it is read: requests, errors by the scrapes that counted them, and how often scrapes come. Hands
//! [`Learned`] to the tests.

use croft_proto::Timestamp;

use crate::verdict::{Counts, Errors, History, Learned};

/// So much of the past is read.
pub(super) const PAST_MS: u64 = 3_600_000;
/// Of less than this nothing is learned: what an hour shows of bursts a minute does not.
const SPAN_MS_MIN: u64 = 600_000;

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Past {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    requests: f64,
    bad: f64,
    errors: Vec<Errors>,
}

impl Past {
    pub(super) fn count(&mut self, at: Timestamp, counts: Counts) {
        self.first.get_or_insert(at);
        self.last = Some(at);
        self.requests += counts.requests;
        if counts.bad <= 0.0 {
            return;
        }
        self.bad += counts.bad;
        match self.errors.last_mut() {
            Some(last) if last.at == at => last.count += counts.bad,
            Some(_) | None => self.errors.push(Errors {
                at,
                count: counts.bad,
            }),
        }
    }

    fn span_ms(&self) -> u64 {
        match (self.first, self.last) {
            (Some(first), Some(last)) => last.millis_since(first),
            _ => 0,
        }
    }

    /// Whether anything was asked of the service, long enough to compare with.
    pub(super) fn has_traffic(&self) -> bool {
        self.requests > 0.0 && self.span_ms() >= SPAN_MS_MIN
    }

    /// Requests a second, and the share of bad ones.
    pub(super) fn rate(&self) -> Option<(f64, f64)> {
        let seconds = self.span_ms() as f64 / 1000.0;
        (seconds > 0.0 && self.requests > 0.0)
            .then(|| (self.requests / seconds, self.bad / self.requests))
    }

    pub(super) fn lesson(&self, scrape_ms: u64) -> Learned {
        let span_ms = self.span_ms();
        if span_ms < SPAN_MS_MIN {
            return Learned::nothing(scrape_ms);
        }
        Learned::from_history(&History {
            scrape_ms,
            span_ms,
            requests: self.requests,
            errors: &self.errors,
        })
    }
}

/// How long it is from one scrape to the next: the middle of those seen.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    gaps_ms: Vec<u64>,
}

impl Rhythm {
    /// Enough to know the middle.
    const GAPS_MAX: usize = 500;
    /// Prometheus' own, where nothing was seen.
    const USUAL_MS: u64 = 15_000;

    pub(super) fn gap(&mut self, ms: u64) {
        if self.gaps_ms.len() < Self::GAPS_MAX && ms > 0 {
            self.gaps_ms.push(ms);
        }
    }

    pub(super) fn scrape_ms(&self) -> u64 {
        let mut gaps = self.gaps_ms.clone();
        gaps.sort_unstable();
        let middle = gaps.get(gaps.len() / 2).copied();
        // To the second: a scrape is some milliseconds early or late.
        middle
            .map_or(Self::USUAL_MS, |ms| (ms + 500) / 1000 * 1000)
            .max(1000)
    }
}
