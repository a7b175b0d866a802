//! A build's cache: files of one build, given back to a later one, byte for byte.
//!
//! In: the paths a buildspec's `cache:` names, inside a [`croft_beneath::Root`]. Out: an entry in any `object_store`, and
//! later the same files, modes and times in another root. Everything blocks; from a Tokio task call it in `spawn_blocking`.
//!
//! How it is stored, from the outside in:
//! - a *record* (`entries/`) is signed and says that these inputs gave those outputs: whose, under which key, and which
//!   tree. Writing it is the one step that makes a save visible, so a crash before it leaves the old state and a crash after
//!   it the new one;
//! - a *tree* lists files, links and directories with their modes, owners and times, and the BLAKE3 hashes of each file's
//!   chunks. The list is stored like any contents; its own hash is the tree's id;
//! - a *pack* (`packs/`) holds many chunks, compressed, and ends with their index. Every chunk is stored once, whoever
//!   uses it. A pack is named by its own hash.
//!
//! What holds by absence: nothing is read without its hash being checked; nothing is written through a symbolic link;
//! no object is changed in place; no clock is read but monotonic ones (callers say what time it is); nothing is asked of the
//! object storage but put, get, ranged get, list and delete; no lock between machines.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// The name of bytes.
mod id;
/// What can go wrong.
mod error;
/// Worker threads.
mod workers;
/// Small files of this machine.
mod replace;
/// How far long work has come.
mod meter;
/// Processes in a simulation.
#[cfg(test)]
mod simulated;
/// The object store as this crate uses it.
mod backend;
/// What objects are called.
mod layout;
/// Who may touch a local folder at the same time as whom.
mod lock;
/// Which files the configured paths mean.
mod selection;
/// Finding those files.
mod walk;
/// Where in a build a tree is mounted.
mod mount_points;
/// What a build has changed in a mounted tree.
mod upper;
/// The list of files, as bytes and back.
mod tree;
/// Contents, cut into chunks.
mod chunk;
/// Many chunks in one object.
mod pack;
/// Which chunks are where.
mod index;
/// Where something was stored.
mod packs;
/// Bytes to packs.
mod intake;
/// Packs to bytes.
mod content;
/// Signed records of results: who vouches for what, for whom.
mod records;
/// Entries whose use was noted lately.
mod noted;
/// The store: opened by whoever uses it.
mod store;
/// The frame around everything that stores.
mod writing;
/// What was saved from a folder last time.
mod stat;
/// Build to store.
mod save;
/// Store to build: which entry.
mod restore;
/// Store to build: its files.
mod unpack;
/// Trees as folders to mount.
mod live;
/// Trees from one store to another.
mod transfer;
/// One file of a tree.
mod stored_file;
/// Named contents of other tools.
mod named;
/// Looking at what there is.
mod look;
/// Why an entry was not found.
mod miss;
/// What was last asked for.
mod asked;
/// Taking away what nobody needs.
mod gc;
/// Checking everything.
mod verify;
/// Objects that are none of the cache's, at the same kinds of places.
mod depot;

#[cfg(test)]
mod tests;

pub use asked::AskedFor;
pub use backend::{Place, ReadError, Reading};
pub use content::Content;
pub use depot::Depot;
pub use error::Error;
pub use gc::{Collected, Departure, Mode, Policy, Pruned, Selector};
pub use id::Id;
pub use live::{Live, TreeRef};
pub use look::{Difference, EntrySummary, Space as UsedSpace};
pub use meter::Meter;
pub use mount_points::{MountPoint, mount_points};
pub use named::{Named, NamedAs, Shelf};
pub use packs::Packs;
pub use records::{
    Answer, Change, ChangeKind, Explanation, Input, InputKind, Removal, RemovalReason, ScopeName,
    Scopes, ScopesError, Skipped, Space,
};
pub use restore::{Found, Hit, Lookup, Restore, Restored, Sought};
pub use save::{Layer, Mounted, Origin, Put, Save, SaveOutcome, Saved, Stored};
pub use store::{Store, Trust, Usage};
pub use stored_file::StoredFile;
pub use transfer::{
    Adoption, BATCH_BYTES_MAX, Earlier, Export, HOLD_MS_MAX, Laid, Lay, OFFER_BYTES_MAX,
    OFFER_CHUNKS_MAX, OFFER_LIST_BYTES_MAX, Offer, Offered, ReceiveLimits, Received, Refusal,
    Supply, decode_ids, encode_ids, lay,
};
pub use tree::{Anchor, Entry, Node, Tree, TreeError};
pub use unpack::{Unpack, Unpacked};
pub use upper::{Change as UpperChange, Changes, Now};
pub use verify::{Damage, Repair, Verified};
pub use writing::Hold;
