//! A build in the shape of AWS's `Build`. Received as a row; shown by the API, in lists and alone.

use croft_proto::farm::SettledBy;
use croft_proto::{BuildPhase, PhaseContext, PhaseType, Status, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{BuildRow, Settlement, Stage, arn};

pub(super) fn of(row: &BuildRow) -> Value {
    let settled = row.settled.as_ref();
    let finished = settled.and_then(|settled| settled.build.as_ref());
    let mut build = match finished.and_then(|finished| finished.get("build")?.as_object()) {
        Some(build) => build.clone(),
        None => told(row),
    };
    build.insert("id".into(), row.full_id().into());
    build.insert("arn".into(), row.arn().into());
    build.insert("buildNumber".into(), row.number.into());
    build.insert("projectName".into(), row.project.clone().into());
    build.insert("initiator".into(), row.initiator.clone().into());
    build.insert("buildStatus".into(), row.stage.status().name().into());
    build.insert("buildComplete".into(), row.stage.is_over().into());
    asked(row, &mut build);
    if let Some(finished) = finished {
        artifacts(finished, &mut build);
    }
    build.insert("autoRetryConfig".into(), auto_retry(row));
    build.insert("x-croft".into(), ours(row));
    Value::Object(build)
}

/// What the ledger knows of a build that no worker ran to its end.
fn told(row: &BuildRow) -> Map<String, Value> {
    let mut build = Map::new();
    let phases = phases(row);
    let current = phases
        .last()
        .map_or(PhaseType::Queued, |last| last.phase_type);
    build.insert("startTime".into(), value(row.submitted_at));
    if let Some(settled) = &row.settled {
        build.insert("endTime".into(), value(settled.at));
    }
    build.insert("currentPhase".into(), current.name().into());
    build.insert("phases".into(), value(phases));
    build.insert("exportedEnvironmentVariables".into(), json!([]));
    build
}

fn phases(row: &BuildRow) -> Vec<BuildPhase> {
    let mut phases = vec![over(
        PhaseType::Submitted,
        row.submitted_at,
        row.submitted_at,
        Status::Succeeded,
        "",
    )];
    let ran = match row.stage {
        Stage::Waiting => None,
        Stage::Running | Stage::Stopping => row.current_attempt(),
        // The first: what came after it was in vain, too.
        Stage::Over(_) => row.attempts.first(),
    };
    let Some(attempt) = ran else {
        phases.extend(ended(row, PhaseType::Queued, row.submitted_at));
        return phases;
    };
    let claimed = attempt.started_at;
    phases.push(over(
        PhaseType::Queued,
        row.submitted_at,
        claimed,
        Status::Succeeded,
        "",
    ));
    phases.extend(ended(row, PhaseType::Provisioning, claimed));
    phases
}

/// The phase it is in or ended in, and what follows when it is over.
fn ended(row: &BuildRow, phase: PhaseType, start: Timestamp) -> Vec<BuildPhase> {
    let Some(settled) = &row.settled else {
        return vec![running(phase, start)];
    };
    let message = settled.message.as_deref().unwrap_or_default();
    vec![
        over(phase, start, settled.at, settled.status, message),
        running(PhaseType::Completed, settled.at),
    ]
}

fn running(phase_type: PhaseType, start_time: Timestamp) -> BuildPhase {
    BuildPhase {
        phase_type,
        phase_status: None,
        start_time,
        end_time: None,
        duration_in_seconds: None,
        contexts: Vec::new(),
    }
}

fn over(
    phase_type: PhaseType,
    start_time: Timestamp,
    end_time: Timestamp,
    status: Status,
    message: &str,
) -> BuildPhase {
    BuildPhase {
        phase_status: Some(status),
        end_time: Some(end_time),
        duration_in_seconds: Some(end_time.millis_since(start_time) / 1000),
        contexts: vec![PhaseContext {
            status_code: String::new(),
            message: message.into(),
        }],
        ..running(phase_type, start_time)
    }
}

/// What was asked for, where the worker has not said what became of it.
fn asked(row: &BuildRow, build: &mut Map<String, Value>) {
    for name in [
        "source",
        "sourceVersion",
        "secondarySources",
        "secondarySourceVersions",
        "environment",
        "timeoutInMinutes",
    ] {
        if let Some(asked) = row.request.get(name)
            && !build.contains_key(name)
        {
            build.insert(name.into(), asked.clone());
        }
    }
    if let Some(image) = row.request.pointer("/environment/image") {
        build.entry("image").or_insert_with(|| image.clone());
    }
    let minutes = row.queued_ms_max / 60_000;
    build.insert("queuedTimeoutInMinutes".into(), minutes.into());
}

/// What was stored, as AWS's `BuildArtifacts`: the primary one, and the others.
fn artifacts(finished: &Value, build: &mut Map<String, Value>) {
    let stored = finished.pointer("/summary/artifacts");
    let stored = stored.and_then(Value::as_array).into_iter().flatten();
    let mut secondary = Vec::new();
    for artifact in stored {
        let location = artifact.get("location").cloned().unwrap_or_default();
        match artifact.get("artifactIdentifier") {
            None => {
                build.insert("artifacts".into(), json!({ "location": location }));
            }
            Some(identifier) => {
                secondary.push(json!({ "location": location, "artifactIdentifier": identifier }))
            }
        }
    }
    if !secondary.is_empty() {
        build.insert("secondaryArtifacts".into(), secondary.into());
    }
}

fn auto_retry(row: &BuildRow) -> Value {
    let retry = row.auto_retry;
    let mut config = json!({
        "autoRetryLimit": retry.auto_retry_limit,
        "autoRetryNumber": retry.auto_retry_number,
    });
    if let (Some(previous), Some(config)) = (retry.previous_auto_retry, config.as_object_mut()) {
        let previous = arn(&row.project, previous);
        config.insert("previousAutoRetry".into(), previous.into());
    }
    config
}

fn ours(row: &BuildRow) -> Value {
    let mut ours = json!({
        "pool": row.pool,
        "priority": row.priority,
        "attempts": row.attempts.len(),
        "attemptsMax": row.attempts_max,
        "queuedAt": row.queued_at(),
        "submittedAt": row.submitted_at,
        "submittedSeq": row.submitted,
        "lastSeq": row.last,
        "stage": row.stage.word(),
    });
    let mut say = |name: &str, value: Value| {
        if let Some(ours) = ours.as_object_mut() {
            ours.insert(name.into(), value);
        }
    };
    if let Some(attempt) = row.current_attempt() {
        say("worker", attempt.worker.clone().into());
        say("startedAt", value(attempt.started_at));
    }
    if let Some(stop) = &row.stop_requested {
        say("stopRequestedBy", stop.by.clone().into());
    }
    if let Some(retry_of) = row.request.get("retryOf") {
        say("retryOf", retry_of.clone());
    }
    if let Some(Settlement {
        by, message, build, ..
    }) = &row.settled
    {
        say("settledBy", word(*by).into());
        if let Some(message) = message {
            say("message", message.clone().into());
        }
        if let Some(kept) = build.as_ref().and_then(|build| build.get("kept")) {
            say("kept", kept.clone());
        }
    }
    ours
}

fn word(by: SettledBy) -> &'static str {
    match by {
        SettledBy::Worker => "worker",
        SettledBy::Stop => "stop",
        SettledBy::QueueTimeout => "queueTimeout",
        SettledBy::Quarantine => "quarantine",
    }
}

fn value(what: impl Serialize) -> Value {
    serde_json::to_value(what).expect("plain structures can always be JSON")
}
