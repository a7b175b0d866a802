//! One server. Receives what a test wants of it; waits until it says where it is.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::skip;

const START_MAX: Duration = Duration::from_secs(20);
/// Between two looks at a condition.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(2);

/// Where `scripts/setup` puts the server; another folder when `CROFT_TEST_AWS` names it.
#[must_use]
pub fn program() -> PathBuf {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
    let programs = std::env::var_os("CROFT_TEST_AWS")
        .map_or_else(|| cache.join("croft/test-aws/bin"), PathBuf::from);
    programs.join("nats-server")
}

/// The address of loopback that is this process's own. A server that is killed and started again must have the port it had,
/// which nobody else takes meanwhile when nobody else listens there.
#[must_use]
pub fn host() -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    // Process ids have 22 bits; 127.0.x.y is left to those who do not think of this.
    Ipv4Addr::new(127, high.saturating_add(1), middle, low)
}

/// What a test wants of a server.
#[derive(Clone, Debug)]
pub struct Setup {
    /// When it writes to its disk; `always` is before each answer.
    pub sync_interval: &'static str,
    /// Further configuration: who may log in, TLS, routes. Not `host`, `port` or `jetstream`.
    pub more: String,
    /// The host it is on: a namespace and its address there. This machine's loopback when there is none.
    pub on: Option<(String, Ipv4Addr)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            sync_interval: "always",
            more: String::new(),
            on: None,
        }
    }
}

impl Setup {
    /// A server like this, or none when it is not installed: then the test is skipped.
    #[must_use]
    pub fn start(self) -> Option<Server> {
        is_installed().then(|| Server::launch(self, tempfile::tempdir().unwrap()))
    }
}

/// Whether there is a server; the test is skipped otherwise.
pub(crate) fn is_installed() -> bool {
    let program = program();
    if !program.exists() {
        let program = program.display();
        skip(&format!("there is no {program}: run scripts/setup"));
        return false;
    }
    true
}

/// A running server. Dropped, it is killed.
#[derive(Debug)]
pub struct Server {
    child: Child,
    setup: Setup,
    folder: TempDir,
    /// `nats://host:port`; the same after a restart.
    pub address: String,
    /// `http://host:port` of its monitoring; another one after a restart.
    pub monitoring: String,
}

impl Server {
    /// An ordinary server that waits for its disk, or none when it is not installed: then the test is skipped.
    #[must_use]
    pub fn start() -> Option<Self> {
        Setup::default().start()
    }

    /// The same with its folder below that one, whose disk is measured; none when it is not installed.
    #[must_use]
    pub fn start_in(folder: &Path) -> Option<Self> {
        let below = tempfile::tempdir_in(folder).unwrap();
        is_installed().then(|| Self::launch(Setup::default(), below))
    }

    pub(crate) fn launch(setup: Setup, folder: TempDir) -> Self {
        let mut server = Self::spawn(setup, folder, "-1");
        server.wait();
        server
    }

    pub(crate) fn spawn(setup: Setup, folder: TempDir, port: &str) -> Self {
        Self {
            child: spawn(&setup, folder.path(), port),
            setup,
            folder,
            address: String::new(),
            monitoring: String::new(),
        }
    }

    /// Kills it as a crash does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same again, where it was: same port, same store. Waits until it answers.
    pub fn restart(&mut self) {
        let port = self.address.rsplit(':').next().unwrap().to_owned();
        self.child = spawn(&self.setup, self.folder.path(), &port);
        self.wait();
    }

    /// Where its store, its settings and its log are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Until it says where it is.
    pub(crate) fn wait(&mut self) {
        let name = format!("nats-server_{}.ports", self.child.id());
        let ports = self.folder.path().join(name);
        let said = self.until("it listens", || {
            // Half of it may be seen.
            let said = std::fs::read(&ports).ok()?;
            serde_json::from_slice::<Value>(&said).ok()
        });
        let first = |of: &str| said[of][0].as_str().unwrap_or_default().to_owned();
        // With TLS it says `tls://`, which a client takes for a wish to speak TLS at once.
        (self.address, self.monitoring) = (first("nats"), first("monitoring"));
    }

    /// Looks until it is there, as long as the server runs.
    pub(crate) fn until<T>(&mut self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let limit = Instant::now() + START_MAX;
        loop {
            if let Some(found) = look() {
                return found;
            }
            let has_ended = self.child.try_wait().unwrap().is_some();
            let is_late = Instant::now() > limit;
            assert!(!has_ended && !is_late, "not so: {what}\n{}", self.log());
            std::thread::sleep(LOOK_AGAIN_AFTER);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

fn spawn(setup: &Setup, folder: &Path, port: &str) -> Child {
    let Setup {
        sync_interval,
        more,
        on,
    } = setup;
    let host = on.as_ref().map_or_else(host, |(_, address)| *address);
    let at = folder.display();
    let settings = format!(
        "host: {host}\nport: {port}\nhttp: \"{host}:-1\"\nports_file_dir: \"{at}\"\n\
         jetstream {{ store_dir: \"{at}/store\", max_file: 8G, max_mem: 2G, sync_interval: {sync_interval} }}\n{more}\n"
    );
    let file = folder.join("settings");
    std::fs::write(&file, settings).unwrap();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let mut command = match on {
        None => Command::new(program()),
        // It becomes the server, so that its process id is the server's.
        Some((name, _)) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", name]).arg(program());
            command
        }
    };
    command.arg("-c").arg(file);
    command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}
