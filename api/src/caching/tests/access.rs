//! Who may do what, and where.

use std::sync::Arc;

use super::super::{Limits, MemoryPool, OpenGate};
use super::served::{FORK, READER, Served, WRITER, cas, noise, result};

const AC: &str = "/ac/0000000000000000000000000000000000000000000000000000000000000001";

fn served() -> (Served, Arc<MemoryPool>) {
    let pool = Arc::new(MemoryPool::default());
    (Served::over(Arc::<MemoryPool>::clone(&pool)), pool)
}

#[test]
fn without_a_known_token_only_health_is_told() {
    let (served, pool) = served();
    assert_eq!(served.ask_with(&[], "GET /healthz", b"").status, 200);
    for line in [
        &format!("GET {AC}"),
        &format!("HEAD {AC}"),
        &format!("PUT {AC}"),
        "GET /stats",
        "GET /nowhere",
        "DELETE /ccache/0a/1",
    ] {
        let none = served.ask_with(&[], line, b"");
        assert_eq!(none.status, 401, "{line}");
        assert!(none.headers["www-authenticate"].contains("Bearer"));
        for wrong in ["Bearer wrong", "Bearer ", "Basic eA==", "croft_writer_1"] {
            assert_eq!(served.ask(wrong, line, b"").status, 401, "{line} {wrong}");
        }
    }
    let figures = served.end();
    assert!(pool.is_empty());
    assert_eq!(figures.refused, 30);
    assert_eq!(figures.fronts["bazel"].gets, 0);
}

#[test]
fn the_token_may_be_a_password() {
    let (served, _) = served();
    // `printf anyone:TOKEN | base64 -w0`
    let basic = "Basic YW55b25lOmNyb2Z0X3dyaXRlcl8xMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTEx";
    assert_eq!(
        served
            .ask(basic, &format!("PUT {AC}"), &result(b"x"))
            .status,
        201
    );
}

#[test]
fn a_reader_reads_and_does_not_write() {
    let (served, pool) = served();
    let refused = served.ask(READER, &format!("PUT {AC}"), b"bytes");
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("may only read"));
    assert!(pool.is_empty());
    served.put(AC, &result(b"bytes"));
    let read = served.ask(READER, &format!("GET {AC}"), b"");
    assert_eq!(read.body, result(b"bytes"));
    assert_eq!(served.ask(READER, &format!("HEAD {AC}"), b"").status, 200);
    assert_eq!(served.ask(READER, "GET /stats", b"").status, 200);
}

#[test]
fn a_scope_sees_only_its_own_also_of_what_is_in_memory() {
    let (served, pool) = served();
    let blob = noise(100);
    served.put(&cas(&blob), &blob);
    served.get(&cas(&blob));
    served.put(AC, &result(b"trusted"));
    for path in [cas(&blob), AC.to_string()] {
        let fork = |method: &str| served.ask(FORK, &format!("{method} {path}"), b"").status;
        assert_eq!((fork("GET"), fork("HEAD")), (404, 404), "{path}");
    }
    served.ask(FORK, &format!("PUT {AC}"), &result(b"forged"));
    assert_eq!(served.get(AC).body, result(b"trusted"));
    assert_eq!(pool.len(), 3);
}

#[test]
fn nothing_in_a_request_names_another_scope() {
    let (served, _) = served();
    served.put(AC, &result(b"trusted"));
    for line in [
        format!("GET /trusted{AC}"),
        format!("GET {AC}?scope=trusted"),
        format!("GET /trusted/bazel-ac{AC}"),
    ] {
        let headers = [("Authorization", FORK), ("X-Scope", "trusted")];
        assert_eq!(served.ask_with(&headers, &line, b"").status, 404, "{line}");
    }
}

#[test]
fn web_pages_are_not_served() {
    let (served, pool) = served();
    let headers = [("Authorization", WRITER), ("Origin", "http://localhost")];
    assert_eq!(
        served
            .ask_with(&headers, &format!("PUT {AC}"), &result(b"x"))
            .status,
        403
    );
    assert!(pool.is_empty());
}

#[test]
fn without_tokens_a_name_that_was_made_to_mean_this_machine_is_not_served() {
    let pool = Arc::new(MemoryPool::default());
    let gate = OpenGate::new("127.0.0.1:1".parse().unwrap(), "trusted").unwrap();
    let served = Served::start(pool, Limits::default(), Arc::new(gate));
    assert_eq!(
        served
            .ask_with(&[], &format!("PUT {AC}"), &result(b"x"))
            .status,
        201
    );
    let mut socket = served.connect();
    let request = format!("GET {AC} HTTP/1.1\r\nHost: rebound.example\r\n\r\n");
    std::io::Write::write_all(&mut socket, request.as_bytes()).unwrap();
    let answer = super::served::Answer::read(&mut socket, false);
    assert_eq!(answer.status, 403);
}

#[test]
fn figures_are_told_as_json() {
    let (served, _) = served();
    let bytes = result(b"bytes");
    served.put(AC, &bytes);
    served.get(AC);
    let answer = served.get("/stats");
    assert_eq!(answer.headers["content-type"], "application/json");
    let figures: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(figures["fronts"]["bazel"]["bytesIn"], bytes.len());
    assert_eq!(figures["fronts"]["bazel"]["hits"], 1);
    assert_eq!(figures["fronts"]["ccache"]["gets"], 0);
    assert_eq!(served.put("/stats", b"").status, 405);
}
