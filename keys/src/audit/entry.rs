//! What an entry says, and its hash. Made from an act and the chain's head; kept as JSON.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Head;
use crate::framed::frame;
use crate::hex;

/// What sets hashes of entries apart from every other BLAKE3 hash. Who changes what is hashed changes this, too.
const HASH_CONTEXT: &str = "croft 2026-11-28 audit entry v1";

/// What somebody did, or tried to do.
///
/// Whoever fills it in keeps the texts short: an entry has to fit into an event of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditAct {
    /// When, in milliseconds since the Unix epoch, by the server's clock.
    pub at_ms: u64,
    /// The request, by the name its answer carried.
    pub request_id: String,
    /// Who: the name of a token, or `local`.
    pub actor: String,
    /// As what: a role's word; empty when nobody was let in.
    pub role: String,
    /// What was asked for, such as `StartBuild`.
    pub action: String,
    /// With what, such as `project.web`.
    pub target: String,
    /// What came of it: `ok`, `refused`, or the error's word.
    pub outcome: String,
}

/// An act in its place in a chain.
///
/// **Shape.** JSON with exactly these fields: one that is unknown would be covered by no hash, so it is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditEntry {
    /// Whose chain: the server's name.
    pub chain: String,
    /// Its place, from 1.
    pub number: u64,
    /// When, in milliseconds since the Unix epoch, by the server's clock. It may go back; the number does not.
    pub at_ms: u64,
    /// The request, by the name its answer carried.
    pub request_id: String,
    /// Who: the name of a token, or `local`.
    pub actor: String,
    /// As what: a role's word; empty when nobody was let in.
    pub role: String,
    /// What was asked for, such as `StartBuild`.
    pub action: String,
    /// With what, such as `project.web`.
    pub target: String,
    /// What came of it: `ok`, `refused`, or the error's word.
    pub outcome: String,
    /// The hash of the entry before; [`AuditHash::NONE`] in the first.
    pub previous: AuditHash,
    /// The hash of all the above.
    pub hash: AuditHash,
}

/// A BLAKE3 hash of an entry, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuditHash([u8; 32]);

/// A text that is no hash of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hash of an audit entry has to be 64 lower-case hexadecimal digits")]
pub struct BadAuditHash;

impl AuditEntry {
    /// The entry after that head.
    pub(super) fn after(head: &Head, act: AuditAct) -> Self {
        let mut entry = Self {
            chain: head.chain.clone(),
            number: head.number + 1,
            at_ms: act.at_ms,
            request_id: act.request_id,
            actor: act.actor,
            role: act.role,
            action: act.action,
            target: act.target,
            outcome: act.outcome,
            previous: head.hash,
            hash: AuditHash::NONE,
        };
        entry.hash = entry.expected_hash();
        entry
    }

    /// The end of a chain whose last entry this is.
    #[must_use]
    pub fn head(&self) -> Head {
        Head {
            chain: self.chain.clone(),
            number: self.number,
            hash: self.hash,
        }
    }

    /// The hash the fields ought to have: over all of them in the order above, each after its length, numbers in eight
    /// bytes (big-endian).
    pub(super) fn expected_hash(&self) -> AuditHash {
        // Taken apart, so that a new field that nobody hashes does not compile.
        let Self {
            chain,
            number,
            at_ms,
            request_id,
            actor,
            role,
            action,
            target,
            outcome,
            previous,
            hash: _,
        } = self;
        let framed = frame([
            chain.as_bytes(),
            &number.to_be_bytes(),
            &at_ms.to_be_bytes(),
            request_id.as_bytes(),
            actor.as_bytes(),
            role.as_bytes(),
            action.as_bytes(),
            target.as_bytes(),
            outcome.as_bytes(),
            &previous.0,
        ]);
        AuditHash(blake3::derive_key(HASH_CONTEXT, &framed))
    }
}

impl AuditHash {
    /// What stands where there is no entry: zeros.
    pub const NONE: Self = Self([0; 32]);
}

impl FromStr for AuditHash {
    type Err = BadAuditHash;

    fn from_str(text: &str) -> Result<Self, BadAuditHash> {
        hex::decode(text).map(Self).ok_or(BadAuditHash)
    }
}

impl fmt::Display for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for AuditHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AuditHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}
