//! A Buildbot of the benchmark's own: a master with two workers in one process over SQLite, asked over a socket for so many builds
//! of `true`. What it is configured to is in `buildbot.cfg`; it looks itself that each build has run its command and succeeded.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::http::text;

const CONFIG: &str = include_str!("buildbot.cfg");
const START_MAX: Duration = Duration::from_secs(60);

/// Running; ended when it is dropped.
pub(super) struct Buildbot {
    child: Child,
    folder: TempDir,
    asked: Option<BufReader<UnixStream>>,
}

impl Buildbot {
    /// One with a folder of its own on the machine's disk.
    pub(super) fn start() -> Result<Self, String> {
        let program = program();
        if !program.is_file() {
            let program = program.display();
            return Err(format!("there is no {program}: run scripts/setup bench"));
        }
        let folder = TempDir::with_prefix_in("croft-bench-", "/var/tmp").map_err(text)?;
        let mut create = Command::new(&program);
        create.args(["create-master", "--quiet"]).arg(folder.path());
        crate::sample::whole(&mut create)?;
        std::fs::write(folder.path().join("master.cfg"), CONFIG).map_err(text)?;
        let child = Command::new(&program)
            .args(["start", "--nodaemon"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(text)?;
        let mut buildbot = Self {
            child,
            folder,
            asked: None,
        };
        buildbot.connect()?;
        Ok(buildbot)
    }

    fn connect(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < START_MAX {
            if let Ok(stream) = UnixStream::connect(self.folder.path().join("measure")) {
                self.asked = Some(BufReader::new(stream));
                return Ok(());
            }
            if self.child.try_wait().map_err(text)?.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = std::fs::read_to_string(self.folder.path().join("twistd.log"));
        Err(format!(
            "Buildbot did not start: {}",
            log.unwrap_or_default()
        ))
    }

    /// From the submission of so many builds at once until the last is over, all having succeeded.
    pub(super) fn builds(&mut self, count: usize) -> Result<Duration, String> {
        let asked = self.asked.as_mut().ok_or("Buildbot is not connected")?;
        writeln!(asked.get_mut(), "{count}").map_err(text)?;
        let mut answer = String::new();
        asked.read_line(&mut answer).map_err(text)?;
        let seconds = answer.trim().parse::<f64>();
        let seconds = seconds.map_err(|_words| format!("Buildbot: {}", answer.trim()))?;
        Duration::try_from_secs_f64(seconds).map_err(text)
    }
}

impl Drop for Buildbot {
    fn drop(&mut self) {
        // The first signal asks it to stop, as its own command would.
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// Its version, and that of what it stands on, in one line.
pub(super) fn version() -> Result<String, String> {
    let said = Command::new(program()).arg("--version").output();
    let said = String::from_utf8_lossy(&said.map_err(text)?.stdout).into_owned();
    Ok(said.lines().collect::<Vec<_>>().join(", "))
}

/// Where `scripts/setup bench` puts it.
fn program() -> PathBuf {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
    cache.join("croft/bench-buildbot/bin/buildbot")
}
