use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::super::deploying::watch;
use super::stub::{Asked, Reply, Stub, Then};
use crate::args::Format;
use crate::exit::Exit;

fn info(id: &str, status: &str) -> Value {
    let mut info = json!({
        "deploymentId": id, "status": status, "x-croft": {},
        "deploymentOverview": {"Succeeded": 0, "Failed": 1, "Skipped": 0},
    });
    if !matches!(status, "InProgress" | "Created") {
        info["completeTime"] = json!(1.0);
    }
    info
}

/// How a deployment is, at that place of the ledger.
fn state(info: &Value, seq: u64) -> String {
    let state = json!({"deploymentInfo": info});
    format!("event: state\nid: {seq}\ndata: {state}\n\n")
}

const END: &str = "event: end\ndata: {}\n\n";

/// What a host of a deployment prints; of an older server nothing can be asked.
fn printed(asked: &Asked) -> Reply {
    if !asked.path.contains("d-A") {
        return Reply::Json(
            404,
            json!({"status": 404, "detail": "there is nothing here"}),
        );
    }
    let printed = json!({"host": "h1", "deploymentId": "d-AAAAAAAAA", "generation": 1, "event": "ApplicationStart",
        "begunMs": 1, "from": 0, "lines": [{"stream": "stdout", "text": "up"}]});
    let printed = format!("id: 1.2\nevent: output\ndata: {printed}\n\n");
    Reply::Stream(vec![printed, END.to_string()], Then::End)
}

/// A deployment that fails and is taken back by another one, which ends so; the connection breaks on the way.
fn failing(asked: &Asked, before: &AtomicUsize, back_ends: &str) -> Reply {
    if asked.path.ends_with("/output") {
        return printed(asked);
    }
    let before = before.fetch_add(1, Ordering::Relaxed);
    let stream = |pieces: Vec<String>, then| Reply::Stream(pieces, then);
    match (asked.path.contains("d-A"), before) {
        (true, 0) => stream(vec![state(&info("d-A", "InProgress"), 7)], Then::Cut),
        (true, 1) => Reply::HangUp,
        (true, _) => {
            let mut failed = info("d-A", "Failed");
            failed["errorInformation"] =
                json!({"code": "HEALTH_CONSTRAINTS", "message": "too few"});
            failed["rollbackInfo"] = json!({"rollbackDeploymentId": "d-B"});
            stream(vec![state(&failed, 9), END.to_string()], Then::Stay)
        }
        (false, _) => {
            let begun = state(&info("d-B", "Created"), 11);
            let over = state(&info("d-B", back_ends), 12) + END;
            stream(vec![begun, over], Then::End)
        }
    }
}

#[tokio::test]
async fn a_deployment_that_was_taken_back_ends_with_a_number_of_its_own() {
    for (back_ends, exit) in [
        ("Succeeded", Exit::RolledBack),
        ("Halted", Exit::BuildFailed),
    ] {
        let before = AtomicUsize::new(0);
        let stub = Stub::start(move |asked, _| failing(asked, &before, back_ends)).await;
        let ended = watch(&stub.farm(), "d-A", Format::Table).await.unwrap();
        assert_eq!(ended, exit, "{back_ends}");
        let asked = stub.asked();
        let (events, printed): (Vec<_>, Vec<_>) = asked
            .iter()
            .partition(|asked| asked.path.ends_with("/events"));
        let places: Vec<_> = events
            .iter()
            .map(|asked| asked.header("last-event-id"))
            .collect();
        assert_eq!(places, [None, Some("7"), Some("7"), None]);
        let paths: Vec<_> = printed.iter().map(|asked| asked.path.as_str()).collect();
        let of = |id| format!("/v1/deployments/{id}/output");
        assert_eq!(paths, [of("d-A"), of("d-B")]);
        stub.stop().await;
    }
}

#[tokio::test]
async fn a_deployment_that_there_is_not_is_no_success() {
    let stub = Stub::start(|_, _| {
        let problem = json!({"status": 404, "detail": "there is no deployment `d-X`",
            "code": "DeploymentDoesNotExistException"});
        Reply::Json(404, problem)
    })
    .await;
    let said = watch(&stub.farm(), "d-X", Format::Ndjson).await;
    let said = said.unwrap_err().to_string();
    assert_eq!(said, "there is no deployment `d-X`");
    stub.stop().await;
}
