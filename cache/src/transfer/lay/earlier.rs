//! What a tree that was laid before still has. Receives its folder and its notes, hands out bytes, of which the receiver finds out by
//! their hash what they are: files may have been changed since, and notes are only where to look.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use croft_beneath::Root;

use super::list::List;
use super::pieces::{Kept, Pieces};
use super::{LIST, PIECES};
use crate::chunk::CHUNK_BYTES_MAX;

/// A tree that was laid before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Its files.
    pub folder: PathBuf,
    /// Its notes.
    pub notes: PathBuf,
}

impl Earlier {
    /// What of it is lacking in another tree; `None` when there is nothing, or nothing to be found.
    pub(super) fn open(&self, pieces: &Pieces) -> Option<Found> {
        let open = || -> std::io::Result<Found> {
            let path = self.notes.join(LIST);
            let found = pieces.found_in(&self.notes.join(PIECES))?;
            Ok(Found {
                list: List::unchecked(File::open(&path)?, &path),
                root: Root::open(&self.folder)?.refusing_links(),
                left: found.into_iter(),
                open: None,
                bytes: Vec::new(),
            })
        };
        let found = open().inspect_err(|error| {
            tracing::debug!(%error, folder = %self.folder.display(), "nothing is taken from an earlier tree");
        });
        found.ok().filter(|found| found.left.len() > 0)
    }
}

/// Pieces that are probably of use.
#[derive(Debug)]
pub(super) struct Found {
    list: List,
    root: Root,
    left: std::vec::IntoIter<Kept>,
    open: Option<(u32, File)>,
    bytes: Vec<u8>,
}

impl Found {
    /// The next that can be read.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        while let Some(kept) = self.left.next() {
            if self.read(&kept).is_some() {
                return Some(&self.bytes);
            }
        }
        None
    }

    fn read(&mut self, kept: &Kept) -> Option<()> {
        let size = usize::try_from(kept.size_bytes).ok()?;
        if size > CHUNK_BYTES_MAX {
            return None;
        }
        if self.open.as_ref().is_none_or(|open| open.0 != kept.line) {
            self.open = None;
            let path: &Path = &self.list.entry(kept.line).ok()?.path;
            self.open = Some((kept.line, self.root.open_file(path).ok()?));
        }
        let (_, file) = self.open.as_ref()?;
        self.bytes.resize(size, 0);
        file.read_exact_at(&mut self.bytes, kept.offset_bytes).ok()
    }
}
