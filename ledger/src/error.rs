//! What can go wrong. Three questions decide: is it in the log, may the caller try again, and who can mend it.

use std::error::Error;

use crate::{BATCH_MAX, EVENT_BYTES_MAX, Seq, Subject};

/// What an error of a ledger says whose disk has no room left, so that whoever words it for a person can tell.
pub const NO_ROOM: &str = "its disk is full";

/// What a file system, database or broker said.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a batch was not appended, or why it is not known whether it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Somebody else was first, and nothing of the batch is in the log. Fold the subject again and decide again.
    #[error("failed to append to {subject} at {expected}{}", of_actual(*actual))]
    Conflict {
        /// The first subject of the batch that was not as expected.
        subject: Subject,
        /// What was expected to be its last sequence.
        expected: Seq,
        /// What it is, when that is known: a broker does not always say, and by the time one asks it may have moved on.
        actual: Option<Seq>,
    },
    /// The batch can never be appended; whoever made it is wrong.
    #[error("failed to append a batch that is none: {reason}")]
    Invalid {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More than [`BATCH_MAX`] events; whoever made it can split it.
    #[error("failed to append {count} events at once: {BATCH_MAX} are the limit")]
    TooMany {
        /// How many they are.
        count: usize,
    },
    /// An event of more than [`EVENT_BYTES_MAX`] bytes; its body belongs into the cache, and only its name into the event.
    #[error(
        "failed to append an event of {size_bytes} bytes to {subject}: {EVENT_BYTES_MAX} are the limit"
    )]
    TooLarge {
        /// What it is about.
        subject: Subject,
        /// How large it is.
        size_bytes: usize,
    },
    /// It is not known whether the batch is in the log, nor whether it may still come there. Read its subjects: when they have
    /// moved, it is decided; when not, append again *at the same expectations*. Whichever of the two arrives first, the
    /// other one conflicts.
    #[error("lost sight of an append: it may have happened, or still happen")]
    Unknown {
        /// How it was lost.
        #[source]
        source: Cause,
    },
    /// Nothing of the batch is in the log, since the log cannot be reached or written. Try again later.
    #[error("failed to append: the ledger is not available")]
    Unavailable {
        /// Why.
        #[source]
        source: Cause,
    },
}

fn of_actual(actual: Option<Seq>) -> String {
    actual.map_or_else(
        || ", since it has moved on".to_owned(),
        |actual| format!(", since it is at {actual}"),
    )
}

/// Why entries were not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The log cannot be reached. Try again later.
    #[error("failed to read the ledger: it is not available")]
    Unavailable {
        /// Why.
        #[source]
        source: Cause,
    },
    /// An entry is there and is not what any croft writes; its owner has to look.
    #[error("failed to read the ledger's entry {seq}: {reason}")]
    Damaged {
        /// Which one.
        seq: Seq,
        /// How it shows.
        reason: String,
    },
    /// The ledger was closed in this process.
    #[error("failed to read the ledger: it was closed")]
    Closed,
}
