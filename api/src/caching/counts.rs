//! What was asked for, in figures. Counted by the engine while it answers; read by `/stats` and at a service's end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// One front's figures while it serves.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) gets: Count,
    pub(super) hits: Count,
    pub(super) hot_hits: Count,
    pub(super) misses: Count,
    pub(super) puts: Count,
    pub(super) bytes_in: Count,
    pub(super) bytes_out: Count,
    pub(super) refused: Count,
    pub(super) failed: Count,
}

/// Something that only grows.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn one(&self) {
        self.more(1);
    }

    pub(super) fn more(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counts {
    pub(super) fn summary(&self) -> FrontSummary {
        FrontSummary {
            gets: self.gets.now(),
            hits: self.hits.now(),
            hot_hits: self.hot_hits.now(),
            misses: self.misses.now(),
            puts: self.puts.now(),
            bytes_in: self.bytes_in.now(),
            bytes_out: self.bytes_out.now(),
            refused: self.refused.now(),
            failed: self.failed.now(),
        }
    }
}

/// One front's figures since the service began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontSummary {
    /// GET and HEAD requests.
    pub gets: u64,
    /// Of those, answered with an entry.
    pub hits: u64,
    /// Of those, out of memory.
    pub hot_hits: u64,
    /// GET and HEAD requests for entries that are not there.
    pub misses: u64,
    /// Entries stored.
    pub puts: u64,
    /// Bytes of the entries stored.
    pub bytes_in: u64,
    /// Bytes of the entries answered with.
    pub bytes_out: u64,
    /// Requests refused: not permitted, malformed, too large, too many at once.
    pub refused: u64,
    /// Requests that the storage failed.
    pub failed: u64,
}

/// All figures since the service began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// By the front's name.
    pub fronts: BTreeMap<&'static str, FrontSummary>,
    /// Requests refused before it was known which front they meant: no token, no such path.
    pub refused: u64,
    /// Connections turned away since there were too many.
    pub turned_away: u64,
    /// Blobs in the hot set now.
    pub hot_blobs: usize,
    /// Their bytes.
    pub hot_bytes: usize,
}
