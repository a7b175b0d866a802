//! A farm for one test, in one of its two sizes: its processes, its stores, and a client that asks it. Each test has all of it to
//! itself, below one folder, on addresses that are its own.

/// Asking it, as a person or as a tool.
mod asking;
/// Between a host and it.
mod cable;
/// Requests.
pub(crate) mod http;
/// What it leaves on the machine.
mod leftovers;
/// Its processes.
mod role;
/// Object storage.
mod s3;
/// What the broker is told.
mod tap;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub(crate) use asking::commands;
pub(crate) use cable::Cable;
pub(crate) use role::Role;
pub(crate) use s3::S3;
pub(crate) use tap::Tap;

use croft_nats_testing::Cluster;

use super::skip;

/// A thread of that name.
pub(crate) fn thread(
    name: &str,
    does: impl FnOnce() + Send + 'static,
) -> std::thread::JoinHandle<()> {
    let builder = std::thread::Builder::new().name(name.into());
    builder.spawn(does).unwrap()
}

/// One process, or servers and workers around a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// `croft up` over files.
    Small,
    /// NATS, S3, `croft server` and `croft worker`.
    Large,
}

/// The broker of a large one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broker {
    /// One server.
    Alone,
    /// Three on this machine's loopback.
    Cluster,
    /// Three, each on a host whose cable can be pulled.
    ClusterOnHosts,
}

/// What a test wants of its farm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) size: Size,
    pub(crate) lease: &'static str,
    pub(crate) drain: &'static str,
    /// Of a large one.
    pub(crate) servers: usize,
    /// Of a large one.
    pub(crate) workers: usize,
    /// Builds at once, of each worker.
    pub(crate) slots: &'static str,
    /// Of a large one.
    pub(crate) broker: Broker,
    /// The size of a disk of its own that all of it is on, such as `96m`; none is this machine's.
    pub(crate) disk: Option<&'static str>,
}

impl Plan {
    pub(crate) const SMALL: Self = Self {
        size: Size::Small,
        lease: "15s",
        drain: "60s",
        servers: 0,
        workers: 0,
        slots: "2",
        broker: Broker::Alone,
        disk: None,
    };
    pub(crate) const LARGE: Self = Self {
        size: Size::Large,
        servers: 2,
        workers: 2,
        ..Self::SMALL
    };

    /// The same with that lease: what is away for a shorter time loses no attempt.
    pub(crate) const fn lease(mut self, lease: &'static str) -> Self {
        self.lease = lease;
        self
    }

    /// The same where what is lost is noticed soon.
    pub(crate) const fn soon(mut self) -> Self {
        self.lease = "2s";
        self
    }

    pub(crate) const fn slots(mut self, slots: &'static str) -> Self {
        self.slots = slots;
        self
    }

    pub(crate) const fn broker(mut self, broker: Broker) -> Self {
        self.broker = broker;
        self
    }

    pub(crate) const fn disk(mut self, size: &'static str) -> Self {
        self.disk = Some(size);
        self
    }

    pub(crate) const fn drain(mut self, drain: &'static str) -> Self {
        self.drain = drain;
        self
    }
}

/// A running farm. Dropped, all of it is killed.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) plan: Plan,
    /// `croft up`, or the servers.
    pub(crate) servers: Vec<Role>,
    /// None in a small one.
    pub(crate) workers: Vec<Role>,
    pub(crate) s3: Option<S3>,
    pub(crate) nats: Option<croft_nats_testing::Server>,
    pub(crate) cluster: Option<Cluster>,
    /// A token for everything.
    pub(crate) token: String,
    /// Where each server is, `127.0.0.1:1`.
    pub(crate) addresses: Vec<String>,
    /// What is running must not lose its files first.
    _disk: Option<Disk>,
    /// Last.
    folder: TempDir,
}

/// A disk in memory, mounted over a folder as long as this is there.
#[derive(Debug)]
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: &Path, size: &str) -> Self {
        let size = std::ffi::CString::new(format!("size={size},mode=0755")).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", folder, "tmpfs", flags, &*size).unwrap();
        Self(folder.to_path_buf())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).unwrap_or_default();
    }
}

impl Rig {
    /// One that is ready; none, and said so, where something for it is missing.
    pub(crate) fn start(plan: Plan) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip("the sandbox needs root");
            return None;
        }
        let folder = tempfile::Builder::new()
            .prefix("croft-farm-")
            .tempdir()
            .unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let disk = plan.disk.map(|size| Disk::mount(folder.path(), size));
        fs::create_dir(folder.path().join("person")).unwrap();
        let mut rig = Self {
            plan,
            servers: Vec::new(),
            workers: Vec::new(),
            s3: None,
            nats: None,
            cluster: None,
            token: String::new(),
            addresses: Vec::new(),
            _disk: disk,
            folder,
        };
        match plan.size {
            Size::Small => rig.small(),
            Size::Large => {
                match plan.broker {
                    Broker::Alone => rig.nats = Some(croft_nats_testing::Server::start()?),
                    Broker::Cluster => rig.cluster = Some(Cluster::start()?),
                    Broker::ClusterOnHosts => rig.cluster = Some(Cluster::start_on_hosts()?),
                }
                rig.s3 = Some(S3::start()?);
                rig.large();
            }
        }
        Some(rig)
    }

    fn small(&mut self) {
        self.add_server();
        let up = fs::read(self.servers[0].home().join("up.json")).unwrap();
        let up: serde_json::Value = serde_json::from_slice(&up).unwrap();
        self.token = up["token"].as_str().unwrap().to_string();
    }

    fn large(&mut self) {
        for _ in 0..self.plan.servers {
            self.add_server();
        }
        for _ in 0..self.plan.workers {
            self.add_worker();
        }
    }

    /// The folder that everything is in; nothing else on the machine has this path.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The home of whoever asks: beside `croft up` its own.
    pub(crate) fn client_home(&self) -> PathBuf {
        match self.plan.size {
            Size::Small => self.folder().join("up"),
            Size::Large => self.folder().join("client"),
        }
    }

    fn role(&self, name: &str, words: &[&str]) -> Role {
        let mut role = Role::new(self.folder(), name, words)
            .with("CROFT_LEASE", self.plan.lease)
            .with("CROFT_DRAIN", self.plan.drain)
            .with("CROFT_DISK_FREE", "16m")
            .with("CROFT_WARM", "0")
            .with(
                "CROFT_MASTER_KEY_FILE",
                self.folder().join("master.key").display().to_string(),
            );
        if let Some(nats) = &self.nats {
            role = role.with("CROFT_NATS", &nats.address);
        }
        if let Some(cluster) = &self.cluster {
            role = role
                .with("CROFT_NATS", cluster.addresses().join(","))
                .with("CROFT_NATS_REPLICAS", "3");
        }
        if let Some(s3) = &self.s3 {
            role = role.with("CROFT_STORE", s3.place());
            for (name, value) in S3::keys() {
                role = role.with(name, value);
            }
        }
        role
    }

    /// `croft up`, or one more server; waits until it is ready.
    pub(crate) fn add_server(&mut self) {
        let listen = format!("{}:0", croft_nats_testing::host());
        let mut role = match self.plan.size {
            Size::Small => self
                .role("up", &["up", "--listen", &listen])
                .with("CROFT_SLOTS", self.plan.slots),
            Size::Large => {
                let name = format!("server-{}", self.servers.len());
                self.role(&name, &["server", "--listen", &listen])
            }
        };
        role.start();
        if self.plan.size == Size::Large && self.token.is_empty() {
            self.token = role.says("admin token, shown once: ");
        }
        let url = role.says("listening on ");
        let address = url.rsplit('/').next().unwrap().to_string();
        // Started again it is where it was.
        role.words()[2].clone_from(&address);
        self.addresses.push(address);
        self.servers.push(role);
        self.ready(self.servers.len() - 1);
    }

    /// One more worker of the pool `default`; waits until it works.
    pub(crate) fn add_worker(&mut self) {
        let number = self.workers.len();
        let name = format!("worker-{number}");
        let words = [
            "token", "create", &name, "--role", "worker", "--pool", "default",
        ];
        let made = self.told(&words);
        let server = format!("http://{}", self.addresses[number % self.addresses.len()]);
        let mut role = self
            .role(
                &name,
                &["worker", "--sandbox", "--name", &name, "--server", &server],
            )
            .with("CROFT_SLOTS", self.plan.slots)
            .with("CROFT_TOKEN", made.trim());
        role.start();
        role.says("working for pool ");
        self.workers.push(role);
    }

    /// Waits until that server knows the truth.
    pub(crate) fn ready(&self, server: usize) {
        super::eventually("a server is ready", || {
            let asked = http::ask(&self.addresses[server], "GET", "/readyz", &[], b"");
            asked.is_ok_and(|answer| answer.status == 200)
        });
    }

    /// Starts a server again that was killed, or has ended.
    pub(crate) fn restart_server(&mut self, server: usize) {
        self.servers[server].start();
        self.servers[server].says("listening on ");
        self.ready(server);
    }

    /// Starts all servers again, with those words more.
    pub(crate) fn serve_with(&mut self, words: &[&str]) {
        for server in 0..self.servers.len() {
            self.servers[server].kill();
            let more = words.iter().map(ToString::to_string);
            self.servers[server].words().extend(more);
            self.restart_server(server);
        }
    }

    /// Whoever runs builds: `croft up`, or the workers.
    pub(crate) fn builders(&mut self) -> &mut Vec<Role> {
        match self.plan.size {
            Size::Small => &mut self.servers,
            Size::Large => &mut self.workers,
        }
    }

    /// Starts again whatever runs builds and has ended.
    pub(crate) fn restart_builder(&mut self, builder: usize) {
        match self.plan.size {
            Size::Small => self.restart_server(builder),
            Size::Large => {
                self.workers[builder].start();
                self.workers[builder].says("working for pool ");
            }
        }
    }
}

impl Drop for Rig {
    /// A test that failed must not leave containers to the next one. What killed roles leave else goes by itself.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for role in self.servers.iter().chain(&self.workers) {
            let filter = format!("label=croft.home={}", role.home().display());
            let found = std::process::Command::new("docker")
                .args(["ps", "--all", "--quiet", "--filter", &filter])
                .output();
            // Without an engine there are none.
            let ids = found.map(|found| String::from_utf8_lossy(&found.stdout).into_owned());
            for id in ids.unwrap_or_default().lines() {
                std::process::Command::new("docker")
                    .args(["rm", "--force", id])
                    .output()
                    .map(drop)
                    .unwrap_or_default();
            }
        }
    }
}

/// One test of each function in each size.
macro_rules! each_size {
    ($small:ident $large:ident $plan:expr; $($name:ident),* $(,)?) => {
        $crate::harness::rig::in_size!($small SMALL, $plan; $($name),*);
        $crate::harness::rig::in_size!($large LARGE, $plan; $($name),*);
    };
}

/// One test of each function in one size, in a module of that name; the plan is made by that function.
macro_rules! in_size {
    ($module:ident $size:ident, $plan:expr; $($name:ident),* $(,)?) => {
        mod $module {
            $(#[test]
            fn $name() {
                let plan: fn($crate::harness::rig::Plan) -> $crate::harness::rig::Plan = $plan;
                if let Some(mut rig) = $crate::harness::rig::Rig::start(plan($crate::harness::rig::Plan::$size)) {
                    super::$name(&mut rig);
                }
            })*
        }
    };
}

pub(crate) use {each_size, in_size};
