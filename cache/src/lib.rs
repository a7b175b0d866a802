//! A build's cache: files of one build, given back to a later one, byte for byte.
//!
//! In: the paths a buildspec's `cache:` names, inside a [`croft_beneath::Root`]. Out: an entry in any `object_store`, and
//! later the same files, modes and times in another root. Everything blocks; from a Tokio task call it in `spawn_blocking`.
//!
//! How it is stored, from the outside in:
//! - an *entry* (`entries/`) is a small sealed record: project, key, paths, and the name of a tree. Writing it is the one
//!   step that makes a save visible, so a crash before it leaves the old state and a crash after it the new one;
//! - a *tree* (`trees/`) lists files, links and directories with their modes, owners and times, and the BLAKE3 hashes of
//!   each file's chunks (1 MiB each). It is named by its own hash;
//! - a *pack* (`packs/`) holds many chunks, compressed, and ends with their index. Every chunk is stored once, whoever
//!   uses it. A pack is named by its own hash.
//!
//! What holds by absence: nothing is read without its hash being checked; nothing is written through a symbolic link;
//! no entry is changed in place; no clock is read (callers say what time it is).

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
/// The object store as this crate uses it.
mod backend;
/// What objects are called.
mod layout;
/// Who may touch the store at the same time as whom.
mod lock;
/// Which files the configured paths mean.
mod selection;
/// Finding those files.
mod walk;
/// The list of files, as bytes and back.
mod tree;
/// Many chunks in one object.
mod pack;
/// Which chunks are where.
mod index;
/// The entry: what a project saved under which key.
mod record;
/// The store: open, list, remove.
mod store;
/// Build to store.
mod save;
/// Store to build: which entry.
mod restore;
/// Store to build: its files.
mod unpack;
/// Staying under the cap.
mod prune;
/// Checking everything.
mod verify;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use id::Id;
pub use prune::Pruned;
pub use restore::{Found, Restore, Restored};
pub use save::{Save, SaveOutcome, Saved};
pub use store::{EntrySummary, Selector, Store, Usage};
pub use tree::{Anchor, Entry, Node, Tree, TreeError};
pub use unpack::{Unpack, Unpacked};
pub use verify::{Damage, Verified};
