//! What happened on a deployment's hosts, in AWS's shapes: all of them as the server has them, one with the times and the words of each event
//! as the ledger has them.

use axum::http::StatusCode;
use croft_deploy::{TARGETS_SHOWN_MAX, target_subject};
use croft_ledger::Entry;
use croft_proto::Timestamp;
use croft_proto::deploy::{Diagnostics, EventStatus, LifecycleEvent, TargetEvent};
use croft_proto::{listed, nearest};
use serde_json::{Value, json};

use super::super::call::{Answer, Call, json as answer_json, short};
use super::super::problem::Problem;
use super::known::{self, Known, all_of};

/// Hosts that are named where another one was asked for: what a person looks through.
const HOSTS_NAMED_MAX: usize = 10;

/// `GET /v1/deployments/{id}/targets`
pub(in super::super) async fn list(mut call: Call) -> Answer {
    let known = *call.deployment()?;
    let targets: Vec<Value> = known.targets.into_iter().map(wrapped).collect();
    let body = json!({
        "deploymentTargets": targets,
        "lastSeq": known.last,
        "waits": known.info.own.waits,
    });
    answer_json(StatusCode::OK, &body)
}

/// `GET /v1/deployments/{id}/targets/{host}`
pub(in super::super) async fn get(mut call: Call) -> Answer {
    let known = *call.deployment()?;
    let host = call.param("host").to_string();
    let ledger = &call.state.farm.ledger;
    let id = &known.info.deployment_id;
    let mut targets = Vec::new();
    let is_shown = |target: &Value| host_of(target) == Some(host.as_str());
    // Of very many not all are at hand.
    let others =
        match known.targets.len() >= TARGETS_SHOWN_MAX && !known.targets.iter().any(is_shown) {
            true => known::of_host(&call.state, id, &host).await?,
            false => Vec::new(),
        };
    // In containers the old side and the new one are on the same host.
    for (side, label) in known.info.own.sides() {
        let of_side = |target: &&Value| {
            target["targetId"] == host.as_str() && target["instanceLabel"].as_str() == label
        };
        let shown = known.targets.iter().chain(&others).find(of_side).cloned();
        let entries = all_of(&**ledger, &target_subject(id, side, &host)?).await?;
        if shown.is_none() && entries.is_empty() {
            continue;
        }
        let mut target = shown.unwrap_or_else(|| {
            let mut target = json!({"deploymentId": id, "targetId": host, "status": "Unknown"});
            if let Some(label) = label {
                target["instanceLabel"] = label.into();
            }
            target
        });
        let events = events(&entries)?;
        if !events.is_empty() {
            target["lifecycleEvents"] = told(&target["lifecycleEvents"], &events);
        }
        targets.push(wrapped(target));
    }
    if targets.is_empty() {
        return Err(no_target(&known, &host));
    }
    answer_json(StatusCode::OK, &json!({"deploymentTargets": targets}))
}

/// That a deployment has no such host, and which ones it has.
pub(super) fn no_target(known: &Known, host: &str) -> Problem {
    let id = &known.info.deployment_id;
    let host = short(host);
    let mut hosts: Vec<&str> = known.targets.iter().filter_map(host_of).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let meant = nearest(&host, &hosts);
    let shown = &hosts[..hosts.len().min(HOSTS_NAMED_MAX)];
    let which = match (meant, hosts.len() - shown.len()) {
        _ if hosts.is_empty() => "it has none".to_string(),
        (Some(meant), _) => format!("did you mean `{meant}`?"),
        (None, 0) => format!("it has {}", listed(shown)),
        (None, _) if hosts.len() >= TARGETS_SHOWN_MAX => {
            format!("it has {}, and very many more", listed(shown))
        }
        (None, more) => format!("it has {}, and {more} more", listed(shown)),
    };
    Problem::new(
        StatusCode::NOT_FOUND,
        "DeploymentTargetDoesNotExistException",
        format!("the deployment `{id}` has no host `{host}`; {which}"),
    )
}

/// The host of a target.
pub(super) fn host_of(target: &Value) -> Option<&str> {
    target["targetId"].as_str()
}

pub(super) fn wrapped(target: Value) -> Value {
    json!({"deploymentTargetType": "InstanceTarget", "instanceTarget": target})
}

/// An event of a target, with all that is recorded of it.
#[derive(Debug)]
struct Told {
    event: LifecycleEvent,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    status: EventStatus,
    diagnostics: Option<Box<Diagnostics>>,
}

/// What the entries of a target tell, event by event.
fn events(entries: &[Entry]) -> Result<Vec<Told>, Problem> {
    let mut told: Vec<Told> = Vec::new();
    for entry in entries {
        let Some(bytes) = entry.event() else {
            continue;
        };
        let event = serde_json::from_slice(bytes).map_err(|error| Problem::internal(&error))?;
        match event {
            TargetEvent::Started { event } => told.push(Told {
                event,
                start: Some(entry.at),
                end: None,
                status: EventStatus::InProgress,
                diagnostics: None,
            }),
            TargetEvent::Ended {
                event,
                status,
                diagnostics,
            } => {
                let last = told.last();
                let start = last
                    .filter(|last| last.event == event && last.end.is_none())
                    .and_then(|last| last.start);
                if start.is_some() {
                    told.pop();
                }
                told.push(Told {
                    event,
                    start,
                    end: Some(entry.at),
                    status,
                    diagnostics,
                });
            }
        }
    }
    Ok(told)
}

/// The recorded events, and the one that is to come as the server has it.
fn told(shown: &Value, events: &[Told]) -> Value {
    let recorded = events.iter().map(|told| {
        let mut event = json!({"lifecycleEventName": told.event, "status": told.status});
        for (field, at) in [("startTime", told.start), ("endTime", told.end)] {
            if let Some(at) = at {
                event[field] = json!(at);
            }
        }
        if let Some(diagnostics) = &told.diagnostics {
            event["diagnostics"] = json!(diagnostics);
        }
        event
    });
    let shown = shown.as_array().map(Vec::as_slice).unwrap_or_default();
    let to_come = shown.iter().skip(events.len()).cloned();
    recorded.chain(to_come).collect()
}
