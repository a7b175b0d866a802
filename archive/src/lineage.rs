//! Which log something is of. A place outlives ledgers: a farm that is begun anew over the same store must not take the segments of
//! the one before for its own.

use std::fmt;

use croft_ledger::{Body, Entry};
use serde::{Deserialize, Serialize};

/// A log's identity: the hash of its first entry. A restored log has the same one, since its first entry is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lineage(String);

impl Lineage {
    pub(crate) fn of(first: &Entry) -> Self {
        Self(digest(first)[..32].to_owned())
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hash of all that an entry is.
pub(crate) fn digest(entry: &Entry) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&entry.seq.get().to_le_bytes());
    hasher.update(&entry.at.millis().to_le_bytes());
    hasher.update(&entry.subject.as_str().len().to_le_bytes());
    hasher.update(entry.subject.as_str().as_bytes());
    match &entry.body {
        Body::Event(event) => hasher.update(b"event").update(event),
        Body::Tombstone { last } => hasher.update(b"purged").update(&last.get().to_le_bytes()),
    };
    hasher.finalize().to_hex().to_string()
}
