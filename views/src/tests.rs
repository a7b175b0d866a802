use bytes::Bytes;
use croft_ledger::{Body, Entry, Seq};
use croft_proto::Timestamp;
use serde_json::{Value, json};

pub(crate) use crate::Views;

/// Each kind of event, and what becomes of it.
mod events;
/// Files: chunks, positions, damage.
mod files;
/// Pages, waiting, following.
mod asking;
/// Builds as they are shown.
mod shown;

pub(crate) const ID: &str = "00000000-0000-4000-8000-000000000001";

pub(crate) fn entry(seq: u64, subject: &str, event: Value) -> Entry {
    Entry {
        seq: Seq::new(seq),
        subject: subject.parse().unwrap(),
        at: Timestamp::from_millis(1_700_000_000_000 + seq * 1_000),
        body: Body::Event(Bytes::from(event.to_string())),
    }
}

pub(crate) fn submitted(project: &str, number: u64) -> Value {
    json!({
        "type": "submitted", "project": project, "number": number, "pool": "default", "priority": 2,
        "queuedMsMax": 28_800_000, "attemptsMax": 3,
        "autoRetry": {"autoRetryLimit": 0, "autoRetryNumber": 0}, "initiator": "someone",
        "request": {
            "source": {"type": "NO_SOURCE"}, "sourceVersion": "main",
            "environment": {"type": "LINUX_CONTAINER", "image": "alpine", "computeType": "BUILD_GENERAL1_SMALL"},
            "artifacts": {"type": "NO_ARTIFACTS"}, "timeoutInMinutes": 60
        }
    })
}

/// What a worker leaves of a finished build.
pub(crate) fn finished(status: &str, cases: &[(&str, &str)]) -> Value {
    let cases: Vec<Value> = cases
        .iter()
        .map(|(name, status)| {
            json!({
                "prefix": "p", "testSuiteName": "s", "name": name, "status": status, "message": "",
                "durationInNanoSeconds": 5, "testRawDataPath": "r.xml"
            })
        })
        .collect();
    json!({
        "build": {
            "id": "web:else", "arn": "else", "buildNumber": 1, "projectName": "web", "startTime": 1_700_000_001.0,
            "endTime": 1_700_000_003.5, "currentPhase": "COMPLETED", "buildStatus": status, "buildComplete": true,
            "resolvedSourceVersion": "0123", "initiator": "worker", "timeoutInMinutes": 60, "image": "alpine",
            "phases": [
                {"phaseType": "BUILD", "phaseStatus": status, "startTime": 1_700_000_001.0,
                    "endTime": 1_700_000_003.25, "durationInSeconds": 2, "contexts": [{"statusCode": "", "message": ""}]},
                {"phaseType": "COMPLETED", "startTime": 1_700_000_003.5}
            ],
            "exportedEnvironmentVariables": []
        },
        "summary": {
            "reports": [{"name": "web-r", "type": "TEST", "status": "SUCCEEDED", "files": ["r.xml"], "truncated": false,
                "testCases": cases}],
            "artifacts": [{"location": "/a", "files": 1, "sizeBytes": 1},
                {"artifactIdentifier": "two", "location": "/b", "files": 1, "sizeBytes": 1}],
            "slowestCommands": [], "logPath": "build.log"
        },
        "kept": {"tree": "00"}
    })
}

pub(crate) fn settled(attempt: u32, status: &str, by: &str, build: Option<Value>) -> Value {
    let mut event = json!({"type": "settled", "attempt": attempt, "status": status, "by": by, "at": 1_700_000_009.5});
    match build {
        Some(build) => event["build"] = build,
        None => event["message"] = "why it ended".into(),
    }
    event
}

pub(crate) fn started(attempt: u32) -> Value {
    json!({"type": "attemptStarted", "attempt": attempt, "worker": format!("w{attempt}")})
}

pub(crate) fn lost(attempt: u32) -> Value {
    json!({"type": "attemptLost", "attempt": attempt, "reason": {"why": "unheard", "silentMs": 15_000}})
}

pub(crate) fn stop() -> Value {
    json!({"type": "stopRequested", "by": "someone"})
}

pub(crate) fn applied() -> Value {
    json!({
        "type": "applied",
        "rules": {"pool": "default", "priority": 2, "weight": 10, "concurrency": null,
            "queuedTimeoutInMinutes": 480, "autoRetryLimit": 0, "attemptsMax": 3},
        "project": {"name": "web", "source": {"type": "NO_SOURCE"}}
    })
}

/// The id of a made-up build.
pub(crate) fn id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// A read model with those events, numbered from 1.
pub(crate) fn told(events: &[(String, Value)]) -> Views {
    let views = Views::in_memory().unwrap();
    let entries: Vec<Entry> = numbered(events);
    views.apply(&entries).unwrap();
    views
}

pub(crate) fn numbered(events: &[(String, Value)]) -> Vec<Entry> {
    let each = (1..).zip(events);
    each.map(|(seq, (subject, event))| entry(seq, subject, event.clone()))
        .collect()
}
