//! What was saved from a folder last time, so that files which have not changed are not read again. Made by a save; asked by
//! the next save of the same folder on this machine.
//!
//! A file counts as unchanged when device, inode, size, modification and change time are all as they were. The change time cannot be
//! set by programs, so neither an edit that keeps the size nor one that puts the modification time back goes unseen. Times
//! taken within [`TICK_MS`] of the save are not trusted at all: an edit in the same tick would not show.
//!
//! **Shape.** One file for each saved place. JSON header line (format, tree's contents, number of entries), then for each
//! entry of the tree in its order 32 bytes: device, inode, change time in seconds, nanoseconds, and 1 where it is trusted; then the
//! BLAKE3 hash of all that. Sizes, modes and modification times are in the tree.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};

use croft_beneath::Metadata;
use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::replace::replace;
use crate::tree::{Tree, order};
use crate::walk::Finding;
use crate::{Error, Id};

/// How far apart two changes must be for their times to differ for certain. Most file systems tick every 4 to 10 ms, a few
/// only each second or two.
pub(crate) const TICK_MS: u64 = 2_000;

const FORMAT: u32 = 2;
const ENTRY_BYTES: usize = 32;
const HASH_BYTES: usize = 32;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Header {
    croft_stat: u32,
    list: Content,
    entries: usize,
}

/// What is remembered of one place.
#[derive(Debug)]
pub(crate) struct Remembered {
    /// The contents of the tree's list.
    pub(crate) list: Content,
    stats: Vec<Stat>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stat {
    identity: (u64, u64),
    changed: (i64, u32),
    is_trusted: bool,
}

/// The file for a place: `what` names it, such as the folder's path and the selection.
pub(crate) fn file_of(folder: &Path, what: &[u8]) -> PathBuf {
    let name = Id::of_name("croft cache 2026 saved place", what);
    folder.join(name.to_string())
}

impl Remembered {
    /// What that file remembers; none when there is none, or it is damaged.
    pub(crate) fn read(file: &Path) -> Option<Self> {
        let bytes = fs::read(file).ok()?;
        let (body, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH_BYTES)?)?;
        if Id::of(body).bytes() != hash {
            return None;
        }
        let end = body.iter().position(|byte| *byte == b'\n')?;
        let header: Header = serde_json::from_slice(&body[..end]).ok()?;
        let entries = body[end + 1..].as_chunks::<ENTRY_BYTES>();
        let whole = header.croft_stat == FORMAT && entries.1.is_empty();
        (whole && entries.0.len() == header.entries).then(|| Self {
            list: header.list,
            stats: entries.0.iter().map(Stat::decode).collect(),
        })
    }

    /// Writes what the next save needs; losing it only makes that one slower.
    pub(crate) fn write(
        file: &Path,
        list: &Content,
        findings: &[Option<Metadata>],
        now: Timestamp,
    ) -> std::io::Result<()> {
        let header = Header {
            croft_stat: FORMAT,
            list: list.clone(),
            entries: findings.len(),
        };
        let mut bytes = serde_json::to_vec(&header)?;
        bytes.push(b'\n');
        for found in findings {
            let stat = found.map(|found| Stat::of(&found, now)).unwrap_or_default();
            stat.encode(&mut bytes);
        }
        let hash = Id::of(&bytes);
        bytes.extend_from_slice(hash.bytes());
        replace(file, &bytes)
    }

    /// For each finding the position in the tree of the file that it still is. Both are in the order of a tree.
    pub(crate) fn unchanged(
        &self,
        tree: &Tree,
        findings: &[Finding],
    ) -> Result<Vec<Option<usize>>, Error> {
        let entries = tree.entries();
        if entries.len() != self.stats.len() {
            return Err(Error::Damaged {
                object: "stat cache".into(),
                reason: "it is of another tree".into(),
            });
        }
        let mut at = 0;
        let mut found = Vec::with_capacity(findings.len());
        for finding in findings {
            let compared = |at: usize| {
                let entry = entries.get(at);
                entry.map(|entry| order(entry.place(), finding.place()))
            };
            while compared(at) == Some(Ordering::Less) {
                at += 1;
            }
            let same = entries.get(at).is_some_and(|entry| {
                compared(at) == Some(Ordering::Equal)
                    && self.stats[at].is_of(&finding.found)
                    && entry.is_of(&finding.found)
            });
            found.push(same.then_some(at));
        }
        Ok(found)
    }
}

impl Stat {
    fn of(found: &Metadata, now: Timestamp) -> Self {
        let latest = found
            .changed
            .max((found.modified_seconds, found.modified_nanos));
        let latest_ms = u64::try_from(latest.0)
            .unwrap_or(0)
            .saturating_mul(1000)
            .saturating_add(u64::from(latest.1 / 1_000_000));
        Self {
            identity: found.identity,
            changed: found.changed,
            is_trusted: latest_ms.saturating_add(TICK_MS) < now.millis(),
        }
    }

    fn is_of(self, found: &Metadata) -> bool {
        self.is_trusted && self.identity == found.identity && self.changed == found.changed
    }

    fn encode(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.identity.0.to_le_bytes());
        bytes.extend_from_slice(&self.identity.1.to_le_bytes());
        bytes.extend_from_slice(&self.changed.0.to_le_bytes());
        bytes.extend_from_slice(&self.changed.1.to_le_bytes());
        bytes.extend_from_slice(&u32::from(self.is_trusted).to_le_bytes());
    }

    fn decode(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let eight = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        };
        let mut nanos = [0; 4];
        nanos.copy_from_slice(&bytes[24..28]);
        Self {
            identity: (eight(0), eight(8)),
            changed: (eight(16).cast_signed(), u32::from_le_bytes(nanos)),
            is_trusted: bytes[28] == 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use croft_beneath::Kind;

    fn found(changed_seconds: i64) -> Metadata {
        Metadata {
            kind: Kind::File,
            mode: 0o644,
            size_bytes: 1,
            modified_seconds: 5,
            modified_nanos: 0,
            changed: (changed_seconds, 7),
            uid: 0,
            gid: 0,
            identity: (1, 99),
            links: 1,
        }
    }

    #[test]
    fn times_of_the_same_tick_are_not_trusted() {
        let now = Timestamp::from_millis(100_000);
        for (seconds, trusted) in [(97, true), (98, false), (100, false), (200, false)] {
            assert_eq!(
                Stat::of(&found(seconds), now).is_trusted,
                trusted,
                "{seconds}"
            );
        }
    }

    #[test]
    fn saves_of_one_place_by_several_threads_all_leave_what_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = file_of(folder.path(), b"place");
        let now = Timestamp::from_millis(100_000);
        let save = || {
            for _ in 0..200 {
                Remembered::write(&file, &Content::default(), &[Some(found(9))], now).unwrap();
                assert!(Remembered::read(&file).is_some());
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(save);
            scope.spawn(save);
        });
    }

    #[test]
    fn what_is_written_is_read_back_and_damage_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = file_of(folder.path(), b"place");
        let list = Content::default();
        let now = Timestamp::from_millis(100_000);
        Remembered::write(&file, &list, &[Some(found(9)), None], now).unwrap();
        let read = Remembered::read(&file).unwrap();
        assert!(read.stats[0].is_of(&found(9)) && !read.stats[0].is_of(&found(10)));
        assert_eq!(read.stats[1], Stat::default());
        let mut bytes = fs::read(&file).unwrap();
        bytes[60] ^= 1;
        fs::write(&file, bytes).unwrap();
        assert!(Remembered::read(&file).is_none());
    }
}
