//! Store to build: its files. Receives a checked tree and a root; leaves exactly the tree's files there, or none.
//!
//! Every path is resolved without following any symbolic link, whatever lies in the root already. Every chunk's hash is
//! checked before its bytes are written. All chunks are located before the first file is made; when one turns out to be
//! damaged after that, what was written is removed.

/// Which files a worker takes together.
mod batches;
/// One file's bytes, holes left as holes.
mod sparse;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use croft_beneath::Root;
use rustix::fs::{Timespec, Timestamps};

use crate::content::Reader;
use crate::index::Index;
use crate::selection::Selection;
use crate::tree::{Anchor, Entry, Node, Tree, TreeError};
use crate::walk::Anchors;
use crate::workers::{self, Queue};
use crate::{Error, Store};
use batches::batches;
use sparse::SparseFile;

/// Where a tree goes.
#[derive(Clone, Copy, Debug)]
pub struct Unpack<'a> {
    /// `cache.paths`: an entry of the tree outside them is refused.
    pub paths: &'a [String],
    /// What the build will see as `/`.
    pub root: &'a Root,
    /// The source directory inside the root.
    pub base: &'a Path,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Files and links.
    pub files: u64,
    /// Bytes of the files.
    pub size_bytes: u64,
    /// What a person should know. May be empty.
    pub warnings: Vec<String>,
}

impl Store {
    /// Writes a tree's files, whose chunks are in this store. [`Store::restore`] does this with the tree of an entry.
    ///
    /// # Errors
    /// [`Error::Refused`] before anything is written when the tree leads outside the paths; [`Error::Missing`] and
    /// [`Error::Damaged`] when chunks are not there or not whole; [`Error::Write`] when something is in the way. Whatever
    /// was written by then is removed.
    pub fn unpack(&self, tree: &Tree, place: &Unpack<'_>) -> Result<Unpacked, Error> {
        let selection = Selection::parse(place.paths, place.base)?;
        let index = self.index()?;
        check_selected(tree, &selection)?;
        let anchors = Anchors::open(place.root, place.base)?;
        unpack(self, &index, tree, &anchors)
    }
}

/// Writes a tree, all of whose paths the caller wants.
pub(crate) fn unpack(
    store: &Store,
    index: &Index,
    tree: &Tree,
    anchors: &Anchors,
) -> Result<Unpacked, Error> {
    check_lengths(tree, index)?;
    store.meter.expect(tree.logical_bytes());
    let unpacking = Unpacking {
        store,
        index,
        entries: tree.entries(),
        anchors,
        made: Mutex::default(),
        owners_lost: AtomicBool::new(false),
        myself: (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        ),
    };
    let written = unpacking
        .make_directories()
        .and_then(|()| unpacking.make_files())
        .and_then(|()| unpacking.make_hard_links())
        .and_then(|()| unpacking.finish_directories());
    if let Err(error) = written {
        unpacking.undo();
        return Err(error);
    }
    let owners_lost = unpacking.owners_lost.into_inner();
    Ok(Unpacked {
        files: tree.files(),
        size_bytes: tree.logical_bytes(),
        warnings: owners_lost
            .then(|| {
                "restored files belong to the user who runs croft, not to their former owners"
                    .to_string()
            })
            .into_iter()
            .collect(),
    })
}

/// Nothing of a tree may lie outside the paths it is restored for.
pub(crate) fn check_selected(tree: &Tree, selection: &Selection) -> Result<(), Error> {
    for (line, entry) in (2..).zip(tree.entries()) {
        let is_directory = entry.node == Node::Directory;
        if !selection.admits(entry.anchor, &entry.path, is_directory) {
            return Err(Error::Refused(TreeError {
                line,
                reason: format!("`{}` is outside the cached paths", entry.path.display()),
            }));
        }
    }
    Ok(())
}

/// All chunks are there, and those of a file are together as long as it says.
pub(crate) fn check_lengths(tree: &Tree, index: &Index) -> Result<(), Error> {
    if let Some(error) = index.missing(tree.chunks()) {
        return Err(error);
    }
    for (line, entry) in (2..).zip(tree.entries()) {
        let Node::File { size_bytes, chunks } = &entry.node else {
            continue;
        };
        let places = chunks.iter().filter_map(|id| index.place(id));
        let sum: u64 = places.map(|place| u64::from(place.raw_bytes)).sum();
        if sum != *size_bytes {
            let path = entry.path.display();
            return Err(Error::Refused(TreeError {
                line,
                reason: format!("the chunks of `{path}` do not add up to its size"),
            }));
        }
    }
    Ok(())
}

struct Unpacking<'a> {
    store: &'a Store,
    index: &'a Index,
    entries: &'a [Entry],
    anchors: &'a Anchors,
    made: Mutex<Made>,
    owners_lost: AtomicBool,
    myself: (u32, u32),
}

/// What has been made, to be undone.
#[derive(Debug, Default)]
struct Made {
    /// Positions of files and links.
    leaves: Vec<usize>,
    directories: Vec<(Anchor, PathBuf)>,
}

impl Unpacking<'_> {
    /// Packs that are mostly needed: from a far store they come whole, since many ranges of one cost more.
    fn needed_whole(&self) -> HashSet<u32> {
        let mut frames = HashSet::new();
        let mut wanted: BTreeMap<u32, u64> = BTreeMap::new();
        for id in self.entries.iter().flat_map(|entry| entry.node.chunks()) {
            if let Some(place) = self.index.place(id)
                && frames.insert(place.frame_number)
            {
                *wanted.entry(place.pack).or_default() += u64::from(place.frame.stored_bytes);
            }
        }
        let is_mostly = |(pack, bytes): &(u32, u64)| {
            let size_bytes = self.index.pack(*pack).size_bytes;
            *bytes * 2 >= size_bytes
        };
        wanted
            .into_iter()
            .filter(is_mostly)
            .map(|(pack, _)| pack)
            .collect()
    }

    /// Makes every directory that is missing, writable for now.
    fn make_directories(&self) -> Result<(), Error> {
        let mut there = HashSet::new();
        for entry in self.entries {
            let parent = entry.path.parent().unwrap_or(Path::new(""));
            self.make_parents(entry.anchor, parent, &mut there)?;
            if entry.node == Node::Directory {
                self.make_directory(entry.anchor, &entry.path, entry.mode | 0o700)?;
                there.insert((entry.anchor, entry.path.as_path()));
            }
        }
        Ok(())
    }

    /// Makes the directories above a path that no save stores: those above a configured path.
    fn make_parents<'p>(
        &self,
        anchor: Anchor,
        parent: &'p Path,
        there: &mut HashSet<(Anchor, &'p Path)>,
    ) -> Result<(), Error> {
        let mut missing: Vec<&Path> = parent
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && !there.contains(&(anchor, *path)))
            .collect();
        while let Some(path) = missing.pop() {
            self.make_directory(anchor, path, 0o755)?;
            there.insert((anchor, path));
        }
        Ok(())
    }

    fn make_directory(&self, anchor: Anchor, path: &Path, mode: u32) -> Result<(), Error> {
        let made = self.anchors.at(anchor).create_dir(path, mode);
        if made.map_err(|source| self.failed(anchor, path, source))? {
            self.made().directories.push((anchor, path.to_path_buf()));
        }
        Ok(())
    }

    fn make_files(&self) -> Result<(), Error> {
        let objects = &self.store.objects;
        let (size, whole) = if objects.is_tiered() {
            (batches::FAR, self.needed_whole())
        } else {
            (batches::NEAR, HashSet::new())
        };
        let batches = batches(self.entries, size);
        let queue = Queue::new(batches.len());
        workers::run_reading(objects, &queue, |queue| {
            let mut reader = Reader::new(objects, self.index)?.fetching_whole(&whole);
            while let Some(batch) = queue.take() {
                self.make_batch(&mut reader, batches[batch].clone())?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn make_batch(
        &self,
        reader: &mut Reader<'_>,
        batch: std::ops::Range<usize>,
    ) -> Result<(), Error> {
        let mut pieces = Vec::new();
        for position in batch {
            let entry = &self.entries[position];
            match &entry.node {
                Node::Symlink(target) => {
                    self.make_link(position, entry, target)?;
                }
                Node::File { size_bytes: 0, .. } => {
                    let file = self.make_file(position, entry)?;
                    self.finish_file(entry, &file)?;
                }
                Node::File { chunks, .. } => {
                    let count = chunks.len();
                    let numbered = chunks.iter().enumerate();
                    pieces
                        .extend(numbered.map(|(at, id)| (position, id, at == 0, at + 1 == count)));
                }
                Node::Directory | Node::HardLink(_) => {}
            }
        }
        let mut order = pieces.iter();
        let mut open: Option<SparseFile> = None;
        reader.read(pieces.iter().map(|piece| piece.1), |bytes| {
            let Some((position, _, is_first, is_last)) = order.next() else {
                unreachable!("every piece is handed out once");
            };
            let entry = &self.entries[*position];
            let failed = |source| self.failed(entry.anchor, &entry.path, source);
            if *is_first {
                open = Some(SparseFile::new(self.make_file(*position, entry)?));
            }
            let Some(file) = &mut open else {
                unreachable!("the pieces of a file come in order");
            };
            file.write(bytes).map_err(failed)?;
            self.store.meter.advance(bytes.len() as u64);
            if *is_last {
                file.finish().map_err(failed)?;
                self.finish_file(entry, file.file())?;
            }
            Ok(())
        })
    }

    /// Further names of files, once those are there.
    fn make_hard_links(&self) -> Result<(), Error> {
        for (position, entry) in self.entries.iter().enumerate() {
            if let Node::HardLink(original) = &entry.node {
                let root = self.anchors.at(entry.anchor);
                root.hard_link(original, &entry.path)
                    .map_err(|source| self.failed(entry.anchor, &entry.path, source))?;
                self.made().leaves.push(position);
            }
        }
        Ok(())
    }

    fn make_file(&self, position: usize, entry: &Entry) -> Result<File, Error> {
        let root = self.anchors.at(entry.anchor);
        let file = root.create_file(&entry.path, entry.mode);
        let file = file.map_err(|source| self.failed(entry.anchor, &entry.path, source))?;
        self.made().leaves.push(position);
        Ok(file)
    }

    /// Owner and times, which writing would have changed.
    fn finish_file(&self, entry: &Entry, file: &File) -> Result<(), Error> {
        let set = || -> io::Result<()> {
            let mut mode = entry.mode;
            if entry.owner != self.myself {
                let user = rustix::fs::Uid::from_raw(entry.owner.0);
                let group = rustix::fs::Gid::from_raw(entry.owner.1);
                let given = rustix::fs::fchown(file, Some(user), Some(group));
                self.allow_denied(given.map_err(io::Error::from))?;
                if given.is_err() {
                    // Nobody becomes another user than the file's own was.
                    mode &= !0o6000;
                }
            }
            // Giving a file away takes its set-user-id bits, and so does writing to it for all but root.
            if entry.mode & 0o6000 != 0 {
                rustix::fs::fchmod(file, rustix::fs::Mode::from_raw_mode(mode))?;
            }
            Ok(rustix::fs::futimens(file, &times(entry))?)
        };
        set().map_err(|source| self.failed(entry.anchor, &entry.path, source))
    }

    fn make_link(&self, position: usize, entry: &Entry, target: &Path) -> Result<(), Error> {
        let root = self.anchors.at(entry.anchor);
        let made = root.symlink(target, &entry.path);
        made.map_err(|source| self.failed(entry.anchor, &entry.path, source))?;
        self.made().leaves.push(position);
        self.finish_name(entry)
            .map_err(|source| self.failed(entry.anchor, &entry.path, source))
    }

    /// Modes, owners and times of directories, the deepest first, since making files in them changed their times.
    fn finish_directories(&self) -> Result<(), Error> {
        for entry in self.entries.iter().rev() {
            if entry.node == Node::Directory {
                let root = self.anchors.at(entry.anchor);
                self.own(entry)
                    .and_then(|()| root.set_mode(&entry.path, entry.mode))
                    .and_then(|()| {
                        root.set_modified(&entry.path, entry.modified.0, entry.modified.1)
                    })
                    .map_err(|source| self.failed(entry.anchor, &entry.path, source))?;
            }
        }
        Ok(())
    }

    fn finish_name(&self, entry: &Entry) -> io::Result<()> {
        self.own(entry)?;
        let root = self.anchors.at(entry.anchor);
        root.set_modified(&entry.path, entry.modified.0, entry.modified.1)
    }

    fn own(&self, entry: &Entry) -> io::Result<()> {
        if entry.owner == self.myself {
            return Ok(());
        }
        let root = self.anchors.at(entry.anchor);
        self.allow_denied(root.set_owner(&entry.path, entry.owner.0, entry.owner.1))
    }

    /// An ordinary user cannot give files away; then they stay the user's, which is said once.
    fn allow_denied(&self, set: io::Result<()>) -> io::Result<()> {
        match set {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.owners_lost.store(true, Ordering::Relaxed);
                Ok(())
            }
            set => set,
        }
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what was made; directories that were there, or that got other contents, stay.
    fn undo(&self) {
        let made = std::mem::take(&mut *self.made());
        for position in made.leaves {
            let entry = &self.entries[position];
            if let Err(error) = self.anchors.at(entry.anchor).remove_file(&entry.path) {
                tracing::warn!(path = %entry.path.display(), %error, "a half-restored file stays");
            }
        }
        for (anchor, path) in made.directories.iter().rev() {
            if let Err(error) = self.anchors.at(*anchor).remove_dir(path) {
                tracing::debug!(path = %path.display(), %error, "a directory stays");
            }
        }
    }

    fn failed(&self, anchor: Anchor, path: &Path, source: io::Error) -> Error {
        Error::Write {
            path: self.anchors.shown(anchor, path),
            source: explained(source),
        }
    }
}

/// What a person can do about the kernel's short answers.
fn explained(source: io::Error) -> io::Error {
    let text = match rustix::io::Errno::from_io_error(&source) {
        Some(rustix::io::Errno::LOOP) => {
            "a symbolic link is on the way, which the cache does not follow"
        }
        Some(rustix::io::Errno::NOTDIR) => "a file or link is where the cache has a directory",
        Some(rustix::io::Errno::ISDIR) => "a directory is where the cache has a file",
        _ => return source,
    };
    io::Error::new(source.kind(), text)
}

fn times(entry: &Entry) -> Timestamps {
    let moment = Timespec {
        tv_sec: entry.modified.0,
        tv_nsec: entry.modified.1.into(),
    };
    Timestamps {
        last_access: moment,
        last_modification: moment,
    }
}
