//! The store: opened by the command line, handed by reference to whoever saves, restores or looks.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use croft_proto::Timestamp;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use crate::backend::Objects;
use crate::layout::{everything, folder};
use crate::lock::{Held, Lock, STEPS_EXCLUSIVE, STEPS_SHARED};
use crate::prune::{Pruned, prune_held};
use crate::{Error, record};

/// A cache of builds' files.
///
/// Cheap to clone; every method blocks. Several processes may use one folder at once (see the module `lock`).
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) objects: Objects,
    pub(crate) lock: Lock,
    pub(crate) cap_bytes: u64,
    folder: Option<PathBuf>,
}

/// One entry, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntrySummary {
    /// Whose it is.
    pub project: String,
    /// The exact key; none for the one entry of a project without keys.
    pub key: Option<String>,
    /// The configured paths in their plain form, sorted.
    pub paths: Vec<String>,
    /// The hash of `paths`: entries of other paths never match.
    pub version: crate::Id,
    /// Files and links.
    pub files: u64,
    /// Bytes of all files.
    pub logical_bytes: u64,
    /// Compressed bytes of what the entry uses, each chunk once; other entries may use the same.
    pub stored_bytes: u64,
    /// When it was saved.
    pub created: Timestamp,
    /// When it was last saved or restored.
    pub last_used: Timestamp,
}

/// Which entries to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Every entry.
    All,
    /// Every entry of a project.
    Project(String),
    /// One key of a project, whatever its paths; `None` is the entry without a key.
    Entry {
        /// Whose.
        project: String,
        /// Exactly.
        key: Option<String>,
    },
}

impl Selector {
    fn selects(&self, record: &record::Record) -> bool {
        match self {
            Self::All => true,
            Self::Project(project) => record.project == *project,
            Self::Entry { project, key } => record.project == *project && record.key == *key,
        }
    }
}

/// How full the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Entries.
    pub entries: u64,
    /// Bytes of all objects, including those no entry uses any more.
    pub stored_bytes: u64,
    /// Bytes it may hold.
    pub cap_bytes: u64,
}

impl Store {
    /// The cache in a local folder, which is made (mode 0700) if it is missing. It holds at most `cap_bytes`.
    ///
    /// Left-over temporary files of a run that crashed are removed if nobody else uses the cache right now.
    ///
    /// # Errors
    /// [`Error::Folder`] when the folder cannot be made or opened. One that can only be read is no error: restoring
    /// works, saving fails by itself.
    pub fn open(dir: &Path, cap_bytes: u64) -> Result<Self, Error> {
        let failed = |source| Error::Folder {
            path: dir.to_path_buf(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed)?;
        let local = LocalFileSystem::new_with_prefix(dir)
            .map_err(|error| failed(std::io::Error::other(error)))?;
        let store = Self {
            objects: Objects::new(Arc::new(local.with_fsync(true))),
            lock: Lock::in_folder(dir),
            cap_bytes,
            folder: Some(dir.to_path_buf()),
        };
        if let Ok(held) = store.lock.exclusive(0) {
            store.sweep_staged();
            drop(held);
        }
        Ok(store)
    }

    /// The cache in any object store. It holds at most `cap_bytes`.
    ///
    /// Between processes nothing guards such a store: prune or remove only while no other process saves to it. A store
    /// that needs a Tokio runtime's reactor (one that speaks HTTP) cannot be used yet: calls come from plain threads.
    #[must_use]
    pub fn new(objects: Arc<dyn ObjectStore>, cap_bytes: u64) -> Self {
        Self {
            objects: Objects::new(objects),
            lock: Lock::in_memory(),
            cap_bytes,
            folder: None,
        }
    }

    /// A cache that is gone with the last clone of it, for tests.
    #[must_use]
    pub fn in_memory(cap_bytes: u64) -> Self {
        Self::new(Arc::new(object_store::memory::InMemory::new()), cap_bytes)
    }

    /// Every readable entry, the last used first.
    ///
    /// # Errors
    /// When the store cannot be read or is being pruned for too long. Damaged entries are left out: see
    /// [`Store::verify`].
    pub fn list(&self) -> Result<Vec<EntrySummary>, Error> {
        let held = self.lock.shared(STEPS_SHARED)?;
        let records = record::read_all(&self.objects, &folder("entries"))?;
        let mut entries: Vec<EntrySummary> = records
            .into_iter()
            .filter_map(|(_, record)| record.ok())
            .map(|record| summarise(&self.objects, record))
            .collect();
        drop(held);
        entries.sort_by(|a, b| {
            (b.last_used, &a.project, &a.key).cmp(&(a.last_used, &b.project, &b.key))
        });
        Ok(entries)
    }

    /// Removes entries and everything that only they used; how many entries and bytes went.
    ///
    /// # Errors
    /// When the store cannot be changed, or builds use it for too long ([`Error::Busy`]).
    pub fn remove(&self, selector: &Selector) -> Result<Pruned, Error> {
        let held = self.lock.exclusive(STEPS_EXCLUSIVE)?;
        let mut removed = Pruned::default();
        for (listed, record) in record::read_all(&self.objects, &folder("entries"))? {
            let selected = match &record {
                Ok(record) => selector.selects(record),
                // Nobody can tell whose a damaged entry is, and nothing can be restored from it.
                Err(_) => *selector == Selector::All,
            };
            if selected {
                self.objects.delete(&listed.name)?;
                removed.entries += 1;
                removed.freed_bytes += listed.size_bytes;
            }
        }
        let swept = self.prune_alone(&held, u64::MAX)?;
        removed.entries += swept.entries;
        removed.freed_bytes += swept.freed_bytes;
        removed.stored_bytes = swept.stored_bytes;
        Ok(removed)
    }

    /// Brings the store down to `cap_bytes`: the entries not used for longest go first, then what nobody uses.
    ///
    /// # Errors
    /// When the store cannot be changed, or builds use it for too long ([`Error::Busy`]).
    pub fn prune(&self, cap_bytes: u64) -> Result<Pruned, Error> {
        let held = self.lock.exclusive(STEPS_EXCLUSIVE)?;
        self.prune_alone(&held, cap_bytes)
    }

    /// Entries and bytes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn usage(&self) -> Result<Usage, Error> {
        let entries = self.objects.list(&folder("entries"))?.len() as u64;
        Ok(Usage {
            entries,
            stored_bytes: self.stored_bytes()?,
            cap_bytes: self.cap_bytes,
        })
    }

    pub(crate) fn stored_bytes(&self) -> Result<u64, Error> {
        let objects = self.objects.list(&everything())?;
        Ok(objects.iter().map(|object| object.size_bytes).sum())
    }

    pub(crate) fn prune_alone(&self, held: &Held<'_>, cap_bytes: u64) -> Result<Pruned, Error> {
        self.sweep_staged();
        prune_held(&self.objects, held, cap_bytes)
    }

    /// Removes what crashed writers left: files named `...#N`, which the store writes before it renames them. The caller
    /// holds the lock alone, so nobody is writing one.
    fn sweep_staged(&self) {
        let mut waiting: Vec<PathBuf> =
            self.folder.iter().map(|folder| folder.join("v1")).collect();
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder {
                    waiting.push(entry.path());
                } else if is_staged(&entry.file_name().to_string_lossy())
                    && let Err(error) = fs::remove_file(entry.path())
                {
                    tracing::debug!(%error, "a left-over file stays");
                }
            }
        }
    }
}

fn is_staged(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, number)| {
        !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
    })
}

fn summarise(objects: &Objects, record: record::Record) -> EntrySummary {
    let last_used = record::last_used(objects, &record);
    EntrySummary {
        project: record.project,
        key: record.key,
        paths: record.paths,
        version: record.version,
        files: record.files,
        logical_bytes: record.logical_bytes,
        stored_bytes: record.stored_bytes,
        created: record.created,
        last_used,
    }
}
