//! Three servers that keep streams together, on loopback or each on a host of its own.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use serde_json::Value;

use crate::hosts::{Cable, Hosts};
use crate::server::{Server, Setup, host, is_installed};

/// What its servers are called.
const NAMES: [&str; 3] = ["one", "two", "three"];

/// They speak to each other about once a second.
const HEARD_NANOS_MAX: u64 = 2_000_000_000;

/// Where servers with an address of their own speak to each other.
const ROUTE_PORT: u16 = 6222;

/// A running cluster. Dropped, its servers are killed.
#[derive(Debug)]
pub struct Cluster {
    /// In the order of [`NAMES`].
    servers: Vec<Server>,
    /// Numbered in that order; dropped after what runs there.
    hosts: Option<Hosts>,
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
        let on = NAMES.map(|_| None);
        Some(Self::launch(&routes, on, None))
    }

    /// The same on three hosts, whose cables can be pulled; none, too, where namespaces cannot be made.
    #[must_use]
    pub fn start_on_hosts() -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let hosts = Hosts::new(3)?;
        let numbers = [1, 2, 3];
        let routes = numbers.map(|number| SocketAddr::from((hosts.at(number), ROUTE_PORT)));
        let on = numbers.map(|number| Some((hosts.name(number), hosts.at(number))));
        Some(Self::launch(&routes, on, Some(hosts)))
    }

    fn launch(
        routes: &[SocketAddr; 3],
        on: [Option<(String, Ipv4Addr)>; 3],
        hosts: Option<Hosts>,
    ) -> Self {
        let all = routes.map(|at| format!("nats://{at}")).join(", ");
        let launched = NAMES.iter().zip(routes).zip(on).map(|((name, route), on)| {
            let more = format!(
                "server_name: {name}\ncluster {{ name: croft, listen: \"{route}\", routes: [{all}] }}\n"
            );
            let setup = Setup {
                more,
                on,
                ..Setup::default()
            };
            Server::spawn(setup, tempfile::tempdir().unwrap(), "-1")
        });
        // All are started before one is waited for: alone, none is ready.
        let mut cluster = Self {
            servers: launched.collect(),
            hosts,
        };
        for server in &mut cluster.servers {
            server.wait();
        }
        cluster.wait_until_whole();
        cluster
    }

    /// Takes a server's host off the network: it runs on, and nobody hears of it, nor it of anybody.
    pub fn cut_off(&self, name: &str) {
        self.cable(name, Cable::Out);
    }

    /// Puts it back.
    pub fn reconnect(&self, name: &str) {
        self.cable(name, Cable::In);
    }

    fn cable(&self, name: &str, to: Cable) {
        let hosts = self.hosts.as_ref().unwrap();
        let number = (1..).zip(NAMES).find(|(_, known)| *known == name);
        hosts.cable(number.unwrap().0, to);
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

    /// Until the leader, which alone knows, has heard of both others a moment ago: on who has not reported yet it places no stream.
    fn wait_until_heard(&mut self) {
        let pages: Vec<String> = self.monitoring();
        let is_heard = |peer: &Value| {
            let nanos = peer["active"].as_u64();
            peer["offline"] != true && nanos.is_some_and(|nanos| nanos < HEARD_NANOS_MAX)
        };
        let leads = |at: &String| {
            let page = get(at, "/jsz")?;
            let replicas = page["meta_cluster"]["replicas"].as_array()?.clone();
            let is_whole = replicas.len() + 1 == NAMES.len() && replicas.iter().all(is_heard);
            is_whole.then_some(())
        };
        self.servers[0].until("the leader hears all", || pages.iter().find_map(leads));
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
        self.wait_until_heard();
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
