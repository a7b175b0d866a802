//! What is away for a while, or gone for good, and was not the truth: object storage, the broker's memory, a server's files.

use crate::harness::rig::{Rig, commands, each_size, http, in_size};
use crate::harness::{Live, eventually};

in_size!(large LARGE, |plan| plan.soon();
    an_outcome_waits_for_object_storage_that_is_away,
    a_source_is_waited_for_while_object_storage_is_away,
    builds_that_wait_run_though_the_queue_is_gone,
    what_the_store_holds_is_nobodys_source,
    a_server_with_an_empty_home_tells_the_same_history,
);

each_size!(view_small view_large |plan| plan;
    a_read_model_that_is_gone_is_made_anew,
    a_read_model_that_is_gone_begins_with_a_kept_copy,
);

fn an_outcome_waits_for_object_storage_that_is_away(rig: &mut Rig) {
    let sleep = format!("sleep {}; echo made > made", rig.seconds(2));
    let spec = format!(
        "version: 0.2\nphases:\n  build:\n    commands: ['{sleep}']\nartifacts:\n  files: [made]\n"
    );
    let id = rig.detach(&rig.source("patient", &spec), &[]);
    rig.until_sleeping(2, 1);
    let s3 = rig.s3.as_mut().unwrap();
    s3.shut();
    eventually("a worker has tried to store what there is", || {
        rig.workers
            .iter()
            .any(|worker| worker.log().contains("not stored yet"))
    });
    assert_eq!(
        rig.stage(&id),
        "running",
        "nothing is said before it is stored"
    );
    let late = rig.source("late", &commands(&["echo in time"]));
    let mut late = Live::start(rig.croft(&["submit", late.to_str().unwrap(), "-o", "ndjson"]));
    rig.s3.as_mut().unwrap().reopen();
    rig.over_as(&id, "SUCCEEDED", 1);
    assert_eq!(late.end().code(), Some(0), "{:#?}", late.seen);
    let made = rig.ask("GET", &format!("/v1/builds/{id}/artifacts/made"), "");
    assert_eq!((made.status, made.text().as_str()), (200, "made\n"));
    rig.assert_nothing_left();
}

fn a_source_is_waited_for_while_object_storage_is_away(rig: &mut Rig) {
    let first = rig.detach(&rig.source("again", &commands(&["echo once more"])), &[]);
    rig.over_as(&first, "SUCCEEDED", 1);
    rig.s3.as_mut().unwrap().shut();
    // Its source is kept already, so it is accepted.
    let again = rig.ask("POST", &format!("/v1/builds/{first}/retry"), "");
    assert_eq!(again.status, 201, "{}", again.text());
    let again = again.json()["build"]["id"].as_str().unwrap().to_string();
    eventually("a worker waits for the source", || {
        let waits = |log: String| log.contains("a source is waited for");
        rig.workers.iter().any(|worker| waits(worker.log()))
    });
    rig.s3.as_mut().unwrap().reopen();
    rig.over_as(&again, "SUCCEEDED", 1);
    rig.assert_nothing_left();
}

fn builds_that_wait_run_though_the_queue_is_gone(rig: &mut Rig) {
    let nap = format!("sleep {}", rig.seconds(1));
    let source = rig.source("waiting", &commands(&[&nap]));
    let ids: Vec<String> = (0..8).map(|_| rig.detach(&source, &[])).collect();
    rig.until_sleeping(1, 1);
    let removed = remove_queue(rig);
    assert!(!removed.is_empty(), "there are streams in memory");
    for id in &ids {
        rig.over_as(id, "SUCCEEDED", 1);
    }
    rig.assert_nothing_left();
}

fn what_the_store_holds_is_nobodys_source(rig: &mut Rig) {
    for (name, location) in [("in", "kept/farm/archive/"), ("around", "kept/")] {
        let spec = "version: 0.2\nphases:\n  build:\n    commands: [ls]\n";
        let project = serde_json::json!({
            "source": {"type": "S3", "location": location, "buildspec": spec},
            "environment": {"image": "sandbox"},
        });
        let path = format!("/v1/projects/{name}");
        let made = rig.ask("PUT", &path, &project.to_string());
        assert_eq!(made.status, 201, "{}", made.text());
        let id = rig.start_build(&serde_json::json!({"projectName": name}));
        rig.over_as(&id, "FAILED", 1);
        let explained = rig.ask("GET", &format!("/v1/builds/{id}/explain"), "");
        assert!(
            explained.text().contains("store or its cache"),
            "{}",
            explained.text()
        );
    }
    rig.assert_nothing_left();
}

/// Deletes the broker's streams that are in its memory; their names.
fn remove_queue(rig: &Rig) -> Vec<String> {
    let nats = rig.nats.as_ref().unwrap();
    let monitoring = nats.monitoring.trim_start_matches("http://");
    let page = http::ask(monitoring, "GET", "/jsz?streams=1&config=1", &[], b"").unwrap();
    let page = page.json();
    let accounts = page["account_details"].as_array().unwrap();
    let streams = accounts
        .iter()
        .flat_map(|account| account["stream_detail"].as_array().unwrap());
    let in_memory = streams.filter(|stream| stream["config"]["storage"] == "memory");
    let names: Vec<String> = in_memory
        .map(|stream| stream["name"].as_str().unwrap().to_string())
        .collect();
    for name in &names {
        request(&nats.address, &format!("$JS.API.STREAM.DELETE.{name}"));
    }
    names
}

/// A request without words, in the protocol itself; it must be granted.
fn request(address: &str, subject: &str) {
    use std::io::{BufRead as _, BufReader, Write as _};
    let at = address.trim_start_matches("nats://");
    let mut socket = std::net::TcpStream::connect(at).unwrap();
    write!(socket, "CONNECT {{\"verbose\":false,\"headers\":true,\"no_responders\":true}}\r\nSUB answer 1\r\nPUB {subject} answer 0\r\n\r\n").unwrap();
    let mut lines = BufReader::new(socket.try_clone().unwrap())
        .lines()
        .map(Result::unwrap);
    let answer = loop {
        let line = lines.next().expect("the broker answers");
        if line == "PING" {
            socket.write_all(b"PONG\r\n").unwrap();
        }
        if line.starts_with("MSG ") {
            break lines.next().unwrap();
        }
    };
    assert!(answer.contains("\"success\":true"), "{answer}");
}

fn a_server_with_an_empty_home_tells_the_same_history(rig: &mut Rig) {
    let ids = some_history(rig);
    rig.add_server();
    rig.addresses = rig.addresses.split_off(2);
    assert_eq!(history(rig), ids);
}

fn a_read_model_that_is_gone_is_made_anew(rig: &mut Rig) {
    let ids = some_history(rig);
    lose_read_models(rig);
    assert_eq!(history(rig), ids);
    let audit = rig.told(&["audit", "--verify"]);
    assert!(audit.contains("as it was written"), "{audit}");
}

fn a_read_model_that_is_gone_begins_with_a_kept_copy(rig: &mut Rig) {
    rig.serve_with(&["--snapshot-entries", "5", "--keep-every", "1s"]);
    let before = some_history(rig);
    let has_said = |rig: &Rig, what: &str| {
        let servers = rig.servers.iter();
        servers.filter(|server| server.log().contains(what)).count()
    };
    eventually("a copy is kept", || {
        has_said(rig, "kept a copy of the read model") > 0
    });
    // What is behind the copy is folded on top of it.
    let after = rig.detach(&rig.source("after", &commands(&["true"])), &[]);
    rig.over(&after);
    let now = history(rig);
    assert_eq!(now.len(), before.len() + 1);
    lose_read_models(rig);
    assert_eq!(
        has_said(rig, "a read model begins with a kept copy"),
        rig.servers.len()
    );
    assert_eq!(history(rig), now);
    let audit = rig.told(&["audit", "--verify"]);
    assert!(audit.contains("as it was written"), "{audit}");
}

/// All servers die, and come again without theirs.
fn lose_read_models(rig: &mut Rig) {
    for server in 0..rig.servers.len() {
        rig.servers[server].kill();
        for name in ["views.db", "views.db-wal", "views.db-shm"] {
            std::fs::remove_file(rig.servers[server].home().join(name)).unwrap_or_default();
        }
        rig.restart_server(server);
    }
}

/// A few builds that are over: each as JSON, the newest first.
fn some_history(rig: &Rig) -> Vec<serde_json::Value> {
    let sources = [
        rig.source("good", &commands(&["true"])),
        rig.source("bad", &commands(&["false"])),
    ];
    for source in &sources {
        let id = rig.detach(source, &[]);
        rig.over(&id);
    }
    history(rig)
}

fn history(rig: &Rig) -> Vec<serde_json::Value> {
    rig.get("/v1/builds")["builds"].as_array().unwrap().clone()
}
