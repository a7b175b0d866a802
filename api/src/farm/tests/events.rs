//! What happens in a build: in order, resumed, replayed, ended.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

use super::super::replay::ARCHIVED;
use super::rig::{PATIENCE, Rig};

/// A stream of events, read one by one.
pub(super) struct Events {
    body: Incoming,
    text: String,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) id: Option<String>,
    pub(super) kind: String,
    pub(super) data: Value,
}

impl Events {
    pub(super) async fn of(rig: &Rig, id: &str, last: Option<&str>) -> Self {
        Self::at(rig, &format!("/v1/builds/{id}/events"), last).await
    }

    pub(super) async fn at(rig: &Rig, path: &str, last: Option<&str>) -> Self {
        let headers: Vec<(&str, &str)> = last
            .map(|last| ("last-event-id", last))
            .into_iter()
            .collect();
        let response = rig.open("GET", path, Some(&rig.admin), &headers, "").await;
        assert_eq!(response.status(), 200);
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// The next block up to an empty line; none at the end of the stream.
    pub(super) async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_string();
                self.text = rest.to_string();
                return Some(block);
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame())
                .await
                .unwrap()?;
            let bytes = frame.unwrap().into_data().unwrap();
            self.text.push_str(str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next event.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            if block.starts_with(':') {
                continue;
            }
            let field = |name: &str| {
                let mut lines = block.lines();
                lines
                    .find_map(|line| line.strip_prefix(name))
                    .map(str::to_string)
            };
            return Some(Event {
                id: field("id: "),
                kind: field("event: ").unwrap(),
                data: serde_json::from_str(&field("data: ").unwrap()).unwrap(),
            });
        }
    }

    pub(super) async fn all(mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

pub(super) fn line(seq: u64) -> String {
    format!(
        "{{\"seq\":{seq},\"time\":1.5,\"type\":\"output\",\"phase\":\"BUILD\",\"text\":\"line {seq}\\n\"}}\n"
    )
}

pub(super) fn seqs(events: &[Event]) -> Vec<u64> {
    let builds = events.iter().filter(|event| event.kind == "build");
    builds
        .map(|event| event.data["seq"].as_u64().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_sees_the_build_from_waiting_to_its_end() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let (id, build) = rig.build("web").await;
    let mut events = Events::of(&rig, &id, None).await;
    let first = events.next().await.unwrap();
    assert_eq!(
        (first.kind.as_str(), &first.data["status"]),
        ("state", &Value::from("QUEUED"))
    );
    rig.claim(build, 1).await;
    let claimed = events.next().await.unwrap();
    assert_eq!(claimed.data["status"], "IN_PROGRESS");
    assert_eq!(claimed.data["build"]["x-croft"]["worker"], "w1");
    rig.put(build, 1, 0, &format!("{}{}", line(1), line(2)))
        .await;
    let attempt = events.next().await.unwrap();
    assert_eq!(
        (attempt.kind.as_str(), &attempt.data["attempt"]),
        ("attempt", &Value::from(1))
    );
    let one = events.next().await.unwrap();
    assert_eq!((one.id, &one.data["seq"]), (None, &Value::from(1)));
    let two = events.next().await.unwrap();
    assert_eq!(
        (two.id.as_deref(), &two.data["seq"]),
        (Some("1.0.2"), &Value::from(2))
    );
    rig.put(build, 1, 1, &line(3)).await;
    assert_eq!(events.next().await.unwrap().id.as_deref(), Some("1.1.3"));
    rig.end(build, 1, 2).await;
    rig.settle(build, &id, None).await;
    let rest = events.all().await;
    let kinds: Vec<&str> = rest.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["state", "end"]);
    assert_eq!(rest[1].data["build"]["buildStatus"], "SUCCEEDED");
    assert_eq!(rest[1].data["summary"]["reports"][0]["name"], "r");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_goes_on_after_what_it_has() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let (id, build) = rig.build("web").await;
    rig.claim(build, 1).await;
    for chunk in 0..5 {
        rig.put(build, 1, chunk, &line(chunk + 1)).await;
    }
    rig.end(build, 1, 5).await;
    let following = Events::of(&rig, &id, Some("1.2")).await;
    rig.settle(build, &id, None).await;
    let all = following.all().await;
    assert_eq!(seqs(&all), [4, 5]);
    assert_eq!(all.last().unwrap().kind, "end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_attempt_takes_over() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let (id, build) = rig.build("web").await;
    rig.claim(build, 1).await;
    rig.put(build, 1, 0, &line(1)).await;
    let mut events = Events::of(&rig, &id, None).await;
    while events.next().await.unwrap().kind != "build" {}
    let lost = croft_proto::farm::BuildEvent::AttemptLost {
        attempt: 1,
        reason: croft_proto::farm::LossReason::Unheard { silent_ms: 20_000 },
    };
    rig.append(build, &lost).await;
    rig.claim(build, 2).await;
    rig.put(build, 2, 0, &line(1)).await;
    let attempt = loop {
        let event = events.next().await.unwrap();
        if event.kind == "attempt" {
            break event;
        }
        assert_eq!(event.kind, "state");
    };
    assert_eq!(attempt.data["attempt"], 2);
    assert_eq!(events.next().await.unwrap().id.as_deref(), Some("2.0.1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_in_a_build_that_is_over_is_replayed() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let (id, build) = rig.build("web").await;
    rig.claim(build, 1).await;
    let text: String = (1..=3000).map(line).collect();
    let tree = rig.keep(&[("events.ndjson", text.as_bytes())]);
    rig.settle(build, &id, Some(tree)).await;
    rig.get(&format!("/v1/builds/{id}?wait=complete&timeout=50"))
        .await
        .is(200);
    let all = Events::of(&rig, &id, None).await.all().await;
    let expected: Vec<u64> = (1..=3000).collect();
    assert_eq!(seqs(&all), expected);
    let kinds: Vec<&str> = all.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds[..2], ["state", "attempt"]);
    assert_eq!(kinds.last(), Some(&"end"));
    let last = format!("1.{}", ARCHIVED + 2990);
    let rest = Events::of(&rig, &id, Some(&last)).await.all().await;
    assert_eq!(seqs(&rest), (2991..=3000).collect::<Vec<u64>>());
    // Who followed live goes on where that broke off.
    let live = Events::of(&rig, &id, Some("1.2.2345")).await.all().await;
    assert_eq!(seqs(&live), (2346..=3000).collect::<Vec<u64>>());
    // Of another attempt's output, or without a number, it has all of it.
    let other = Events::of(&rig, &id, Some("2.2.2345")).await.all().await;
    assert_eq!(seqs(&other), expected);
    let live = Events::of(&rig, &id, Some("1.2")).await.all().await;
    assert_eq!(seqs(&live), expected);
    let wrong = [("last-event-id", "x")];
    let path = format!("/v1/builds/{id}/events");
    rig.ask("GET", &path, Some(&rig.admin), &wrong, "")
        .await
        .is(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_never_ran_has_an_end_all_the_same() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let (id, _) = rig.build("web").await;
    let following = Events::of(&rig, &id, None).await;
    rig.send(
        "POST",
        &format!("/v1/builds/{id}/stop"),
        &serde_json::json!({}),
    )
    .await
    .is(200);
    let all = tokio::time::timeout(Duration::from_secs(50), following.all())
        .await
        .unwrap();
    let end = all.last().unwrap();
    assert_eq!(
        (end.kind.as_str(), &end.data["build"]["buildStatus"]),
        ("end", &Value::from("STOPPED"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_token() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let (id, _) = rig.build("web").await;
    let (token_id, token) = rig.token("viewer", &[]).await;
    let path = format!("/v1/builds/{id}/events");
    let response = rig.open("GET", &path, Some(&token), &[], "").await;
    let mut events = Events {
        body: response.into_body(),
        text: String::new(),
    };
    events.next().await.unwrap();
    let path = format!("/v1/tokens/{token_id}");
    let nothing = serde_json::json!({});
    rig.send("DELETE", &path, &nothing).await.is(200);
    let last = events.block().await.unwrap();
    assert!(last.contains("not good any more"), "{last}");
    assert_eq!(events.block().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_fast_arrives_whole_and_in_order() {
    const CHUNKS: u64 = 400;
    let rig = Rig::start().await;
    rig.project("web").await;
    let (id, build) = rig.build("web").await;
    rig.claim(build, 1).await;
    let mut events = Events::of(&rig, &id, None).await;
    while events.next().await.unwrap().data["status"] != "IN_PROGRESS" {}
    let filler = "x".repeat(60_000);
    let writing = async {
        for chunk in 0..CHUNKS {
            let line = format!("{{\"seq\":{},\"text\":\"{filler}\"}}\n", chunk + 1);
            rig.put(build, 1, chunk, &line).await;
        }
        rig.end(build, 1, CHUNKS).await;
        rig.settle(build, &id, None).await;
    };
    let reading = async {
        let mut next = 0;
        loop {
            let block = events.block().await.unwrap();
            assert!(!block.contains("event: skipped"), "{block}");
            if let Some(rest) = block.strip_prefix(&format!("id: 1.{next}.{}\n", next + 1)) {
                assert!(rest.len() > filler.len(), "{next}");
                next += 1;
            }
            if block.starts_with("event: end") {
                return next;
            }
        }
    };
    let begun = tokio::time::Instant::now();
    let ((), seen) = tokio::join!(writing, reading);
    assert_eq!(seen, CHUNKS);
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}
