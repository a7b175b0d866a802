//! The store: opened by the command line, handed by reference to whoever saves, restores or looks.

/// Who vouches for what is written here, and whom to believe.
mod trust;

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use object_store::ObjectStore;

use crate::backend::Objects;
use crate::gc::condemned_packs;
use crate::index::Index;
use crate::layout::everything;
use crate::lock::{Held, Lock, STEPS_SHARED};
use crate::noted::Noted;
use crate::records::seen::Seen;
use crate::{Error, Id, Meter, Place};
pub use trust::Trust;

/// What of a store's folder is about this machine, not about what is stored.
const NEAR: &str = "here";

/// What of a store's folder is about stores elsewhere.
const FAR: &str = "far";

/// A cache of builds' files.
///
/// Cheap to clone; every method blocks. Several processes, on several machines, may use one store at once.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) objects: Objects,
    pub(crate) lock: Lock,
    pub(crate) cap_bytes: u64,
    /// Bytes of folders made for mounting: they are on this machine, wherever the store is.
    pub(crate) live_bytes_max: u64,
    pub(crate) trust: Arc<Trust>,
    pub(crate) meter: Arc<Meter>,
    /// Entries that had to go for want of room, through this and its clones.
    pub(crate) evicted: Arc<AtomicU64>,
    /// Entries whose use was noted lately, through this and its clones.
    pub(crate) noted: Arc<Noted>,
    /// Where this machine remembers what it knows of the store.
    near: Option<PathBuf>,
    /// Where its key and keyring are.
    trust_folder: Option<PathBuf>,
    folder: Option<PathBuf>,
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
        let near = dir.join(NEAR);
        let store = Self {
            objects: Objects::folder(dir)?,
            lock: Lock::in_folder(dir),
            cap_bytes,
            live_bytes_max: cap_bytes,
            trust: Arc::new(Trust::of_folder(&near)?),
            meter: Arc::default(),
            evicted: Arc::default(),
            noted: Arc::default(),
            trust_folder: Some(near.clone()),
            near: Some(near),
            folder: Some(dir.to_path_buf()),
        };
        if let Ok(held) = store.lock.exclusive(0) {
            store.sweep_staged();
            drop(held);
        }
        Ok(store)
    }

    /// The cache at a place: a folder, or object storage. Of object storage this machine keeps what it uses in a folder of
    /// that place's own below `near`, which holds at most `cap_bytes`, and as much again of folders made for mounting; its
    /// key and keyring are those of `near`.
    ///
    /// # Errors
    /// As [`Store::open`]; and [`Error::Place`] when the place cannot be used as it is written.
    pub fn open_at(place: &Place, near: &Path, cap_bytes: u64) -> Result<Self, Error> {
        if let Some(folder) = place.folder() {
            return Self::open(folder, cap_bytes);
        }
        // Two places have nothing in common: not what is there, not what was seen there.
        let name = Id::of_name("croft cache 2026 place", place.to_string().as_bytes());
        let own = near.join(FAR).join(name.to_string());
        let trust_folder = near.join(NEAR);
        let store = Self {
            objects: Objects::tiered(&own, cap_bytes, place)?,
            lock: Lock::in_memory(),
            cap_bytes: u64::MAX,
            live_bytes_max: cap_bytes,
            trust: Arc::new(Trust::of_folder(&trust_folder)?),
            meter: Arc::default(),
            evicted: Arc::default(),
            noted: Arc::default(),
            near: Some(own.join(NEAR)),
            trust_folder: Some(trust_folder),
            folder: None,
        };
        store.send_pending();
        Ok(store)
    }

    /// The same store, whose answers are never those of a near folder in place of a far store's.
    pub(crate) fn strictly(&self) -> Self {
        Self {
            objects: self.objects.strictly(),
            ..self.clone()
        }
    }

    /// A store over tiers of a test's own.
    #[cfg(test)]
    pub(crate) fn over(objects: Objects, near: &Path, trust: Trust) -> Self {
        Self {
            objects,
            lock: Lock::in_memory(),
            cap_bytes: u64::MAX,
            live_bytes_max: u64::MAX,
            trust: Arc::new(trust),
            meter: Arc::default(),
            evicted: Arc::default(),
            noted: Arc::default(),
            near: Some(near.to_path_buf()),
            trust_folder: Some(near.to_path_buf()),
            folder: None,
        }
    }

    /// The same store, in which a write that object storage does not take fails, where else it would wait on this machine to be
    /// sent: for what others are told of as soon as it is written, and must find.
    #[must_use]
    pub fn prompt(self) -> Self {
        self.objects.be_prompt();
        self
    }

    /// Sends what was stored while the far tier was away. What cannot be sent now is sent later.
    pub(crate) fn send_pending(&self) {
        if let Err(error) = self.objects.flush_pending() {
            tracing::debug!(%error, "some objects still wait to be sent");
        }
    }

    /// What a person should be told of the tiers since the last call. May be empty.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let mut notices = self.objects.notices();
        if let Ok(waiting @ 1..) = self.objects.waiting() {
            notices.push(format!(
                "{waiting} cache objects wait on this machine until the object storage takes them"
            ));
        }
        notices
    }

    /// The cache in any object store, for tests: nothing of it is remembered on this machine.
    ///
    /// # Errors
    /// When the system gives no random bytes to make a key of.
    pub fn new(objects: Arc<dyn ObjectStore>, cap_bytes: u64) -> Result<Self, Error> {
        Ok(Self {
            objects: Objects::new(objects),
            lock: Lock::in_memory(),
            cap_bytes,
            live_bytes_max: cap_bytes,
            trust: Arc::new(Trust::of_this_process()?),
            meter: Arc::default(),
            evicted: Arc::default(),
            noted: Arc::default(),
            near: None,
            trust_folder: None,
            folder: None,
        })
    }

    /// A cache that is gone with the last clone of it, for tests.
    ///
    /// # Errors
    /// As [`Store::new`].
    pub fn in_memory(cap_bytes: u64) -> Result<Self, Error> {
        Self::new(Arc::new(object_store::memory::InMemory::new()), cap_bytes)
    }

    /// The same store, whose records are signed and believed as `trust` says.
    #[must_use]
    pub fn trusting(self, trust: Trust) -> Self {
        Self {
            trust: Arc::new(trust),
            ..self
        }
    }

    /// The same store, with what this machine knows of it in `near`.
    #[must_use]
    pub fn near(self, near: &Path) -> Self {
        Self {
            near: Some(near.to_path_buf()),
            ..self
        }
    }

    /// Entries that had to go for want of room, through this store and all its clones.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// How far the work of this store, and of all its clones, has come.
    #[must_use]
    pub fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }

    /// Where the machine's own key and the keyring are; none for a store that remembers nothing here.
    #[must_use]
    pub fn trust_folder(&self) -> Option<&Path> {
        self.trust_folder.as_deref()
    }

    /// Entries and bytes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn usage(&self) -> Result<Usage, Error> {
        let entries = self.objects.list(&crate::layout::folder("entries"))?.len() as u64;
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

    /// A folder of what this machine remembers.
    pub(crate) fn near_folder(&self, name: &str) -> Option<PathBuf> {
        self.near.as_ref().map(|near| near.join(name))
    }

    pub(crate) fn near_path(&self) -> Option<&Path> {
        self.near.as_deref()
    }

    pub(crate) fn seen(&self) -> Option<Seen> {
        self.near.as_deref().map(Seen::in_folder)
    }

    /// True for a store that is a folder of this machine.
    pub(crate) fn is_folder(&self) -> bool {
        self.folder.is_some()
    }

    /// Held by whoever reads: nobody takes anything away at once meanwhile.
    pub(crate) fn share(&self) -> Result<Held<'_>, Error> {
        self.lock.shared(STEPS_SHARED)
    }

    /// Where every chunk is.
    ///
    /// While nobody says which packs are condemned (the far tier is away, a later croft wrote it), none is counted on: what is
    /// needed of them is stored anew.
    pub(crate) fn index(&self) -> Result<Index, Error> {
        let (objects, near) = (&self.objects, self.near_path());
        match condemned_packs(objects) {
            Ok(condemned) => Index::load(objects, near, |pack| condemned.contains(pack)),
            Err(error @ Error::NotUnderstood { .. }) => {
                tracing::warn!(%error, "it is not known which packs are condemned");
                Index::load(objects, near, |_| true)
            }
            Err(error) if objects.is_tiered() => {
                tracing::debug!(%error, "it is not known which packs are condemned");
                Index::load(objects, near, |_| true)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes what crashed writers left: files named `...#N`, which the store writes before it renames them. The caller
    /// holds the lock alone, so nobody is writing one.
    pub(crate) fn sweep_staged(&self) {
        let mut waiting: Vec<PathBuf> = self
            .folder
            .iter()
            .map(|folder| folder.join(everything().as_ref()))
            .collect();
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
