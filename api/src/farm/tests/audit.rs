//! What is put on record, and that it shows tampering.

use std::sync::Arc;

use axum::http::StatusCode;
use croft_keys::audit::{AuditAct, AuditEntry};
use croft_ledger::{Append, Expected, Seq, Subject};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::limits::REFUSALS_WINDOW;
use super::super::metrics::Metrics;
use super::super::refusals::keep_noted;
use super::super::state::State;
use super::rig::{PATIENCE, Rig};

fn entries(page: &Value) -> Vec<(String, String, String)> {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_string();
    let all = page["entries"].as_array().unwrap().iter();
    all.map(|entry| {
        (
            text(entry, "action"),
            text(entry, "target"),
            text(entry, "outcome"),
        )
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_on_record_granted_or_refused_and_the_chain_goes_on_after_a_restart() {
    let mut rig = Rig::start().await;
    rig.project("web").await;
    let (_, viewer) = rig.token("viewer", &[]).await;
    let start = json!({"projectName": "web"}).to_string();
    rig.ask("POST", "/v1/builds", Some(&viewer), &[], start.clone())
        .await
        .is(403);
    rig.ask("POST", "/v1/builds", None, &[], start)
        .await
        .is(401);
    let named = [("x-request-id", "mine-1")];
    let drained = rig
        .ask("POST", "/v1/workers/w1/drain", Some(&rig.admin), &named, "")
        .await
        .is(200);
    assert_eq!(drained.headers["x-request-id"], "mine-1");
    let page = rig.get("/v1/audit").await.is(200).json();
    assert_eq!(page["entries"][0]["requestId"], "mine-1");
    let noted = entries(&page);
    let row = |action: &str, target: &str, outcome: &str| {
        (action.to_string(), target.to_string(), outcome.to_string())
    };
    assert_eq!(noted[0], row("DrainWorker", "name.w1", "ok"));
    assert_eq!(
        noted[1],
        row("StartBuild", "", "UnrecognizedClientException")
    );
    assert_eq!(noted[2].2, "AccessDeniedException");
    assert_eq!(noted[3].0, "CreateToken");
    assert_eq!(noted[4], row("PutProject", "name.web", "ok"));
    assert_eq!(noted.len(), 5, "reads are not on record");
    // The same server once more.
    rig.farm.registry = prometheus::Registry::new();
    rig.stop.send(true).unwrap();
    while rig.tasks.join_next().await.is_some() {}
    rig.stop.send_replace(false);
    let (ledger, views, stopped) = (
        Arc::clone(&rig.farm.ledger),
        rig.farm.views.clone(),
        rig.stop.subscribe(),
    );
    rig.tasks
        .spawn(async move { croft_views::follow(ledger, views, stopped).await.unwrap() });
    rig.serve().await;
    rig.send("POST", "/v1/workers/w1/resume", &json!({}))
        .await
        .is(200);
    let checked = rig.get_all("/v1/audit?verify=true").await.is(200).json();
    assert_eq!(
        (&checked["verified"], &checked["entries"]),
        (&json!(true), &json!(6)),
        "{checked}"
    );
    let first = rig.get("/v1/audit?limit=2").await.is(200).json();
    let cursor = first["nextToken"].as_str().unwrap();
    let second = rig
        .get(&format!("/v1/audit?limit=2&cursor={cursor}"))
        .await
        .is(200)
        .json();
    assert_eq!(second["entries"][0]["number"], 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_without_end_are_two_entries_and_asking_too_often_is_one() {
    let mut rig = Rig::with(|settings| settings.pace = (1, 30)).await;
    rig.project("web").await;
    let (_, viewer) = rig.token("viewer", &[]).await;
    let start = json!({"projectName": "web"}).to_string();
    let (mut forbidden, mut throttled) = (0, 0);
    for _ in 0..100 {
        let answer = rig.ask("POST", "/v1/builds", Some(&viewer), &[], start.clone());
        match answer.await.status {
            403 => forbidden += 1,
            429 => throttled += 1,
            other => panic!("{other}"),
        }
    }
    let subject = Subject::of("audit", "s1").unwrap();
    let outcomes = async |rig: &Rig| -> Vec<String> {
        let there = rig
            .farm
            .ledger
            .read_subject(&subject, Seq::ZERO, 1000)
            .await
            .unwrap();
        let events = there.iter().filter_map(croft_ledger::Entry::event);
        let events = events.map(|event| serde_json::from_slice::<Value>(event).unwrap());
        let refused = events.filter(|event| event["entry"]["action"] == "StartBuild");
        refused
            .map(|event| event["entry"]["outcome"].as_str().unwrap().to_string())
            .collect()
    };
    assert_eq!(outcomes(&rig).await, ["AccessDeniedException"]);
    rig.stop.send(true).unwrap();
    while rig.tasks.join_next().await.is_some() {}
    let mut noted = outcomes(&rig).await;
    noted[1..].sort();
    let more = [
        "AccessDeniedException".to_string(),
        format!("AccessDeniedException ({} times)", forbidden - 1),
        format!("ThrottlingException ({throttled} times)"),
    ];
    assert_eq!(noted, more);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_no_server_chained_is_found() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let page = rig.get("/v1/audit").await.json();
    let mut forged: AuditEntry = serde_json::from_value(page["entries"][0].clone()).unwrap();
    forged.number += 1;
    forged.actor = "somebody else".into();
    let subject = Subject::of("audit", "s1").unwrap();
    let there = rig
        .farm
        .ledger
        .read_subject(&subject, Seq::ZERO, 10)
        .await
        .unwrap();
    let event = json!({"type": "noted", "entry": forged}).to_string();
    let append = Append {
        subject,
        expected: Expected::Last(there.last().unwrap().seq),
        event: event.into(),
    };
    let seq = rig
        .farm
        .ledger
        .append(vec![append])
        .await
        .unwrap()
        .last
        .to_string();
    let headers = [("croft-seq", seq.as_str())];
    let checked = rig.ask(
        "GET",
        "/v1/audit?verify=true",
        Some(&rig.admin),
        &headers,
        "",
    );
    let checked = checked.await.is(200).json();
    assert_eq!(checked["verified"], false, "{checked}");
    assert!(
        checked["detail"].as_str().unwrap().contains("entry 2"),
        "{checked}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_takes_no_refusals_that_nobody_would_note() {
    let rig = Rig::start().await;
    let mut farm = rig.farm.clone();
    farm.registry = prometheus::Registry::new();
    let metrics = Metrics::new(&farm.registry).unwrap();
    let (notes, _noted) = mpsc::channel(1);
    let state = Arc::new(State::new(farm, metrics, notes));
    let act = AuditAct {
        at_ms: 1,
        request_id: "r".into(),
        actor: "a".into(),
        role: "viewer".into(),
        action: "StartBuild".into(),
        target: "x".into(),
        outcome: "ThrottlingException".into(),
    };
    let ended_long_ago = Instant::now().checked_sub(2 * REFUSALS_WINDOW).unwrap();
    let status = StatusCode::TOO_MANY_REQUESTS;
    assert_eq!(state.refusals.took(act, status, ended_long_ago), None);
    state.draining.cancel();
    tokio::time::timeout(PATIENCE, keep_noted(Arc::clone(&state)))
        .await
        .unwrap();
    assert_eq!(state.refusals.rest().len(), 1);
}
