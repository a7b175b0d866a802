//! Hosts of a test's own: network namespaces with an address each, on one switch that this process can reach too. A host that is cut
//! off hears nothing and is told nothing, as when its cable is out: no connection of its is closed.
//!
//! The switch is in a namespace as well, so that no rule of this machine's firewall for what it forwards stands between them.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::skip;

/// The host number of this process on the switch.
const OUTSIDE: u8 = 254;

/// Some hosts. Dropped, they are gone; those of a test that was killed go with the next start.
#[derive(Debug)]
pub(crate) struct Hosts {
    tag: String,
    net: [u8; 3],
    count: u8,
}

impl Hosts {
    /// So many, numbered from 1; none, and said so, where namespaces cannot be made.
    pub(crate) fn new(count: u8) -> Option<Self> {
        sweep();
        let id = std::process::id();
        let [_, high, middle, low] = id.to_be_bytes();
        let hosts = Self {
            tag: format!("c{id}"),
            // Process ids have 22 bits; the upper half of 10.0.0.0/8 is not what container engines use.
            net: [10, 128 | high << 4 | middle >> 4, middle << 4 ^ low],
            count,
        };
        match hosts.make() {
            Ok(()) => Some(hosts),
            Err(reason) => {
                skip(&format!("no network namespaces: {reason}"));
                None
            }
        }
    }

    fn make(&self) -> Result<(), String> {
        let (hub, tag) = (self.hub(), &self.tag);
        ip(&format!("netns add {hub}"))?;
        ip(&format!("-n {hub} link add switch type bridge"))?;
        ip(&format!("-n {hub} link set switch up"))?;
        ip(&format!(
            "link add {tag}o type veth peer name {tag}h netns {hub}"
        ))?;
        self.plug_in(&format!("{tag}h"))?;
        ip(&format!("link set {tag}o up"))?;
        ip(&format!("addr add {}/24 dev {tag}o", self.at(OUTSIDE)))?;
        for number in 1..=self.count {
            let (name, plug) = (self.name(number), self.plug(number));
            ip(&format!("netns add {name}"))?;
            ip(&format!(
                "link add {plug} netns {hub} type veth peer name eth0 netns {name}"
            ))?;
            self.plug_in(&plug)?;
            ip(&format!("-n {name} link set lo up"))?;
            ip(&format!("-n {name} link set eth0 up"))?;
            ip(&format!(
                "-n {name} addr add {}/24 dev eth0",
                self.at(number)
            ))?;
        }
        Ok(())
    }

    fn plug_in(&self, plug: &str) -> Result<(), String> {
        let hub = self.hub();
        ip(&format!("-n {hub} link set {plug} master switch"))?;
        ip(&format!("-n {hub} link set {plug} up"))
    }

    /// Its address.
    pub(crate) fn at(&self, number: u8) -> Ipv4Addr {
        let [a, b, c] = self.net;
        Ipv4Addr::new(a, b, c, number)
    }

    /// Its namespace.
    pub(crate) fn name(&self, number: u8) -> String {
        format!("{}-{number}", self.tag)
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.tag)
    }

    fn plug(&self, number: u8) -> String {
        format!("{}p{number}", self.tag)
    }

    /// Takes its cable out, or puts it back in.
    pub(crate) fn cable(&self, number: u8, to: Cable) {
        let to = match to {
            Cable::Out => "down",
            Cable::In => "up",
        };
        ip(&format!(
            "-n {} link set {} {to}",
            self.hub(),
            self.plug(number)
        ))
        .unwrap();
    }
}

/// Whether a host is on the switch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cable {
    Out,
    In,
}

impl Drop for Hosts {
    fn drop(&mut self) {
        remove(&self.tag);
    }
}

/// Removes what tests left that were killed.
fn sweep() {
    let listed = Command::new("ip").args(["netns", "list"]).output();
    let listed = listed.map_or_else(|_| Vec::new(), |listed| listed.stdout);
    for line in String::from_utf8_lossy(&listed).lines() {
        let tag = line.split([' ', '-']).next().unwrap_or_default();
        let id = tag.strip_prefix('c').and_then(|id| id.parse::<u32>().ok());
        if id.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            remove(tag);
        }
    }
}

/// All namespaces of a tag; their links go with them.
fn remove(tag: &str) {
    let listed = Command::new("ip").args(["netns", "list"]).output();
    let listed = listed.map_or_else(|_| Vec::new(), |listed| listed.stdout);
    let prefix = format!("{tag}-");
    for line in String::from_utf8_lossy(&listed).lines() {
        let name = line.split(' ').next().unwrap_or_default();
        if name.starts_with(&prefix) {
            ip(&format!("netns del {name}")).unwrap_or_default();
        }
    }
    ip(&format!("link del {tag}o")).unwrap_or_default();
}

fn ip(words: &str) -> Result<(), String> {
    let ran = Command::new("ip")
        .args(words.split(' '))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("ip: {error}"))?;
    if ran.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    Err(format!("ip {words}: {}", said.trim()))
}
