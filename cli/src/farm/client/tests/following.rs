use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::super::follow::{Followed, follow};
use super::super::story::Shown;
use super::stub::{Reply, Stub, Then};
use crate::render::{Plain, Style};

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn followed(stub: &Stub) -> (anyhow::Result<Followed>, String) {
    let paper = Paper::default();
    let mut shown = Shown {
        sink: Box::new(Plain::new(paper.clone(), Style::default())),
        is_person: true,
    };
    let end = follow(&stub.farm(), "web:1", &mut shown).await;
    let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    (end, text)
}

fn output(id: &str, seq: u64) -> String {
    let event = json!({"seq": seq, "time": 1, "type": "output", "phase": "BUILD", "text": format!("line {seq}\n")});
    format!("id: {id}\nevent: build\ndata: {event}\n\n")
}

fn end(status: &str) -> String {
    let build = json!({
        "id": "web:1", "arn": "a", "buildNumber": 1, "projectName": "web", "startTime": 1.0, "endTime": 2.0,
        "currentPhase": "COMPLETED", "buildStatus": status, "buildComplete": true, "phases": [],
        "exportedEnvironmentVariables": [], "initiator": "me", "timeoutInMinutes": 60, "image": "sandbox"
    });
    let json: Value = json!({"build": build, "summary": {"reports": [], "artifacts": [], "slowestCommands": [], "logPath": "x"}});
    format!("event: end\ndata: {json}\n\n")
}

#[tokio::test]
async fn broken_connections_lose_and_repeat_nothing() {
    let stub = Stub::start(|_, before| match before {
        // In the middle of a line.
        0 => {
            let half = output("1.2", 3);
            let half = half[..half.len() / 2].to_string();
            let whole = format!("{}{}", output("1.1", 1), output("1.2", 2));
            Reply::Stream(vec![whole, half], Then::Cut)
        }
        // The server is killed and comes again.
        1 => Reply::HangUp,
        2 => Reply::Bytes(503, Vec::new()),
        // It ends without an end, as a server does that is told to stop.
        3 => Reply::Stream(
            vec![output("1.2", 2), output("1.2", 3), output("1.3", 4)],
            Then::End,
        ),
        _ => Reply::Stream(
            vec![output("1.3", 4), output("1.4", 5), end("FAILED")],
            Then::Stay,
        ),
    })
    .await;
    let (ended, text) = followed(&stub).await;
    let Followed::Ended(ended) = ended.unwrap() else {
        panic!("{text}")
    };
    assert_eq!(ended.build.build_status, croft_proto::Status::Failed);
    for seq in 1..=5 {
        assert_eq!(
            text.matches(&format!("[BUILD] line {seq}\n")).count(),
            1,
            "{text}"
        );
    }
    assert!(
        text.contains("the connection to the server is lost"),
        "{text}"
    );
    assert!(text.contains("the server is there again"), "{text}");
    assert!(!text.contains("missed"), "{text}");
    let resumed: Vec<_> = stub.asked();
    let resumed: Vec<_> = resumed
        .iter()
        .map(|asked| asked.header("last-event-id"))
        .collect();
    assert_eq!(
        resumed,
        [None, Some("1.1"), Some("1.1"), Some("1.1"), Some("1.2")]
    );
    stub.stop().await;
}

#[tokio::test]
async fn a_build_that_is_not_there_is_not_waited_for() {
    let stub = Stub::start(|_, _| {
        Reply::Json(
            404,
            json!({"code": "ResourceNotFoundException", "detail": "there is no build `web:1`"}),
        )
    })
    .await;
    let (ended, _) = followed(&stub).await;
    assert_eq!(ended.unwrap_err().to_string(), "there is no build `web:1`");
    assert_eq!(stub.asked().len(), 1);
    stub.stop().await;
}

#[tokio::test]
async fn what_a_build_waits_for_is_said_once() {
    let stub = Stub::start(|asked, before| {
        if asked.path.ends_with("/explain") {
            return Reply::Json(
                200,
                json!({"why": {"text": "no worker is there for pool `gpu`"}}),
            );
        }
        match before {
            0 => Reply::Stream(
                vec!["event: state\ndata: {\"status\":\"QUEUED\"}\n\n".into()],
                Then::Stay,
            ),
            _ => Reply::HangUp,
        }
    })
    .await;
    let paper = Paper::default();
    let mut shown = Shown {
        sink: Box::new(Plain::new(paper.clone(), Style::default())),
        is_person: true,
    };
    let farm = stub.farm();
    let text = || String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    let said = async {
        while !text().contains("gpu") {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = follow(&farm, "web:1", &mut shown) => panic!("{ended:?}"),
        () = said => {}
    }
    assert_eq!(text(), "waiting: no worker is there for pool `gpu`\n");
    stub.stop().await;
}
