//! The newest record this machine has seen under a name that is written again and again. Asked by look-ups, told by saves.
//!
//! Somebody who can write to the bucket but has no key can still put an *old* record back, whose signature is good for
//! ever. A machine that has seen a newer one refuses it. What is noted is small, local and only ever makes more refused: when
//! it is lost, wholly or in part, only what was lost is unprotected, until the next record is seen.
//!
//! Not covered: a machine that has seen nothing yet; and an old record that was itself never seen here and is at most ten
//! minutes older than the newest, since the clocks of two honest machines may be that far apart.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use croft_proto::Timestamp;
use object_store::path::Path as Name;

use super::SKEW_MS;
use crate::replace::replace;
use crate::{Error, Id};

/// Replaced records that a note remembers by hash: the last ones, which lie within the skew of clocks.
const REPLACED_MAX: usize = 8;

/// Bytes of a note: a time and a hash, and the hashes of replaced records, a line each.
const NOTE_BYTES_MAX: u64 = 1024;

/// What was seen, in a folder of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    folder: PathBuf,
}

/// One sealed record, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) created: Timestamp,
    /// Of the whole object.
    pub(crate) hash: Id,
}

impl Seen {
    /// What was seen is kept in `seen/` below the folder of this machine's own state.
    pub(crate) fn in_folder(local: &Path) -> Self {
        Self {
            folder: local.join("seen"),
        }
    }

    /// Passes unless it is an old record that was put back: one that was seen here and then replaced, or one older than
    /// the newest by more than clocks may differ. What passes and is newer is noted as the newest.
    ///
    /// A record from the future (beyond the skew of clocks) passes but is not noted: one machine with a wrong clock would
    /// otherwise have everybody else's records refused until that day.
    ///
    /// # Errors
    /// [`Error::Untrusted`] when it was put back. A note that cannot be written is no error.
    pub(crate) fn admit(&self, name: &Name, sight: Sight, now: Timestamp) -> Result<(), Error> {
        let noted = self.noted(name);
        if noted.as_ref().is_some_and(|note| note.is_past(sight)) {
            return Err(Error::Untrusted {
                object: name.to_string(),
                reason: "it is older than the one seen here before: somebody put it back".into(),
            });
        }
        let is_of_now = sight.created.millis() <= now.millis().saturating_add(SKEW_MS);
        let note = match noted {
            Some(note) if note.newest.created >= sight.created => return Ok(()),
            Some(note) => note.followed_by(sight),
            None => Note::first(sight),
        };
        if is_of_now && let Err(error) = self.note(name, &note) {
            tracing::debug!(%error, "a record's age is not noted");
        }
        Ok(())
    }

    /// Forgets what was noted longest ago until at most `notes_max` are left; how many went.
    pub(crate) fn trim(&self, notes_max: usize) -> usize {
        let mut notes: Vec<(SystemTime, PathBuf)> = Vec::new();
        for shard in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            for note in fs::read_dir(shard.path()).into_iter().flatten().flatten() {
                let noted = note.metadata().and_then(|found| found.modified());
                notes.push((noted.unwrap_or(SystemTime::UNIX_EPOCH), note.path()));
            }
        }
        notes.sort();
        let surplus = notes.len().saturating_sub(notes_max);
        let removed = notes[..surplus].iter();
        removed
            .filter(|(_, path)| fs::remove_file(path).is_ok())
            .count()
    }

    fn path(&self, name: &Name) -> PathBuf {
        let id = Id::of_name("croft cache 2026 seen", name.as_ref().as_bytes()).to_string();
        self.folder.join(&id[..2]).join(id)
    }

    /// What was noted. What cannot be read is as good as lost.
    fn noted(&self, name: &Name) -> Option<Note> {
        let mut text = String::new();
        let file = File::open(self.path(name)).ok()?;
        file.take(NOTE_BYTES_MAX).read_to_string(&mut text).ok()?;
        Note::parse(&text)
    }

    /// It is not flushed to the disk: a note lost in a power cut is only a lost note.
    fn note(&self, name: &Name, note: &Note) -> Result<(), Error> {
        let path = self.path(name);
        replace(&path, note.text().as_bytes()).map_err(|source| Error::Note { path, source })
    }
}

/// What is remembered of one name.
struct Note {
    newest: Sight,
    /// The last one first.
    replaced: Vec<Id>,
}

impl Note {
    fn first(newest: Sight) -> Self {
        Self {
            newest,
            replaced: Vec::new(),
        }
    }

    fn followed_by(mut self, newest: Sight) -> Self {
        self.replaced.insert(0, self.newest.hash);
        self.replaced.truncate(REPLACED_MAX);
        Self { newest, ..self }
    }

    fn is_past(&self, sight: Sight) -> bool {
        let latest_past = self.newest.created.millis().saturating_sub(SKEW_MS);
        sight.created.millis() < latest_past || self.replaced.contains(&sight.hash)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (created, hash) = lines.next()?.split_once(' ')?;
        Some(Self {
            newest: Sight {
                created: Timestamp::from_millis(created.parse().ok()?),
                hash: Id::parse(hash)?,
            },
            replaced: lines.map(Id::parse).collect::<Option<_>>()?,
        })
    }

    fn text(&self) -> String {
        let mut text = format!("{} {}\n", self.newest.created.millis(), self.newest.hash);
        for hash in &self.replaced {
            text += &format!("{hash}\n");
        }
        text
    }
}
