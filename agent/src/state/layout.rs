//! Where everything of a group lies. Receives the state directory, hands paths to the rooms that fill them.
//!
//! ```text
//! <state>/<group id>/group.json              the journal: generation, events that are over, the one that runs
//! <state>/<group id>/installed.json          what the last Install put on this host
//! <state>/<group id>/install.json            the plan of an Install that is not over
//! <state>/<group id>/install.undo            there while that Install is undone
//! <state>/<group id>/kept/                   what that Install took away or replaced
//! <state>/<group id>/scripts.json            how far the scripts of a container's event are
//! <state>/<group id>/lock                    held while an event runs
//! <state>/<group id>/<deployment id>/deployment.json
//! <state>/<group id>/<deployment id>/deployment-archive/
//! <state>/<group id>/<deployment id>/logs/scripts.log
//! ```

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use croft_proto::deploy::DeploymentId;

/// A script that runs as another user must be able to reach its file, and nobody needs to list the folders above.
const PASSED_THROUGH: u32 = 0o711;
/// What is nobody else's business.
const PRIVATE: u32 = 0o700;

/// The longest id of a group.
const GROUP_CHARS_MAX: usize = 100;

/// The folder of one group.
#[derive(Clone, Debug)]
pub(crate) struct GroupFolder(PathBuf);

impl GroupFolder {
    /// The folder of the group with that id; `None` when no folder can have that name.
    pub(crate) fn of(state: &Path, group_id: &str) -> Option<Self> {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let named = !group_id.is_empty()
            && group_id.len() <= GROUP_CHARS_MAX
            && !group_id.starts_with('.')
            && group_id.chars().all(allowed);
        named.then(|| Self(state.join(group_id)))
    }

    pub(crate) fn make(&self) -> io::Result<()> {
        passed_through(&self.0)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("group.json")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub(crate) fn installed(&self) -> PathBuf {
        self.0.join("installed.json")
    }

    pub(crate) fn plan(&self) -> PathBuf {
        self.0.join("install.json")
    }

    /// There while the plan is undone.
    pub(crate) fn undoing(&self) -> PathBuf {
        self.0.join("install.undo")
    }

    pub(crate) fn kept(&self) -> PathBuf {
        self.0.join("kept")
    }

    /// Where that stays when it could not all be put back.
    pub(crate) fn kept_of(&self, id: &DeploymentId) -> PathBuf {
        self.0.join(format!("kept-{id}"))
    }

    /// What a script that runs was started as.
    pub(crate) fn script(&self) -> PathBuf {
        self.0.join("script.json")
    }

    /// How far the scripts of a container's event are.
    pub(crate) fn scripts(&self) -> PathBuf {
        self.0.join("scripts.json")
    }

    pub(crate) fn deployment(&self, id: &DeploymentId) -> DeploymentFolder {
        DeploymentFolder(self.0.join(id.as_str()))
    }
}

/// The folder of one deployment.
#[derive(Clone, Debug)]
pub(crate) struct DeploymentFolder(PathBuf);

impl DeploymentFolder {
    pub(crate) fn make(&self) -> io::Result<()> {
        passed_through(&self.0)?;
        let logs = self.0.join("logs");
        if !logs.is_dir() {
            std::fs::DirBuilder::new().mode(PRIVATE).create(&logs)?;
        }
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.0.join("deployment.json")
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.0.join("deployment-archive")
    }

    /// Where the archive is made; it gets its own name when it is whole.
    pub(crate) fn partial(&self) -> PathBuf {
        self.0.join("deployment-archive.partial")
    }

    /// What helps the next revision to come faster.
    pub(crate) fn notes(&self) -> PathBuf {
        self.0.join("deployment-archive.notes")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("logs/scripts.log")
    }
}

/// Makes a folder, and those above it, that others may pass through.
pub(crate) fn passed_through(folder: &Path) -> io::Result<()> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(PASSED_THROUGH)
        .create(folder);
    made.and_then(|()| {
        if folder.is_dir() {
            Ok(())
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_would_lead_elsewhere_is_no_groups() {
        let state = Path::new("/state");
        for id in ["", ".", "..", "../x", "a/b", ".hidden", "a\0b", "a b"] {
            assert!(GroupFolder::of(state, id).is_none(), "{id:?}");
        }
        let long = "a".repeat(GROUP_CHARS_MAX + 1);
        assert!(GroupFolder::of(state, &long).is_none());
        let id = "5e3f8a52-6a0f-4c3b-9d4e-0123456789ab";
        assert!(GroupFolder::of(state, id).is_some());
    }
}
