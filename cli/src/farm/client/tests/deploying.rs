use serde_json::{Value, json};

use super::super::deploying::watch;
use super::stub::{Asked, Reply, Stub};
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

fn answer(info: &Value, seq: u64) -> Reply {
    Reply::Json(
        200,
        json!({"deploymentId": info["deploymentId"], "deploymentInfo": info, "lastSeq": seq}),
    )
}

/// A deployment that fails and is taken back by another one, which ends so; the connection breaks once on the way.
fn failing(asked: &Asked, before: usize, back_ends: &str) -> Reply {
    if asked.path.ends_with("/targets") {
        return Reply::Json(200, json!({"deploymentTargets": [], "lastSeq": 1}));
    }
    let is_waiting = asked.path.contains("wait=change");
    match (asked.path.contains("d-A"), is_waiting) {
        (true, false) => answer(&info("d-A", "InProgress"), 7),
        (true, true) if before < 3 => Reply::HangUp,
        (true, true) => {
            let mut failed = info("d-A", "Failed");
            failed["errorInformation"] =
                json!({"code": "HEALTH_CONSTRAINTS", "message": "too few"});
            failed["rollbackInfo"] = json!({"rollbackDeploymentId": "d-B"});
            answer(&failed, 9)
        }
        (false, false) => answer(&info("d-B", "Created"), 11),
        (false, true) => answer(&info("d-B", back_ends), 12),
    }
}

#[tokio::test]
async fn a_deployment_that_was_taken_back_ends_with_a_number_of_its_own() {
    for (back_ends, exit) in [
        ("Succeeded", Exit::RolledBack),
        ("Halted", Exit::BuildFailed),
    ] {
        let stub = Stub::start(move |asked, before| failing(asked, before, back_ends)).await;
        let ended = watch(&stub.farm(), "d-A", Format::Table).await.unwrap();
        assert_eq!(ended, exit, "{back_ends}");
        let asked = stub.asked();
        let waits: Vec<&str> = asked
            .iter()
            .map(|asked| asked.path.as_str())
            .filter(|path| path.contains("wait=change"))
            .collect();
        assert!(waits.len() >= 3, "asked again after the break: {waits:?}");
        assert!(waits[0].contains("seq=7"), "{waits:?}");
        assert!(waits[waits.len() - 1].contains("seq=11"), "{waits:?}");
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
