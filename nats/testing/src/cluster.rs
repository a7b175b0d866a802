//! Three servers that keep streams together, on loopback.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use crate::server::{Server, Setup, host, is_installed};

/// What its servers are called.
const NAMES: [&str; 3] = ["one", "two", "three"];

/// A running cluster. Dropped, its servers are killed.
#[derive(Debug)]
pub struct Cluster {
    /// In the order of [`NAMES`].
    servers: Vec<Server>,
}

impl Cluster {
    /// Three servers that wait for their disks and have chosen a leader, or none when the server is not installed: then the
    /// test is skipped.
    #[must_use]
    pub fn start() -> Option<Self> {
        if !is_installed() {
            return None;
        }
        // Each must know the others' ports before any of them runs. All are held until all are known, so that they differ;
        // on an address that is this process's own nobody else takes them.
        let held = NAMES.map(|_| TcpListener::bind((host(), 0)).unwrap());
        let routes = held.each_ref().map(|held| held.local_addr().unwrap());
        drop(held);
        let all = routes.map(|at| format!("nats://{at}")).join(", ");
        let launched = NAMES.iter().zip(&routes).map(|(name, route)| {
            let more = format!(
                "server_name: {name}\ncluster {{ name: croft, listen: \"{route}\", routes: [{all}] }}\n"
            );
            let setup = Setup {
                more,
                ..Setup::default()
            };
            Server::spawn(setup, tempfile::tempdir().unwrap(), "-1")
        });
        // All are started before one is waited for: alone, none is ready.
        let mut cluster = Self {
            servers: launched.collect(),
        };
        for server in &mut cluster.servers {
            server.wait();
        }
        cluster.wait_until_whole();
        Some(cluster)
    }

    /// Where they are.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let of = self.servers.iter().map(|server| server.address.clone());
        of.collect()
    }

    /// Where their monitoring is.
    #[must_use]
    pub fn monitoring(&self) -> Vec<String> {
        let of = self.servers.iter().map(|server| server.monitoring.clone());
        of.collect()
    }

    /// The server of that name.
    pub fn server(&mut self, name: &str) -> &mut Server {
        let at = NAMES.iter().position(|known| *known == name).unwrap();
        &mut self.servers[at]
    }

    /// Until all agree on a leader and know of each other.
    pub fn wait_until_whole(&mut self) {
        for server in &mut self.servers {
            let at = server.monitoring.clone();
            server.until("the cluster is whole", || {
                let page = get(&at, "/jsz")?;
                let meta = &page["meta_cluster"];
                let has_leader = meta["leader"].as_str().is_some_and(|name| !name.is_empty());
                let is_whole = meta["cluster_size"].as_u64() == Some(NAMES.len() as u64);
                let is_healthy = get(&at, "/healthz").is_some_and(|page| page["status"] == "ok");
                (has_leader && is_whole && is_healthy).then_some(())
            });
        }
    }
}

/// A page of a server's monitoring, when it answers.
fn get(monitoring: &str, path: &str) -> Option<Value> {
    let at = monitoring.trim_start_matches("http://");
    let mut socket = TcpStream::connect(at).ok()?;
    write!(socket, "GET {path} HTTP/1.0\r\nHost: {at}\r\n\r\n").ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    serde_json::from_str(body).ok()
}
