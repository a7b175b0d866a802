//! One process of a farm: started, told by signals, started again with the same words. What it says goes into a file.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::super::eventually;
use super::super::farm::{KEPT, croft_binary};

/// Enough to see why a build went the way it did.
const LOG: &str = "croft_worker=debug,croft_scheduler=debug,croft_api=info,croft_archive=info,warn";

/// A role of `croft`. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Role {
    name: String,
    words: Vec<String>,
    variables: Vec<(String, String)>,
    home: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    /// What stands in place of this machine's `/srv` and `/run`, for a host that shares no files with others.
    own: Option<PathBuf>,
    /// Where in the log this start began.
    begins_at: usize,
}

impl Role {
    /// A role that is to be started, with a home and a log in `folder`.
    pub(crate) fn new(folder: &Path, name: &str, words: &[&str]) -> Self {
        Self {
            name: name.to_string(),
            words: words.iter().map(ToString::to_string).collect(),
            variables: Vec::new(),
            home: folder.join(name),
            log: folder.join(format!("{name}.log")),
            child: None,
            own: None,
            begins_at: 0,
        }
    }

    /// The same with a variable.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_string(), value.into()));
        self
    }

    /// Gives it a variable for the next start.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.push((name.to_string(), value.into()));
    }

    /// The same with `/srv` and `/run` of its own, which are folders of that one. Needs root.
    pub(crate) fn on_a_host(mut self, folder: &Path) -> Self {
        for part in ["srv", "run"] {
            std::fs::create_dir_all(folder.join(part)).unwrap();
        }
        self.own = Some(folder.to_path_buf());
        self
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// `CROFT_HOME`.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Its words, to be changed for the next start.
    pub(crate) fn words(&mut self) -> &mut Vec<String> {
        &mut self.words
    }

    /// Starts it, and does not wait for anything.
    pub(crate) fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        self.begins_at = self.log().len();
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.log)
            .unwrap();
        let mut command = match &self.own {
            Some(own) => on_a_host(&self.home, own),
            None => command(&self.home),
        };
        command
            .args(&self.words)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env(
                "CROFT_LOG",
                std::env::var("CROFT_LOG").unwrap_or(LOG.into()),
            )
            .stdin(Stdio::null())
            .stdout(File::try_clone(&log).unwrap())
            .stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// Waits for a line with that beginning since its start; what follows there.
    #[track_caller]
    pub(crate) fn says(&mut self, beginning: &str) -> String {
        let mut said = None;
        let child = self.child.as_mut().unwrap();
        let (log, begins_at) = (&self.log, self.begins_at);
        eventually(&format!("{} says {beginning:?}", self.name), || {
            let text = read(log);
            let has_ended = child.try_wait().unwrap().is_some();
            let mut lines = text[begins_at..].split_inclusive('\n');
            said = lines.find_map(|line| {
                Some(
                    line.strip_prefix(beginning)?
                        .strip_suffix('\n')?
                        .to_string(),
                )
            });
            assert!(said.is_some() || !has_ended, "it ended:\n{text}");
            said.is_some()
        });
        said.unwrap()
    }

    /// What it has said since it was started for the first time.
    pub(crate) fn log(&self) -> String {
        read(&self.log)
    }

    /// Kills it as a crash does.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let mut status = None;
        eventually(&format!("{} ends", self.name), || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

/// A `croft` with that home and nothing else of this machine.
pub(super) fn command(home: &Path) -> Command {
    let mut command = Command::new(croft_binary());
    let person = home.with_file_name("person");
    command.env_clear().envs(
        KEPT.iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?))),
    );
    command.env("HOME", person).env("CROFT_HOME", home);
    command
}

/// A `croft` in a namespace of mounts of its own. It is the process that is started: what mounts becomes it.
fn on_a_host(home: &Path, own: &Path) -> Command {
    let croft = command(home);
    let mounting =
        "mount --bind \"$OWN/srv\" /srv && mount --bind \"$OWN/run\" /run && exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", mounting])
        .arg(croft.get_program())
        .env_clear()
        .envs(
            croft
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("OWN", own);
    command
}

fn read(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Drop for Role {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap_or_default();
            child.wait().map(drop).unwrap_or_default();
        }
        if std::thread::panicking() {
            eprintln!("=== {} said\n{}", self.name, self.log());
        }
    }
}
