//! A program that is told what is wanted, for balancers that Croft does not know: called with the weights on its standard input, one
//! `<server> <weight>` a line, and believed when it ends with 0.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::wanted::Wanted;

/// Asked again every few seconds, so one that takes longer is stuck.
const LASTS_MAX: Duration = Duration::from_secs(30);
/// What is shown of what it says.
const SAID_CHARS_MAX: usize = 1_000;

/// Why it did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It cannot be started, or heard.
    #[error("cannot run {}", path.display())]
    NotRun {
        /// The program.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It took too long, and was killed.
    #[error("{} has not ended after {} s", path.display(), LASTS_MAX.as_secs())]
    Late {
        /// The program.
        path: PathBuf,
    },
    /// It says that it failed.
    #[error("{} {ended}: {said}", path.display())]
    Failed {
        /// The program.
        path: PathBuf,
        /// How it ended.
        ended: std::process::ExitStatus,
        /// The end of its standard error.
        said: String,
    },
}

/// A program that moves traffic.
#[derive(Clone, Debug)]
pub struct Script {
    path: PathBuf,
}

impl Script {
    /// The program at that path.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
        }
    }

    /// Tells it all that is wanted.
    ///
    /// # Errors
    /// When it cannot be run, takes longer than half a minute, or fails.
    ///
    /// # Cancel
    /// It is killed.
    pub async fn apply(&self, wanted: &Wanted) -> Result<(), ScriptError> {
        let told = wanted
            .iter()
            .fold(String::new(), |mut told, (server, weight)| {
                writeln!(told, "{server} {weight}").expect("a text takes more text");
                told
            });
        let not_run = |source| ScriptError::NotRun {
            path: self.path.clone(),
            source,
        };
        let mut child = Command::new(&self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(not_run)?;
        let stdin = child.stdin.take();
        let run = async {
            if let Some(mut stdin) = stdin {
                // One that needs none of it closes its end.
                match stdin.write_all(told.as_bytes()).await {
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
            child.wait_with_output().await
        };
        let ended = match tokio::time::timeout(LASTS_MAX, run).await {
            Ok(ended) => ended.map_err(not_run)?,
            Err(_late) => {
                return Err(ScriptError::Late {
                    path: self.path.clone(),
                });
            }
        };
        if ended.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        let from = said.floor_char_boundary(said.len().saturating_sub(SAID_CHARS_MAX));
        Err(ScriptError::Failed {
            path: self.path.clone(),
            ended: ended.status,
            said: said[from..].trim().to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn script(folder: &Path, text: &str) -> Script {
        let path = folder.join("hook");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Script::new(&path)
    }

    #[tokio::test]
    async fn a_program_is_told_every_weight_and_its_complaint_is_handed_on() {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told");
        let wanted = Wanted::from([("a".to_string(), 256), ("b".to_string(), 0)]);
        let listening = script(folder.path(), &format!("cat > {}", told.display()));
        listening.apply(&wanted).await.unwrap();
        assert_eq!(std::fs::read_to_string(&told).unwrap(), "a 256\nb 0\n");
        let failing = script(folder.path(), "echo no such balancer >&2; exit 3");
        let said = failing.apply(&wanted).await.unwrap_err().to_string();
        assert!(said.ends_with("exit status: 3: no such balancer"), "{said}");
        let missing = Script::new(&folder.path().join("none"));
        assert!(matches!(
            missing.apply(&wanted).await,
            Err(ScriptError::NotRun { .. })
        ));
    }
}
