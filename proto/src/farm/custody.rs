//! What is recorded of whom the farm trusts with what: secrets, pools' keys, tokens, workers, and who did what. Written by
//! servers; folded by them and, their own pool's part of it, by workers. Values are only here sealed, tokens only as hashes: what
//! `keys` makes of them travels through these events as JSON that this room does not look into.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What a secret's value is used as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SecretKind {
    /// `env.secrets-manager`.
    #[default]
    SecretsManager,
    /// `env.parameter-store`.
    ParameterStore,
}

/// A secret's value, sealed to one pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealedFor {
    /// Whose workers can open it.
    pub pool: String,
    /// Under which of the pool's keys.
    pub generation: u32,
    /// What `keys` made of it.
    pub sealed: String,
}

/// What happens to a secret. Subject `secret.<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum SecretEvent {
    /// It has a value, or another one.
    Set {
        /// From 1, one more each time; goes on after a removal.
        version: u32,
        /// What it is used as.
        kind: SecretKind,
        /// Projects whose builds may have it; patterns as in tokens, and none is all.
        projects: Vec<String>,
        /// Under the master key, for sealing it to pools to come.
        wrapped: String,
        /// For the pools there are.
        sealed: Vec<SealedFor>,
    },
    /// The same value for more pools, or under their new keys.
    Resealed {
        /// Of which value.
        version: u32,
        /// All that there is now.
        sealed: Vec<SealedFor>,
    },
    /// It is gone.
    Removed,
}

/// What happens to a pool. Subject `pool.<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum PoolEvent {
    /// It has a key, or a new one.
    Keyed {
        /// From 1, one more each time.
        generation: u32,
        /// For sealing.
        public: String,
        /// For opening, under the master key.
        wrapped: String,
    },
}

/// What happens to a token. Subject `token.<id>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum TokenEvent {
    /// It is good from now on.
    Issued {
        /// For people.
        name: String,
        /// `viewer`, `builder`, `deployer`, `admin` or `worker`.
        role: String,
        /// Where; none is everywhere. Of a worker's token, pools.
        projects: Vec<String>,
        /// Of the whole token.
        hash: String,
        /// When it ends.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        expires: Option<Timestamp>,
    },
    /// It is no good any more.
    Revoked,
}

/// What happens to a worker by somebody's hand. Subject `worker.<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum WorkerEvent {
    /// It shall take no more builds.
    Draining {
        /// Who wants that.
        by: String,
    },
    /// It may take builds again.
    Resumed {
        /// Who wants that.
        by: String,
    },
}

/// Who did what, or was refused it: an entry of a server's chain. Subject `audit.<server>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum AuditEvent {
    /// One more entry.
    Noted {
        /// As `keys` chains it.
        entry: Box<serde_json::Value>,
    },
}
