//! What is counted of a watch, for those who watch the farm itself.

use super::Watch;
use super::metric::MetricWatch;
use crate::alarm::AlarmState;
use crate::verdict::{Cause, Rules, Scope};

/// The bet against a release over one metric.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bet<'w> {
    pub(crate) metric: &'w str,
    /// What a stake of 1 has become.
    pub(crate) wealth: f64,
    /// What it must become for a conviction.
    pub(crate) decides_at: f64,
}

impl Watch {
    /// The bets, one for each metric: of its tests the one that is nearest to its limit. Before the first of them nothing is won or lost.
    pub(crate) fn bets(&self) -> impl Iterator<Item = Bet<'_>> {
        self.tested().map(|metric| {
            let tests = [&metric.concurrent, &metric.historical];
            let bets = tests.into_iter().flatten().map(|test| Bet {
                metric: &metric.settings.name,
                wealth: test.wealth(),
                decides_at: test.decides_at(),
            });
            bets.max_by(|one, other| {
                let share = |bet: &Bet<'_>| bet.wealth / bet.decides_at;
                share(one).total_cmp(&share(other))
            })
            .unwrap_or(Bet {
                metric: &metric.settings.name,
                wealth: 1.0,
                decides_at: self.metrics.len() as f64 / Rules::default().alpha,
            })
        })
    }

    /// Metrics that are tested, and not counted for a guard rail alone.
    pub(super) fn tested(&self) -> impl Iterator<Item = &MetricWatch> {
        let is_release = self.scope == Scope::Release;
        self.metrics.iter().filter(move |_| is_release)
    }

    /// What has no value now, by its name, and why. The source itself has no name.
    pub(crate) fn lacking(&self) -> impl Iterator<Item = (&str, Cause)> {
        let of_metrics = self
            .metrics
            .iter()
            .filter_map(|metric| Some((metric.settings.name.as_str(), metric.lacks()?)));
        let of_queries = self
            .queries
            .iter()
            .filter_map(|query| Some((query.name(), query.lacks()?)));
        let of_source = self.source.cause().map(|cause| ("", cause));
        of_source.into_iter().chain(of_metrics).chain(of_queries)
    }

    /// Its own alarms, and whether they fire; none when there are too few data to say.
    pub(crate) fn alarms(&self) -> impl Iterator<Item = (&str, Option<bool>)> {
        self.queries.iter().filter_map(|query| {
            let (alarm, _) = query.alarm()?;
            let fires = match alarm.state() {
                AlarmState::Alarm => Some(true),
                AlarmState::Ok => Some(false),
                AlarmState::InsufficientData => None,
            };
            Some((query.name(), fires))
        })
    }
}
