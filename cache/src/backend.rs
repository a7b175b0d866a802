//! The object store as this crate uses it: put, get, ranged get, list, delete, each waited for, each error with the
//! object's name. Received from `Store`; handed to everything that reads or writes objects.

/// Blocking on a future.
mod wait;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};

use crate::Error;
use wait::wait;

/// An object's name and size.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: Path,
    pub(crate) size_bytes: u64,
}

/// A store of objects, used from plain threads.
#[derive(Clone, Debug)]
pub(crate) struct Objects(Arc<dyn ObjectStore>);

impl Objects {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self(store)
    }

    /// Writes or replaces an object, whole or not at all.
    pub(crate) fn put(&self, name: &Path, bytes: Vec<u8>) -> Result<(), Error> {
        let written = wait(self.0.put(name, PutPayload::from(bytes)));
        written
            .map(drop)
            .map_err(|error| failed("write", name, error))
    }

    /// Writes an object that must not exist yet; false when it does.
    ///
    /// A store that cannot promise this (no hard links, no conditional put) is asked whether the object exists first.
    pub(crate) fn create(&self, name: &Path, bytes: Vec<u8>) -> Result<bool, Error> {
        let payload = PutPayload::from(bytes);
        match wait(
            self.0
                .put_opts(name, payload.clone(), PutMode::Create.into()),
        ) {
            Ok(_) => return Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => return Ok(false),
            Err(error) => tracing::debug!(%name, %error, "no create-if-absent here"),
        }
        if self.size_bytes(name)?.is_some() {
            return Ok(false);
        }
        let written = wait(self.0.put(name, payload));
        written
            .map(|_| true)
            .map_err(|error| failed("write", name, error))
    }

    /// An object's bytes; one larger than `bytes_max` is refused unread.
    pub(crate) fn get(&self, name: &Path, bytes_max: u64) -> Result<Bytes, Error> {
        let read = wait(async {
            let found = self.0.get(name).await?;
            if found.meta.size > bytes_max {
                return Ok(None);
            }
            found.bytes().await.map(Some)
        });
        match read {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(Error::Damaged {
                object: name.to_string(),
                reason: format!("it is larger than {bytes_max} bytes"),
            }),
            Err(error) => Err(failed("read", name, error)),
        }
    }

    /// Parts of an object, in the order asked for; near ones are read together where the store gains by it.
    pub(crate) fn get_ranges(
        &self,
        name: &Path,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, Error> {
        wait(self.0.get_ranges(name, ranges)).map_err(|error| failed("read", name, error))
    }

    /// One part of an object.
    pub(crate) fn get_range(&self, name: &Path, range: Range<u64>) -> Result<Bytes, Error> {
        let parts = self.get_ranges(name, std::slice::from_ref(&range))?;
        Ok(parts.into_iter().next().unwrap_or_default())
    }

    /// An object's size, or none when there is no such object.
    pub(crate) fn size_bytes(&self, name: &Path) -> Result<Option<u64>, Error> {
        match wait(self.0.head(name)) {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("look up", name, error)),
        }
    }

    /// Every object below `folder`, sorted by name.
    pub(crate) fn list(&self, folder: &Path) -> Result<Vec<Listed>, Error> {
        let listing = self.0.list(Some(folder));
        let named = listing.map_ok(|meta| Listed {
            name: meta.location,
            size_bytes: meta.size,
        });
        let mut listed: Vec<Listed> =
            wait(named.try_collect()).map_err(|error| failed("list", folder, error))?;
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    /// Removes an object; one that is already gone is no error.
    pub(crate) fn delete(&self, name: &Path) -> Result<(), Error> {
        match wait(self.0.delete(name)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("remove", name, error)),
        }
    }
}

fn failed(action: &'static str, name: &Path, error: object_store::Error) -> Error {
    let object = name.to_string();
    if matches!(error, object_store::Error::NotFound { .. }) {
        return Error::Missing { object };
    }
    Error::Object {
        action,
        object,
        source: Box::new(error),
    }
}
