//! Who may touch the store at the same time as whom. Received from `Store`; held for the length of one operation.
//!
//! Saves and restores only add objects, so any number of them run together (*shared*). Pruning and removing take objects
//! away that a save under way may be about to name, so they run alone (*exclusive*). Between processes the lock is
//! `flock` on a file in the cache's folder: the kernel releases it when its holder dies, so a crash leaves none behind.
//! A store that is not a local folder is guarded within this process only.
//!
//! One exception: a restore that finds damage removes the damaged object. A save that has just counted on that object
//! makes an entry which the next restore finds incomplete and removes, so that it is saved anew.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError as TryError};
use std::thread;
use std::time::Duration;

use crate::Error;

/// Between two tries.
const STEP: Duration = Duration::from_millis(10);

/// How many steps to wait for the right to read or add. A prune takes seconds at most; a build should not wait longer for
/// something it can do without.
pub(crate) const STEPS_SHARED: u32 = 1000;

/// How many steps a person's `rm` waits for running builds to finish with the cache.
pub(crate) const STEPS_EXCLUSIVE: u32 = 3000;

/// The lock of one store.
#[derive(Clone, Debug)]
pub(crate) enum Lock {
    /// A file, seen by every process.
    File(PathBuf),
    /// This process only.
    Memory(Arc<RwLock<()>>),
}

/// The right to work, until dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held only to be dropped")]
pub(crate) enum Held<'a> {
    File(File),
    Shared(RwLockReadGuard<'a, ()>),
    Exclusive(RwLockWriteGuard<'a, ()>),
    /// A folder without a lock file that cannot be written: nobody can prune it.
    ReadOnly,
}

impl Lock {
    /// The lock of a folder; its file is made if it can be.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let path = folder.join("lock");
        if let Err(error) = File::options().create(true).append(true).open(&path) {
            tracing::debug!(%error, "the cache folder cannot be written");
        }
        Self::File(path)
    }

    pub(crate) fn in_memory() -> Self {
        Self::Memory(Arc::default())
    }

    /// The right to read and add.
    pub(crate) fn shared(&self, steps: u32) -> Result<Held<'_>, Error> {
        poll(steps, || match self {
            Self::File(path) => match File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(Held::ReadOnly)),
                opened => locked(opened, File::try_lock_shared),
            },
            Self::Memory(lock) => Ok(match lock.try_read() {
                Ok(guard) => Some(Held::Shared(guard)),
                Err(TryError::Poisoned(poisoned)) => Some(Held::Shared(poisoned.into_inner())),
                Err(TryError::WouldBlock) => None,
            }),
        })
    }

    /// The right to do anything, alone.
    pub(crate) fn exclusive(&self, steps: u32) -> Result<Held<'_>, Error> {
        poll(steps, || match self {
            Self::File(path) => locked(File::open(path), File::try_lock),
            Self::Memory(lock) => Ok(match lock.try_write() {
                Ok(guard) => Some(Held::Exclusive(guard)),
                Err(TryError::Poisoned(poisoned)) => Some(Held::Exclusive(poisoned.into_inner())),
                Err(TryError::WouldBlock) => None,
            }),
        })
    }
}

fn locked<'a>(
    opened: io::Result<File>,
    take: impl Fn(&File) -> Result<(), TryLockError>,
) -> io::Result<Option<Held<'a>>> {
    let file = opened?;
    match take(&file) {
        Ok(()) => Ok(Some(Held::File(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn poll<'a>(
    steps: u32,
    mut take: impl FnMut() -> io::Result<Option<Held<'a>>>,
) -> Result<Held<'a>, Error> {
    for step in 0..=steps {
        let taken = take().map_err(|source| Error::System {
            action: "lock the cache",
            source,
        })?;
        if let Some(held) = taken {
            return Ok(held);
        }
        if step < steps {
            thread::sleep(STEP);
        }
    }
    let step_ms = u64::try_from(STEP.as_millis()).unwrap_or(u64::MAX);
    Err(Error::Busy {
        waited_ms: step_ms.saturating_mul(steps.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_share_but_one_alone_waits_and_gives_up() {
        let folder = tempfile::tempdir().unwrap();
        for lock in [Lock::in_folder(folder.path()), Lock::in_memory()] {
            let first = lock.shared(0).unwrap();
            let second = lock.shared(0).unwrap();
            assert!(matches!(
                lock.exclusive(1),
                Err(Error::Busy { waited_ms: 10 })
            ));
            drop((first, second));
            let alone = lock.exclusive(0).unwrap();
            assert!(matches!(lock.shared(0), Err(Error::Busy { .. })));
            drop(alone);
            drop(lock.shared(0).unwrap());
        }
    }
}
