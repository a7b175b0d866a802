//! Pools that fail: what a client is told, and that nothing wrong is ever served.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;

use super::super::*;
use super::served::{Served, cas};

const AC: &str = "/ac/0000000000000000000000000000000000000000000000000000000000000001";
const CCACHE: &str = "/ccache/0a/1fvu7o2qn5hd3g9k8b4c6e1l0m2p3s4";

/// Finds what it was told, whatever is asked for; stores nothing.
#[derive(Debug)]
struct Scripted {
    find: fn() -> Result<Option<Found>, Trouble>,
    put: fn() -> Trouble,
}

impl Pool for Scripted {
    fn find(&self, _: &Name) -> Result<Option<Found>, Trouble> {
        (self.find)()
    }

    fn put(&self, _: &Name, _: &mut dyn Read) -> Result<u64, Trouble> {
        Err((self.put)())
    }
}

fn scripted(find: fn() -> Result<Option<Found>, Trouble>) -> Served {
    let put = || Trouble::Full;
    Served::over(Arc::new(Scripted { find, put }))
}

fn found(size_bytes: u64, pieces: Vec<Result<Bytes, Trouble>>) -> Result<Option<Found>, Trouble> {
    Ok(Some(Found {
        size_bytes,
        read: Box::new(pieces.into_iter()),
    }))
}

fn damage() -> Trouble {
    Trouble::Damaged("a flipped bit".into())
}

#[test]
fn what_is_damaged_is_a_miss() {
    for find in [
        || Err(damage()),
        || found(5, vec![Err(damage())]),
        || found(5, vec![]),
        || found(5, vec![Ok("longer than said".into())]),
    ] as [fn() -> _; 4]
    {
        let served = scripted(find);
        assert_eq!(served.get(AC).status, 404);
        assert_eq!(served.get(&cas(b"blob")).status, 404);
        let figures = served.end();
        assert_eq!(figures.fronts["bazel"].misses, 2);
        assert_eq!(
            (figures.hot_blobs, figures.fronts["bazel"].bytes_out),
            (0, 0)
        );
    }
}

#[test]
fn a_blob_that_is_another_than_its_name_says_is_not_served() {
    let served = scripted(|| found(5, vec![Ok("other".into())]));
    assert_eq!(served.get(&cas(b"blob!")).status, 404);
    assert_eq!(served.get(&cas(b"other")).status, 200);
}

#[test]
fn an_answer_that_fails_in_the_middle_is_cut_off_before_its_length() {
    for rest in [
        || found(10, vec![Ok("first".into()), Err(damage())]),
        || found(10, vec![Ok("first".into())]),
        || found(10, vec![Ok("first".into()), Ok("too long".into())]),
    ] as [fn() -> _; 3]
    {
        let served = scripted(rest);
        let mut socket = served.connect();
        let request = format!(
            "GET {CCACHE} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\n\r\n",
            super::served::WRITER
        );
        std::io::Write::write_all(&mut socket, request.as_bytes()).unwrap();
        let mut all = Vec::new();
        socket.read_to_end(&mut all).unwrap();
        let all = String::from_utf8(all).unwrap();
        // Or nothing at all, when it failed before anything was sent.
        let is_cut = all.contains("content-length: 10\r\n") && all.ends_with("\r\n\r\nfirst");
        assert!(is_cut || all.is_empty(), "{all}");
    }
}

#[test]
fn a_storage_that_does_not_answer_is_told_as_such() {
    let failed = || Trouble::Storage("connection refused".into());
    let served = Served::over(Arc::new(Scripted {
        find: || Err(Trouble::Storage("connection refused".into())),
        put: failed,
    }));
    for answer in [served.get(AC), served.put(AC, b"bytes")] {
        assert_eq!(answer.status, 503);
        assert_eq!(answer.headers["retry-after"], "5");
        let text = answer.text();
        assert!(!text.contains("refused"), "internals stay here: {text}");
    }
    assert_eq!(served.end().fronts["bazel"].failed, 2);
}

#[test]
fn a_full_cache_says_how_to_make_room() {
    let served = scripted(|| Ok(None));
    let full = served.put(AC, &vec![0; 3 << 20]);
    assert_eq!(full.status, 507);
    assert!(full.text().contains("croft cache gc"));
}

/// Lets nobody through until it is opened.
#[derive(Debug, Default)]
struct Stuck {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Stuck {
    fn wait(&self) {
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

impl Pool for Stuck {
    fn find(&self, _: &Name) -> Result<Option<Found>, Trouble> {
        self.wait();
        Ok(None)
    }

    fn put(&self, _: &Name, body: &mut dyn Read) -> Result<u64, Trouble> {
        self.wait();
        let copied = std::io::copy(body, &mut std::io::sink());
        copied.map_err(Trouble::Body)
    }
}

#[test]
fn who_waits_too_long_for_a_turn_is_told_to_come_again() {
    let pool = Arc::new(Stuck::default());
    let limits = Limits {
        reads_max: 1,
        uploads_max: 1,
        turn_wait_max: std::time::Duration::from_millis(100),
        // The storage keeps the client waiting, so it is not the client who is silent.
        silence_max: std::time::Duration::from_millis(10),
        ..Limits::default()
    };
    let served = Served::with(Arc::<Stuck>::clone(&pool), limits);
    for (method, status) in [("GET", 404), ("PUT", 201)] {
        *pool.open.lock().unwrap() = false;
        std::thread::scope(|scope| {
            let asked: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        served
                            .ask(super::served::WRITER, &format!("{method} {AC}"), b"")
                            .status
                    })
                })
                .collect();
            while asked.iter().all(|one| !one.is_finished()) {
                std::thread::yield_now();
            }
            pool.open();
            let mut all: Vec<u16> = asked.into_iter().map(|one| one.join().unwrap()).collect();
            all.sort_unstable();
            let mut expected = [status, 429];
            expected.sort_unstable();
            assert_eq!(all, expected);
        });
    }
}
