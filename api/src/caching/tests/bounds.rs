//! Too much, too slow, too odd.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Limits, MemoryPool};
use super::served::{Answer, Served, WRITER, cas, head, noise};

const ENTRY: &str = "/ccache/0a/1fvu7o2qn5hd3g9k8b4c6e1l0m2p3s4";

fn small(limits: Limits) -> (Served, Arc<MemoryPool>) {
    let pool = Arc::new(MemoryPool::default());
    (Served::with(Arc::<MemoryPool>::clone(&pool), limits), pool)
}

/// Announces a body, and waits until the service wants it.
fn begin_put(socket: &mut TcpStream, path: &str, length: usize) {
    let headers = [("Authorization", WRITER), ("Expect", "100-continue")];
    let head = head(&headers, &format!("PUT {path}"), length);
    socket.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    socket.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
}

#[test]
fn an_entry_too_large_is_refused_before_it_is_sent() {
    let (served, pool) = small(Limits {
        body_bytes_max: 1000,
        ..Limits::default()
    });
    let mut socket = served.connect();
    let head = head(
        &[("Authorization", WRITER)],
        &format!("PUT {ENTRY}"),
        50 << 20,
    );
    socket.write_all(head.as_bytes()).unwrap();
    let refused = Answer::read(&mut socket, false);
    assert_eq!(refused.status, 413);
    assert!(refused.text().contains("--body-bytes-max"));
    assert_eq!(served.put(ENTRY, &noise(1001)).status, 413);
    assert!(pool.is_empty());
    assert_eq!(served.put(ENTRY, &noise(1000)).status, 201);
}

#[test]
fn an_entry_that_grows_too_large_is_refused_and_not_stored() {
    let (served, pool) = small(Limits {
        body_bytes_max: 1000,
        ..Limits::default()
    });
    let mut socket = served.connect();
    let head = format!(
        "PUT {ENTRY} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {WRITER}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    for _ in 0..3 {
        socket.write_all(b"190\r\n").unwrap();
        socket.write_all(&noise(400)).unwrap();
        socket.write_all(b"\r\n").unwrap();
    }
    socket.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(Answer::read(&mut socket, false).status, 413);
    served.end();
    assert!(pool.is_empty());
}

#[test]
fn a_client_that_hangs_up_in_the_middle_leaves_nothing() {
    let (served, pool) = small(Limits::default());
    let blob = noise(1 << 20);
    for path in [ENTRY.to_string(), cas(&blob)] {
        let mut socket = served.connect();
        begin_put(&mut socket, &path, blob.len());
        socket.write_all(&blob[..blob.len() - 1]).unwrap();
    }
    let figures = served.end();
    assert!(pool.is_empty());
    assert!(figures.fronts.values().all(|front| front.puts == 0));
}

#[test]
fn odd_paths_are_refused() {
    let (served, pool) = small(Limits::default());
    let digits = "0a".repeat(32);
    for (path, status) in [
        (format!("/cas/../ac/{digits}"), 400),
        (format!("/../../etc/cas/{digits}"), 400),
        (format!("/%2e%2e/ac/{digits}"), 400),
        (format!("/cas/%2e%2e%2f{digits}"), 400),
        (format!("/cas/{}", digits.to_uppercase()), 400),
        (format!("/cas/{digits}{digits}"), 400),
        (format!("/cas/{digits}%00"), 400),
        (format!("//cas/{digits}"), 400),
        ("/cas/".into(), 400),
        ("/".into(), 400),
        ("/etc/passwd".into(), 400),
        ("/ccache/".into(), 400),
        ("/ccache/../ac/x".into(), 400),
        ("/ccache/..".into(), 400),
        (format!("/ccache/0A/{digits}"), 400),
        (format!("/{}", "a".repeat(10_000)), 400),
    ] {
        for method in ["GET", "HEAD", "PUT"] {
            let line = format!("{method} {path}");
            assert_eq!(served.ask(WRITER, &line, b"").status, status, "{line}");
        }
    }
    assert!(pool.is_empty());
}

#[test]
fn a_refusal_does_not_repeat_all_it_was_sent() {
    let (served, _) = small(Limits::default());
    let refused = served.get(&format!("/{}", "a".repeat(10_000)));
    assert!(refused.body.len() < 1000);
}

#[test]
fn an_endless_head_is_cut_off() {
    let (served, _) = small(Limits::default());
    let mut socket = served.connect();
    socket.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    // It may be closed before all of it was sent.
    for number in 0..100 {
        let line = format!("x-{number}: {}\r\n", "a".repeat(2000));
        socket.write_all(line.as_bytes()).unwrap_or_default();
    }
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap_or_default();
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
        "{answer}"
    );
}

#[test]
fn other_methods_are_refused_with_those_that_do() {
    let (served, pool) = small(Limits::default());
    served.put(ENTRY, b"bytes");
    for path in [ENTRY, &cas(b"bytes")] {
        for method in ["DELETE", "POST", "OPTIONS", "PROPFIND", "PATCH"] {
            let refused = served.ask(WRITER, &format!("{method} {path}"), b"");
            assert_eq!(refused.status, 405, "{method}");
            assert_eq!(refused.headers["allow"], "GET, HEAD, PUT", "{method}");
        }
    }
    assert_eq!(pool.len(), 1);
}

#[test]
fn a_connection_too_many_is_told_so() {
    let (served, _) = small(Limits {
        connections_max: 1,
        ..Limits::default()
    });
    let mut first = served.connect();
    let ask = head(&[("Authorization", WRITER)], &format!("GET {ENTRY}"), 0);
    first.write_all(ask.as_bytes()).unwrap();
    assert_eq!(Answer::read(&mut first, false).status, 404);
    let turned_away = Answer::read(&mut served.connect(), false);
    assert_eq!(turned_away.status, 503);
    assert!(turned_away.text().ends_with("or later\n"));
    drop(first);
    assert_eq!(served.end().turned_away, 1);
}

#[test]
fn a_client_that_neither_sends_nor_takes_is_cut_off() {
    let (served, pool) = small(Limits {
        silence_max: Duration::from_millis(50),
        ..Limits::default()
    });
    let put = head(&[("Authorization", WRITER)], &format!("PUT {ENTRY}"), 100);
    for begun in ["", "GET / HTTP/1.1\r\nHos", &(put + "some")] {
        let mut socket = served.connect();
        socket.write_all(begun.as_bytes()).unwrap();
        let mut rest = Vec::new();
        // A reset is as good an end as any.
        socket.read_to_end(&mut rest).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&rest), "", "{begun}");
    }
    served.end();
    assert!(pool.is_empty());
}

#[test]
fn a_client_that_sends_too_slowly_is_told_so_and_makes_room() {
    let (served, pool) = small(Limits {
        upload_grace: Duration::from_millis(50),
        uploads_max: 1,
        ..Limits::default()
    });
    let mut socket = served.connect();
    begin_put(&mut socket, ENTRY, 100);
    socket.write_all(b"some").unwrap();
    let refused = Answer::read(&mut socket, false);
    assert_eq!(refused.status, 408);
    assert!(refused.text().contains("bytes a second"));
    let mut rest = Vec::new();
    assert_eq!(socket.read_to_end(&mut rest).unwrap_or_default(), 0);
    assert_eq!(served.put(ENTRY, b"bytes").status, 201);
    assert_eq!((served.end().fronts["ccache"].puts, pool.len()), (1, 1));
}

#[test]
fn an_upload_that_has_begun_may_end_after_the_service_was_told_to() {
    let (served, pool) = small(Limits::default());
    let mut socket = served.connect();
    begin_put(&mut socket, ENTRY, 4);
    served.drain();
    socket.write_all(b"late").unwrap();
    assert_eq!(Answer::read(&mut socket, false).status, 201);
    let figures = served.end();
    assert_eq!((figures.fronts["ccache"].puts, pool.len()), (1, 1));
}

#[test]
fn a_client_that_never_ends_does_not_hold_up_the_end() {
    let (served, pool) = small(Limits {
        grace: Duration::from_millis(50),
        ..Limits::default()
    });
    let mut socket = served.connect();
    begin_put(&mut socket, ENTRY, 100);
    served.end();
    assert!(pool.is_empty());
}

#[test]
fn clients_that_take_their_time_keep_no_turn_from_others() {
    let (served, _) = small(Limits {
        reads_max: 1,
        turn_wait_max: Duration::from_millis(100),
        ..Limits::default()
    });
    // As much as is read in one piece, and more than lines hold.
    assert_eq!(served.put(ENTRY, &noise(4 << 20)).status, 201);
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut socket = served.connect();
        let ask = head(&[("Authorization", WRITER)], &format!("GET {ENTRY}"), 0);
        socket.write_all(ask.as_bytes()).unwrap();
        let mut start = [0; 15];
        socket.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        slow.push(socket);
    }
}
