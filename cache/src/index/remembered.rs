//! Ends of packs, remembered on this machine so that they are fetched once. Packs never change, so what is remembered is
//! never stale; a file that is torn or lost is read from the packs again.
//!
//! **Shape.** Records appended to one file: length of the record's rest (4 bytes, little-endian), the pack's id (32), its size
//! (8), its end, and the first 16 bytes of the BLAKE3 hash of all that but the length.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::Id;
use crate::backend::Listed;
use crate::layout::id_of;
use crate::replace::replace;

const CHECK_BYTES: usize = 16;
const HEAD_BYTES: usize = 32 + 8;

/// A file larger than this is begun anew rather than read: it would be mostly about packs that are gone.
const FILE_BYTES_MAX: u64 = 512 << 20;

#[derive(Debug, Default)]
pub(super) struct Remembered {
    file: Option<PathBuf>,
    tails: HashMap<Id, (u64, Bytes)>,
    asked: usize,
    fresh: Vec<u8>,
    is_torn: bool,
}

impl Remembered {
    /// What is remembered in that folder; nothing when there is none, or it cannot be read.
    pub(super) fn open(folder: &Path) -> Self {
        let file = folder.join("index");
        let size = fs::metadata(&file).map_or(0, |found| found.len());
        let text = if size > FILE_BYTES_MAX {
            Vec::new()
        } else {
            fs::read(&file).unwrap_or_default()
        };
        let mut remembered = Self {
            file: Some(file),
            is_torn: size > FILE_BYTES_MAX,
            ..Self::default()
        };
        let text = Bytes::from(text);
        let mut at = 0;
        while at < text.len() {
            let Some((record, next)) = record_at(&text, at) else {
                remembered.is_torn = true;
                break;
            };
            let (id, size_bytes, tail) = record;
            remembered.tails.insert(id, (size_bytes, tail));
            at = next;
        }
        remembered
    }

    pub(super) fn knows(&mut self, pack: &Listed) -> bool {
        let known = self.tail(pack).is_some();
        self.asked += usize::from(known);
        known
    }

    pub(super) fn tail(&self, pack: &Listed) -> Option<Bytes> {
        let (size_bytes, tail) = self.tails.get(&id_of(&pack.name)?)?;
        (*size_bytes == pack.size_bytes).then(|| tail.clone())
    }

    pub(super) fn add(&mut self, pack: &Listed, tail: Bytes) {
        if let Some(id) = id_of(&pack.name) {
            write_record(&mut self.fresh, &id, pack.size_bytes, &tail);
            self.tails.insert(id, (pack.size_bytes, tail));
            self.asked += 1;
        }
    }

    /// Writes what is new. When most of the file is about packs that are gone, or it was torn, it is written anew.
    pub(super) fn close(self) {
        let Some(file) = &self.file else {
            return;
        };
        let stale = self.tails.len() > 64 && self.asked * 2 < self.tails.len();
        let written = if self.is_torn || stale {
            self.write_anew(file)
        } else if self.fresh.is_empty() {
            Ok(())
        } else {
            append(file, &self.fresh)
        };
        if let Err(error) = written {
            tracing::debug!(%error, "the ends of packs are not remembered");
        }
    }

    fn write_anew(&self, file: &Path) -> std::io::Result<()> {
        let mut text = Vec::new();
        if self.is_torn {
            for (id, (size_bytes, tail)) in &self.tails {
                write_record(&mut text, id, *size_bytes, tail);
            }
        }
        replace(file, &text)
    }
}

/// One write: several processes may append at once.
fn append(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    File::options()
        .create(true)
        .append(true)
        .open(file)?
        .write_all(bytes)
}

fn write_record(text: &mut Vec<u8>, id: &Id, size_bytes: u64, tail: &[u8]) {
    let Ok(length) = u32::try_from(HEAD_BYTES + tail.len() + CHECK_BYTES) else {
        return;
    };
    text.extend_from_slice(&length.to_le_bytes());
    let start = text.len();
    text.extend_from_slice(id.bytes());
    text.extend_from_slice(&size_bytes.to_le_bytes());
    text.extend_from_slice(tail);
    let check = Id::of(&text[start..]);
    text.extend_from_slice(&check.bytes()[..CHECK_BYTES]);
}

type Record = (Id, u64, Bytes);

/// The record that starts there, and where the next one does.
fn record_at(text: &Bytes, at: usize) -> Option<(Record, usize)> {
    let (length, rest) = text.get(at..)?.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let record = rest.get(..length)?;
    let body = record.get(..length.checked_sub(CHECK_BYTES)?)?;
    if record[body.len()..] != Id::of(body).bytes()[..CHECK_BYTES] || body.len() < HEAD_BYTES {
        return None;
    }
    let (id, size) = body[..HEAD_BYTES].split_first_chunk::<32>()?;
    let size_bytes = u64::from_le_bytes(size.try_into().ok()?);
    let start = at + 4 + HEAD_BYTES;
    let tail = text.slice(start..at + 4 + body.len());
    Some(((Id::from_bytes(*id), size_bytes, tail), at + 4 + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::pack_name;

    fn pack(name: &[u8]) -> Listed {
        Listed {
            name: pack_name(&Id::of(name)),
            size_bytes: 100,
        }
    }

    #[test]
    fn what_was_remembered_is_there_next_time_and_a_torn_end_is_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in [b"a", b"b"] {
            let mut remembered = Remembered::open(folder.path());
            assert!(!remembered.knows(&pack(name)));
            remembered.add(&pack(name), Bytes::from_static(b"tail"));
            remembered.close();
        }
        let file = folder.path().join("index");
        let whole = fs::read(&file).unwrap();
        assert!(Remembered::open(folder.path()).knows(&pack(b"b")));
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        let mut torn = Remembered::open(folder.path());
        assert!(torn.knows(&pack(b"a")) && !torn.knows(&pack(b"b")));
        torn.close();
        let mut mended = Remembered::open(folder.path());
        assert!(mended.knows(&pack(b"a")) && !mended.is_torn);
    }

    #[test]
    fn a_pack_of_another_size_is_not_the_one_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let mut remembered = Remembered::open(folder.path());
        remembered.add(&pack(b"a"), Bytes::from_static(b"tail"));
        let other = Listed {
            size_bytes: 101,
            ..pack(b"a")
        };
        assert!(!remembered.knows(&other));
    }
}
