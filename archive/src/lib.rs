//! What becomes of the ledger's past: finished subjects leave it, and all of it can be written down elsewhere and read back.
//!
//! In: a ledger, a read model that knows what is finished, and places for objects. Out: *segments*, each a checked part of the
//! log that is never changed; a ledger whose finished subjects are tombstones ([`Retention`]); the whole history again, as if
//! nothing had been purged ([`History`], [`Whole`]); copies of read models ([`Snapshots`]); backups and what is restored from them ([`backup`], [`check`]).
//!
//! What holds by absence: nothing is purged whose segment was not read back from where it lies; no sequence and no time is ever
//! another one, in a segment, in a backup or after a restore; nothing is written by a restore before all of it was checked.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// What can go wrong.
mod error;
/// Entries as bytes.
mod segment;
/// Which log a segment is of.
mod lineage;
/// Segments of one log at a place.
mod shelf;
/// A log that can be read.
mod log;
/// A log together with what was purged from it.
mod history;
/// The same as a ledger, for those that fold it.
mod whole;
/// Finished subjects: into segments, then out of the ledger.
mod retention;
/// Read models, so that they need not be folded from the beginning.
mod snapshot;
/// What a backup says of itself.
mod manifest;
/// History to a place.
mod backup;
/// A place to a new log.
mod restore;

pub use backup::{About, BackedUp, BackupError, backup};
pub use error::Error;
pub use history::{History, Page};
pub use lineage::Lineage;
pub use log::Log;
pub use manifest::{Manifest, ManifestError};
pub use restore::{Checked, RestoreError, Restored, check};
pub use retention::{Due, Passed, Retention, RetentionError, plan};
pub use segment::{SEGMENT_BYTES_MAX, SEGMENT_ENTRIES_MAX};
pub use snapshot::{SnapshotError, SnapshotKey, Snapshots};
pub use whole::Whole;

#[cfg(test)]
mod tests;
