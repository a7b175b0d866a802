//! The trait. Implemented by the three logs; used as `Arc<dyn Ledger>` by everybody else.

use std::fmt::Debug;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::{Append, AppendError, Appended, Entry, Health, ReadError, Seq, Subject};

/// An append-only log of events by subject.
pub trait Ledger: Debug + Send + Sync + 'static {
    /// Appends all of the batch or nothing; it is durable when this returns.
    ///
    /// **Shape.** At most [`crate::BATCH_MAX`] events, of any subjects; see [`crate::Expected`] for several of one.
    /// **Errors.** See [`AppendError`]; only after `Unknown` the batch may be in the log.
    /// **Cancel.** Dropping the future leaves what `Unknown` leaves.
    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>>;

    /// The entries after `after` in order, at most `limit`, maybe fewer; none only when there are none.
    ///
    /// A farm's replicas may lag behind each other, but never behind what this handle has appended or read before.
    fn read(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>>;

    /// The same of one subject, without those below it.
    fn read_subject(
        &self,
        subject: &Subject,
        after: Seq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>>;

    /// Every entry after `after`, then those to come, each once and in order.
    ///
    /// **Errors.** The stream ends only with one. A broker that is away is none: the stream waits for it.
    fn follow(&self, after: Seq) -> BoxStream<'static, Result<Entry, ReadError>>;

    /// The last sequence of the whole log.
    fn last(&self) -> BoxFuture<'_, Result<Seq, ReadError>>;

    /// Removes a finished subject's entries and leaves a tombstone, whose sequence is returned: its last entry from now on,
    /// so that nobody takes the subject for a new one. Purging again what was purged at the same `last` changes nothing.
    ///
    /// **Errors.** Those of an append: `Conflict` when the subject's last entry is not `last`.
    fn purge(&self, subject: &Subject, last: Seq) -> BoxFuture<'_, Result<Seq, AppendError>>;

    /// Whether all is well, in words.
    fn health(&self) -> BoxFuture<'_, Health>;
}
