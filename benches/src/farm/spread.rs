//! A farm of several processes on this machine: a NATS server that waits for its disk, `croft server`, and workers, with one folder
//! as store.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use croft_nats_testing::Server as Nats;
use tempfile::TempDir;

use super::http::{Client, text};
use super::running::{builders, end, resident_bytes};
use crate::subject::Subject;

const START_MAX: Duration = Duration::from_secs(60);

/// One process of it; ended when it is dropped.
pub(super) struct Role {
    child: Child,
    log: PathBuf,
}

/// Roles end before their broker does, and their files go last.
pub(super) struct Spread {
    pub(super) server: Role,
    pub(super) nats: Nats,
    url: String,
    token: String,
    folder: TempDir,
}

impl Spread {
    /// A broker and a server, on the machine's disk.
    pub(super) fn start(subject: &Subject) -> Result<Self, String> {
        let folder = TempDir::with_prefix_in("croft-bench-", "/var/tmp").map_err(text)?;
        let nats = Nats::start_in(folder.path());
        let nats = nats.ok_or("there is no nats-server: run scripts/setup")?;
        let words = ["server", "--listen", "127.0.0.1:0"];
        let mut server = role(subject, folder.path(), &nats, "server", &words, None)?;
        let token = server.says("admin token, shown once: ")?;
        let url = server.says("listening on ")?;
        Ok(Self {
            server,
            nats,
            url,
            token,
            folder,
        })
    }

    /// One more worker of the pool `default`, once it works.
    pub(super) fn worker(&self, subject: &Subject) -> Result<Role, String> {
        let asked = serde_json::json!({"name": "bench", "role": "worker", "projects": ["default"]});
        let made = self
            .client()?
            .granted("POST", "/v1/tokens", &asked.to_string())?;
        let token = made["token"].as_str().ok_or("no token")?;
        let words = ["worker", "--server", &self.url];
        let mut worker = role(
            subject,
            self.folder.path(),
            &self.nats,
            "worker",
            &words,
            Some(token),
        )?;
        worker.says("working for pool ")?;
        Ok(worker)
    }

    /// As an administrator.
    pub(super) fn client(&self) -> Result<Client, String> {
        Client::connect(&self.url, &self.token)
    }

    /// Connections of so many builders, each with a token of its own.
    pub(super) fn builders(&self, count: usize) -> Result<Vec<Client>, String> {
        let tokens = builders(&mut self.client()?, count)?;
        let connected = tokens.iter().map(|token| Client::connect(&self.url, token));
        connected.collect()
    }
}

fn role(
    subject: &Subject,
    folder: &Path,
    nats: &Nats,
    name: &str,
    words: &[&str],
    token: Option<&str>,
) -> Result<Role, String> {
    let log = folder.join(format!("{name}.log"));
    let file = std::fs::File::create(&log).map_err(text)?;
    let mut command = subject.croft(words);
    command
        .env("CROFT_HOME", folder.join(name))
        .env("CROFT_MASTER_KEY_FILE", folder.join("key/master.key"))
        .env("CROFT_NATS", &nats.address)
        .env("CROFT_STORE", folder.join("store"))
        .env_remove("CROFT_CACHE_DIR")
        .envs(token.map(|token| ("CROFT_TOKEN", token)))
        .stdin(Stdio::null())
        .stdout(file.try_clone().map_err(text)?)
        .stderr(file);
    Ok(Role {
        child: command.spawn().map_err(text)?,
        log,
    })
}

impl Role {
    /// What follows that beginning in a line that it says.
    fn says(&mut self, beginning: &str) -> Result<String, String> {
        let begun = Instant::now();
        while begun.elapsed() < START_MAX {
            let said = std::fs::read_to_string(&self.log).map_err(text)?;
            let mut lines = said.split_inclusive('\n');
            let found = lines.find_map(|line| line.strip_prefix(beginning)?.strip_suffix('\n'));
            if let Some(found) = found {
                return Ok(found.to_string());
            }
            if self.child.try_wait().map_err(text)?.is_some() {
                return Err(format!("it ended: {said}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("it did not say {beginning:?}"))
    }

    /// Resident bytes now.
    pub(super) fn resident_bytes(&self) -> Result<u64, String> {
        resident_bytes(self.child.id())
    }

    /// Processor time of all its threads since its start, in user and kernel mode.
    pub(super) fn processor_time(&self) -> Result<Duration, String> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.map_err(text)?;
        // The program's name, in brackets, may hold anything; of what follows it these are the 12th and 13th.
        let (_, rest) = stat.rsplit_once(')').ok_or("/proc/PID/stat has no name")?;
        let ticks: Vec<u64> = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse().map_err(text))
            .collect::<Result<_, String>>()?;
        let ticks: u64 = ticks.iter().sum();
        Ok(Duration::from_millis(
            ticks * 1_000 / rustix::param::clock_ticks_per_second(),
        ))
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}
