//! A machine of its own for one test: a home for Croft, a home for the person, a source folder. Starts the program with a
//! known environment and hands back what it said.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{At, Live, Ran};

/// Variables of this machine that the program needs to find its engine and its tools.
pub(super) const KEPT: [&str; 3] = ["PATH", "DOCKER_HOST", "TMPDIR"];

/// Everything one test's builds read and write.
#[derive(Debug)]
pub(crate) struct Farm {
    folder: TempDir,
    at: At,
}

/// The program under test: another one when `CROFT_BIN` names it, such as a release build.
pub(super) fn croft_binary() -> PathBuf {
    std::env::var_os("CROFT_BIN").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_croft-under-test")),
        PathBuf::from,
    )
}

impl Farm {
    pub(crate) fn new(at: At) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("croft-e2e-")
            .tempdir()
            .unwrap();
        // A build's other users must reach a source that is worked on in place.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["source", "person"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder, at }
    }

    /// Where builds run.
    pub(crate) fn at(&self) -> At {
        self.at
    }

    /// The folder that everything is in; nothing else on the machine has this path.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `CROFT_HOME`.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder().join("croft-home")
    }

    /// The person's home.
    pub(crate) fn person(&self) -> PathBuf {
        self.folder().join("person")
    }

    /// The source folder, which every command starts in.
    pub(crate) fn source(&self) -> PathBuf {
        self.folder().join("source")
    }

    /// Writes a file of the source.
    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.source().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    /// Writes `buildspec.yml`: the version, this place's shell, then `text`.
    pub(crate) fn spec(&self, text: &str) {
        let shell = if self.at.is_bash() {
            "  shell: bash\n"
        } else {
            ""
        };
        let text = match text.strip_prefix("env:\n") {
            Some(rest) => format!("version: 0.2\nenv:\n{shell}{rest}"),
            None if shell.is_empty() => format!("version: 0.2\n{text}"),
            None => format!("version: 0.2\nenv:\n{shell}{text}"),
        };
        self.file("buildspec.yml", text);
    }

    /// A `croft` with these words, in the source folder, with a clean environment.
    pub(crate) fn croft(&self, words: &[&str]) -> Command {
        let mut command = Command::new(croft_binary());
        // As an installed one is called; its help says that name.
        command.arg0("croft");
        command
            .args(words)
            .current_dir(self.source())
            .stdin(Stdio::null())
            .env_clear();
        command.envs(
            KEPT.iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        command
            .env("HOME", self.person())
            .env("CROFT_HOME", self.home());
        command
    }

    /// The same for `croft run` at this test's place.
    pub(crate) fn croft_run(&self, words: &[&str]) -> Command {
        let mut command = self.croft(&["run"]);
        if let Some(image) = self.at.image {
            command.args(["--image", image, "--pull", "never"]);
        }
        command.args(words);
        command
    }

    /// Any program's end.
    pub(crate) fn end(&self, mut command: Command) -> Ran {
        Ran::of(&self.home(), command.output().unwrap())
    }

    /// `croft run -o ndjson` to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        let mut command = self.croft_run(&["-o", "ndjson"]);
        command.args(words);
        self.end(command)
    }

    /// The buildspec `text`, run to its end.
    pub(crate) fn run_spec(&self, text: &str) -> Ran {
        self.spec(text);
        self.run(&[])
    }

    /// A build of these commands in BUILD, run to its end.
    pub(crate) fn run_commands(&self, commands: &[&str]) -> Ran {
        self.run_spec(&format!(
            "phases:\n  build:\n    commands: {}\n",
            serde_json::to_string(commands).unwrap()
        ))
    }

    /// The same, whose outputs are all that matters: each must succeed.
    pub(crate) fn outputs(&self, commands: &[&str]) -> Vec<String> {
        let ran = self.run_commands(commands);
        ran.assert_code(0);
        ran.commands().into_iter().map(|done| done.output).collect()
    }

    /// A build that is watched while it runs.
    pub(crate) fn start(&self, words: &[&str]) -> Live {
        let mut command = self.croft_run(&["-o", "ndjson"]);
        command.args(words);
        Live::start(command)
    }
}

impl Drop for Farm {
    /// A test that found leftovers must not leave them to the next one.
    fn drop(&mut self) {
        if !std::thread::panicking() || self.at.image.is_none() {
            return;
        }
        let filter = format!("label=croft.home={}", self.home().display());
        let found = Command::new("docker")
            .args(["ps", "--all", "--quiet", "--filter", &filter])
            .output();
        // The test has failed already: what cannot be removed here must not hide why.
        let ids = found
            .map(|found| String::from_utf8_lossy(&found.stdout).into_owned())
            .unwrap_or_default();
        for id in ids.lines() {
            Command::new("docker")
                .args(["rm", "--force", id])
                .output()
                .map(|_| ())
                .unwrap_or_default();
        }
    }
}
