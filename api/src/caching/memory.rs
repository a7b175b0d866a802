//! The pool in memory: what tests and measurements serve, with nothing of a storage's own in the way.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::pool::{Found, Name, PIECE_BYTES_MAX, Pool, Trouble};

/// Blobs in memory, without a bound. Dropped, they are gone.
#[derive(Debug, Default)]
pub struct MemoryPool(Mutex<HashMap<Name, Bytes>>);

impl MemoryPool {
    /// How many blobs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blobs().len()
    }

    /// Whether nothing is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blobs().is_empty()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.blobs().clear();
    }

    /// A thread that panicked while it held the map left it whole: every change is one insertion.
    fn blobs(&self) -> MutexGuard<'_, HashMap<Name, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool for MemoryPool {
    fn find(&self, name: &Name) -> Result<Option<Found>, Trouble> {
        let Some(bytes) = self.blobs().get(name).cloned() else {
            return Ok(None);
        };
        let size_bytes = bytes.len() as u64;
        let mut rest = bytes;
        let read = std::iter::from_fn(move || {
            let piece = rest.split_to(rest.len().min(PIECE_BYTES_MAX));
            (!piece.is_empty()).then_some(Ok(piece))
        });
        Ok(Some(Found {
            size_bytes,
            read: Box::new(read),
        }))
    }

    fn put(&self, name: &Name, body: &mut dyn Read) -> Result<u64, Trouble> {
        let mut bytes = Vec::new();
        let size_bytes = body.read_to_end(&mut bytes).map_err(Trouble::Body)?;
        self.blobs().insert(name.clone(), bytes.into());
        Ok(size_bytes as u64)
    }
}
