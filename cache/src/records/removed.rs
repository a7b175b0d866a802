//! What was removed, and why: a short journal of this machine, so that "it was there yesterday" has an answer. Written by
//! whoever removes records; read by `explain`. It is not needed for anything else, and may be deleted at any time.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::Error;
use crate::replace::replace;

/// Removals that are remembered: those of some weeks on a busy machine.
pub(crate) const REMOVALS_MAX: usize = 4096;

/// Bytes of the journal beyond which it is cut to its newest [`REMOVALS_MAX`] lines.
const JOURNAL_BYTES_MAX: u64 = 4 << 20;

/// Bytes that are read of it at most, if it grew in some other way.
const READ_BYTES_MAX: u64 = 4 * JOURNAL_BYTES_MAX;

/// A record that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removal {
    /// The record's object.
    pub object: String,
    /// Whose.
    pub project: String,
    /// Its key; none for the one record without a key.
    pub key: Option<String>,
    /// When it was removed.
    pub when: Timestamp,
    /// Why.
    pub reason: RemovalReason,
}

/// Why a record was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RemovalReason {
    /// It had not been used for longer than records are kept.
    Age,
    /// The cache was full.
    Size,
    /// Its project had more than may be kept.
    Count,
    /// Somebody asked for it.
    Asked,
    /// It, or something it names, was damaged or gone.
    Damage,
}

impl Removal {
    pub(crate) fn of(record: &Record, when: Timestamp, reason: RemovalReason) -> Self {
        Self {
            object: record.name().to_string(),
            project: record.project.clone(),
            key: record.key.clone(),
            when,
            reason,
        }
    }
}

/// The journal, in a folder of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Removed {
    path: PathBuf,
}

impl Removed {
    pub(crate) fn in_folder(local: &Path) -> Self {
        Self {
            path: local.join("removed.ndjson"),
        }
    }

    /// Adds removals, in one write: lines of two processes do not mix.
    ///
    /// # Errors
    /// [`Error::Note`] when the journal cannot be written. What was removed is removed all the same.
    pub(crate) fn append(&self, removals: &[Removal]) -> Result<(), Error> {
        if removals.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        for removal in removals {
            let line = serde_json::to_string(removal).map_err(io::Error::from);
            lines += &line.map_err(|source| self.failed(source))?;
            lines.push('\n');
        }
        self.write(&lines).map_err(|source| self.failed(source))
    }

    fn write(&self, lines: &str) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut journal = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        journal.write_all(lines.as_bytes())?;
        if journal.metadata()?.len() <= JOURNAL_BYTES_MAX {
            return Ok(());
        }
        // A line that another process adds meanwhile is lost: so be it, it only explains.
        let newest: Vec<String> = self.lines()?.into();
        replace(&self.path, newest.concat().as_bytes())
    }

    /// What was removed, oldest first, at most [`REMOVALS_MAX`] of them. Lines that cannot be read, such as one that a
    /// power cut tore, are left out; no journal is an empty one.
    pub(crate) fn read(&self) -> Vec<Removal> {
        let lines = self.lines().unwrap_or_default();
        let parsed = lines.iter().map(|line| serde_json::from_str(line));
        parsed.filter_map(Result::ok).collect()
    }

    /// The newest lines, each with its end.
    fn lines(&self) -> io::Result<VecDeque<String>> {
        let mut journal = BufReader::new(File::open(&self.path)?.take(READ_BYTES_MAX));
        let mut newest = VecDeque::new();
        loop {
            let mut line = Vec::new();
            if journal.read_until(b'\n', &mut line)? == 0 {
                return Ok(newest);
            }
            if newest.len() == REMOVALS_MAX {
                newest.pop_front();
            }
            if line.ends_with(b"\n") {
                newest.push_back(String::from_utf8_lossy(&line).into_owned());
            }
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Note {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removal(nth: u64) -> Removal {
        Removal {
            object: format!("v2/entries/{nth}/{}", "x".repeat(300)),
            project: "app".into(),
            key: Some("line\nbreak".into()),
            when: Timestamp::from_millis(nth),
            reason: RemovalReason::Size,
        }
    }

    #[test]
    fn what_was_noted_is_read_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Removed::in_folder(&folder.path().join("local"));
        assert_eq!(journal.read(), []);
        journal.append(&[removal(1), removal(2)]).unwrap();
        journal.append(&[removal(3)]).unwrap();
        assert_eq!(journal.read(), [removal(1), removal(2), removal(3)]);
    }

    #[test]
    fn a_torn_line_costs_nothing_but_itself_and_the_one_written_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Removed::in_folder(folder.path());
        journal.append(&[removal(1)]).unwrap();
        let path = folder.path().join("removed.ndjson");
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"object\":\"v2/\xff");
        fs::write(&path, bytes).unwrap();
        assert_eq!(journal.read(), [removal(1)]);
        journal.append(&[removal(2)]).unwrap();
        journal.append(&[removal(3)]).unwrap();
        assert_eq!(journal.read(), [removal(1), removal(3)]);
    }

    #[test]
    fn the_journal_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Removed::in_folder(folder.path());
        for batch in 0..20 {
            let removals: Vec<Removal> = (0..1000).map(|nth| removal(batch * 1000 + nth)).collect();
            journal.append(&removals).unwrap();
        }
        let removals = journal.read();
        assert_eq!(removals.len(), REMOVALS_MAX);
        assert_eq!(removals.last(), Some(&removal(19_999)));
        let size_bytes = fs::metadata(folder.path().join("removed.ndjson"))
            .unwrap()
            .len();
        assert!(size_bytes <= JOURNAL_BYTES_MAX, "{size_bytes}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
