//! What can go wrong. Nothing here is lost that matters: each says whether to try again, publish again, or read elsewhere.

use std::error::Error;

use crate::CHUNK_BYTES_MAX;

/// What a broker or its client said.
pub type Cause = Box<dyn Error + Send + Sync>;

/// The bus cannot be reached, or did not answer in time: what was asked may have happened. Try again later.
#[derive(Debug, thiserror::Error)]
#[error("failed to reach the bus")]
pub struct Unavailable {
    /// Why.
    #[source]
    pub source: Cause,
}

impl Unavailable {
    pub(crate) fn new(source: impl Into<Cause>) -> Self {
        let source = source.into();
        Self { source }
    }
}

/// Bytes that are no message of this croft's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotUnderstood {
    /// A newer croft wrote it. It is left, or handed back, to newer receivers, and counts as no try of anything.
    #[error("failed to understand a message of version {version}: a newer croft wrote it")]
    Newer {
        /// Which version.
        version: u8,
    },
    /// No croft wrote it; it is thrown away.
    #[error("failed to understand a message: {reason}")]
    Damaged {
        /// How it shows.
        reason: String,
    },
}

/// Why a hint was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// [`crate::HINTS_MAX`] hints are out already; whoever publishes has to wait until some are taken.
    #[error("failed to publish a hint: there are too many already")]
    Full,
    /// It may have been published; publishing it again does no harm.
    #[error("failed to publish a hint")]
    Unavailable(#[source] Unavailable),
}

/// Why no hint was taken, though there may be one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeError {
    /// A newer one was handed back for newer takers, or a damaged one thrown away. Take again; whoever gets the former all the
    /// time needs a newer croft.
    #[error("failed to take a hint")]
    NotUnderstood(#[source] NotUnderstood),
    /// Take again later.
    #[error("failed to take a hint")]
    Unavailable(#[source] Unavailable),
}

/// Why a renewal has no verdict. The lease counts from the last one that had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// No server answered in time: none is there, the broker is away, or none knows yet.
    #[error("failed to renew a lease: no server has answered")]
    Unheard,
    /// A server of a newer version answered in a way this worker does not know.
    #[error("failed to renew a lease")]
    NotUnderstood(#[source] NotUnderstood),
}

/// Why a chunk of output reaches no follower. The build goes on: the recorded log has it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// More than [`CHUNK_BYTES_MAX`] bytes; whoever made it can cut it.
    #[error("failed to put a chunk of {size_bytes} bytes: {CHUNK_BYTES_MAX} are the limit")]
    TooLarge {
        /// How long it is.
        size_bytes: usize,
    },
    /// It may have been put; putting it again does no harm, and leaving it makes a gap that followers are told of.
    #[error("failed to put a chunk of output")]
    Unavailable(#[source] Unavailable),
}

/// Why following output ended before the output did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// What comes is of a newer version; a newer server can follow it.
    #[error("failed to follow output")]
    NotUnderstood(#[source] NotUnderstood),
}
