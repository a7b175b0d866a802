//! What a followed deployment has told: from one look at it to the next, the lines that say what is new. Fed by `watch` with the server's
//! answers; decides nothing.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::super::rows::text;
use super::{evidence, waits};
use crate::surroundings;

/// Hosts that one line names; more of them are a number.
const NAMED_MAX: usize = 8;

/// Something new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told {
    pub(super) deployment_id: String,
    /// `status`, `step`, `batch`, `event`, `host`, `note`, `wait`, `continued` or `detector`.
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<String>,
    /// For people.
    pub(super) text: String,
}

/// What has been told.
#[derive(Debug, Default)]
pub(super) struct Story {
    id: String,
    status: String,
    step: Option<u64>,
    /// How many have said that it may go on.
    continued: usize,
    /// What its detectors knew before, whether that was told.
    is_noted: bool,
    /// What it waits for: without its numbers, and as it was told.
    waits: BTreeMap<String, String>,
    /// How each detector stands, by its kind and name.
    stands: BTreeMap<String, String>,
    /// By side and name.
    hosts: BTreeMap<(String, String), Host>,
}

#[derive(Debug, Default)]
struct Host {
    events: Vec<String>,
    status: String,
}

impl Story {
    pub(super) fn of(id: &str) -> Self {
        Self {
            id: id.to_string(),
            ..Self::default()
        }
    }

    /// What of a look at the deployment is new.
    pub(super) fn next(&mut self, info: &Value, targets: &[Value]) -> Vec<Told> {
        let mut told = Vec::new();
        let status = text(info, "/status");
        let is_over = info["completeTime"].is_number();
        let (ended, begun) = self.next_hosts(targets, info);
        told.extend(ended);
        if status != self.status && !is_over {
            told.push(
                self.line("status", format!("{} {status}", self.id))
                    .with(&status),
            );
        }
        told.extend(self.next_continued(&info["x-croft"]));
        told.extend(self.next_step(info));
        told.extend(self.next_watch(&info["x-croft"]));
        told.extend(begun);
        if status != self.status && is_over {
            told.push(self.line("status", closing(&self.id, info)).with(&status));
        }
        self.status = status;
        told
    }

    fn line(&self, kind: &'static str, text: String) -> Told {
        Told {
            deployment_id: self.id.clone(),
            kind,
            host: None,
            event: None,
            status: None,
            text,
        }
    }

    fn next_step(&mut self, info: &Value) -> Option<Told> {
        let step = info.pointer("/x-croft/step")?.as_u64()?;
        if self.step.replace(step) == Some(step) {
            return None;
        }
        let steps = info.pointer("/x-croft/steps")?.as_array()?;
        let now = steps.get(usize::try_from(step).ok()?)?;
        let what = waits::step(now, &self.id)?;
        let text = format!("  step {} of {}: {what}", step + 1, steps.len());
        Some(self.line("step", text))
    }

    /// What the detectors knew before, what the deployment waits for, and how they stand.
    fn next_watch(&mut self, own: &Value) -> Vec<Told> {
        let mut told = Vec::new();
        let notes = own["notes"].as_array().filter(|notes| !notes.is_empty());
        if let Some(notes) = notes.filter(|_| !self.is_noted) {
            self.is_noted = true;
            let notes = notes.iter().filter_map(Value::as_str);
            told.extend(notes.map(|note| self.line("note", format!("  before: {note}"))));
        }
        told.extend(self.next_waits(&own["waits"]));
        let watch = &own["watch"];
        for (name, stands, text) in evidence::stands(watch) {
            let known = self.stands.insert(name, stands.clone());
            if known.is_some_and(|known| known != stands) {
                told.push(self.line("detector", format!("  {text}")));
            }
        }
        told
    }

    /// What it waits for now and did not before, and what it waits for no more. What hosts run, and what a step is, is told as it happens.
    fn next_waits(&mut self, waits: &Value) -> Vec<Told> {
        let waits = waits.as_array().into_iter().flatten();
        let waits = waits.filter(|wait| !matches!(wait["kind"].as_str(), Some("event" | "time")));
        let mut now = BTreeMap::new();
        let mut told = Vec::new();
        for wait in waits {
            let message = text(wait, "/message");
            let key = without_numbers(&format!("{} {message}", text(wait, "/kind")));
            if !self.waits.contains_key(&key) {
                let said = waits::told(wait, surroundings::now());
                told.push(self.line("wait", format!("  waits: {said}")));
            }
            now.insert(key, message);
        }
        let before = std::mem::replace(&mut self.waits, now);
        let over = before
            .iter()
            .filter(|(key, _)| !self.waits.contains_key(*key));
        let over = over.map(|(_, message)| self.line("wait", format!("  over: {message}")));
        told.extend(over.collect::<Vec<_>>());
        told
    }

    /// Who said that it may go on.
    fn next_continued(&mut self, own: &Value) -> Vec<Told> {
        let all = own["continued"].as_array().into_iter().flatten();
        let new = all.skip(self.continued);
        let told = new.map(|one| {
            let said = format!("  {}", waits::continued(one, surroundings::now()));
            self.line("continued", said)
        });
        let told: Vec<Told> = told.collect();
        self.continued += told.len();
        told
    }

    /// What is new of hosts: what is over of the step before, where there is a new one, and all else.
    fn next_hosts(&mut self, targets: &[Value], info: &Value) -> (Vec<Told>, Vec<Told>) {
        let step = info.pointer("/x-croft/step").and_then(Value::as_u64);
        let is_new_step = self.step.is_some() && self.step != step;
        let told = self.hosts(targets);
        match is_new_step {
            true => told.into_iter().partition(Told::is_end),
            false => (Vec::new(), told),
        }
    }

    fn hosts(&mut self, targets: &[Value]) -> Vec<Told> {
        let mut begun = Vec::new();
        let mut told = Vec::new();
        for target in targets {
            let target = &target["instanceTarget"];
            let key = (text(target, "/instanceLabel"), text(target, "/targetId"));
            let (name, status) = (key.1.clone(), text(target, "/status"));
            let known = self.hosts.remove(&key).unwrap_or_default();
            let is_new = |status: &str| matches!(status, "" | "Pending");
            if is_new(&known.status) && !is_new(&status) && status != "Skipped" {
                begun.push(name.clone());
            }
            let events = events(target);
            for (place, (event, how)) in events.iter().enumerate() {
                let line = format!("{event} {how}");
                if how == "Pending" || known.events.get(place) == Some(&line) {
                    continue;
                }
                told.push(Told::event(&self.id, &name, event, how));
            }
            if status == "Failed" && known.status != "Failed" {
                let mut line = self.line("host", format!("  {name}: Failed"));
                line.host = Some(name.clone());
                told.push(line.with(&status));
            }
            let events = events.iter().map(|(event, how)| format!("{event} {how}"));
            let now = Host {
                events: events.collect(),
                status,
            };
            self.hosts.insert(key, now);
        }
        if !begun.is_empty() {
            let batch = self.line("batch", format!("  begun on {}", named(&begun)));
            told.insert(0, batch);
        }
        told
    }
}

impl Told {
    /// That an event of a host stands so.
    pub(super) fn event(id: &str, host: &str, event: &str, how: &str) -> Self {
        Self {
            deployment_id: id.to_string(),
            kind: "event",
            host: Some(host.to_string()),
            event: Some(event.to_string()),
            status: Some(how.to_string()),
            text: format!("  {host}: {event} {how}"),
        }
    }

    /// Whether it tells that something of a host is over.
    fn is_end(&self) -> bool {
        let status = self.status.as_deref().unwrap_or_default();
        self.host.is_some() && !matches!(status, "InProgress" | "Pending")
    }

    fn with(mut self, status: &str) -> Self {
        self.status = Some(status.to_string());
        self
    }
}

/// The same reason with other numbers is no news.
fn without_numbers(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_ascii_digit())
        .collect()
}

fn events(target: &Value) -> Vec<(String, String)> {
    let events = target["lifecycleEvents"].as_array().into_iter().flatten();
    events
        .map(|event| (text(event, "/lifecycleEventName"), text(event, "/status")))
        .collect()
}

pub(super) fn named(hosts: &[String]) -> String {
    let shown = hosts.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>();
    match hosts.len().checked_sub(NAMED_MAX) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}

fn closing(id: &str, info: &Value) -> String {
    let overview = &info["deploymentOverview"];
    let counts = ["Succeeded", "Failed", "Skipped"].map(|word| {
        format!(
            "{} {}",
            text(overview, &format!("/{word}")),
            word.to_lowercase()
        )
    });
    let mut closing = format!("{id} {} ({})", text(info, "/status"), counts.join(", "));
    if let Some(why) = waits::why(info) {
        closing += &format!(": {why}");
    }
    closing
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn info(status: &str, step: u64) -> Value {
        let mut info = json!({
            "status": status, "deploymentOverview": {"Succeeded": 1, "Failed": 0, "Skipped": 0},
            "x-croft": {"step": step, "steps": [{"type": "run", "events": ["Install"]}, {"type": "bake", "waitMs": 60000}]},
        });
        if status == "Succeeded" {
            info["completeTime"] = json!(1.0);
        }
        info
    }

    fn target(host: &str, status: &str, events: &[(&str, &str)]) -> Value {
        let events = events
            .iter()
            .map(|(event, status)| json!({"lifecycleEventName": event, "status": status}));
        json!({"instanceTarget": {"targetId": host, "instanceLabel": "Green", "status": status,
            "lifecycleEvents": events.collect::<Vec<_>>()}})
    }

    fn texts(told: Vec<Told>) -> Vec<String> {
        told.into_iter().map(|told| told.text).collect()
    }

    #[test]
    fn only_what_is_new_is_told_and_the_end_comes_last() {
        let mut story = Story::of("d-A");
        let pending = [target("h1", "Pending", &[]), target("h2", "Pending", &[])];
        let first = texts(story.next(&info("InProgress", 0), &pending));
        assert_eq!(
            first,
            ["d-A InProgress", "  step 1 of 2: hosts run Install"]
        );
        assert!(story.next(&info("InProgress", 0), &pending).is_empty());
        let running = [
            target(
                "h1",
                "InProgress",
                &[("BeforeInstall", "Succeeded"), ("Install", "InProgress")],
            ),
            target("h2", "InProgress", &[("BeforeInstall", "Pending")]),
        ];
        let begun = texts(story.next(&info("InProgress", 0), &running));
        assert_eq!(
            begun,
            [
                "  begun on h1, h2",
                "  h1: BeforeInstall Succeeded",
                "  h1: Install InProgress"
            ]
        );
        let done = [
            target(
                "h1",
                "Succeeded",
                &[("BeforeInstall", "Succeeded"), ("Install", "Succeeded")],
            ),
            target("h2", "Failed", &[("BeforeInstall", "Failed")]),
        ];
        let baking = texts(story.next(&info("Baking", 1), &done));
        assert_eq!(
            baking,
            [
                "  h1: Install Succeeded",
                "  h2: BeforeInstall Failed",
                "  h2: Failed",
                "d-A Baking",
                "  step 2 of 2: all is done, and is watched for 1m 00s"
            ]
        );
        let end = texts(story.next(&info("Succeeded", 1), &done));
        assert_eq!(end, ["d-A Succeeded (1 succeeded, 0 failed, 0 skipped)"]);
    }

    #[test]
    fn who_continued_it_and_what_took_its_place_are_told() {
        let mut story = Story::of("d-A");
        story.next(&info("InProgress", 0), &[]);
        let mut continued = info("InProgress", 0);
        let at = surroundings::now();
        continued["x-croft"]["continued"] = json!([{"by": "alice", "at": at, "step": 0}]);
        let when = crate::render::clock(at, at);
        assert_eq!(
            texts(story.next(&continued, &[])),
            [format!("  continued by alice in step 1 at {when}")]
        );
        assert!(story.next(&continued, &[]).is_empty());
        let stopped = json!({"status": "Stopped", "completeTime": 1.0,
            "errorInformation": {"code": "MANUAL_STOP"}, "x-croft": {"supersededBy": "d-B"},
            "deploymentOverview": {"Succeeded": 0, "Failed": 0, "Skipped": 0}});
        assert_eq!(
            texts(Story::of("d-A").next(&stopped, &[])),
            ["d-A Stopped (0 succeeded, 0 failed, 0 skipped): the newer d-B took its place"]
        );
    }

    #[test]
    fn what_detectors_say_is_told_when_it_changes_and_not_for_its_numbers() {
        let mut story = Story::of("d-A");
        let with = |waits: &[&str], wealth: f64, state: &str| {
            let mut info = info("InProgress", 0);
            info["x-croft"]["notes"] = json!(["`errors`: at 10 requests/s"]);
            let waits = waits
                .iter()
                .map(|message| json!({"kind": "detector", "message": message}));
            info["x-croft"]["waits"] = waits.collect();
            info["x-croft"]["watch"] = json!({"holds": [],
                "metrics": [{"name": "errors", "against": "concurrent", "wealth": wealth, "decidesAt": 1000.0,
                    "canary": {"requests": 100.0, "bad": 3.0}, "baseline": {"requests": 900.0, "bad": 1.0}}],
                "queries": [{"name": "slow", "kind": "alarm", "state": state, "value": 2.5}]});
            info
        };
        let first = texts(story.next(&with(&[], 1.0, "OK"), &[]));
        assert_eq!(first[2..], ["  before: `errors`: at 10 requests/s"]);
        let held = texts(story.next(&with(&["evidence 25 of 1000"], 25.0, "OK"), &[]));
        assert_eq!(
            held,
            [
                "  waits: evidence 25 of 1000",
                "  errors: evidence 25 of 1000; 3 of 100 bad, before 1 of 900"
            ]
        );
        let more = texts(story.next(&with(&["evidence 27 of 1000"], 27.0, "ALARM"), &[]));
        assert_eq!(more, ["  alarm slow: ALARM (2.5)"]);
        let free = texts(story.next(&with(&[], 2.0, "ALARM"), &[]));
        assert_eq!(free[0], "  over: evidence 27 of 1000");
    }

    #[test]
    fn many_hosts_are_a_number() {
        let hosts: Vec<String> = (1..=10).map(|number| format!("h{number}")).collect();
        assert_eq!(named(&hosts), "h1, h2, h3, h4, h5, h6, h7, h8 and 2 more");
        assert_eq!(named(&hosts[..8]), "h1, h2, h3, h4, h5, h6, h7, h8");
    }
}
