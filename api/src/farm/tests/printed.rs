//! What hosts print: taken from who has something to run, and given to who follows. A host is played by hand, but signs what it says.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use croft_deploy::Said;
use croft_keys::Signer;
use croft_proto::deploy::{
    Diagnostics, EventStatus, HOST_REVOKED, HostCommand, PrintedUntil, ScriptErrorCode,
};
use serde_json::{Value, json};

use super::agents::{counter, enrol, header_at, invited, run_of};
use super::deployments::{failure, play, play_so, shop, start};
use super::events::{Event, Events};
use super::rig::{Answer, PATIENCE, Rig};

const PATH: &str = "/v1/agent/output";

/// A host of the farm.
struct Printer {
    name: &'static str,
    signer: Signer,
    counter: AtomicU64,
    /// The server that was asked last, with the word of its run.
    run: Mutex<Option<(SocketAddr, String)>>,
}

impl Printer {
    async fn enrolled(rig: &Rig, name: &'static str) -> Self {
        let signer = Signer::of_this_process().unwrap();
        let token = invited(rig, name).await;
        enrol(rig, &token, &signer).await.is(201);
        Self {
            name,
            signer,
            counter: AtomicU64::new(counter(rig)),
            run: Mutex::new(None),
        }
    }

    async fn run(&self, rig: &Rig) -> String {
        let known = self.run.lock().unwrap().clone();
        if let Some((_, run)) = known.filter(|(address, _)| *address == rig.address) {
            return run;
        }
        let run = run_of(rig).await;
        *self.run.lock().unwrap() = Some((rig.address, run.clone()));
        run
    }

    async fn says(&self, rig: &Rig, output: &Value) -> Answer {
        let (body, run) = (output.to_string(), self.run(rig).await);
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        let signed = header_at(PATH, &self.signer, self.name, (counter, &run), &body);
        let headers = [("authorization", signed.as_str())];
        rig.ask("POST", PATH, None, &headers, body).await
    }

    /// The command that it is given for a deployment.
    async fn command(&self, rig: &Rig, id: &str) -> HostCommand {
        loop {
            let commands = rig.farm.deploy.take(self.name, PATIENCE).await;
            let mut commands = commands.into_iter();
            if let Some(command) = commands.find(|command| command.deployment_id.as_str() == id) {
                // It is told again to whoever runs it.
                rig.farm.deploy.fresh(self.name.into()).await.unwrap();
                return command;
            }
        }
    }
}

/// Lines of a command's event, after so many bytes.
fn output(command: &HostCommand, from: u64, lines: &[&str]) -> Value {
    let lines: Vec<_> = lines
        .iter()
        .map(|text| json!({"script": "start.sh", "stream": "stdout", "text": text}))
        .collect();
    json!({
        "deploymentId": command.deployment_id, "generation": command.generation, "event": command.event,
        "begunMs": 1, "from": from, "lines": lines,
    })
}

async fn follow(rig: &Rig, id: &str, query: &str, last: Option<&str>) -> Events {
    Events::at(rig, &format!("/v1/deployments/{id}/output{query}"), last).await
}

/// In short: `a: one, two`, `a misses 3`, `end`.
fn shown(event: &Event) -> String {
    let data = &event.data;
    let host = data["host"].as_str().unwrap_or_default();
    match event.kind.as_str() {
        "output" => {
            let lines = data["lines"].as_array().unwrap().iter();
            let texts: Vec<_> = lines.map(|line| line["text"].as_str().unwrap()).collect();
            format!("{host}: {}", texts.join(", "))
        }
        "missed" => format!("{host} misses {}", data["bytes"]),
        other => other.to_string(),
    }
}

async fn rest(events: Events) -> Vec<String> {
    events.all().await.iter().map(shown).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_host_that_has_something_to_run_is_taken_from() {
    let rig = Rig::start().await;
    let digest = shop(&rig).await;
    let (own, _other) = (
        Printer::enrolled(&rig, "web-1").await,
        Printer::enrolled(&rig, "web-2").await,
    );
    let id = start(&rig, &digest).await;
    let command = own.command(&rig, &id).await;
    let late = Printer::enrolled(&rig, "web-3").await;
    let good = output(&command, 0, &["one"]);
    let taken = own.says(&rig, &good).await.is(200).json();
    assert_eq!(taken, json!({"bytes": 4}));
    let mut stale = good.clone();
    stale["generation"] = json!(command.generation + 1);
    let refused = own.says(&rig, &stale).await.is(409).json();
    assert_eq!(refused["code"], "StaleGenerationException");
    let foreign = late.says(&rig, &good).await.is(403).json();
    let why = foreign["detail"].as_str().unwrap();
    assert!(why.contains("`web-3` is none of the deployment"), "{why}");
    let mut unknown = good.clone();
    unknown["deploymentId"] = json!("d-AAAAAAAAA");
    own.says(&rig, &unknown).await.is(404);
    own.says(&rig, &json!({"lines": []})).await.is(400);
    let long = "x".repeat(70 << 10);
    own.says(&rig, &output(&command, 4, &[&long])).await.is(413);
    let (first, second) = tokio::join!(
        play(&rig, "web-1", &id, None),
        play(&rig, "web-2", &id, None)
    );
    assert_eq!((first, second), ((), ()));
    let over = own.says(&rig, &good).await;
    assert!(matches!(over.status, 404 | 409), "{over:?}");
    rig.send("DELETE", "/v1/hosts/web-1", &json!({}))
        .await
        .is(200);
    let revoked = own.says(&rig, &good).await.is(403).json();
    assert_eq!(revoked["code"], HOST_REVOKED);
    let counted = rig.get("/metrics").await;
    let counted = String::from_utf8_lossy(&counted.body);
    let received = "croft_deployment_output_bytes_total{result=\"received\"} 4";
    assert!(counted.contains(received), "{counted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_prints_too_fast_is_told_to_slow_down_and_no_other() {
    let rig = Rig::with(|settings| settings.printing = (1, 2_000)).await;
    let digest = shop(&rig).await;
    let (loud, quiet) = (
        Printer::enrolled(&rig, "web-1").await,
        Printer::enrolled(&rig, "web-2").await,
    );
    let id = start(&rig, &digest).await;
    let command = loud.command(&rig, &id).await;
    let much = output(&command, 0, &[&"x".repeat(1_500)]);
    loud.says(&rig, &much).await.is(200);
    let refused = loud.says(&rig, &much).await.is(429);
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(refused.json()["code"], "ThrottlingException");
    quiet.says(&rig, &much).await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_sees_lines_while_the_event_runs_and_all_of_them_at_its_end() {
    let rig = Rig::start().await;
    let digest = shop(&rig).await;
    let printer = Printer::enrolled(&rig, "web-1").await;
    let id = start(&rig, &digest).await;
    let command = printer.command(&rig, &id).await;
    let mut followed = follow(&rig, &id, "", None).await;
    let one = output(&command, 0, &["one", "two"]);
    printer.says(&rig, &one).await.is(200);
    let first = followed.next().await.unwrap();
    assert_eq!(shown(&first), "web-1: one, two");
    assert_eq!(first.data["event"], json!(command.event));
    // Its answer was lost: it is said again, and seen once.
    printer.says(&rig, &one).await.is(200);
    let three = output(&command, 8, &["three"]);
    printer.says(&rig, &three).await.is(200);
    // Some was left out by the host, and some is missing.
    let mut last = output(&command, 114, &["last"]);
    last["leftOut"] = json!(60);
    printer.says(&rig, &last).await.is(200);
    play(&rig, "web-1", &id, None).await;
    let wanted = ["web-1: three", "web-1 misses 40", "web-1: last", "end"];
    assert_eq!(rest(followed).await, wanted);
    // Who comes later has what is kept, and who comes back what it has not had.
    let all = [&["web-1: one, two"][..], &wanted[..]].concat();
    assert_eq!(rest(follow(&rig, &id, "", None).await).await, all);
    let back = follow(&rig, &id, "", first.id.as_deref()).await;
    assert_eq!(rest(back).await, wanted);
    let bad = format!("/v1/deployments/{id}/output");
    let headers = [("last-event-id", "7")];
    let refused = rig.ask("GET", &bad, Some(&rig.admin), &headers, "");
    refused.await.is(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_server_is_followed_has_what_all_hosts_print_or_one_of_them() {
    let mut rig = Rig::start().await;
    let digest = shop(&rig).await;
    let (one, two) = (
        Printer::enrolled(&rig, "web-1").await,
        Printer::enrolled(&rig, "web-2").await,
    );
    let id = start(&rig, &digest).await;
    let command = one.command(&rig, &id).await;
    one.says(&rig, &output(&command, 0, &["1"])).await.is(200);
    // Another server's front.
    rig.farm.registry = prometheus::Registry::new();
    rig.farm.settings.server = "s2".into();
    rig.serve().await;
    let mut all = follow(&rig, &id, "", None).await;
    assert_eq!(shown(&all.next().await.unwrap()), "web-1: 1");
    two.says(&rig, &output(&command, 0, &["2"])).await.is(200);
    assert_eq!(shown(&all.next().await.unwrap()), "web-2: 2");
    // What is kept now, of a deployment that goes on.
    let now = follow(&rig, &id, "?follow=false&host=web-2", None).await;
    assert_eq!(rest(now).await, ["web-2: 2", "end"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_lines_that_the_farm_has_not_are_said_to_be_missing_until_they_come() {
    let rig = Rig::start().await;
    let digest = shop(&rig).await;
    let printer = Printer::enrolled(&rig, "web-1").await;
    let id = start(&rig, &digest).await;
    let command = printer.command(&rig, &id).await;
    let followed = follow(&rig, &id, "", None).await;
    printer
        .says(&rig, &output(&command, 0, &["one"]))
        .await
        .is(200);
    // Its event ends before the farm has the rest of it.
    let until = PrintedUntil {
        begun_ms: 1,
        bytes: 13,
    };
    let ended = Diagnostics {
        error_code: ScriptErrorCode::Success,
        printed: Some(until),
        ..failure()
    };
    play_so(&rig, "web-1", &id, |_| {
        Said::Ended(EventStatus::Succeeded, Some(Box::new(ended.clone())))
    })
    .await;
    let wanted = ["web-1: one", "web-1 misses 9", "end"];
    assert_eq!(rest(followed).await, wanted);
    assert_eq!(
        rest(follow(&rig, &id, "?follow=false", None).await).await,
        wanted
    );
    let too_much = output(&command, 4, &["and what", "was never announced"]);
    assert!(matches!(
        printer.says(&rig, &too_much).await.status,
        404 | 409
    ));
    printer
        .says(&rig, &output(&command, 4, &["and more"]))
        .await
        .is(200);
    let whole = ["web-1: one", "web-1: and more", "end"];
    assert_eq!(rest(follow(&rig, &id, "", None).await).await, whole);
    let counted = rig.get("/metrics").await;
    let counted = String::from_utf8_lossy(&counted.body);
    for (result, bytes) in [("received", 13), ("refused", 29), ("left_out", 0)] {
        let line = format!("croft_deployment_output_bytes_total{{result=\"{result}\"}} {bytes}\n");
        assert!(counted.contains(&line), "{line}: {counted}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_none_of_the_deployments_is_answered_with_those_that_are() {
    let rig = Rig::start().await;
    let digest = shop(&rig).await;
    let one = Printer::enrolled(&rig, "web-1").await;
    let _two = Printer::enrolled(&rig, "web-2").await;
    let id = start(&rig, &digest).await;
    one.command(&rig, &id).await;
    for (host, why) in [
        ("nope", "has no host `nope`; it has `web-1` and `web-2`"),
        ("web-l", "has no host `web-l`; did you mean `web-1`?"),
    ] {
        for path in [
            format!("/v1/deployments/{id}/output?host={host}"),
            format!("/v1/deployments/{id}/output?host={host}&follow=false"),
            format!("/v1/deployments/{id}/targets/{host}"),
        ] {
            let refused = rig.get(&path).await.is(404).json();
            assert_eq!(refused["code"], "DeploymentTargetDoesNotExistException");
            let said = refused["detail"].as_str().unwrap();
            assert!(said.ends_with(why), "{path}: {said}");
        }
    }
}

/// Who reads nothing holds up neither the host nor others, and is told what it has missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_does_not_read_is_told_what_it_missed() {
    const BYTES: usize = 50_000;
    let rig = Rig::with(|settings| settings.printing = (u32::MAX, u32::MAX)).await;
    let digest = shop(&rig).await;
    let printer = Printer::enrolled(&rig, "web-1").await;
    let id = start(&rig, &digest).await;
    let command = printer.command(&rig, &id).await;
    let mut slow = follow(&rig, &id, "", None).await;
    let text = "x".repeat(BYTES - 1);
    // More than is kept of a host, on the bus and in sockets on the way.
    let count = 600;
    for number in 0..count {
        let output = output(&command, number * BYTES as u64, &[&text]);
        printer.says(&rig, &output).await.is(200);
    }
    play(&rig, "web-1", &id, None).await;
    let (mut seen, mut missed) = (0, 0);
    while let Some(event) = tokio::time::timeout(Duration::from_secs(60), slow.next())
        .await
        .unwrap()
    {
        match event.kind.as_str() {
            "output" => seen += BYTES as u64,
            "missed" => missed += event.data["bytes"].as_u64().unwrap(),
            _ => {}
        }
    }
    assert!(missed > 0, "{seen}");
    assert_eq!(seen + missed, count * BYTES as u64);
}
