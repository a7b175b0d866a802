//! How fast a server's read model is made from a ledger: submissions, claims and outcomes of many builds, two thirds of which are over.

use std::time::{Duration, Instant};

use bytes::Bytes;
use croft_ledger::{Body, Entry, Seq, Subject};
use croft_proto::Timestamp;
use croft_proto::farm::BuildId;
use croft_views::{PIECE_BYTES, Views};
use serde_json::json;

use crate::sample::{Verdict, median};

const BUILDS: u64 = 60_000;
const AT_ONCE: u64 = 100;
const ROUNDS: usize = 5;
/// For each event: 100,000 a second.
const MICROSECONDS_MAX: f64 = 10.0;

pub(crate) fn run() -> Result<Vec<Verdict>, String> {
    let entries = history()?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.push(folded(&entries)?);
    }
    let micros = median(times).as_secs_f64() * 1e6 / entries.len() as f64;
    Ok(vec![Verdict::limit(
        "an event folded into the read model",
        micros,
        MICROSECONDS_MAX,
        "us",
    )])
}

/// How long it takes to make a new read model of them.
fn folded(entries: &[Entry]) -> Result<Duration, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let views = Views::open(&folder.path().join("views.db")).map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let mut rest = entries;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(piece(rest));
        views.apply(piece).map_err(|error| error.to_string())?;
        rest = behind;
    }
    Ok(begun.elapsed())
}

/// How many of them a server that catches up folds at once.
fn piece(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fits = entries.iter().take_while(|entry| {
        let is_there = bytes < PIECE_BYTES;
        bytes += croft_views::bytes_of(entry);
        is_there
    });
    fits.count()
}

fn history() -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for first in (0..BUILDS).step_by(100) {
        let batch = first..first + AT_ONCE;
        for number in batch.clone() {
            push(&mut entries, number, &submitted(number))?;
        }
        for number in batch.clone() {
            push(
                &mut entries,
                number,
                &json!({"type": "attemptStarted", "attempt": 1, "worker": "w1"}),
            )?;
        }
        for number in batch.filter(|number| number % 3 != 0) {
            push(&mut entries, number, &settled(number))?;
        }
    }
    Ok(entries)
}

fn push(entries: &mut Vec<Entry>, number: u64, event: &serde_json::Value) -> Result<(), String> {
    let seq = entries.len() as u64 + 1;
    let id = BuildId::derived(u128::from(number).to_be_bytes());
    entries.push(Entry {
        seq: Seq::new(seq),
        subject: Subject::of("build", &id.to_string()).map_err(|error| error.to_string())?,
        at: Timestamp::from_millis(1_800_000_000_000 + seq),
        body: Body::Event(Bytes::from(event.to_string())),
    });
    Ok(())
}

fn submitted(number: u64) -> serde_json::Value {
    json!({
        "type": "submitted", "project": format!("project-{}", number % 100), "number": number / 100 + 1,
        "pool": "default", "priority": 2, "queuedMsMax": 28_800_000, "attemptsMax": 3,
        "autoRetry": {"autoRetryLimit": 0, "autoRetryNumber": 0}, "initiator": "bench",
        "request": {
            "source": {"type": "NO_SOURCE", "buildspec": "phases: build: commands: - make\n".repeat(32)},
            "environment": {"image": "sandbox"}, "artifacts": {}, "timeoutInMinutes": 60,
        },
    })
}

fn settled(number: u64) -> serde_json::Value {
    let now = 1_800_000_000.5;
    let phase = |name: &str| {
        json!({"phaseType": name, "phaseStatus": "SUCCEEDED", "startTime": now, "endTime": now,
        "durationInSeconds": 0, "contexts": [{"statusCode": "", "message": "exit status 0. ".repeat(10)}]})
    };
    let phases: Vec<_> = [
        "SUBMITTED",
        "QUEUED",
        "PROVISIONING",
        "DOWNLOAD_SOURCE",
        "INSTALL",
        "PRE_BUILD",
        "BUILD",
        "POST_BUILD",
        "UPLOAD_ARTIFACTS",
        "FINALIZING",
    ]
    .into_iter()
    .map(phase)
    .collect();
    json!({
        "type": "settled", "attempt": 1, "status": "SUCCEEDED", "by": "worker", "at": now,
        "build": {
            "build": {
                "id": format!("project-{}:x", number % 100), "arn": "arn:aws:codebuild:us-east-1:000000000000:build/x",
                "buildNumber": 1, "projectName": "x", "startTime": now, "endTime": now, "currentPhase": "COMPLETED",
                "buildStatus": "SUCCEEDED", "buildComplete": true, "phases": phases,
                "exportedEnvironmentVariables": [], "initiator": "bench", "timeoutInMinutes": 60, "image": "sandbox",
            },
            "summary": {"reports": [], "artifacts": [], "slowestCommands": [], "logPath": "/x"},
            "kept": {"tree": "ab".repeat(32)},
        },
    })
}
