//! The receiver's part until all is there: what is lacking, and taking it in. Received from a server that was asked by a client;
//! leaves chunks in packs, kept for an hour, named by nothing yet.

use std::collections::HashSet;
use std::io::Read;

use croft_proto::Timestamp;

use super::Refusal;
use super::frames::read_batches;
use crate::id::Short;
use crate::index::Index;
use crate::intake::{bring_in, salt};
use crate::records::lease::{Lease, LeaseKind, Taking};
use crate::records::record::Outcome;
use crate::writing::Writing;
use crate::{Error, Id, Store};

/// How long what was sent waits to be adopted, and what was adopted for whoever uses it: long enough for the rest of a large tree
/// over a slow line, short enough that what nobody comes back for is gone the same day.
pub(super) const KEPT_MS: u64 = 60 * 60 * 1000;

/// Chunks that one lease names: two thirds of what fits into one.
const LEASE_CHUNKS_MAX: usize = 10_000;

/// What is taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveLimits {
    /// Bytes of all chunks, before compression.
    pub bytes_max: u64,
    /// Chunks. The ids of new ones are held in memory, 48 bytes each.
    pub chunks_max: u64,
}

/// What came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Chunks, as often as they came.
    pub chunks: u64,
    /// Their bytes, before compression.
    pub bytes: u64,
    /// Those that were not here before.
    pub new_chunks: u64,
    /// Bytes newly written to the store.
    pub stored_bytes: u64,
}

impl Store {
    /// Which of these chunks are not here, or about to go; in the order asked, each once. Nothing but packs' indexes is read,
    /// and those are remembered on this machine.
    ///
    /// Whoever may ask learns which hashes are stored, in whatever scope.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn wanting(&self, ids: &[Id]) -> Result<Vec<Id>, Error> {
        Ok(lacking(&self.index()?, ids))
    }

    /// Takes in batches of chunks as [`Store::export`] writes them, any number of them in a row. Each chunk's hash is checked
    /// before it is stored; memory is bounded by a frame and the packs on their way, whatever comes. What is new is kept for an
    /// hour; adopted until then, it stays.
    ///
    /// Each call reads the store's index and holds it, some 15 MB for a store of 10 GiB: bound how many run at once, and take
    /// several batches with one call where that is possible.
    ///
    /// `now` is asked when it is needed: chunks may come for an hour, and a lease as old as their beginning would have ended.
    ///
    /// # Errors
    /// [`Error::Sent`] at the first frame that is not as it was written, or when there is more than the limits allow;
    /// [`Error::Read`] when reading fails; else when the store cannot be written. Of what came before, some may be stored; nothing
    /// of it is visible, and `wanting` says what to send again.
    pub fn receive(
        &self,
        batches: &mut dyn Read,
        limits: &ReceiveLimits,
        now: &dyn Fn() -> Timestamp,
    ) -> Result<Received, Error> {
        let received = self.receive_writing(batches, limits, now);
        if received.is_err() {
            // It may have left packs that nobody uses, on a disk that may be full.
            self.make_room(now());
        }
        received
    }

    fn receive_writing(
        &self,
        batches: &mut dyn Read,
        limits: &ReceiveLimits,
        now: &dyn Fn() -> Timestamp,
    ) -> Result<Received, Error> {
        let writing = Writing::begin(self, now())?;
        let mut received = Received::default();
        let mut new = Vec::new();
        let ((), brought) = bring_in(&self.objects, &writing.index, self.cap_bytes, |intake| {
            let mut feeder = intake.feeder()?;
            read_batches(batches, |id, raw| {
                received.chunks += 1;
                received.bytes += raw.len() as u64;
                limits.check(&received)?;
                if feeder.bring(id, raw)? {
                    new.push(id);
                }
                Ok(())
            })?;
            feeder.flush()
        })?;
        received.new_chunks = new.len() as u64;
        received.stored_bytes = brought.stored_bytes;
        writing.check()?;
        // While the save's own lease still holds.
        self.keep_chunks(&new, now())?;
        Ok(received)
    }

    /// What was received or adopted is so either way, so trouble here is only logged.
    pub(super) fn make_room(&self, now: Timestamp) {
        if let Err(error) = self.prune_if_over_cap(now) {
            tracing::warn!(%error, "the cache is not pruned");
        }
    }

    /// Leases on chunks that no record names yet. They end by themselves: who adopts may be another process.
    fn keep_chunks(&self, chunks: &[Id], now: Timestamp) -> Result<(), Error> {
        for part in chunks.chunks(LEASE_CHUNKS_MAX) {
            let root = Outcome::Content {
                // Of a lease only the chunks count.
                size_bytes: 0,
                chunks: part.to_vec(),
            };
            self.keep(root, KEPT_MS, now)?;
        }
        Ok(())
    }

    /// A lease that nobody releases.
    pub(super) fn keep(&self, root: Outcome, ttl_ms: u64, now: Timestamp) -> Result<Lease, Error> {
        let taking = Taking {
            now,
            ttl_ms,
            kind: LeaseKind::Build,
            roots: vec![root],
            unique: salt()?,
        };
        Lease::take(&self.objects, taking)
    }
}

/// Those that are not here for good, each once.
pub(crate) fn lacking<'a>(index: &Index, ids: impl IntoIterator<Item = &'a Id>) -> Vec<Id> {
    let mut seen: HashSet<Short> = HashSet::new();
    ids.into_iter()
        .filter(|id| !index.has_for_good(&id.short()) && seen.insert(id.short()))
        .copied()
        .collect()
}

impl ReceiveLimits {
    fn check(&self, received: &Received) -> Result<(), Refusal> {
        let too_much = |what, limit| Err(Refusal::TooMuch { what, limit });
        if received.bytes > self.bytes_max {
            return too_much("bytes of chunks", self.bytes_max);
        }
        if received.chunks > self.chunks_max {
            return too_much("chunks", self.chunks_max);
        }
        Ok(())
    }
}
