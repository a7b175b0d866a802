//! A log that can be read: all that the past needs of a ledger. A backup has no more, since the farm goes on beside it.

use std::fmt::Debug;
use std::sync::Arc;

use croft_ledger::{Entry, Ledger, Looking, ReadError, Seq};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

/// Entries in order.
pub trait Log: Debug + Send + Sync + 'static {
    /// As [`Ledger::read`].
    fn read(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>>;

    /// As [`Ledger::last`].
    fn last(&self) -> BoxFuture<'_, Result<Seq, ReadError>>;
}

impl Log for Arc<dyn Ledger> {
    fn read(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        Ledger::read(&**self, after, limit)
    }

    fn last(&self) -> BoxFuture<'_, Result<Seq, ReadError>> {
        Ledger::last(&**self)
    }
}

impl Log for Looking {
    fn read(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        Looking::read(self, after, limit).boxed()
    }

    fn last(&self) -> BoxFuture<'_, Result<Seq, ReadError>> {
        Looking::last(self).boxed()
    }
}
