//! A farm that runs: `croft up` with a home on a disk.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::http::{Client, text};
use crate::subject::Subject;

/// What Linux counts processor time in, for whoever asks.
const TICKS_A_SECOND: u32 = 100;
const START_MAX: Duration = Duration::from_secs(60);

pub(crate) struct Farm {
    child: Child,
    folder: TempDir,
    pub(crate) server: String,
    pub(crate) token: String,
}

impl Farm {
    /// Started with those words more; durable, on the machine's disk.
    pub(crate) fn up(subject: &Subject, words: &[&str]) -> Result<Self, String> {
        let folder = TempDir::with_prefix_in("croft-bench-", "/var/tmp").map_err(text)?;
        let mut command = own(subject, folder.path(), &["up", "--listen", "127.0.0.1:0"]);
        let child = command
            .args(words)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut farm = Self {
            child: child.map_err(text)?,
            folder,
            server: String::new(),
            token: String::new(),
        };
        let begun = Instant::now();
        while begun.elapsed() < START_MAX {
            if let Ok(json) = std::fs::read_to_string(farm.home().join("up.json"))
                && let Ok(up) = serde_json::from_str::<serde_json::Value>(&json)
            {
                farm.server = up["server"].as_str().unwrap_or_default().to_string();
                farm.token = up["token"].as_str().unwrap_or_default().to_string();
                return Ok(farm);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err("croft up did not start".into())
    }

    pub(crate) fn client(&self) -> Result<Client, String> {
        Client::connect(&self.server, &self.token)
    }

    /// Tokens of so many builders: a farm paces each by itself.
    pub(crate) fn builders(&self, count: usize) -> Result<Vec<String>, String> {
        builders(&mut self.client()?, count)
    }

    /// A connection for each token. Made anew for each round: one that idles for half a minute is closed.
    pub(crate) fn connected(&self, tokens: &[String]) -> Result<Vec<Client>, String> {
        let connected = tokens
            .iter()
            .map(|token| Client::connect(&self.server, token));
        connected.collect()
    }

    /// A project whose builds run there, with that buildspec.
    pub(crate) fn project(
        &self,
        name: &str,
        image: &str,
        commands: &[&str],
        env: &str,
    ) -> Result<(), String> {
        let list: String = commands
            .iter()
            .map(|command| format!("      - {command}\n"))
            .collect();
        let buildspec = format!("version: 0.2\n{env}phases:\n  build:\n    commands:\n{list}");
        let project = serde_json::json!({
            "name": name,
            "source": {"type": "NO_SOURCE", "buildspec": buildspec},
            "environment": {"image": image},
        });
        self.client()?
            .granted("PUT", &format!("/v1/projects/{name}"), &project.to_string())?;
        Ok(())
    }

    /// What the processors have done for it.
    pub(crate) fn processor_time(&self) -> Result<Duration, String> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(path).map_err(text)?;
        // The program's name is in parentheses, and may have spaces.
        let (_, rest) = stat.rsplit_once(')').ok_or("no times of the process")?;
        let mut fields = rest.split_whitespace().skip(11);
        let mut ticks = || fields.next().and_then(|field| field.parse::<u64>().ok());
        let (Some(user), Some(system)) = (ticks(), ticks()) else {
            return Err("no times of the process".into());
        };
        Ok(Duration::from_secs(user + system) / TICKS_A_SECOND)
    }

    /// Resident bytes now.
    pub(crate) fn resident_bytes(&self) -> Result<u64, String> {
        resident_bytes(self.child.id())
    }

    /// Where its state is; containers bear it as a label.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A `croft` of this farm's home.
    pub(crate) fn croft(&self, subject: &Subject, words: &[&str]) -> Command {
        own(subject, self.folder.path(), words)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a role without the time it gives to what runs.
pub(crate) fn end(child: &mut Child) {
    let id = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap_or_default();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap_or_default();
    child.wait().map(drop).unwrap_or_default();
}

/// Tokens of so many builders, made by an administrator.
pub(crate) fn builders(admin: &mut Client, count: usize) -> Result<Vec<String>, String> {
    let made = (0..count).map(|number| {
        let asked = serde_json::json!({
            "name": format!("builder-{number}"),
            "role": "builder",
            "projects": ["*"],
        });
        let made = admin.granted("POST", "/v1/tokens", &asked.to_string())?;
        Ok(made["token"].as_str().ok_or("no token")?.to_string())
    });
    made.collect()
}

fn own(subject: &Subject, folder: &Path, words: &[&str]) -> Command {
    let mut command = subject.croft(words);
    command
        .env("CROFT_HOME", folder.join("home"))
        .env("CROFT_MASTER_KEY_FILE", folder.join("key/master.key"))
        .env_remove("CROFT_CACHE_DIR");
    command
}

pub(crate) fn resident_bytes(process: u32) -> Result<u64, String> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).map_err(text)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok())
        .ok_or("no resident size")?;
    Ok(kib << 10)
}
