//! What can go wrong with segments and with reading the past.

use croft_ledger::{ReadError, Seq};

/// Why the past cannot be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The place does not answer, does not take it, or has not the object. Try again later.
    #[error("failed to use the place of segments")]
    Place(#[from] croft_cache::Error),
    /// A segment is not what was written. Another copy of it has to take its place.
    #[error("the segment {segment} is damaged: {reason}")]
    Damaged {
        /// Its object's name.
        segment: String,
        /// How it shows.
        reason: String,
    },
    /// A newer croft wrote it; use that one.
    #[error("the segment {segment} is of version {version}: use the croft that wrote it")]
    Newer {
        /// Its object's name.
        segment: String,
        /// Of its format.
        version: String,
    },
    /// The ledger cannot be read.
    #[error("failed to read the ledger's own entries")]
    Log(#[from] ReadError),
    /// The first entry of all is nowhere, so nobody can tell whose segments are looked for.
    #[error("the ledger's first entry is gone; its first one is {first}")]
    Beginning {
        /// What is its first.
        first: Seq,
    },
    /// A thread ended without an answer.
    #[error("failed to read or write a segment: {0}")]
    Lost(String),
}

/// Does something that waits for a disk or a network, on a thread that may.
pub(crate) async fn waiting<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::Lost(error.to_string())))
}
