//! Writing a log anew from all of its entries, each at its old sequence and with its old time. For a log that is empty; whoever
//! restores a farm gives the entries, in order and without a gap, those of purged subjects included: their tombstones purge
//! them again.

use std::fmt::Debug;

use futures_util::future::BoxFuture;

use crate::{Cause, Entry, OpenError, Seq};

/// Why a log was not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// It has entries already. Nothing was changed; its owner has to say that they are not needed, by removing it.
    #[error("failed to restore into {ledger}: it is not empty, its last entry is {last}")]
    NotEmpty {
        /// Which log.
        ledger: String,
        /// Up to where it is.
        last: Seq,
    },
    /// The file cannot be used.
    #[error("failed to open what is restored")]
    Open(#[from] OpenError),
    /// An entry is not the one after the last.
    #[error("failed to restore the entry {seq}: the one before it is {last}")]
    Gap {
        /// Which one.
        seq: Seq,
        /// Where the log is.
        last: Seq,
    },
    /// The log gave an entry another sequence, so somebody else writes to it. It is of no use then.
    #[error("failed to restore the entry {seq}: it was given the sequence {given}")]
    Elsewhere {
        /// As it was.
        seq: Seq,
        /// As it is.
        given: Seq,
    },
    /// It cannot be written. What is there is a part; it has to be removed before the next try.
    #[error("failed to write what is restored")]
    Unavailable {
        /// Why.
        #[source]
        source: Cause,
    },
}

/// A log that is being restored.
pub trait Restoring: Debug + Send {
    /// Writes the next entries.
    ///
    /// **Shape.** In order, the first of all at sequence 1, no sequence left out.
    /// **Errors.** See [`RestoreError`]; the restoring cannot go on then.
    fn write(&mut self, entries: Vec<Entry>) -> BoxFuture<'_, Result<(), RestoreError>>;

    /// Makes the log what it says: from here on it is complete and durable.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Seq, RestoreError>>;
}

/// The sequence after the last entry, when they follow `last` without a gap.
pub(crate) fn follow_on(last: Seq, entries: &[Entry]) -> Result<Seq, RestoreError> {
    entries.iter().try_fold(last, |last, entry| {
        let seq = entry.seq;
        if seq == last.next() {
            Ok(seq)
        } else {
            Err(RestoreError::Gap { seq, last })
        }
    })
}

pub(crate) fn unavailable(source: impl Into<Cause>) -> RestoreError {
    let source = source.into();
    RestoreError::Unavailable { source }
}
