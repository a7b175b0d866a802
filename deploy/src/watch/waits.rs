//! What a release waits for that is measured, and what becomes of that by its group's policy, in words for people.

use croft_proto::Timestamp;
use croft_proto::deploy::{DeploymentId, Wait, WaitKind};

use super::{THE_PAST, Watch};
use crate::verdict::{Cause, Decision, OnTimeout, Policy, Why};

impl Watch {
    /// What the deployment waits for; `source` is whom metrics are asked of.
    #[must_use]
    pub fn waits(&self, id: &DeploymentId, source: &str, now: Timestamp) -> Vec<Wait> {
        let held = match self.decision(now) {
            Decision::Continue | Decision::RollBack { .. } => Vec::new(),
            Decision::Hold { why } => why,
        };
        let mut waits: Vec<Wait> = held.iter().map(|why| self.wait(id, source, why)).collect();
        if let Some(error) = self.source_error.as_ref().filter(|_| held.is_empty()) {
            let message = format!("{source} does not answer: {error}");
            let wait = Wait::new(WaitKind::Monitoring, message);
            waits.push(wait.then("it goes on without its values (ignorePollAlarmFailure)"));
        }
        waits
    }

    fn wait(&self, id: &DeploymentId, source: &str, why: &Why) -> Wait {
        let asks = || {
            format!(
                "it waits for somebody: croft deployment continue {id}, or stop {id} --rollback"
            )
        };
        match why {
            Why::Suspicion { .. } => Wait::new(WaitKind::Detector, why.to_string())
                .then("it is taken back when there is that much evidence, and goes on when there is little"),
            Why::Missing { metric, since, .. } if metric == THE_PAST => {
                let message = format!("the hour before the deployment is being read from {source}");
                Wait::new(WaitKind::Monitoring, message).since(*since)
            }
            Why::Missing {
                metric,
                cause,
                since,
            } => {
                let wait = self.missing(metric, *cause, source).since(*since);
                let Some((most_ms, then)) = after(self.policy_of(metric), *cause) else {
                    return wait;
                };
                let ends = Timestamp::from_millis(since.millis().saturating_add(most_ms));
                wait.until(ends).then(then)
            }
            Why::Ask {
                metric,
                cause,
                since,
            } => {
                let wait = self.missing(metric, *cause, source);
                wait.since(*since).then(asks())
            }
        }
    }

    /// What is done about a metric's missing values: it may have a policy of its own.
    fn policy_of(&self, metric: &str) -> &Policy {
        let metrics = self.settings.metrics.iter();
        let metrics = metrics.map(|one| (&one.name, &one.missing));
        let thresholds = self.settings.thresholds.iter();
        let mut all = metrics.chain(thresholds.map(|one| (&one.name, &one.missing)));
        let own = all.find(|(name, _)| *name == metric);
        own.and_then(|(_, policy)| policy.as_ref())
            .unwrap_or(&self.policy)
    }

    fn missing(&self, metric: &str, cause: Cause, source: &str) -> Wait {
        if cause == Cause::SourceDown {
            let error = self.source_error.as_deref().unwrap_or("it says nothing");
            let message = format!("{source} does not answer: {error}");
            return Wait::new(WaitKind::Monitoring, message);
        }
        let why = match cause {
            Cause::NoTraffic => "nobody asks anything of the new revision",
            Cause::NoSeries => "there is no such series",
            Cause::TargetDown => "its host cannot be scraped",
            Cause::SourceDown => "its source is down",
            Cause::NotANumber => "it is not a number",
            Cause::ManySeries => "its query gives several series",
            Cause::Refused => "its query is refused",
        };
        let message = format!("`{metric}` has no value: {why}");
        Wait::new(WaitKind::Detector, message)
    }
}

/// For how long a missing value is waited for, and what follows then.
fn after(policy: &Policy, cause: Cause) -> Option<(u64, &'static str)> {
    match cause {
        Cause::NoTraffic => {
            let then = match policy.on_timeout {
                OnTimeout::Promote => "it goes on without the metric then",
                OnTimeout::Rollback => "it is taken back then",
                OnTimeout::Pause => "it waits for somebody to decide then",
            };
            Some((policy.max_hold_ms, then))
        }
        Cause::SourceDown => {
            let then = match policy.ignore_poll_alarm_failure {
                true => "it goes on without its values then (ignorePollAlarmFailure)",
                false => "it waits for somebody to decide then, and is never taken back for this",
            };
            Some((policy.max_blind_ms, then))
        }
        Cause::NoSeries
        | Cause::TargetDown
        | Cause::NotANumber
        | Cause::ManySeries
        | Cause::Refused => None,
    }
}
