//! A real HAProxy before hosts of this machine, which a test asks and looks into.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::rig::http;
use crate::harness::{eventually, skip};

/// What its servers are in.
const BACKEND: &str = "web";

/// One that runs. Dropped, it is killed.
pub(super) struct Balanced {
    child: Child,
    port: u16,
    file: PathBuf,
    /// What became of each request.
    log: PathBuf,
    pub(super) socket: PathBuf,
}

impl Balanced {
    /// Before servers of those names at those ports; none, and said so, where there is no HAProxy.
    pub(super) fn start(folder: &Path, servers: &[(&str, u16)]) -> Option<Self> {
        let local = |(name, port): &(&str, u16)| (name.to_string(), format!("127.0.0.1:{port}"));
        let servers: Vec<(String, String)> = servers.iter().map(local).collect();
        Self::before(folder, &servers)
    }

    /// The same at those addresses.
    pub(super) fn before(folder: &Path, servers: &[(String, String)]) -> Option<Self> {
        let (port, socket) = (free_port(), folder.join("haproxy.sock"));
        let log = folder.join("haproxy.log");
        let servers: String = servers
            .iter()
            .map(|(name, at)| format!("  server {name} {at} check inter 100ms\n"))
            .collect();
        let settings = format!(
            "global\n  stats socket {} level admin\n  maxconn 200\n  log stdout format iso local0\n\
             defaults\n  mode http\n  log global\n  option httplog\n  timeout connect 2s\n  timeout client 5s\n  \
             timeout server 5s\n  option redispatch\n  retries 3\nfrontend in\n  bind 127.0.0.1:{port}\n  default_backend {BACKEND}\n\
             backend {BACKEND}\n{servers}",
            socket.display()
        );
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, settings).unwrap();
        match spawn(&file, &log) {
            Ok(child) => Some(Self {
                child,
                port,
                file,
                log,
                socket,
            }),
            Err(error) => {
                skip(&format!("there is no haproxy ({error}): run scripts/setup"));
                None
            }
        }
    }

    /// Another process of the same settings takes its place, and knows nothing of what it was told.
    pub(super) fn start_anew(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.file, &self.log).unwrap();
        eventually("the balancer answers", || {
            UnixStream::connect(&self.socket).is_ok()
        });
    }

    /// What the balancer answers with.
    pub(super) fn page(&self) -> Option<String> {
        let at = format!("127.0.0.1:{}", self.port);
        let answer = http::ask(&at, "GET", "/page", &[], b"").ok()?;
        (answer.status == 200).then(|| answer.text())
    }

    /// What the balancer wrote of requests that did not go well, and of servers that came and went.
    pub(super) fn troubles(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let is_trouble = |line: &&str| !line.contains(" 200 ") || !line.contains(" ---- ");
        let lines: Vec<&str> = log.lines().filter(is_trouble).collect();
        lines.join("\n")
    }

    /// The weight by which each server gets traffic: 0 for one that is drained.
    pub(super) fn weights(&self) -> BTreeMap<String, u32> {
        let weights = statistics(&self.socket, BACKEND, "weight");
        let servers = weights.into_iter().filter(|(name, _)| name != "BACKEND");
        servers
            .map(|(name, weight)| (name, weight.parse().unwrap()))
            .collect()
    }
}

fn spawn(file: &Path, log: &Path) -> std::io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(log)?;
    Command::new("haproxy")
        .arg("-db")
        .arg("-f")
        .arg(file)
        .stdin(Stdio::null())
        .stderr(log.try_clone()?)
        .stdout(log)
        .spawn()
}

impl Drop for Balanced {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// A column of a balancer's statistics for each server of a backend, and for all of them.
pub(super) fn statistics(socket: &Path, backend: &str, column: &str) -> BTreeMap<String, String> {
    let mut socket = UnixStream::connect(socket).unwrap();
    socket.write_all(b"show stat\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let mut lines = text.trim_start_matches("# ").lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let at = names.iter().position(|name| *name == column).unwrap();
    lines
        .map(|line| line.split(',').collect::<Vec<_>>())
        .filter(|row| row.first() == Some(&backend) && row[1] != "FRONTEND")
        .map(|row| (row[1].to_string(), row[at].to_string()))
        .collect()
}

pub(super) fn free_port() -> u16 {
    let held = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    held.local_addr().unwrap().port()
}
