//! What lies around one tree's folder: its list, its note, its lock. Received from whoever makes, uses or removes the folder.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

use crate::replace::replace;
use crate::tree::Anchor;
use crate::{Error, Id};

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

const LIST: &str = ".list";
const NOTE: &str = ".json";
const DISTRUST: &str = ".bad";
const LOCK: &str = ".lock";

/// The names around one tree's folder.
pub(super) struct Names {
    pub(super) folder: PathBuf,
    pub(super) list: PathBuf,
    pub(super) note: PathBuf,
    /// There while the folder is known to have changed: whoever uses it goes on, nobody else begins to.
    distrust: PathBuf,
    lock: PathBuf,
}

impl Names {
    pub(super) fn of(live: &Path, id: &Id) -> Self {
        let with = |ending: &str| live.join(format!("{id}{ending}"));
        Self {
            folder: with(""),
            list: with(LIST),
            note: with(NOTE),
            distrust: with(DISTRUST),
            lock: with(LOCK),
        }
    }

    pub(super) fn failed(&self, source: io::Error) -> Error {
        Error::Write {
            path: self.folder.clone(),
            source,
        }
    }

    /// What is noted of the folder; none when it is not whole, or not what it was made as.
    pub(super) fn note(&self) -> Option<Note> {
        // Who uses the folder may write its note again at any time, so taking that away would not do.
        if self.is_distrusted() {
            return None;
        }
        serde_json::from_slice(&fs::read(&self.note).ok()?).ok()
    }

    pub(super) fn write_note(&self, note: &Note) -> io::Result<()> {
        replace(&self.note, &serde_json::to_vec(note)?)
    }

    pub(super) fn is_distrusted(&self) -> bool {
        self.distrust.exists()
    }

    /// Notes that the folder is not what it was made as, until it is taken away.
    pub(super) fn distrust(&self) {
        // The note goes even where nothing can be written, on a full disk: without it nobody begins to use the folder.
        let noted = fs::write(&self.distrust, "");
        if let Err(error) = removed(&self.note).and(noted) {
            tracing::warn!(%error, folder = %self.folder.display(), "a damaged folder is not marked as such");
        }
    }

    /// The right to use the folder, until dropped; none while somebody makes or removes it.
    pub(super) fn shared(&self) -> io::Result<Option<File>> {
        let lock = self.lock_file()?;
        Ok(is_taken(lock.try_lock_shared())?.then_some(lock))
    }

    /// The right to make or remove the folder, until dropped; none while somebody uses it.
    pub(super) fn alone(&self) -> io::Result<Option<File>> {
        let lock = self.lock_file()?;
        Ok(is_taken(lock.try_lock())?.then_some(lock))
    }

    fn lock_file(&self) -> io::Result<File> {
        File::options().create(true).append(true).open(&self.lock)
    }

    /// Takes the folder away; the caller holds it alone. The note goes first, and what forbids using it last: what is
    /// between may be cut short.
    pub(super) fn remove(&self) -> io::Result<()> {
        removed(&self.note)?;
        removed(&self.list)?;
        unless_gone(fs::remove_dir_all(&self.folder))?;
        self.remove_strays()?;
        removed(&self.distrust)
    }

    /// Takes away what was being written around the folder; the caller holds it alone, so nobody writes it any more.
    pub(super) fn remove_strays(&self) -> io::Result<()> {
        let Some((live, folder)) = self.folder.parent().zip(self.folder.file_name()) else {
            return Ok(());
        };
        for entry in fs::read_dir(live)? {
            let entry = entry?;
            let name = entry.file_name();
            let ending = name.as_bytes().strip_prefix(folder.as_bytes());
            if !ending.is_some_and(is_stray) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                unless_gone(fs::remove_dir_all(entry.path()))?;
            } else {
                removed(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Whether a crash left something here, when this is what lies here.
    pub(super) fn has_remains(note: Option<&Note>, endings: &[String]) -> bool {
        let is_whole = note.is_some();
        endings
            .iter()
            .any(|ending| is_stray(ending.as_bytes()) || (!is_whole && ending != LOCK))
    }
}

fn is_stray(ending: &[u8]) -> bool {
    let known = [LIST, NOTE, DISTRUST, LOCK];
    ending.starts_with(b".") && !known.iter().any(|known| known.as_bytes() == ending)
}

/// Removes a file that may be gone already.
fn removed(file: &Path) -> io::Result<()> {
    unless_gone(fs::remove_file(file))
}

fn unless_gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Whether a lock that was tried is held now.
pub(super) fn is_taken(tried: Result<(), TryLockError>) -> io::Result<bool> {
    match tried {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
