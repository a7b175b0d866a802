//! The pool that is a cache's store. Received from `croft cache serve`; every call is one of the store's shelf.

use std::error::Error as _;
use std::io::{self, Read};
use std::time::{SystemTime, UNIX_EPOCH};

use croft_cache::{Error, NamedAs, ScopeName, Scopes, Shelf, Space, Store};
use croft_keys::ScopePattern;
use croft_proto::Timestamp;

use super::pool::{Found, Name, Pool, Trouble};
use crate::chain::chain;

/// A store, as the fronts see it.
#[derive(Debug)]
pub struct StorePool {
    shelf: Shelf,
    body_bytes_max: u64,
}

impl StorePool {
    /// The pool of a store, whose contents are at most `body_bytes_max` long.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open(store: Store, body_bytes_max: u64) -> Result<Self, Error> {
        Shelf::open(store).map(|shelf| Self {
            shelf,
            body_bytes_max,
        })
    }
}

impl Pool for StorePool {
    fn find(&self, name: &Name) -> Result<Option<Found>, Trouble> {
        let (scopes, space) = place(name)?;
        let named = NamedAs {
            scopes: &scopes,
            space: &space,
            key: &name.key,
        };
        let found = self.shelf.find(&named, now()).map_err(trouble)?;
        Ok(found.map(|found| Found {
            size_bytes: found.size_bytes(),
            read: Box::new(found.read().map(|piece| piece.map_err(trouble))),
        }))
    }

    fn size_bytes(&self, name: &Name) -> Result<Option<u64>, Trouble> {
        let (scopes, space) = place(name)?;
        let named = NamedAs {
            scopes: &scopes,
            space: &space,
            key: &name.key,
        };
        self.shelf.size_bytes(&named, now()).map_err(trouble)
    }

    fn put(&self, name: &Name, body: &mut dyn Read) -> Result<u64, Trouble> {
        let (scopes, space) = place(name)?;
        let named = NamedAs {
            scopes: &scopes,
            space: &space,
            key: &name.key,
        };
        self.shelf
            .put(&named, body, self.body_bytes_max, &now)
            .map_err(trouble)
    }
}

/// The scopes of a token's holder, and the space of a protocol.
fn place(name: &Name) -> Result<(Scopes, Space), Trouble> {
    let unusable = |error: Box<dyn std::error::Error + Send + Sync>| Trouble::Storage(error);
    let scope: ScopeName = name
        .scope
        .parse()
        .map_err(|error| unusable(Box::new(error)))?;
    let granted = ScopePattern::exactly(scope.clone());
    let scopes = Scopes::within(&granted, scope).map_err(|error| unusable(Box::new(error)))?;
    let space = name
        .space
        .parse()
        .map_err(|error: &str| unusable(error.into()))?;
    Ok((scopes, space))
}

fn trouble(error: Error) -> Trouble {
    if error.is_damage() {
        return Trouble::Damaged(chain(&error));
    }
    if is_full(&error) {
        return Trouble::Full;
    }
    if let Error::Read { source, .. } = error {
        return Trouble::Body(source);
    }
    Trouble::Storage(Box::new(error))
}

/// Whether somebody could make room, which is worth saying.
fn is_full(error: &Error) -> bool {
    if let Error::Together { source } = error {
        return is_full(source);
    }
    if matches!(error, Error::TooLarge { .. }) {
        return true;
    }
    let is_full = |cause: &io::Error| {
        matches!(
            cause.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref().is_some_and(is_full) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_full_disk_is_told_also_of_small_uploads_stored_together() {
        let full = || Error::System {
            action: "write to the cache",
            source: io::ErrorKind::StorageFull.into(),
        };
        let together = |source| Error::Together {
            source: Arc::new(source),
        };
        for error in [
            full(),
            together(full()),
            together(Error::TooLarge { cap_bytes: 1 }),
        ] {
            assert!(matches!(trouble(error), Trouble::Full));
        }
        let other = together(Error::Busy { waited_ms: 1 });
        assert!(matches!(trouble(other), Trouble::Storage(_)));
    }
}
