//! Object storage over HTTP: a real server runs every case of the conformance suite, and servers that are dead, mute or
//! refuse cost seconds. The server is moto, which `scripts/setup` installs; where it is missing, its test says so.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use object_store::path::Path;

use super::backend_conformance::CASES;
use super::transfer::{put, send};
use super::{Site, noise, skip};
use crate::backend::Objects;
use crate::backend::guard::Limits;
use crate::{Place, ReadError, Reading, Store, Trust};

/// An AWS of this test's own. Dropped, it ends.
struct Moto {
    server: Child,
    address: String,
}

/// Where `scripts/setup` puts the server; another folder when `CROFT_TEST_AWS` names it.
fn programs() -> PathBuf {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
    std::env::var_os("CROFT_TEST_AWS")
        .map_or_else(|| cache.join("croft/test-aws/bin"), PathBuf::from)
}

impl Moto {
    /// A running server, or none when it is not installed.
    fn start() -> Option<Self> {
        let program = programs().join("moto_server");
        if !program.exists() {
            let program = program.display();
            skip(&format!("there is no {program}: run scripts/setup"));
            return None;
        }
        let mut server = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        // A server that cannot start ends, and with it its lines.
        let address = loop {
            let line = lines.next().expect("the server says where it is").unwrap();
            if let Some((_, address)) = line.split_once("Running on http://") {
                break address.trim().to_owned();
            }
        };
        // Each request is a line; a full pipe would stop the server.
        std::thread::Builder::new()
            .name("moto".into())
            .spawn(move || lines.for_each(drop))
            .unwrap();
        Some(Self { server, address })
    }

    /// Makes a bucket; an unsigned request will do.
    fn make_bucket(&self, bucket: &str) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "PUT /{bucket} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.address
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 "), "{answer}");
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.server.kill().unwrap_or_default();
        self.server.wait().map(drop).unwrap_or_default();
    }
}

fn bucket(address: &str, prefix: &str) -> Objects {
    limited(address, prefix, Limits::default())
}

fn limited(address: &str, prefix: &str, limits: Limits) -> Objects {
    Objects::open_in(&place(address, prefix), &keys(), limits)
}

fn place(address: &str, prefix: &str) -> Place {
    format!("s3://shelf/{prefix}?endpoint=http://{address}&region=here&allow_http=true")
        .parse()
        .unwrap()
}

fn keys() -> Vec<(String, String)> {
    let keys = [
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "word"),
    ];
    keys.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec()
}

/// Runs the suite, each case below a prefix of its own beside what others left; the names of those that failed.
fn failures(open: impl Fn(&str) -> Objects) -> Vec<&'static str> {
    let mut failed = Vec::new();
    for (name, case) in CASES {
        let objects = open(name);
        if catch_unwind(AssertUnwindSafe(|| case(&objects))).is_err() {
            failed.push(*name);
        }
    }
    failed
}

/// With `CROFT_TEST_S3`, a place without settings of its own such as `s3://bucket/prefix`, against the server that AWS's own
/// variables name instead: docs/cache-backends.md shows how.
#[test]
fn a_real_server_does_all_that_is_needed() {
    if let Ok(base) = std::env::var("CROFT_TEST_S3") {
        let failed = failures(|prefix| emptied(&format!("{base}/{prefix}")));
        assert!(failed.is_empty(), "failed against {base}: {failed:?}");
        return;
    }
    let Some(moto) = Moto::start() else {
        return;
    };
    moto.make_bucket("shelf");
    let failed = failures(|prefix| bucket(&moto.address, prefix));
    assert!(failed.is_empty(), "failed against the server: {failed:?}");
}

/// A place on a server that an earlier run may have used.
fn emptied(text: &str) -> Objects {
    let place: Place = text.parse().unwrap();
    let objects = Objects::open(&place).unwrap();
    for left in objects.list(&Path::from("v2")).unwrap() {
        objects.delete(&left.name).unwrap();
    }
    objects
}

#[test]
fn what_others_put_into_a_bucket_is_read_within_limits() {
    let Some(moto) = Moto::start() else {
        return;
    };
    moto.make_bucket("shelf");
    let objects = bucket(&moto.address, "");
    let bytes = noise(7, 3_000_000);
    objects.put(&Path::from("x/a.zip"), bytes.clone()).unwrap();
    objects.put(&Path::from("x/y/b"), b"b".to_vec()).unwrap();
    let reading = Reading::open_in(&place(&moto.address, ""), &keys()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut got = Vec::new();
        let size = reading.object("x/a.zip", None, 3_000_000, &mut got).await;
        assert_eq!((size.unwrap(), got == bytes), (3_000_000, true));
        let much = reading
            .object("x/a.zip", None, 2_999_999, &mut Vec::new())
            .await;
        assert!(matches!(much, Err(ReadError::TooMuch { .. })), "{much:?}");
        let missing = reading.object("x/no", None, 9, &mut Vec::new()).await;
        assert!(matches!(missing, Err(ReadError::Missing(_))), "{missing:?}");
        let mut listed = reading.list("x", 2).await.unwrap();
        listed.sort();
        let expected = [("x/a.zip".to_owned(), 3_000_000), ("x/y/b".to_owned(), 1)];
        assert_eq!(listed, expected);
        let many = reading.list("x", 1).await;
        assert!(matches!(many, Err(ReadError::TooMuch { .. })), "{many:?}");
        let none = reading.list("z", 1).await;
        assert!(matches!(none, Err(ReadError::Missing(_))), "{none:?}");
    });
    let nobody = "s3://shelf/?endpoint=http://127.0.0.1:9&region=here&allow_http=true";
    let nobody = Reading::open_in(&nobody.parse().unwrap(), &keys()).unwrap();
    let failed = runtime.block_on(nobody.list("x", 1));
    assert!(
        matches!(failed, Err(ReadError::Failed { .. })),
        "{failed:?}"
    );
}

#[test]
fn a_tree_is_sent_to_object_storage_and_on_from_there() {
    let Some(moto) = Moto::start() else {
        return;
    };
    moto.make_bucket("shelf");
    let near = tempfile::tempdir().unwrap();
    let trust = Trust::of_folder(near.path()).unwrap();
    let bucket = Store::over(bucket(&moto.address, "x"), near.path(), trust);
    let site = Site::with(&[("a", &noise(1, 5_000_000)), ("b/c", b"text")]);
    let (from, to) = (super::in_memory(), super::in_memory());
    let tree = put(&from, &site.path(""));
    send(&from, &bucket, &tree);
    assert_eq!(send(&from, &bucket, &tree).0.chunks, 0);
    send(&bucket, &to, &tree);
    let copy = Site::new();
    to.get(&tree, &copy.path("")).unwrap();
    assert!(copy.read("a") == noise(1, 5_000_000) && copy.read("b/c") == b"text");
}

#[test]
fn a_server_that_dies_is_done_without_and_its_successor_gets_what_waited() {
    let Some(moto) = Moto::start() else {
        return;
    };
    moto.make_bucket("shelf");
    let near = tempfile::tempdir().unwrap();
    let tiered = |address: &str| {
        Objects::tiered_in(
            near.path(),
            &place(address, "x"),
            &keys(),
            Limits::default(),
        )
    };
    let (pack, entry) = (Path::from("v2/packs/p"), Path::from("v2/entries/e"));
    let objects = tiered(&moto.address);
    objects.put(&pack, noise(1, 1 << 20)).unwrap();
    drop(moto);
    for index in 0..4 {
        let pack = Path::from(format!("v2/packs/{index}"));
        objects.put(&pack, noise(index, 1_000)).unwrap();
    }
    objects.put(&entry, b"entry".to_vec()).unwrap();
    assert!(objects.get(&pack, 1 << 20).unwrap() == noise(1, 1 << 20));
    assert_eq!(objects.get(&entry, 9).unwrap(), "entry");
    assert_eq!(objects.waiting().unwrap(), 5);
    assert_eq!(objects.notices().len(), 1);
    drop(objects);

    let successor = Moto::start().unwrap();
    successor.make_bucket("shelf");
    assert_eq!(tiered(&successor.address).flush_pending().unwrap(), 5);
    let far = bucket(&successor.address, "x");
    assert_eq!(far.get(&entry, 9).unwrap(), "entry");
    assert_eq!(far.list(&Path::from("v2/packs")).unwrap().len(), 4);
}

#[test]
fn a_missing_bucket_is_no_missing_object_to_write_to() {
    let Some(moto) = Moto::start() else {
        return;
    };
    let objects = bucket(&moto.address, "x");
    assert!(
        objects
            .put(&Path::from("v2/packs/a"), b"x".to_vec())
            .is_err()
    );
}

#[test]
fn a_dead_server_costs_seconds_and_is_said_once() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let objects = bucket(&address, "x");
    let started = Instant::now();
    for _ in 0..20 {
        objects.get(&Path::from("v2/packs/a"), 9).unwrap_err();
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    let notices = objects.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("s3://shelf/x"), "{notices:?}");
    assert!(!notices[0].contains("word"), "{notices:?}");
}

#[test]
fn a_mute_server_costs_its_deadlines_and_is_said_once() {
    // It takes connections, and nobody ever reads from them.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = Limits {
        call_ms: 100,
        ..Limits::default()
    };
    let objects = limited(&mute.local_addr().unwrap().to_string(), "x", limits);
    let started = Instant::now();
    for _ in 0..20 {
        objects.list(&Path::from("v2/packs")).unwrap_err();
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    let notices = objects.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(
        notices[0].contains("no answer within 100 ms"),
        "{notices:?}"
    );
}

#[test]
fn a_dead_server_is_one_failure_for_all_that_asked_together() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = Limits {
        call_ms: 300,
        ..Limits::default()
    };
    let objects = limited(&mute.local_addr().unwrap().to_string(), "x", limits);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| objects.size_bytes(&Path::from("v2/packs/a")).unwrap_err());
        }
    });
    assert!(objects.notices().is_empty());
}
