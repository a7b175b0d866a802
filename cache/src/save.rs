//! Build to store. Received from the engine after a build's phases; leaves packs, a tree and, as the last step, an entry.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use croft_beneath::{Kind, Root};
use croft_proto::Timestamp;

use crate::backend::Objects;
use crate::index::Known;
use crate::layout::tree_name;
use crate::lock::{STEPS_AFTER_SAVE, STEPS_SHARED};
use crate::pack::{Builder, Encoder, ZSTD_LEVEL};
use crate::prune::Pruned;
use crate::record::{self, Record};
use crate::selection::Selection;
use crate::tree::{Anchor, CHUNK_BYTES, Entry, FILE_BYTES_MAX, MODE_BITS, Node, Tree};
use crate::walk::{Anchors, Warnings, left_out, walk};
use crate::workers::{self, Queue};
use crate::{Error, Id, Store};

/// Findings a worker takes at once, so that neighbours in the tree are neighbours in a pack.
const BATCH: usize = 32;

/// What to save, and as what.
#[derive(Clone, Copy, Debug)]
pub struct Save<'a> {
    /// Whose entry it is: entries of other projects never match.
    pub project: &'a str,
    /// The key, expanded. None means the one entry of the project, which each save replaces.
    pub key: Option<&'a str>,
    /// `cache.paths`, with variables and `~` expanded.
    pub paths: &'a [String],
    /// What the build sees as `/`.
    pub root: &'a Root,
    /// The source directory inside the root; relative paths start there.
    pub base: &'a Path,
    /// What time it is.
    pub now: Timestamp,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveOutcome {
    /// The entry is new, or replaced the one without a key.
    Saved,
    /// There is an entry with this key already, or the entry without a key has the same contents.
    Unchanged,
    /// The paths lead to nothing; no entry was made.
    NothingFound,
}

/// The report of a save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// What became of it.
    pub outcome: SaveOutcome,
    /// Files and links of the entry; 0 when nothing was looked at because the key exists.
    pub files: u64,
    /// Bytes of all those files.
    pub size_bytes: u64,
    /// Bytes newly written to the store.
    pub stored_bytes: u64,
    /// What was left out, and anything else a person should know. May be empty.
    pub warnings: Vec<String>,
    /// What had to go to stay under the cap, when something had to.
    pub pruned: Option<Pruned>,
}

impl Store {
    /// Stores the files that the paths mean.
    ///
    /// A file that cannot be read, or that changes while it is read, is left out with a warning. When this fails, or the
    /// process dies on the way, the old state stays; what was already written is removed by a later prune.
    ///
    /// # Errors
    /// When a path or name cannot be used (the buildspec's author can fix it), the store cannot be written, the files are
    /// larger than the cap, or the cache is locked for too long.
    pub fn save(&self, request: &Save<'_>) -> Result<Saved, Error> {
        if request.project.is_empty() || request.key == Some("") {
            return Err(Error::Name("project and key may not be empty".into()));
        }
        let selection = Selection::parse(request.paths, request.base)?;
        let held = self.lock.shared(STEPS_SHARED)?;
        let saved = self.save_held(request, &selection);
        drop(held);
        match saved {
            Ok(mut saved) => {
                if saved.stored_bytes > 0 && self.stored_bytes()? > self.cap_bytes {
                    saved.pruned = self.prune_after_save(self.low_water_bytes());
                }
                Ok(saved)
            }
            Err(error) => {
                // It may have left packs that nobody uses, on a disk that may be full.
                self.prune_after_save(self.cap_bytes);
                Err(error)
            }
        }
    }

    /// What a prune after a save leaves: a tenth below the cap, so that not every save has to prune.
    fn low_water_bytes(&self) -> u64 {
        self.cap_bytes - self.cap_bytes / 10
    }

    /// Prunes unless other builds use the cache: then the next save finds it too full again. The save is done either
    /// way, so trouble here is only logged.
    fn prune_after_save(&self, cap_bytes: u64) -> Option<Pruned> {
        let pruned = self
            .lock
            .exclusive(STEPS_AFTER_SAVE)
            .and_then(|held| self.prune_alone(&held, cap_bytes));
        pruned
            .inspect_err(|error| tracing::warn!(%error, "the cache is not pruned"))
            .ok()
    }

    fn save_held(&self, request: &Save<'_>, selection: &Selection) -> Result<Saved, Error> {
        let name = record::name(request.project, &selection.version(), request.key);
        let before = self.usable_record(&name)?;
        if request.key.is_some() && before.is_some() {
            return Ok(unchanged(Vec::new()));
        }
        let anchors = Anchors::open(request.root, request.base)?;
        let shared = Shared::new(self, &anchors)?;
        let (tree, mut stored_bytes) = read_all(&shared, selection)?;
        let Shared {
            known, warnings, ..
        } = shared;
        let warnings = warnings.into_sentences();
        if tree.entries().is_empty() {
            return Ok(Saved {
                outcome: SaveOutcome::NothingFound,
                ..unchanged(warnings)
            });
        }
        let (tree_id, tree_bytes) = self.write_tree(&tree, &mut stored_bytes)?;
        let mut saved = Saved {
            outcome: SaveOutcome::Saved,
            files: tree.files(),
            size_bytes: tree.logical_bytes(),
            stored_bytes,
            warnings,
            pruned: None,
        };
        if before.is_some_and(|before| before.tree == tree_id) {
            record::touch(&self.objects, &name, request.now);
            saved.outcome = SaveOutcome::Unchanged;
            return Ok(saved);
        }
        let known = known.into_inner().unwrap_or_else(PoisonError::into_inner);
        let record = Record {
            project: request.project.to_string(),
            key: request.key.map(str::to_string),
            paths: selection.texts().to_vec(),
            version: selection.version(),
            tree: tree_id,
            files: saved.files,
            logical_bytes: saved.size_bytes,
            stored_bytes: known.used_bytes() + tree_bytes,
            created: request.now,
        };
        // The prune that follows would take it away again.
        if record.stored_bytes > self.low_water_bytes() {
            return Err(Error::TooLarge {
                cap_bytes: self.cap_bytes,
            });
        }
        if !self.commit(&name, &record)? {
            saved.outcome = SaveOutcome::Unchanged;
        }
        Ok(saved)
    }

    /// The entry of that name unless it is damaged or has lost its tree, which saving again heals.
    fn usable_record(&self, name: &object_store::path::Path) -> Result<Option<Record>, Error> {
        let record = match record::read(&self.objects, name) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(None),
            Err(error) if error.is_damage() => {
                self.objects.delete(name)?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let tree = self.objects.size_bytes(&tree_name(&record.tree))?;
        if tree.is_none() {
            self.objects.delete(name)?;
        }
        Ok(tree.map(|_| record))
    }

    fn write_tree(&self, tree: &Tree, stored_bytes: &mut u64) -> Result<(Id, u64), Error> {
        let failed = |source| Error::System {
            action: "compress the list of files",
            source,
        };
        let mut packed =
            zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL).map_err(failed)?;
        tree.write(&mut packed).map_err(failed)?;
        let bytes = packed.finish().map_err(failed)?;
        let (id, size) = (Id::of(&bytes), bytes.len() as u64);
        let name = tree_name(&id);
        if self.objects.size_bytes(&name)? != Some(size) {
            self.objects.put(&name, bytes)?;
            *stored_bytes += size;
        }
        Ok((id, size))
    }

    /// Makes the save visible; false when another process saved this key in the meantime.
    fn commit(&self, name: &object_store::path::Path, record: &Record) -> Result<bool, Error> {
        let bytes = record.encode()?;
        if record.key.is_some() {
            return self.objects.create(name, bytes);
        }
        self.objects.put(name, bytes)?;
        Ok(true)
    }
}

fn unchanged(warnings: Vec<String>) -> Saved {
    Saved {
        outcome: SaveOutcome::Unchanged,
        files: 0,
        size_bytes: 0,
        stored_bytes: 0,
        warnings,
        pruned: None,
    }
}

/// What all workers of a save use.
struct Shared<'a> {
    objects: &'a Objects,
    anchors: &'a Anchors,
    known: Mutex<Known>,
    written_bytes: AtomicU64,
    cap_bytes: u64,
    warnings: Warnings,
}

impl<'a> Shared<'a> {
    fn new(store: &'a Store, anchors: &'a Anchors) -> Result<Self, Error> {
        Ok(Self {
            objects: &store.objects,
            anchors,
            known: Mutex::new(Known::load(&store.objects)?),
            written_bytes: AtomicU64::new(0),
            cap_bytes: store.cap_bytes,
            warnings: Warnings::default(),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads and stores everything selected; the tree, and the bytes written.
fn read_all(shared: &Shared<'_>, selection: &Selection) -> Result<(Tree, u64), Error> {
    let findings = walk(selection, shared.anchors, &shared.warnings)?;
    let queue = Queue::new(findings.len().div_ceil(BATCH));
    // Taken apart as it is worked off, so that no path is in memory twice.
    let findings = Mutex::new((0_usize, findings.into_iter()));
    let parts = workers::run(&queue, |queue| {
        let mut worker = Worker::new(shared)?;
        let mut batches = Vec::new();
        while queue.take().is_some() {
            let (number, batch) = next_batch(&findings);
            let mut entries = Vec::with_capacity(batch.len());
            for ((anchor, path), kind) in batch {
                entries.extend(worker.read(anchor, path, kind)?);
            }
            batches.push((number, entries));
        }
        worker.flush()?;
        Ok(batches)
    })?;
    let mut batches: Vec<_> = parts.into_iter().flatten().collect();
    batches.sort_by_key(|(batch, _)| *batch);
    let entries = batches
        .into_iter()
        .flat_map(|(_, entries)| entries)
        .collect();
    Ok((
        Tree::new(entries),
        shared.written_bytes.load(Ordering::Relaxed),
    ))
}

type Finding = ((Anchor, PathBuf), Kind);

/// The next findings and their place among all.
fn next_batch(findings: &Mutex<(usize, impl Iterator<Item = Finding>)>) -> (usize, Vec<Finding>) {
    let mut findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
    let batch = findings.1.by_ref().take(BATCH).collect();
    findings.0 += 1;
    (findings.0, batch)
}

struct Worker<'a> {
    shared: &'a Shared<'a>,
    encoder: Encoder,
    builder: Builder,
    buffer: Vec<u8>,
}

/// Why a file is not stored: the build's doing, or the store's.
enum Stop {
    LeftOut(String),
    Failed(Error),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::LeftOut(format!("cannot be read: {error}"))
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared<'a>) -> Result<Self, Error> {
        Ok(Self {
            shared,
            encoder: Encoder::new()?,
            builder: Builder::default(),
            buffer: vec![0; CHUNK_BYTES],
        })
    }

    /// The entry of one finding; none, with a warning, when it cannot be read.
    fn read(&mut self, anchor: Anchor, path: PathBuf, kind: Kind) -> Result<Option<Entry>, Error> {
        let read = match kind {
            Kind::File => self.read_file(anchor, &path),
            Kind::Directory | Kind::Symlink | Kind::Other => self.read_name(anchor, &path),
        };
        match read {
            Ok(entry) => Ok(Some(Entry { path, ..entry })),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::LeftOut(reason)) => {
                let shown = self.shared.anchors.shown(anchor, &path);
                self.shared.warnings.add(|| left_out(&shown, reason));
                Ok(None)
            }
        }
    }

    /// The entry of a directory or link, its path left to the caller.
    fn read_name(&mut self, anchor: Anchor, path: &Path) -> Result<Entry, Stop> {
        let root = self.shared.anchors.at(anchor);
        let found = root.symlink_metadata(path)?;
        let (mode, node) = match found.kind {
            Kind::Directory => (found.mode & MODE_BITS, Node::Directory),
            Kind::Symlink => (0o777, Node::Symlink(root.read_link(path)?)),
            Kind::File | Kind::Other => {
                return Err(Stop::LeftOut("changed while it was looked at".into()));
            }
        };
        Ok(Entry {
            anchor,
            path: PathBuf::new(),
            mode,
            modified: (found.modified_seconds, found.modified_nanos),
            owner: (found.uid, found.gid),
            node,
        })
    }

    /// The entry of a file, its path left to the caller.
    fn read_file(&mut self, anchor: Anchor, path: &Path) -> Result<Entry, Stop> {
        let mut file = self.shared.anchors.at(anchor).open_file(path)?;
        let before = file.metadata()?;
        if before.len() > FILE_BYTES_MAX {
            return Err(Stop::LeftOut(format!(
                "is larger than {FILE_BYTES_MAX} bytes"
            )));
        }
        let (size_bytes, chunks) = self.read_chunks(&mut file)?;
        let after = file.metadata()?;
        let stamp = |of: &std::fs::Metadata| (of.len(), of.mtime(), of.mtime_nsec());
        if stamp(&before) != stamp(&after) || size_bytes != after.len() {
            return Err(Stop::LeftOut("changed while it was read".into()));
        }
        Ok(Entry {
            anchor,
            path: PathBuf::new(),
            mode: after.mode() & MODE_BITS,
            modified: (
                after.mtime(),
                u32::try_from(after.mtime_nsec()).unwrap_or(0),
            ),
            owner: (after.uid(), after.gid()),
            node: Node::File { size_bytes, chunks },
        })
    }

    fn read_chunks(&mut self, file: &mut File) -> Result<(u64, Vec<Id>), Stop> {
        let mut chunks = Vec::new();
        let mut size_bytes = 0;
        loop {
            let length = fill(file, &mut self.buffer)?;
            if length == 0 {
                return Ok((size_bytes, chunks));
            }
            size_bytes += length as u64;
            if size_bytes > FILE_BYTES_MAX {
                return Err(Stop::LeftOut("grows while it is read".into()));
            }
            chunks.push(self.store_chunk(length)?);
        }
    }

    fn store_chunk(&mut self, length: usize) -> Result<Id, Error> {
        let raw = &self.buffer[..length];
        let id = Id::of(raw);
        if self.shared.known().claim(&id) {
            return Ok(id);
        }
        let stored = self.encoder.encode(raw)?;
        let lengths = (u32::try_from(length), u32::try_from(stored.len()));
        let (Ok(raw_bytes), Ok(stored_bytes)) = lengths else {
            unreachable!("a chunk is at most {CHUNK_BYTES} bytes");
        };
        self.builder.push(id, raw_bytes, stored);
        self.shared.known().stored(&id, stored_bytes);
        if self.builder.is_full() {
            self.flush()?;
        }
        Ok(id)
    }

    fn flush(&mut self) -> Result<(), Error> {
        let written = self.builder.flush(self.shared.objects)?;
        let written = written.map_or(0, |pack| pack.size_bytes);
        let before = self
            .shared
            .written_bytes
            .fetch_add(written, Ordering::Relaxed);
        if before + written > self.shared.cap_bytes {
            return Err(Error::TooLarge {
                cap_bytes: self.shared.cap_bytes,
            });
        }
        Ok(())
    }
}

/// Reads until the buffer is full or the file ends; how many bytes.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
