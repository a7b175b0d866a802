//! Croft and its peers, as command lines. Received from the rows; what is run is also what the table shows.
//!
//! Every tool has one folder: `data` in it is its store and is what counts as stored, `own` is its memory of earlier runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::files::bytes_below;
use super::limited::shown;
use super::ours::MADE_HERE;

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    Croft,
    Tar,
    Restic,
    Borg,
    Casync,
}

impl Tool {
    pub(crate) const ALL: [Self; 5] = [
        Self::Croft,
        Self::Tar,
        Self::Restic,
        Self::Borg,
        Self::Casync,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Croft => "croft",
            Self::Tar => "tar+zstd",
            Self::Restic => "restic",
            Self::Borg => "borg",
            Self::Casync => "casync",
        }
    }

    /// The version, or why the tool cannot take part.
    pub(crate) fn version(self) -> Result<String, String> {
        match self {
            Self::Croft => Ok(env!("CARGO_PKG_VERSION").into()),
            Self::Tar => Ok(format!(
                "{}; {}",
                first_line("tar", &["--version"])?,
                first_line("zstd", &["--version"])?
            )),
            Self::Restic => first_line("restic", &["version"]),
            Self::Borg => first_line("borg", &["--version"]),
            Self::Casync => first_line("casync", &["--version"]),
        }
    }

    /// What makes an empty store, where that is a step.
    pub(crate) fn prepare(self, store: &Path) -> Option<Command> {
        let mut command = self.command(store);
        match self {
            Self::Restic => command.args(["init", "--quiet", "--repository-version", "2"]),
            Self::Borg => command
                .args(["init", "--encryption", "none"])
                .arg(store.join("data")),
            Self::Croft | Self::Tar | Self::Casync => return None,
        };
        Some(command)
    }

    /// What saves the tree under a key.
    pub(crate) fn save(self, store: &Path, tree: &Path, key: &str) -> Command {
        let mut command = self.command(store);
        let data = store.join("data");
        match self {
            Self::Croft => command.arg("save").arg(store).arg(tree).arg(key),
            Self::Tar => command.arg("-c").arg(format!(
                "set -o pipefail; tar -C {} -cf - . | zstd -q -1 -T2 -o {}/{key}.tar.zst",
                tree.display(),
                data.display()
            )),
            Self::Restic => command
                .current_dir(tree)
                .args(["backup", "--quiet", "--compression", "auto", "--tag", key])
                .args(["--host", "bench", "."]),
            Self::Borg => command
                .current_dir(tree)
                .args(["create", "--compression", "zstd,1"])
                .arg(format!("{}::{key}", data.display()))
                .arg("."),
            Self::Casync => command
                .arg("make")
                .arg(format!("--store={}/chunks.castr", data.display()))
                .arg(data.join(format!("{key}.caidx")))
                .arg(tree),
        };
        command
    }

    /// What brings a key's tree back, into an empty folder.
    pub(crate) fn restore(self, store: &Path, key: &str, into: &Path) -> Command {
        let mut command = self.command(store);
        let data = store.join("data");
        match self {
            Self::Croft => command.arg("restore").arg(store).arg(into).arg(key),
            Self::Tar => command.arg("-c").arg(format!(
                "set -o pipefail; zstd -q -d -c {}/{key}.tar.zst | tar -C {} -xf -",
                data.display(),
                into.display()
            )),
            Self::Restic => command
                .args(["restore", "--quiet", "latest", "--tag", key, "--target"])
                .arg(into),
            Self::Borg => command
                .current_dir(into)
                .arg("extract")
                .arg(format!("{}::{key}", data.display())),
            Self::Casync => command
                .arg("extract")
                .arg(format!("--store={}/chunks.castr", data.display()))
                .arg(data.join(format!("{key}.caidx")))
                .arg(into),
        };
        command
    }

    fn command(self, store: &Path) -> Command {
        let own = store.join("own");
        match self {
            Self::Croft => ours(),
            Self::Tar => Command::new("bash"),
            Self::Restic => {
                let mut command = Command::new("restic");
                command
                    .env("RESTIC_PASSWORD", "bench")
                    .env("RESTIC_REPOSITORY", store.join("data"))
                    .env("RESTIC_CACHE_DIR", own);
                command
            }
            Self::Borg => {
                let mut command = Command::new("borg");
                command
                    .env("BORG_BASE_DIR", own)
                    .env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
                command
            }
            Self::Casync => Command::new("casync"),
        }
    }

    /// How it is called, for the table.
    pub(crate) fn explained(self) -> Vec<String> {
        let [store, tree, into] = ["STORE", "TREE", "INTO"].map(PathBuf::from);
        let line = |command: &Command| {
            let folder = command.get_current_dir();
            let folder = folder.map(|folder| format!("cd {} && ", folder.display()));
            folder.unwrap_or_default() + &shown(command)
        };
        let prepare = self.prepare(&store);
        prepare
            .iter()
            .chain([
                &self.save(&store, &tree, "KEY"),
                &self.restore(&store, "KEY", &into),
            ])
            .map(line)
            .collect()
    }
}

/// The benchmark itself, in the role of Croft.
pub(crate) fn ours() -> Command {
    // Where the system does not say what this program is, starting it fails and says so.
    let mut command = Command::new(std::env::current_exe().unwrap_or_default());
    command.arg("cache-ours");
    command
}

/// Bytes in a tool's store.
pub(crate) fn stored_bytes(store: &Path) -> Result<u64, String> {
    let data = store.join("data");
    let mut bytes = bytes_below(&data)?;
    for folder in MADE_HERE {
        bytes -= bytes_below(&data.join(folder))?;
    }
    Ok(bytes)
}

fn first_line(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program} cannot be started ({error}): scripts/setup bench"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_string())
}
