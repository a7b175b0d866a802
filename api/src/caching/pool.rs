//! What the fronts serve: blobs by name, in one scope each. Implemented over the cache's store and, for tests, in memory;
//! asked by the engine, always from a thread that may block.

use std::fmt;
use std::io::Read;

use bytes::Bytes;

/// No piece of a blob is larger: what one reply may hold in memory is a small multiple of it.
pub const PIECE_BYTES_MAX: usize = 4 << 20;

/// What a blob is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// Whose it is. Comes from the client's token, never from its request.
    pub scope: String,
    /// Of which protocol, and which kind of that protocol's entries.
    pub space: &'static str,
    /// As the protocol calls it: printable ASCII without spaces, checked by its front.
    pub key: String,
}

/// The pieces of a blob in order, each verified before it is handed out and at most [`PIECE_BYTES_MAX`] long. After an
/// error there are no more.
pub type Pieces = Box<dyn Iterator<Item = Result<Bytes, Trouble>> + Send>;

/// A blob that is there.
pub struct Found {
    /// Bytes of all pieces together.
    pub size_bytes: u64,
    /// Its bytes; nothing is read before the first piece is asked for.
    pub read: Pieces,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found")
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}

/// Why a pool did not do what it was asked for. None of it is the client's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The stored bytes are not those that were put: as good as not there.
    #[error("the stored bytes are damaged: {0}")]
    Damaged(String),
    /// There is no room; whoever owns the pool can make some.
    #[error("the cache is full")]
    Full,
    /// The body that was to be put could not be read to its end.
    #[error("failed to read what was to be stored")]
    Body(#[source] std::io::Error),
    /// The storage did not answer, or not as it should; trying again later may help.
    #[error("the cache's storage failed")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Named blobs. Every call may block for as long as the storage behind it takes.
pub trait Pool: fmt::Debug + Send + Sync {
    /// The blob of that name, or none.
    ///
    /// # Errors
    /// [`Trouble::Damaged`] when it is there and useless, [`Trouble::Storage`] when nobody can tell.
    fn find(&self, name: &Name) -> Result<Option<Found>, Trouble>;

    /// The size of the blob of that name, or none: what [`Pool::find`] would find now, without its bytes.
    ///
    /// # Errors
    /// As [`Pool::find`].
    fn size_bytes(&self, name: &Name) -> Result<Option<u64>, Trouble> {
        Ok(self.find(name)?.map(|found| found.size_bytes))
    }

    /// Stores all of `body` under the name, in place of what it named, and returns the number of bytes.
    ///
    /// **Shape.** `body` is read to its end. When reading fails nothing becomes visible under the name, and what it named
    /// before stays.
    ///
    /// # Errors
    /// [`Trouble::Body`] when `body` fails, [`Trouble::Full`], [`Trouble::Storage`].
    fn put(&self, name: &Name, body: &mut dyn Read) -> Result<u64, Trouble>;
}
