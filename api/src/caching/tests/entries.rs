//! What is stored is found again, and is what it should be.

use std::io::Write;
use std::sync::Arc;

use super::super::MemoryPool;
use super::served::{Answer, Served, WRITER, body, cas, head, noise, result};

const AC: &str = "/ac/0000000000000000000000000000000000000000000000000000000000000001";
const CCACHE: &str = "/ccache/0a/1fvu7o2qn5hd3g9k8b4c6e1l0m2p3s4";

fn served() -> (Served, Arc<MemoryPool>) {
    let pool = Arc::new(MemoryPool::default());
    (Served::over(Arc::<MemoryPool>::clone(&pool)), pool)
}

#[test]
fn what_was_put_is_got_again_and_what_was_not_is_a_miss() {
    let (served, pool) = served();
    let blob = noise(5000);
    for path in [
        cas(&blob),
        format!("/team/app{}", cas(&blob)),
        AC.into(),
        CCACHE.into(),
    ] {
        pool.clear();
        if !path.contains("cas") {
            assert_eq!(served.get(&path).status, 404, "{path}");
        }
        let body = body(&path, &blob);
        assert_eq!(served.put(&path, &body).status, 201, "{path}");
        for _ in 0..2 {
            let got = served.get(&path);
            assert_eq!((got.status, &got.body), (200, &body), "{path}");
        }
    }
    let figures = served.end();
    let bazel = figures.fronts["bazel"];
    assert_eq!((bazel.puts, bazel.hits, bazel.misses), (3, 6, 1));
    let bytes = 2 * 5000 + result(&blob).len() as u64;
    assert_eq!((bazel.bytes_in, bazel.bytes_out), (bytes, 2 * bytes));
    let ccache = figures.fronts["ccache"];
    assert_eq!((ccache.puts, ccache.hits, ccache.misses), (1, 2, 1));
}

#[test]
fn an_entry_of_any_size_comes_back_byte_for_byte() {
    let (served, _) = served();
    for length in [0, 1, 4096, (4 << 20) - 1, 4 << 20, (8 << 20) + 1, 10 << 20] {
        let blob = noise(length);
        for path in [cas(&blob), AC.into(), CCACHE.into()] {
            let blob = body(&path, &blob);
            if path == AC && blob.len() > 4 << 20 {
                // No result is as long.
                continue;
            }
            assert_eq!(served.put(&path, &blob).status, 201, "{path} {length}");
            for _ in 0..2 {
                let got = served.get(&path);
                assert_eq!(got.status, 200, "{path} {length}");
                assert!(got.body == blob, "{path} {length}");
            }
        }
    }
}

#[test]
fn a_body_of_unknown_length_is_stored_whole() {
    let (served, _) = served();
    let mut socket = served.connect();
    let head = format!(
        "PUT {CCACHE} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {WRITER}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket
        .write_all(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
        .unwrap();
    assert_eq!(Answer::read(&mut socket, false).status, 201);
    assert_eq!(served.get(CCACHE).body, b"onetwo");
}

#[test]
fn head_says_the_size_and_sends_nothing() {
    let (served, _) = served();
    let blob = noise(5000);
    for path in [cas(&blob), AC.into(), CCACHE.into()] {
        let look = || served.ask(WRITER, &format!("HEAD {path}"), b"");
        assert_eq!(look().status, 404, "{path}");
        let body = body(&path, &blob);
        served.put(&path, &body);
        for _ in 0..2 {
            let seen = look();
            assert_eq!(seen.status, 200, "{path}");
            let length = body.len().to_string();
            assert_eq!(seen.headers["content-length"], length, "{path}");
            served.get(&path);
        }
    }
}

#[test]
fn bytes_that_are_not_what_their_name_says_are_not_stored() {
    let (served, pool) = served();
    let refused = served.put(&cas(b"other bytes"), b"some bytes");
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("SHA-256"), "{}", refused.text());
    assert!(refused.text().contains("nothing was stored"));
    let large = noise(3 << 20);
    assert_eq!(served.put(&cas(b"other bytes"), &large).status, 400);
    let figures = served.end();
    assert!(pool.is_empty());
    assert_eq!(figures.fronts["bazel"].refused, 2);
    assert_eq!(figures.fronts["bazel"].puts, 0);
}

#[test]
fn the_empty_blob_is_always_there() {
    let (served, pool) = served();
    let got = served.get(&cas(b""));
    assert_eq!((got.status, got.body.len()), (200, 0));
    assert_eq!(
        served
            .ask(WRITER, &format!("HEAD {}", cas(b"")), b"")
            .status,
        200
    );
    assert!(pool.is_empty());
    assert_eq!(served.put(&cas(b""), b"").status, 201);
    assert_eq!(served.put(&cas(b""), b"x").status, 400);
}

#[test]
fn a_result_can_change_and_is_never_answered_from_memory() {
    let (served, _) = served();
    for path in [AC, CCACHE] {
        for bytes in [b"first", b"other"] {
            let body = body(path, bytes);
            served.put(path, &body);
            assert_eq!(served.get(path).body, body);
        }
    }
    let figures = served.end();
    assert_eq!(figures.hot_blobs, 0);
    assert_eq!(figures.fronts["bazel"].hot_hits, 0);
}

#[test]
fn a_blob_is_answered_from_memory_the_second_time() {
    let (served, _) = served();
    let blob = noise(5000);
    served.put(&cas(&blob), &blob);
    for _ in 0..3 {
        assert_eq!(served.get(&cas(&blob)).body, blob);
    }
    let figures = served.end();
    assert_eq!(figures.fronts["bazel"].hot_hits, 2);
    assert_eq!((figures.hot_blobs, figures.hot_bytes), (1, 5000));
}

#[test]
fn one_connection_takes_many_requests() {
    let (served, _) = served();
    let mut socket = served.connect();
    for number in 0..20 {
        let body = result(&noise(number * 1000));
        let line = format!("PUT {AC}");
        let headers = [("Authorization", WRITER)];
        socket
            .write_all(head(&headers, &line, body.len()).as_bytes())
            .unwrap();
        socket.write_all(&body).unwrap();
        assert_eq!(Answer::read(&mut socket, false).status, 201);
        let line = format!("GET {AC}");
        socket
            .write_all(head(&headers, &line, 0).as_bytes())
            .unwrap();
        assert!(Answer::read(&mut socket, false).body == body);
    }
}
