//! What can go wrong. Made at every edge; handed to the engine, which turns it into a warning and goes on without a cache.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::transfer::Refusal;
use crate::tree::TreeError;

/// Why a cache operation did not happen. The build is never at fault enough to fail: whoever calls goes on without.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The cache's folder cannot be made or opened; its owner can fix that.
    #[error("failed to open the cache folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The text that says where the cache lives cannot be used; whoever wrote it can fix that.
    #[error("cannot use `{place}` as a cache: {reason}")]
    Place {
        /// As configured, without what may be secret.
        place: String,
        /// What is wrong, and what to write instead.
        reason: String,
    },
    /// Other processes hold the store; trying again later helps.
    #[error("the cache is in use by another croft (waited {waited_ms} ms)")]
    Busy {
        /// Milliseconds waited.
        waited_ms: u64,
    },
    /// A path of the buildspec's `cache.paths` cannot be used.
    #[error("cannot cache the path `{pattern}`: {reason}")]
    Pattern {
        /// As configured.
        pattern: String,
        /// What is wrong, and what to write instead.
        reason: String,
    },
    /// The key or project is empty, or the entry's description is too long to store.
    #[error("cannot name a cache entry: {0}")]
    Name(String),
    /// The object store failed: full, read-only, not permitted, unreachable.
    #[error("failed to {action} the cache object {object}")]
    Object {
        /// What was tried.
        action: &'static str,
        /// The object's name.
        object: String,
        /// What the store said.
        #[source]
        source: Box<object_store::Error>,
    },
    /// An object that should be there is not.
    #[error("the cache object {object} is missing")]
    Missing {
        /// The object's name.
        object: String,
    },
    /// An object's bytes are not those that were stored.
    #[error("the cache object {object} is damaged: {reason}")]
    Damaged {
        /// The object's name.
        object: String,
        /// How it shows.
        reason: String,
    },
    /// A record is whole, but nobody who counts here vouches for it, or not for this. It counts as a miss and is left
    /// where it is: it may be good for somebody else, and the owner of the keyring can say so.
    #[error("the cache object {object} is not trusted: {reason}")]
    Untrusted {
        /// The object's name.
        object: String,
        /// Who or what is not trusted.
        reason: String,
    },
    /// A record of a later croft's format. It counts as a miss; a newer croft reads it.
    #[error("the cache object {object} is not understood: it has format {format}")]
    NotUnderstood {
        /// The object's name.
        object: String,
        /// The format it names.
        format: String,
    },
    /// A lease cannot be taken or kept, so that what it was to protect may be swept.
    #[error("the cache lease {object} does not hold: {reason}")]
    Lease {
        /// The lease's name.
        object: String,
        /// Why not.
        reason: String,
    },
    /// A save took longer than its lease, so that what it counted on may be gone.
    #[error(
        "the save took longer than {seconds_max} seconds; what it stored is kept for the next one"
    )]
    TooSlow {
        /// Seconds.
        seconds_max: u64,
    },
    /// What was asked for is there, but cannot be used here; why, in a sentence.
    #[error("what was asked for is not used: {0}")]
    Unusable(String),
    /// The key that records are signed with, or the list of those that are believed, cannot be used.
    #[error("failed to set up whom to believe: {0}")]
    Trust(String),
    /// Trees can be made into folders only beside a folder of this machine.
    #[error("this cache has no folder on this machine to make trees in")]
    NoFolder,
    /// A file of this machine beside the cache (what was seen, what was removed) cannot be written.
    #[error("failed to note something in {}", path.display())]
    Note {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A list of files is not one that a save writes; nothing of it was unpacked.
    #[error("refused to unpack a cached file list")]
    Refused(#[from] TreeError),
    /// What another store's side sent is not what a croft sends; nothing of it counts. Sending it again may help.
    #[error("refused what was sent by another store")]
    Sent(#[from] Refusal),
    /// A file or folder of the build could not be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// Inside the build's root.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file or folder of the build could not be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// Inside the build's root.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The build's files, compressed, would take more than nine tenths of what the whole cache may hold.
    #[error(
        "the files to cache do not fit under the cache's limit of {cap_bytes} bytes; raise the limit or cache less"
    )]
    TooLarge {
        /// Bytes.
        cap_bytes: u64,
    },
    /// The configured paths lead to more files than one entry may have.
    #[error("the paths to cache lead to more than {entries_max} files and folders; name fewer")]
    TooMany {
        /// The limit.
        entries_max: usize,
    },
    /// Small contents were to be stored with others that came at the same time, and none of them, or this one, was.
    #[error("failed to store an upload together with others")]
    Together {
        /// Why; the others have the same.
        #[source]
        source: Arc<Self>,
    },
    /// The system refused a thread, a lock or memory for compression.
    #[error("failed to {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// True when the stored bytes are at fault, so that trying again cannot help.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        if let Self::Together { source } = self {
            return source.is_damage();
        }
        matches!(
            self,
            Self::Missing { .. } | Self::Damaged { .. } | Self::Refused(_)
        )
    }

    /// True when a record is no answer here, for whatever reason, so that another one may be tried. Only what
    /// [`Error::is_damage`], too, may be removed: the rest may be good for somebody else.
    #[must_use]
    pub fn is_unusable(&self) -> bool {
        self.is_damage() || matches!(self, Self::Untrusted { .. } | Self::NotUnderstood { .. })
    }
}
