//! Alarms that end a deployment: what Alertmanager pushes and what polling it, or Prometheus, finds. Told by the loop of both; asked what
//! is to become of each deployment that is watched.
//!
//! An alarm is a rule of Prometheus, by its name. Only one that begins to fire after the deployment began counts against it: what fired
//! before was caused by something else, and a rollback is not stopped by what its predecessor set off. Alarms that cannot be read are
//! never a reason to take a release back: it waits until they can be, or somebody decides, for as long as a deployment may last at all.

use std::collections::BTreeSet;

use croft_proto::Timestamp;
use croft_proto::deploy::{Finding, Wait, WaitKind};
use futures_util::future::BoxFuture;

use crate::advice::Advice;
use crate::alarm::{ALERTS_MAX, External, Firing, Matcher, Polled, Webhook};
use crate::state::Deployment;

/// How long alarms may be unread before a group that wants it goes on without them.
pub const BLIND_MS_MAX: u64 = 10 * 60 * 1000;

/// Where alarms are asked for.
pub trait Alerts: Send + Sync {
    /// All alerts that fire, of those that are wanted at least.
    fn all<'a>(&'a self, wanted: &'a Wanted) -> BoxFuture<'a, Result<Vec<Polled>, String>>;

    /// Who is asked, for people.
    fn name(&self) -> String {
        "whoever is asked for alarms".to_string()
    }
}

/// Which alerts are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of these names.
    pub names: BTreeSet<String>,
    /// It must be known whether one began to fire before this moment or after.
    pub since: Timestamp,
}

/// What is known of alarms.
#[derive(Debug, Default)]
pub(super) struct Watch {
    external: External,
    /// Why they cannot be read, and since when; none while they can be.
    blind: Option<(Timestamp, String)>,
    /// Whether they have been read since the start, where they are polled.
    was_polled: bool,
    /// Names of which it was said that more fire than are kept.
    said_crowded: BTreeSet<String>,
}

impl Watch {
    /// Only alerts of these names count for anybody.
    pub(super) fn keep_only(&mut self, names: BTreeSet<String>) {
        self.external.keep_only(names);
        let crowded = self.external.crowded();
        for name in crowded.difference(&self.said_crowded) {
            tracing::warn!(
                alarm = name,
                "more than {ALERTS_MAX} alerts of this name fire: those that began last are kept"
            );
        }
        self.said_crowded = crowded.clone();
    }

    pub(super) fn pushed(&mut self, message: &Webhook, at: Timestamp) {
        self.external.webhook(message, at);
    }

    pub(super) fn polled(
        &mut self,
        asked: Timestamp,
        found: Result<Vec<Polled>, String>,
    ) -> Option<String> {
        match found {
            Ok(all) => {
                self.was_polled = true;
                self.external.polled(asked, all);
                self.blind
                    .take()
                    .map(|_| "alarms can be read again".to_string())
            }
            Err(error) => {
                let is_new = self.blind.is_none();
                let said = format!("alarms cannot be read: {error}");
                // Since when, and what was said last.
                self.blind.get_or_insert((asked, String::new())).1 = error;
                is_new.then_some(said)
            }
        }
    }

    /// Whether an alert of that name fires and nobody has silenced it; none when that is not known: where alarms are asked for, they are
    /// so only while a deployment is watched.
    pub(super) fn fires(&self, name: &str, polls: bool, is_watching: bool) -> Option<bool> {
        let matchers = [named(name)];
        if self.external.against(&matchers).next().is_some() {
            return Some(true);
        }
        let is_known = !polls || (is_watching && self.was_polled && self.blind.is_none());
        is_known.then_some(false)
    }

    /// What is to become of a deployment.
    pub(super) fn advice(&self, deployment: &Deployment, polls: bool, now: Timestamp) -> Advice {
        let Some(plan) = &deployment.plan else {
            return Advice::Hold {
                reason: "it has not begun".into(),
            };
        };
        let began = deployment.began.unwrap_or(deployment.created);
        for alarm in &plan.alarms {
            let matchers = [named(&alarm.name)];
            let mut firing = self.external.against(&matchers);
            if let Some(firing) = firing.find(|firing| firing.alert.starts_at > began) {
                return Advice::RollBack(Box::new(finding(&alarm.name, firing)));
            }
        }
        if plan.alarms.is_empty() {
            return Advice::Continue;
        }
        match &self.blind {
            Some((since, error)) => {
                let is_long = now.millis_since(*since) >= BLIND_MS_MAX;
                if is_long && plan.ignore_poll_alarm_failure {
                    return Advice::Continue;
                }
                Advice::Hold {
                    reason: format!("alarms cannot be read: {error}"),
                }
            }
            None if polls && !self.was_polled => Advice::Hold {
                reason: "alarms have not been read yet".into(),
            },
            None => Advice::Continue,
        }
    }
}

impl Watch {
    /// What a deployment waits for, or goes on without; `source` is whom alarms are asked of.
    pub(super) fn waits(
        &self,
        deployment: &Deployment,
        source: Option<&str>,
        now: Timestamp,
    ) -> Option<Wait> {
        let plan = deployment.plan.as_ref()?;
        let source = source.filter(|_| !plan.alarms.is_empty())?;
        let Some((since, error)) = &self.blind else {
            let message = format!("{source} has not been asked for alarms yet");
            return (!self.was_polled).then(|| Wait::new(WaitKind::Monitoring, message));
        };
        let message = format!("alarms cannot be read: {source} does not answer: {error}");
        let wait = Wait::new(WaitKind::Monitoring, message).since(*since);
        let ends = Timestamp::from_millis(since.millis() + BLIND_MS_MAX);
        let id = &deployment.id;
        Some(match (plan.ignore_poll_alarm_failure, now >= ends) {
            (true, true) => wait.then("it goes on without them (ignorePollAlarmFailure)"),
            (true, false) => wait
                .until(ends)
                .then("it goes on without them then (ignorePollAlarmFailure)"),
            (false, _) => wait.then(format!(
                "it goes on once they can be read, or somebody says so (croft deployment continue {id}), and is never taken back for this"
            )),
        })
    }
}

/// Alerts of a rule.
fn named(alarm: &str) -> Matcher {
    Matcher {
        name: "alertname".into(),
        value: alarm.to_owned(),
    }
}

fn finding(alarm: &str, firing: &Firing) -> Finding {
    let how = if firing.groups.is_empty() {
        "found by asking"
    } else {
        "pushed by Alertmanager"
    };
    Finding {
        by: format!("alarm {alarm}"),
        message: format!("it began to fire after the deployment did ({how})"),
        evidence: serde_json::json!({
            "alarm": alarm,
            "labels": firing.alert.labels,
            "startsAt": firing.alert.starts_at,
            "heard": firing.heard,
            "groups": firing.groups,
        }),
    }
}
