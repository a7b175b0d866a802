//! Repositories over HTTP: git's own `http-backend` behind a server of one thread that wants a name and a password.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

#[derive(Default)]
struct State {
    repositories: Mutex<BTreeMap<String, PathBuf>>,
    signed_in: AtomicUsize,
    is_over: AtomicBool,
}

/// A server. Dropped, it ends.
pub(super) struct Served {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// A server of the repository at `folder`, for `user:password`, or for everybody when that is empty.
    pub(super) fn start(folder: &Path, who: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let theirs = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("git-server".into())
            .spawn(move || {
                for stream in listener.incoming() {
                    if theirs.is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    // A client that goes away is its own business.
                    let _answered = answer(stream.unwrap(), &theirs, who);
                }
            })
            .unwrap();
        let made = Self {
            address,
            state,
            thread: Some(thread),
        };
        made.add("main", folder);
        made
    }

    pub(super) fn add(&self, name: &str, folder: &Path) {
        let mut repositories = self.state.repositories.lock().unwrap();
        repositories.insert(name.to_string(), folder.join(".git"));
    }

    pub(super) fn url(&self) -> String {
        self.url_of("main")
    }

    pub(super) fn url_of(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// How many requests came with a sign-in, right or wrong.
    pub(super) fn signed_in(&self) -> usize {
        self.state.signed_in.load(Ordering::SeqCst)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        let _wake = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn answer(mut stream: TcpStream, state: &State, who: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_string());
    }
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let mut words = first.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let told = header("authorization");
    state
        .signed_in
        .fetch_add(usize::from(!told.is_empty()), Ordering::SeqCst);
    if !who.is_empty() && told != format!("Basic {}", base64(who.as_bytes())) {
        let refusal = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return stream.write_all(refusal.as_bytes());
    }
    let (name, rest) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let folder = state.repositories.lock().unwrap().get(name).cloned();
    let Some(folder) = folder else {
        return stream.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    };
    let mut child = Command::new("git")
        .arg("-c")
        .arg("safe.directory=*")
        .arg("http-backend")
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_TRANSLATED", folder.join(rest))
        .env("PATH_INFO", path)
        .env("REQUEST_METHOD", method)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("HTTP_GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().unwrap().write_all(&body)?;
    let output = child.wait_with_output()?.stdout;
    let at = output.windows(4).position(|four| four == b"\r\n\r\n");
    let head = String::from_utf8_lossy(&output[..at.unwrap_or(0)]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: "));
    let status = status.unwrap_or("200 OK");
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n")?;
    stream.write_all(&output)
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let letter = (bits >> (18 - 6 * place)) & 63;
            let is_there = place <= three.len();
            text.push(if is_there {
                char::from(LETTERS[letter as usize])
            } else {
                '='
            });
        }
    }
    text
}
