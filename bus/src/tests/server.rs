//! A NATS server of a test's own, on loopback, in a folder of its own, ended with the test.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::skip;

const START_MAX: Duration = Duration::from_secs(20);

/// A running server. Dropped, it is killed.
pub(super) struct Server {
    child: Child,
    folder: TempDir,
    pub(super) address: String,
}

/// Where `scripts/setup` puts it; another folder when `CROFT_TEST_AWS` names it.
fn program() -> PathBuf {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
    let programs = std::env::var_os("CROFT_TEST_AWS")
        .map_or_else(|| cache.join("croft/test-aws/bin"), PathBuf::from);
    programs.join("nats-server")
}

impl Server {
    /// A server on a port that is free, or none when it is not installed.
    pub(super) fn start() -> Option<Self> {
        if !program().exists() {
            let program = program().display().to_string();
            skip(&format!("there is no {program}: run scripts/setup"));
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (child, address) = launch(&folder, "-1");
        Some(Self {
            child,
            folder,
            address,
        })
    }

    /// Kills it as a crash does.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same again, where it was.
    pub(super) fn restart(&mut self) {
        let port = self.address.rsplit(':').next().unwrap().to_owned();
        (self.child, self.address) = launch(&self.folder, &port);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// Starts it and waits until it says where it is.
fn launch(folder: &TempDir, port: &str) -> (Child, String) {
    let at = folder.path().display();
    let settings = format!(
        "host: 127.0.0.1\nport: {port}\nports_file_dir: \"{at}\"\n\
         jetstream {{ store_dir: \"{at}/store\", max_file: 1G, max_mem: 64M, sync_interval: always }}\n"
    );
    let file = folder.path().join("settings");
    std::fs::write(&file, settings).unwrap();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut command = Command::new(program());
    command.arg("-c").arg(file);
    let mut child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let ports = folder
        .path()
        .join(format!("nats-server_{}.ports", child.id()));
    let limit = Instant::now() + START_MAX;
    loop {
        // Written when it listens; half of it may be seen.
        let said = std::fs::read(&ports).unwrap_or_default();
        if let Ok(said) = serde_json::from_slice::<serde_json::Value>(&said) {
            return (child, said["nats"][0].as_str().unwrap().to_owned());
        }
        let log = || std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(child.try_wait().unwrap().is_none(), "{}", log());
        assert!(Instant::now() < limit, "{}", log());
        std::thread::sleep(Duration::from_millis(2));
    }
}
