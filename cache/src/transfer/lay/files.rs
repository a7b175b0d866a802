//! Bytes to the files of a tree that is being laid. Receives pieces in any order, and afterwards each entry once more; leaves the
//! files as their entries say. No link of the tree is there before all of its files are.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use croft_beneath::Root;
use rustix::fs::{Mode, Timespec, Timestamps};

use crate::Error;
use crate::tree::{Entry, Node};

/// A run of zeros shorter than this is written: a hole must cover whole blocks to save anything.
const HOLE_BYTES_MIN: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Files<'a> {
    root: &'a Root,
    shown: &'a Path,
    /// The folder that was used last: most files are beside the one before.
    folder: Option<(PathBuf, Root)>,
    /// The file of several pieces that was used last, by where its line begins.
    open: Option<(u32, File)>,
}

impl<'a> Files<'a> {
    pub(super) fn new(root: &'a Root, shown: &'a Path) -> Self {
        Self {
            root,
            shown,
            folder: None,
            open: None,
        }
    }

    /// The same for another thread.
    pub(super) fn another(&self) -> Self {
        Self::new(self.root, self.shown)
    }

    pub(super) fn make_folder(&self, entry: &Entry) -> Result<(), Error> {
        let make = || -> io::Result<()> {
            if let Some(parent) = entry.path.parent() {
                self.root.create_dir_all(parent)?;
            }
            self.root.create_dir(&entry.path, entry.mode | 0o700)?;
            Ok(())
        };
        make().map_err(|source| self.failed(entry, source))
    }

    pub(super) fn make_if_empty(&mut self, entry: &Entry) -> Result<(), Error> {
        if !entry.node.chunks().is_empty() {
            return Ok(());
        }
        self.file(entry)
            .and_then(|file| give(&file, entry))
            .map_err(|source| self.failed(entry, source))
    }

    /// Writes bytes of a file at their place.
    pub(super) fn write(
        &mut self,
        line: u32,
        entry: &Entry,
        offset_bytes: u64,
        bytes: &[u8],
    ) -> Result<(), Error> {
        self.put(line, entry, offset_bytes, bytes)
            .map_err(|source| self.failed(entry, source))
    }

    fn put(&mut self, line: u32, entry: &Entry, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        if is_whole(entry) {
            let file = self.file(entry)?;
            file.write_all_at(bytes, 0)?;
            return give(&file, entry);
        }
        if self.open.as_ref().is_none_or(|open| open.0 != line) {
            self.open = None;
            self.open = Some((line, self.file(entry)?));
        }
        let is_hole = bytes.len() >= HOLE_BYTES_MIN && bytes.iter().all(|byte| *byte == 0);
        match &self.open {
            // Its length is set in the end.
            Some((_, file)) if !is_hole => file.write_all_at(bytes, offset_bytes),
            Some(_) | None => Ok(()),
        }
    }

    /// What is left to do about a file or link, once all bytes are there.
    pub(super) fn finish(&mut self, entry: &Entry) -> Result<(), Error> {
        self.finished(entry)
            .map_err(|source| self.failed(entry, source))
    }

    fn finished(&mut self, entry: &Entry) -> io::Result<()> {
        self.open = None;
        match &entry.node {
            Node::File { size_bytes, chunks } if chunks.len() > 1 => {
                let file = self.file(entry)?;
                file.set_len(*size_bytes)?;
                give(&file, entry)
            }
            Node::Symlink(target) => {
                self.make_parent(entry)?;
                self.root.symlink(target, &entry.path)?;
                self.set_modified(entry)
            }
            Node::HardLink(original) => {
                self.make_parent(entry)?;
                self.root.hard_link(original, &entry.path)
            }
            Node::File { .. } | Node::Directory => Ok(()),
        }
    }

    pub(super) fn finish_folder(&self, entry: &Entry) -> Result<(), Error> {
        self.root
            .set_mode(&entry.path, entry.mode)
            .and_then(|()| self.set_modified(entry))
            .map_err(|source| self.failed(entry, source))
    }

    fn set_modified(&self, entry: &Entry) -> io::Result<()> {
        let (seconds, nanos) = entry.modified;
        self.root.set_modified(&entry.path, seconds, nanos)
    }

    fn make_parent(&self, entry: &Entry) -> io::Result<()> {
        let parent = entry.path.parent().unwrap_or(Path::new(""));
        self.root.create_dir_all(parent)
    }

    /// The entry's file, for writing.
    fn file(&mut self, entry: &Entry) -> io::Result<File> {
        let parent = entry.path.parent().unwrap_or(Path::new(""));
        let name = Path::new(entry.path.file_name().unwrap_or_default());
        if self.folder.as_ref().is_none_or(|open| open.0 != parent) {
            let folder = match self.root.directory(parent) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.root.create_dir_all(parent)?;
                    self.root.directory(parent)?
                }
                other => other?,
            };
            self.folder = Some((parent.to_path_buf(), folder));
        }
        match &self.folder {
            Some((_, folder)) => folder.writable_file(name),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn failed(&self, entry: &Entry, source: io::Error) -> Error {
        Error::Write {
            path: self.shown.join(&entry.path),
            source,
        }
    }
}

/// One chunk is all of it, so it is done when that is.
fn is_whole(entry: &Entry) -> bool {
    entry.node.chunks().len() <= 1
}

fn give(file: &File, entry: &Entry) -> io::Result<()> {
    rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode))?;
    let moment = Timespec {
        tv_sec: entry.modified.0,
        tv_nsec: entry.modified.1.into(),
    };
    Ok(rustix::fs::futimens(
        file,
        &Timestamps {
            last_access: moment,
            last_modification: moment,
        },
    )?)
}
