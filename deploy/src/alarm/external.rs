//! What Alertmanager says: pushed by its webhook, and read again by polling, since a webhook may be minutes late or lost. Takes
//! messages; hands the alerts that fire for a deployment to the decision.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use croft_proto::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

/// Alerts of one name that are kept: whether one fires since a moment is what is asked, and the newest say it. Nobody fills our memory with
/// labels.
pub const ALERTS_MAX: usize = 100;

/// A message of Alertmanager's webhook. **Shape.** Its version 4; other fields are not looked at.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Which group of alerts.
    pub group_key: String,
    /// The group's alerts that have changed or still fire.
    pub alerts: Vec<WebhookAlert>,
}

/// An alert in such a message.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookAlert {
    /// Whether it fires.
    pub status: AlertStatus,
    /// What tells it from others; among them `alertname`.
    pub labels: BTreeMap<String, String>,
    /// What its author has to say.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// When it began.
    #[serde(deserialize_with = "moment")]
    pub starts_at: Timestamp,
    /// What stands for its labels.
    pub fingerprint: String,
}

/// A moment as Alertmanager writes it: its webhook with nanoseconds, its API with milliseconds.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    let moment = DateTime::parse_from_rfc3339(&text).map_err(serde::de::Error::custom)?;
    let millis = u64::try_from(moment.timestamp_millis()).unwrap_or(0);
    Ok(Timestamp::from_millis(millis))
}

/// Whether an alert fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AlertStatus {
    /// It does.
    Firing,
    /// Not any more.
    Resolved,
}

/// An alert as polling finds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Polled {
    /// The alert.
    pub alert: Alert,
    /// Whether somebody has silenced it, or another alert inhibits it.
    pub suppressed: bool,
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// What stands for its labels.
    pub fingerprint: String,
    /// What tells it from others.
    pub labels: BTreeMap<String, String>,
    /// When it began.
    pub starts_at: Timestamp,
}

/// An alert that fires, and how that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    /// The alert.
    pub alert: Alert,
    /// The groups whose webhooks said so; empty when only polling did.
    pub groups: BTreeSet<String>,
    /// When it was first heard of.
    pub heard: Timestamp,
    suppressed: bool,
}

/// Which alerts are meant: a label and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// Its value, all of it.
    pub value: String,
}

/// All alerts that are known to fire.
#[derive(Clone, Debug, Default)]
pub struct External {
    firing: BTreeMap<String, Firing>,
    ignored: BTreeSet<(String, Timestamp)>,
    /// Names that are asked for; others are not kept. All are where nobody has said.
    names: Option<BTreeSet<String>>,
    /// Names of which more fire than are kept.
    crowded: BTreeSet<String>,
}

impl External {
    /// From now on only alerts of these names are kept.
    pub fn keep_only(&mut self, names: BTreeSet<String>) {
        let is_kept = |known: &Firing| names.contains(named(&known.alert));
        self.firing.retain(|_, known| is_kept(known));
        self.crowded.retain(|name| names.contains(name));
        self.names = Some(names);
    }

    /// Takes a webhook's message. Hearing the same twice, or from two groups, makes no difference; an alert is over only when what is
    /// resolved began at the same time as what fires.
    pub fn webhook(&mut self, message: &Webhook, at: Timestamp) {
        for heard in &message.alerts {
            let alert = Alert {
                fingerprint: heard.fingerprint.clone(),
                labels: heard.labels.clone(),
                starts_at: heard.starts_at,
            };
            match heard.status {
                AlertStatus::Firing => {
                    if let Some(known) = self.hear(alert, at) {
                        known.groups.insert(message.group_key.clone());
                    }
                }
                AlertStatus::Resolved => {
                    let is_same = |known: &Firing| known.alert.starts_at == alert.starts_at;
                    if self.firing.get(&alert.fingerprint).is_some_and(is_same) {
                        self.firing.remove(&alert.fingerprint);
                    }
                }
            }
        }
    }

    /// Takes all alerts that Alertmanager has, asked for at that moment. It is the truth, but for what a webhook told since it
    /// was asked.
    pub fn polled(&mut self, asked: Timestamp, all: impl IntoIterator<Item = Polled>) {
        let mut seen = BTreeSet::new();
        for polled in all {
            seen.insert(polled.alert.fingerprint.clone());
            if let Some(known) = self.hear(polled.alert, asked) {
                known.suppressed = polled.suppressed;
            }
        }
        self.firing
            .retain(|fingerprint, known| known.heard > asked || seen.contains(fingerprint));
    }

    fn hear(&mut self, alert: Alert, at: Timestamp) -> Option<&mut Firing> {
        let names = self.names.as_ref();
        if names.is_some_and(|names| !names.contains(named(&alert))) {
            return None;
        }
        let is_new = !self.firing.contains_key(&alert.fingerprint);
        if is_new && !self.makes_room(&alert) {
            return None;
        }
        let fingerprint = alert.fingerprint.clone();
        let known = self.firing.entry(fingerprint).or_insert_with(|| Firing {
            alert: alert.clone(),
            groups: BTreeSet::new(),
            heard: at,
            suppressed: false,
        });
        if known.alert.starts_at != alert.starts_at {
            known.alert = alert;
            known.heard = at;
        }
        Some(known)
    }

    /// Whether there is room for an alert: of those of its name the newest stay, and those that are silenced go first.
    fn makes_room(&mut self, alert: &Alert) -> bool {
        let name = named(alert);
        let of_name = || {
            let all = self.firing.iter();
            all.filter(|(_, known)| named(&known.alert) == name)
        };
        if of_name().count() < ALERTS_MAX {
            return true;
        }
        let least = of_name()
            .map(|(fingerprint, known)| {
                (
                    !known.suppressed,
                    known.alert.starts_at,
                    fingerprint.clone(),
                )
            })
            .min();
        self.crowded.insert(name.to_string());
        match least {
            Some((true, starts_at, _)) if starts_at >= alert.starts_at => false,
            Some((_, _, fingerprint)) => self.firing.remove(&fingerprint).is_some(),
            None => true,
        }
    }

    /// From now on the alerts that fire are not held against the deployment, as long as they do not end and begin again: it was
    /// not what caused them. A rollback of the release that did is not stopped by them either.
    pub fn ignore_present(&mut self) {
        let begun = |known: &Firing| occurrence(&known.alert);
        self.ignored = self.firing.values().map(begun).collect();
    }

    /// The alerts that count against a deployment: they fire, nobody has silenced them, and they have all those labels.
    pub fn against<'a>(&'a self, matchers: &'a [Matcher]) -> impl Iterator<Item = &'a Firing> {
        self.firing.values().filter(move |known| {
            let has =
                |matcher: &Matcher| known.alert.labels.get(&matcher.name) == Some(&matcher.value);
            !known.suppressed
                && !self.ignored.contains(&occurrence(&known.alert))
                && matchers.iter().all(has)
        })
    }

    /// Names of which more alerts fire than are kept.
    #[must_use]
    pub const fn crowded(&self) -> &BTreeSet<String> {
        &self.crowded
    }
}

/// The rule's name.
fn named(alert: &Alert) -> &str {
    alert.labels.get("alertname").map_or("", String::as_str)
}

/// An alert and when it began: the same labels later are another one.
fn occurrence(alert: &Alert) -> (String, Timestamp) {
    (alert.fingerprint.clone(), alert.starts_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    /// As Alertmanager 0.25 sends it.
    fn message(group: &str, status: &str, fingerprint: &str, began: &str) -> Webhook {
        let began = format!("2026-11-28T12:00:{began}.123456789Z");
        let text = format!(
            r#"{{"receiver": "croft", "status": "{status}", "version": "4", "truncatedAlerts": 0,
            "groupKey": "{group}", "groupLabels": {{}}, "commonLabels": {{}},
            "commonAnnotations": {{}}, "externalURL": "http://am", "alerts": [{{
            "status": "{status}", "labels": {{"alertname": "Errors", "service": "{fingerprint}"}},
            "annotations": {{"summary": "too many"}}, "startsAt": "{began}",
            "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://p",
            "fingerprint": "{fingerprint}"}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn polled(fingerprint: &str, suppressed: bool) -> Polled {
        let labels = [("service".to_owned(), fingerprint.to_owned())];
        Polled {
            alert: Alert {
                fingerprint: fingerprint.into(),
                labels: labels.into(),
                starts_at: Timestamp::from_millis(1_795_867_201_123),
            },
            suppressed,
        }
    }

    fn firing(external: &External) -> Vec<&str> {
        external
            .against(&[])
            .map(|firing| firing.alert.fingerprint.as_str())
            .collect()
    }

    #[test]
    fn an_alert_fires_once_however_often_and_from_wherever_it_is_heard() {
        let mut external = External::default();
        external.webhook(&message("g1", "firing", "a", "01"), at(1));
        external.webhook(&message("g1", "firing", "a", "01"), at(2));
        external.webhook(&message("g2", "firing", "a", "01"), at(3));
        assert_eq!(firing(&external), ["a"]);
        let known = external.against(&[]).next().unwrap();
        assert_eq!((known.heard, known.groups.len()), (at(1), 2));
        external.webhook(&message("g1", "resolved", "a", "01"), at(4));
        assert!(firing(&external).is_empty());
    }

    #[test]
    fn a_late_word_of_an_older_alerts_end_does_not_end_the_new_one() {
        let mut external = External::default();
        external.webhook(&message("g", "firing", "a", "02"), at(1));
        external.webhook(&message("g", "resolved", "a", "01"), at(2));
        assert_eq!(firing(&external), ["a"]);
    }

    #[test]
    fn polling_finds_what_no_webhook_told_and_ends_what_is_gone() {
        let mut external = External::default();
        external.webhook(&message("g", "firing", "a", "01"), at(1));
        external.polled(at(5), [polled("b", false)]);
        assert_eq!(firing(&external), ["b"]);
        external.polled(at(10), []);
        assert!(firing(&external).is_empty());
    }

    #[test]
    fn a_poll_that_was_asked_before_a_webhook_came_does_not_undo_it() {
        let mut external = External::default();
        external.webhook(&message("g", "firing", "a", "01"), at(6));
        external.polled(at(5), []);
        assert_eq!(firing(&external), ["a"]);
    }

    #[test]
    fn who_is_silenced_does_not_count_until_the_silence_ends() {
        let mut external = External::default();
        external.webhook(&message("g", "firing", "a", "01"), at(1));
        external.polled(at(2), [polled("a", true)]);
        assert!(firing(&external).is_empty());
        external.webhook(&message("g", "firing", "a", "01"), at(3));
        assert!(firing(&external).is_empty());
        external.polled(at(4), [polled("a", false)]);
        assert_eq!(firing(&external), ["a"]);
    }

    #[test]
    fn alerts_from_before_are_not_held_against_a_deployment_but_their_return_is() {
        let mut external = External::default();
        external.webhook(&message("g", "firing", "a", "01"), at(1));
        external.ignore_present();
        external.webhook(&message("g", "firing", "b", "01"), at(2));
        assert_eq!(firing(&external), ["b"]);
        external.webhook(&message("g", "resolved", "a", "01"), at(3));
        external.webhook(&message("g", "firing", "a", "04"), at(4));
        assert_eq!(firing(&external), ["a", "b"]);
    }

    #[test]
    fn only_alerts_with_the_groups_labels_count() {
        let mut external = External::default();
        external.webhook(&message("g", "firing", "orders", "01"), at(1));
        let matcher = |value: &str| {
            [Matcher {
                name: "service".into(),
                value: value.into(),
            }]
        };
        assert_eq!(external.against(&matcher("orders")).count(), 1);
        assert_eq!(external.against(&matcher("users")).count(), 0);
    }

    #[test]
    fn of_more_alerts_of_a_name_than_are_kept_the_newest_are_and_it_is_said() {
        let mut external = External::default();
        for number in 0..2 * ALERTS_MAX {
            let began = format!("{:02}", number * 60 / (2 * ALERTS_MAX));
            let message = message("g", "firing", &number.to_string(), &began);
            external.webhook(&message, at(1));
        }
        assert_eq!(firing(&external).len(), ALERTS_MAX);
        assert!(firing(&external).contains(&"199"), "the newest is kept");
        assert!(external.crowded().contains("Errors"));
        external.webhook(&message("g", "firing", "older", "00"), at(2));
        assert!(!firing(&external).contains(&"older"));
    }

    #[test]
    fn a_storm_of_alerts_that_nobody_asks_for_hides_none_that_somebody_does() {
        let mut external = External::default();
        external.keep_only(BTreeSet::from(["Errors".to_string()]));
        for number in 0..5_000_u32 {
            let mut other = polled(&number.to_string(), false);
            let name = format!("Other{number}");
            other.alert.labels.insert("alertname".into(), name);
            external.hear(other.alert, at(1));
        }
        external.webhook(&message("g", "firing", "a", "01"), at(2));
        assert_eq!(firing(&external), ["a"]);
        external.keep_only(BTreeSet::new());
        assert!(firing(&external).is_empty());
    }
}
