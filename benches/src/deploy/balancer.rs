//! A real HAProxy before hosts. Handed to the rows whose traffic goes through one; ended with them.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::farm::http::text;

const START_MAX: Duration = Duration::from_secs(10);
/// What its servers are in.
pub(super) const BACKEND: &str = "web";

pub(super) struct Balancer {
    child: Child,
    /// Where it is asked.
    pub(super) front: String,
    /// Where it is told.
    pub(super) socket: PathBuf,
}

impl Balancer {
    /// One before servers of those names at those ports of this machine.
    pub(super) fn before(folder: &Path, servers: &[(String, u16)]) -> Result<Self, String> {
        let front = format!("127.0.0.1:{}", free_port()?);
        let socket = folder.join("haproxy.sock");
        let servers: String = servers
            .iter()
            .map(|(name, port)| format!("  server {name} 127.0.0.1:{port} check inter 100ms\n"))
            .collect();
        let settings = format!(
            "global\n  stats socket {} level admin\n  maxconn 200\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  \
             timeout server 5s\n  timeout queue 5s\n  option redispatch\nfrontend in\n  bind {front}\n  default_backend {BACKEND}\n\
             backend {BACKEND}\n{servers}",
            socket.display()
        );
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, settings).map_err(text)?;
        let mut command = Command::new("haproxy");
        command
            .arg("-db")
            .arg("-f")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .map_err(|error| format!("haproxy: {error}"))?;
        let balancer = Self {
            child,
            front,
            socket,
        };
        let begun = Instant::now();
        while !balancer.socket.exists() {
            if begun.elapsed() > START_MAX {
                return Err("haproxy did not start".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(balancer)
    }

    /// The status and the body of an answer; none when nobody gave one.
    pub(super) fn ask(front: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(front).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.trim().to_string()))
    }

    /// Whether its checks find a server well, and the weight that it was given: 0 for one that is drained or in maintenance.
    pub(super) fn standing(&self, server: &str) -> Result<(bool, u32), String> {
        let mut socket = UnixStream::connect(&self.socket).map_err(text)?;
        socket.write_all(b"show stat\n").map_err(text)?;
        let mut table = String::new();
        socket.read_to_string(&mut table).map_err(text)?;
        let mut lines = table.trim_start_matches("# ").lines();
        let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        let column = |name: &str| {
            let at = names.iter().position(|one| *one == name);
            at.ok_or_else(|| format!("HAProxy's statistics have no {name}"))
        };
        let (status, weight) = (column("status")?, column("weight")?);
        let mut rows = lines.map(|line| line.split(',').collect::<Vec<_>>());
        let row = rows
            .find(|row| row.first() == Some(&BACKEND) && row.get(1) == Some(&server))
            .ok_or_else(|| format!("HAProxy has no server {server}"))?;
        let is_up = row[status].starts_with("UP");
        // A server that is down keeps its weight: nobody has taken it.
        if is_up || row[status].starts_with("DOWN") {
            Ok((is_up, row[weight].parse().map_err(text)?))
        } else {
            Ok((false, 0))
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

pub(super) fn free_port() -> Result<u16, String> {
    let held = TcpListener::bind(("127.0.0.1", 0)).map_err(text)?;
    Ok(held.local_addr().map_err(text)?.port())
}
