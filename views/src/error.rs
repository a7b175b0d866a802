//! What can go wrong. Nothing of it loses anything: the ledger has it all.

use std::io;
use std::path::PathBuf;

use croft_ledger::{ReadError, Seq, Subject};

/// Why a read model was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The old file cannot be removed; its owner can fix that.
    #[error("failed to remove the read model {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// SQLite cannot use it: no room, no permission, a file system without locks.
    #[error("failed to open the read model {}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
}

/// Why entries were not folded. Those before the one that is named are.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A later croft wrote it, and to skip it would be to show what is not so. Use that croft.
    #[error("the event at {seq} of {subject} is not understood")]
    NotUnderstood {
        /// Where.
        seq: Seq,
        /// About what.
        subject: Subject,
        /// How it shows.
        #[source]
        source: serde_json::Error,
    },
    /// It cannot follow what came before it.
    #[error("the event at {seq} of {subject} cannot be: {reason}")]
    Impossible {
        /// Where.
        seq: Seq,
        /// About what.
        subject: Subject,
        /// Why.
        reason: &'static str,
    },
    /// The file cannot be written or is damaged. A damaged one is made anew when it is opened the next time.
    #[error("failed to write the read model")]
    Database(#[from] rusqlite::Error),
}

/// Why nothing was answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The file cannot be read.
    #[error("failed to read the read model")]
    Database(#[from] rusqlite::Error),
    /// A row holds what this croft does not write.
    #[error("a row of the read model is not understood")]
    Row(#[from] serde_json::Error),
    /// The asking thread ended without an answer.
    #[error("a question was not answered: {0}")]
    Lost(String),
}

/// Why a read model is not fed any longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The ledger cannot be read any more.
    #[error("failed to follow the ledger")]
    Read(#[from] ReadError),
    /// An entry cannot be folded, or the file not be written.
    #[error("failed to fold the ledger")]
    Apply(#[from] ApplyError),
    /// The folding thread ended without an answer.
    #[error("failed to fold the ledger: {0}")]
    Lost(String),
}
