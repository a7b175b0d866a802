//! A service on a port of its own, and a client that writes HTTP by hand: what is wrong with a request is the test's choice.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use croft_keys::Tokens;
use ring::digest::{SHA256, digest};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::super::result::message;
use super::super::*;

/// Whatever is waited for happens sooner than this, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const WRITER: &str =
    "Bearer croft_writer_1111111111111111111111111111111111111111111111111111111111111111";
pub(super) const READER: &str =
    "Bearer croft_reader_2222222222222222222222222222222222222222222222222222222222222222";
/// Of another scope.
pub(super) const FORK: &str =
    "Bearer croft_writer_3333333333333333333333333333333333333333333333333333333333333333";

/// A running service. Dropped, it ends.
pub(super) struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<Summary>>,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Reads one answer; a `HEAD`'s has no body.
    pub(super) fn read(socket: &mut impl Read, is_head: bool) -> Self {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers: HashMap<String, String> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_string()))
            .collect();
        let length = headers.get("content-length").unwrap().parse().unwrap();
        let mut body = vec![0; if is_head { 0 } else { length }];
        socket.read_exact(&mut body).unwrap();
        Self {
            status: status.parse().unwrap(),
            headers,
            body,
        }
    }
}

/// The gate that knows the three tokens.
fn tokens() -> TokenGate {
    let line = |who: &str, grant: &str| {
        let hash = blake3::hash(who.trim_start_matches("Bearer ").as_bytes());
        format!("{hash} {grant}\n")
    };
    let text = line(WRITER, "writer trusted")
        + &line(READER, "reader trusted")
        + &line(FORK, "writer fork/1");
    TokenGate::new(Tokens::parse(&text).unwrap())
}

impl Served {
    /// Tokens, small limits, that pool.
    pub(super) fn over(pool: Arc<dyn Pool>) -> Self {
        let limits = Limits {
            body_bytes_max: 10 << 20,
            ..Limits::default()
        };
        Self::with(pool, limits)
    }

    pub(super) fn with(pool: Arc<dyn Pool>, limits: Limits) -> Self {
        Self::start(pool, limits, Arc::new(tokens()))
    }

    pub(super) fn start(pool: Arc<dyn Pool>, limits: Limits, gate: Arc<dyn Gate>) -> Self {
        let stop = CancellationToken::new();
        let drain = stop.clone();
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("service".into());
        let thread = thread.spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let service = Service::new(Options {
                    pool,
                    gate,
                    mounts: Mount::usual(),
                    limits,
                });
                service
                    .run(listener, drain.cancelled_owned(), std::future::pending())
                    .await
            })
        });
        Self {
            address: told.recv().unwrap(),
            stop,
            thread: Some(thread.unwrap()),
        }
    }

    pub(super) fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// The answer to a request with that `Authorization`.
    pub(super) fn ask(&self, who: &str, line: &str, body: &[u8]) -> Answer {
        self.ask_with(&[("Authorization", who)], line, body)
    }

    /// The answer to a request with these headers.
    pub(super) fn ask_with(&self, headers: &[(&str, &str)], line: &str, body: &[u8]) -> Answer {
        let mut socket = self.connect();
        socket
            .write_all(head(headers, line, body.len()).as_bytes())
            .unwrap();
        // Who is refused at once may find the connection closed.
        socket.write_all(body).unwrap_or_default();
        Answer::read(&mut socket, line.starts_with("HEAD"))
    }

    pub(super) fn put(&self, path: &str, body: &[u8]) -> Answer {
        self.ask(WRITER, &format!("PUT {path}"), body)
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        self.ask(WRITER, &format!("GET {path}"), b"")
    }

    /// Asks for the end, without waiting for it.
    pub(super) fn drain(&self) {
        self.stop.cancel();
    }

    /// Ends it, and waits until nothing of it is left.
    pub(super) fn end(mut self) -> Summary {
        self.drain();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.drain();
    }
}

/// A request's head.
pub(super) fn head(headers: &[(&str, &str)], line: &str, length: usize) -> String {
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n")
}

/// An action's result that names no blob and holds these bytes, as what was printed.
pub(super) fn result(bytes: &[u8]) -> Vec<u8> {
    message(5, bytes)
}

/// The body to put at a path, so that it is of the right kind.
pub(super) fn body(path: &str, bytes: &[u8]) -> Vec<u8> {
    if path.contains("/ac/") {
        result(bytes)
    } else {
        bytes.to_vec()
    }
}

/// Where Bazel finds a blob of these bytes.
pub(super) fn cas(bytes: &[u8]) -> String {
    let digits: String = digest(&SHA256, bytes)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("/cas/{digits}")
}

/// Bytes of that length, no two pieces alike.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}
