//! The binary under measurement and the folders it works in. On memory where possible: disks tell of themselves.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The image that `scripts/test-image` makes.
pub(crate) const IMAGE: &str = "croft-test/busybox:1";

/// Where things are.
pub(crate) struct Subject {
    binary: PathBuf,
    pub(crate) repository: PathBuf,
    scratch: TempDir,
}

impl Subject {
    pub(crate) fn find() -> Result<Self, String> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let repository = repository
            .canonicalize()
            .map_err(|error| error.to_string())?;
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| repository.join("target"), PathBuf::from);
        let binary = std::env::var_os("CROFT_BIN")
            .map_or_else(|| target.join("release/croft"), PathBuf::from);
        if !binary.is_file() {
            return Err(format!(
                "{} is not there: cargo build --release -p croft",
                binary.display()
            ));
        }
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() {
            memory.to_path_buf()
        } else {
            std::env::temp_dir()
        };
        let scratch =
            TempDir::with_prefix_in("croft-bench-", place).map_err(|error| error.to_string())?;
        Ok(Self {
            binary,
            repository,
            scratch,
        })
    }

    /// A source folder with that buildspec.
    pub(crate) fn source(&self, name: &str, commands: &[&str]) -> Result<PathBuf, String> {
        let folder = self.scratch.path().join(name);
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let list: String = commands
            .iter()
            .map(|command| format!("      - {command}\n"))
            .collect();
        let text = format!("version: 0.2\nphases:\n  build:\n    commands:\n{list}");
        std::fs::write(folder.join("buildspec.yml"), text).map_err(|error| error.to_string())?;
        Ok(folder)
    }

    /// A folder of the scratch's.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// `croft` with these words and state of its own.
    pub(crate) fn croft(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(words).env("CROFT_HOME", self.folder("home"));
        command
    }

    /// `croft run SOURCE`.
    pub(crate) fn run(&self, source: &Path) -> Command {
        let mut command = self.croft(&["run"]);
        command.arg(source).arg("-o").arg("plain");
        command
    }
}
