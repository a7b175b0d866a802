//! What lies around one tree's folder: its list, its note, its lock. Received from whoever makes, uses or removes the folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Id;
use crate::tree::Anchor;

pub(super) fn name_of(anchor: Anchor) -> &'static str {
    match anchor {
        Anchor::Source => "source",
        Anchor::Root => "root",
    }
}

/// What is noted of a folder that is whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Note {
    pub(super) size_bytes: u64,
    /// Which start of the machine it was made or looked through in.
    pub(super) boot: String,
    pub(super) checked: Timestamp,
    pub(super) used: Timestamp,
}

/// The names around one tree's folder.
pub(super) struct Names {
    pub(super) folder: PathBuf,
    pub(super) list: PathBuf,
    pub(super) note: PathBuf,
    pub(super) lock: PathBuf,
}

impl Names {
    pub(super) fn of(live: &Path, id: &Id) -> Self {
        let with = |ending: &str| live.join(format!("{id}{ending}"));
        Self {
            folder: with(""),
            list: with(".list"),
            note: with(".json"),
            lock: with(".lock"),
        }
    }

    pub(super) fn note(&self) -> Option<Note> {
        serde_json::from_slice(&fs::read(&self.note).ok()?).ok()
    }

    pub(super) fn write_note(&self, note: &Note) -> io::Result<()> {
        let staged = self.note.with_extension(std::process::id().to_string());
        fs::write(&staged, serde_json::to_vec(note)?)?;
        fs::rename(&staged, &self.note)
    }

    /// Takes the folder away. The note goes first: what follows may be cut short.
    pub(super) fn remove(&self) -> io::Result<()> {
        for file in [&self.note, &self.list] {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
