//! Trees from one store to another, so that only the chunks travel that the other lacks. Received from whoever submits a source
//! (it stored its folder by `put`) and from the server that takes it in; leaves the tree in the other store, where `tree` finds
//! it. How the bytes travel is the caller's business: everything here takes and gives bytes, and blocks.
//!
//! In order: the sender says what the tree is made of ([`Store::offer`]); the receiver which of that it lacks
//! ([`Store::wanting`]); the sender reads it out ([`Store::export`]); the receiver takes it in ([`Store::receive`]) and makes the
//! tree visible, signed by itself ([`Store::adopt`]), or says what is missing all the same, which is then sent again. Nothing is
//! remembered between those steps but what is stored, so each may be done by another process, or twice.
//!
//! Who needs a tree's files once and keeps no store gets them into a folder ([`lay`](crate::lay())).
//!
//! What comes from the other side is read as if an enemy had written it: every count and length is checked before memory is
//! taken for it, and every chunk's hash before it is stored.
//!
//! [`Store::offer`]: crate::Store::offer
//! [`Store::wanting`]: crate::Store::wanting
//! [`Store::export`]: crate::Store::export
//! [`Store::receive`]: crate::Store::receive
//! [`Store::adopt`]: crate::Store::adopt

/// Bytes that came from elsewhere, taken apart.
mod wire;
/// What a tree is made of.
mod offer;
/// Chunks on their way.
mod frames;
/// The sender's part.
mod send;
/// What is lacking, and taking it in.
mod receive;
/// Making a tree visible.
mod adopt;
/// A tree's files in a folder, without a store.
mod lay;
/// Keeping it for as long as a build waits.
mod keep;

pub use adopt::Adoption;
pub use keep::HOLD_MS_MAX;
pub use lay::{Earlier, Laid, Lay, Supply, lay};
pub use offer::{Offer, Offered};
pub(crate) use receive::lacking;
pub use receive::{ReceiveLimits, Received};
pub use send::Export;
pub use wire::{decode_ids, encode_ids};

/// Chunks of a tree that is sent: a source of 64 GiB in large files, or of half a million small ones. The bytes of its offer
/// are held in memory, 18 MiB then.
pub const OFFER_CHUNKS_MAX: usize = 512 * 1024;

/// Bytes of an offer.
pub const OFFER_BYTES_MAX: usize = offer::HEAD_BYTES + LIST_CHUNKS_MAX * 32 + OFFER_CHUNKS_MAX * 36;

/// Bytes of the list of files of a tree that is sent: some 300,000 files. Less than what a cache entry may have, since one
/// request is enough to make a server read it.
pub const OFFER_LIST_BYTES_MAX: u64 = 64 << 20;

/// Chunks of a list: those of the largest are 32 KiB each at least, the last aside. As many as fit into a record.
const LIST_CHUNKS_MAX: usize = 900;

/// Bytes of a batch of chunks on its way: what a receiver that takes whole requests into memory has to allow.
pub const BATCH_BYTES_MAX: usize = 4 << 20;

/// Why something that came from the other side is refused. Nothing of it was used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A later croft wrote it: whoever sent it can be asked to speak an earlier version.
    #[error("it has version {version}, which is not known here")]
    Newer {
        /// The version it names.
        version: u8,
    },
    /// It is larger than what is taken.
    #[error("it has more than {limit} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The most that is taken.
        limit: u64,
    },
    /// No croft writes this, or it was changed or cut short on the way.
    #[error("{0}")]
    Malformed(String),
}

impl Refusal {
    fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed(reason.into())
    }
}
