//! Signed records of results: who vouches that these inputs give those outputs, and for whom that counts. A save or
//! another tool's upload makes a record as its last step; a restore, a look-up or a person's question reads it.
//!
//! A record is sealed (damage shows), signed (a forgery shows), bound to its name (a copy elsewhere shows) and lives in a
//! scope (who may read and write it). What is *not* done here: checking that what a record names exists, and removing.

/// Which scopes a build writes and reads.
pub(crate) mod scope;
/// What records are called.
pub(crate) mod name;
/// What a record says.
pub(crate) mod record;
/// A record as bytes, sealed and signed.
pub(crate) mod sealed;
/// The newest record seen under a name.
pub(crate) mod seen;
/// Writing a record.
pub(crate) mod write;
/// Finding the record that answers.
pub(crate) mod lookup;
/// What running work keeps alive.
pub(crate) mod lease;
/// What was removed, and why.
pub(crate) mod removed;
/// Why there was no answer.
pub(crate) mod explain;

#[cfg(test)]
mod tests;

pub use croft_keys::ScopeName;
pub use explain::{Answer, Change, ChangeKind, Explanation};
pub use lookup::Skipped;
pub use name::Space;
pub use record::{Input, InputKind};
pub use removed::{Removal, RemovalReason};
pub use scope::{Scopes, ScopesError};

/// How far two machines' clocks may be apart: what one of them wrote is judged by another only beyond this.
pub(crate) const SKEW_MS: u64 = 10 * 60 * 1000;
