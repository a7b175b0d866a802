//! A record of who did what that shows when somebody changed it. Made by each server for every call that changes something;
//! checked by whoever doubts it.
//!
//! Every entry carries the hash of the entry before it and a hash of all its own fields, so that a changed field, or an
//! entry that was removed, inserted or moved, breaks the chain at that place. Each server has its own chain: two servers
//! never wait for each other to write one.
//!
//! **What a chain cannot show by itself.** That its last entries were removed: what is left is a whole, shorter chain. And
//! that somebody who may write all of it made all of it anew: the hashes hold no secret. Against both helps a
//! [`Head`](crate::audit::Head) that was put where they cannot change it (another machine, a printer, a signature of
//! [`Signer`](crate::Signer) over it): [`verify`](fn@crate::audit::verify) takes it, and finds the entry it names missing or
//! different.

/// What an entry says, and its hash.
mod entry;
/// Finding the first place where a chain is broken.
mod verify;

pub use entry::{AuditAct, AuditEntry, AuditHash, BadAuditHash};
pub use verify::{Broken, Fault, Verified, verify, verify_after};

use serde::{Deserialize, Serialize};

/// The end of a chain at some moment: enough to go on from, and to know later that all up to it is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// Whose chain.
    pub chain: String,
    /// The number of its last entry; 0 if it has none.
    pub number: u64,
    /// The hash of its last entry; [`AuditHash::NONE`] if it has none.
    pub hash: AuditHash,
}

/// A server's chain, as far as it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain(Head);

impl Chain {
    /// A chain without entries. The name tells it from all others, for ever: a server that starts again goes on with its
    /// chain ([`Chain::resume`]) or takes a new name.
    #[must_use]
    pub fn new(chain: impl Into<String>) -> Self {
        Self(Head::start(chain))
    }

    /// The chain that ends with that entry.
    ///
    /// # Errors
    /// When the entry's hash is not that of its fields: nothing should be built on it.
    pub fn resume(last: &AuditEntry) -> Result<Self, Broken> {
        if last.hash == last.expected_hash() {
            Ok(Self(last.head()))
        } else {
            Err(Broken {
                number: last.number,
                reason: Fault::Changed,
            })
        }
    }

    /// Where the chain ends now.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.0
    }

    /// The next entry. When it cannot be stored, go back to the chain as it was (a clone, or [`Chain::resume`] with the
    /// last entry that is stored), or the chain has a gap.
    pub fn append(&mut self, act: AuditAct) -> AuditEntry {
        let entry = AuditEntry::after(&self.0, act);
        self.0 = entry.head();
        entry
    }
}

impl Head {
    fn start(chain: impl Into<String>) -> Self {
        Self {
            chain: chain.into(),
            number: 0,
            hash: AuditHash::NONE,
        }
    }
}

#[cfg(test)]
mod tests;
