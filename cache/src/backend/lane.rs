//! One store and how this crate waits for it: on this thread for memory, with plain reads for a local folder, in a reactor
//! and under guard for what is far. Received from `Objects` and `tier`, which hand in names and bytes.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutPayload, Result};

use super::Listed;
use super::answer::{Short, TooLarge, generic, is_answer, is_missing};
use super::guard::Guard;
use super::listing;
use super::ranges::{cut, merged};
use super::reactor::Reactor;
use super::wait::wait;

/// A request to a far store costs about as long as this many bytes take, so what lies between near parts is read along.
const GAP_BYTES_FAR: u64 = 1 << 20;

/// Requests for one object's parts at the same time. Eight fill a connection of 1 Gbit/s at the 4 MiB and 30 ms that are
/// usual, and hold no more memory than an object does.
const PARTS_AT_ONCE: usize = 8;

/// A store, from plain threads.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    store: Arc<dyn ObjectStore>,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    /// Futures of this store are ready when they are polled.
    Here,
    /// Reads need no store at all. The library's own hand each to a pool of threads when the caller is one of Tokio's.
    Folder(LocalFileSystem),
    Far {
        reactor: Arc<Reactor>,
        guard: Guard,
    },
}

impl Lane {
    /// A store whose futures need no reactor.
    pub(crate) fn here(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            way: Way::Here,
        }
    }

    /// A local folder.
    pub(crate) fn folder(folder: LocalFileSystem) -> Self {
        Self {
            store: Arc::new(folder.clone()),
            way: Way::Folder(folder),
        }
    }

    /// A store that may be slow, failing or gone.
    pub(crate) fn far(store: Arc<dyn ObjectStore>, reactor: Arc<Reactor>, guard: Guard) -> Self {
        Self {
            store,
            way: Way::Far { reactor, guard },
        }
    }

    /// What its guard said since the last call.
    pub(crate) fn notices(&self) -> Vec<String> {
        self.guard().map(Guard::notices).unwrap_or_default()
    }

    /// Its guard, when it is far.
    pub(crate) fn guard(&self) -> Option<&Guard> {
        match &self.way {
            Way::Far { guard, .. } => Some(guard),
            Way::Here | Way::Folder(_) => None,
        }
    }

    /// Writes or replaces an object, whole or not at all.
    pub(crate) fn put(&self, name: &Path, bytes: Bytes) -> Result<()> {
        let size = bytes.len() as u64;
        let written = self.store.put(name, PutPayload::from(bytes));
        self.drive(self.guarded(size, written)).map(drop)
    }

    /// An object's bytes; one larger than `bytes_max` is refused unread.
    pub(crate) fn get(&self, name: &Path, bytes_max: u64) -> Result<Bytes> {
        if let Way::Folder(folder) = &self.way {
            let (file, size) = opened(folder, name)?;
            refuse_larger(size, bytes_max)?;
            return read_at(&file, name, 0..size);
        }
        let found = self.drive(self.guarded(0, self.store.get(name)))?;
        let size = found.meta.size;
        refuse_larger(size, bytes_max)?;
        self.drive(self.guarded(size, found.bytes()))
    }

    /// Parts of an object, in the order asked for. A part that the object's end cuts is short; one that begins behind the
    /// end is an error that [`super::answer::damage`] knows.
    pub(crate) fn get_ranges(&self, name: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let gap = match &self.way {
            Way::Far { .. } => GAP_BYTES_FAR,
            Way::Here | Way::Folder(_) => 0,
        };
        let asked = merged(ranges, gap);
        let read = match &self.way {
            Way::Folder(folder) => read_parts(folder, name, &asked)?,
            Way::Here | Way::Far { .. } => {
                let parts = stream::iter(asked.clone())
                    .map(|range| self.part(name, range))
                    .buffered(PARTS_AT_ONCE);
                let read: Result<Vec<Bytes>> = self.drive(parts.try_collect());
                read.map_err(|error| self.explained(name, ranges, error))?
            }
        };
        cut(ranges, &asked, &read)
    }

    async fn part(&self, name: &Path, range: Range<u64>) -> Result<Bytes> {
        let bytes = range.end - range.start;
        self.guarded(bytes, self.store.get_range(name, range)).await
    }

    /// Stores say in their own ways that a range begins behind the end, so the size is asked for.
    fn explained(&self, name: &Path, ranges: &[Range<u64>], error: Error) -> Error {
        if is_answer(&error) {
            return error;
        }
        match self.size_bytes(name) {
            Ok(Some(size_bytes)) if ranges.iter().any(|range| range.start >= size_bytes) => {
                generic(Short { size_bytes })
            }
            _ => error,
        }
    }

    /// An object's size, or none when there is no such object.
    pub(crate) fn size_bytes(&self, name: &Path) -> Result<Option<u64>> {
        match self.drive(self.guarded(0, self.store.head(name))) {
            Ok(meta) => Ok(Some(meta.size)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every object below `folder`, sorted by name.
    pub(crate) fn list(&self, folder: &Path) -> Result<Vec<Listed>> {
        let mut listed = match self.listed_here(folder)? {
            Some(listed) => listed,
            None => self.listed_by_the_library(folder)?,
        };
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    /// None unless this is a folder whose names stand for themselves.
    fn listed_here(&self, folder: &Path) -> Result<Option<Vec<Listed>>> {
        let Way::Folder(local) = &self.way else {
            return Ok(None);
        };
        if folder.as_ref().is_empty() {
            // The library has no folder's name for all of it.
            return Ok(None);
        }
        let there = local.path_to_filesystem(folder)?;
        listing::below(&there, folder).map_err(|source| Error::Generic {
            store: "LocalFileSystem",
            source: source.into(),
        })
    }

    fn listed_by_the_library(&self, folder: &Path) -> Result<Vec<Listed>> {
        self.drive(async {
            let mut listing = self.store.list(Some(folder));
            let mut listed = Vec::new();
            // The deadline is that of a page: a store with a million objects is slow without being dead.
            while let Some(meta) = self.guarded(0, listing.try_next()).await? {
                listed.push(Listed {
                    name: meta.location,
                    size_bytes: meta.size,
                });
            }
            Ok(listed)
        })
    }

    /// Removes an object; one that is already gone is no error.
    pub(crate) fn delete(&self, name: &Path) -> Result<()> {
        match self.drive(self.guarded(0, self.store.delete(name))) {
            Err(error) if !is_missing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn drive<F: Future>(&self, work: F) -> F::Output {
        match &self.way {
            Way::Here | Way::Folder(_) => wait(work),
            Way::Far { reactor, .. } => reactor.block_on(work),
        }
    }

    async fn guarded<T>(&self, bytes: u64, work: impl Future<Output = Result<T>>) -> Result<T> {
        match &self.way {
            Way::Here | Way::Folder(_) => work.await,
            Way::Far { guard, .. } => guard.call(bytes, work).await,
        }
    }
}

fn refuse_larger(size: u64, bytes_max: u64) -> Result<()> {
    if size > bytes_max {
        return Err(generic(TooLarge { bytes_max }));
    }
    Ok(())
}

/// The file of an object, and its size.
fn opened(folder: &LocalFileSystem, name: &Path) -> Result<(File, u64)> {
    let path = folder.path_to_filesystem(name)?;
    let file = File::open(path).map_err(|error| failed(name, error))?;
    let size = file.metadata().map_err(|error| failed(name, error))?.len();
    Ok((file, size))
}

fn read_parts(folder: &LocalFileSystem, name: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
    let (file, size_bytes) = opened(folder, name)?;
    let parts = ranges.iter().map(|range| {
        if range.start >= size_bytes {
            return Err(generic(Short { size_bytes }));
        }
        read_at(&file, name, range.start..range.end.min(size_bytes))
    });
    parts.collect()
}

fn read_at(file: &File, name: &Path, range: Range<u64>) -> Result<Bytes> {
    let length = usize::try_from(range.end - range.start).map_err(generic)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, range.start)
        .map_err(|error| failed(name, error))?;
    Ok(Bytes::from(bytes))
}

fn failed(name: &Path, error: std::io::Error) -> Error {
    // A part of the name that is a file is one more way of not being there.
    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
        return Error::NotFound {
            path: name.to_string(),
            source: Box::new(error),
        };
    }
    generic(error)
}
