//! A ledger that is another one but for some of its methods: for whoever reads further back than the log does, and for tests that let
//! something go wrong on the way.

use std::fmt::Debug;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::{Append, AppendError, Appended, Entry, Health, Ledger, ReadError, Seq, Subject};

/// What is not written is the inner ledger's own. Whatever implements this is a [`Ledger`], whose methods say what these do.
pub trait Through: Debug + Send + Sync + 'static {
    /// The ledger that answers.
    fn inner(&self) -> &dyn Ledger;

    /// As [`Ledger::append`].
    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        self.inner().append(batch)
    }

    /// As [`Ledger::read`].
    fn read(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        self.inner().read(after, limit)
    }

    /// As [`Ledger::read_subject`].
    fn read_subject(
        &self,
        subject: &Subject,
        after: Seq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        self.inner().read_subject(subject, after, limit)
    }

    /// As [`Ledger::follow`].
    fn follow(&self, after: Seq) -> BoxStream<'static, Result<Entry, ReadError>> {
        self.inner().follow(after)
    }

    /// As [`Ledger::last`].
    fn last(&self) -> BoxFuture<'_, Result<Seq, ReadError>> {
        self.inner().last()
    }

    /// As [`Ledger::purge`].
    fn purge(&self, subject: &Subject, last: Seq) -> BoxFuture<'_, Result<Seq, AppendError>> {
        self.inner().purge(subject, last)
    }
}

impl<T: Through> Ledger for T {
    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Through::append(self, batch)
    }

    fn read(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        Through::read(self, after, limit)
    }

    fn read_subject(
        &self,
        subject: &Subject,
        after: Seq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        Through::read_subject(self, subject, after, limit)
    }

    fn follow(&self, after: Seq) -> BoxStream<'static, Result<Entry, ReadError>> {
        Through::follow(self, after)
    }

    fn last(&self) -> BoxFuture<'_, Result<Seq, ReadError>> {
        Through::last(self)
    }

    fn purge(&self, subject: &Subject, last: Seq) -> BoxFuture<'_, Result<Seq, AppendError>> {
        Through::purge(self, subject, last)
    }

    fn health(&self) -> BoxFuture<'_, Health> {
        self.inner().health()
    }
}
