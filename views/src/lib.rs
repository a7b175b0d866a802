//! Each server's read model: what the ledger says, folded into a SQLite file that answers questions quickly.
//!
//! In: entries of the ledger, in order ([`Views::apply`], or [`follow`], which reads them itself). Out: pages of projects and
//! builds, one build with all that is known of it, secrets, keys, tokens, workers, audit entries; and a word when the fold has
//! come as far as somebody waits for.
//!
//! What holds by absence: nothing here is the truth, and no decision rests on it. The file may be removed at any time and is
//! made anew from the ledger; a file of another schema, or a damaged one, is removed when it is opened. The position is
//! written with what was folded up to it, so no entry is ever folded twice or left out.
//!
//! **What is purged.** A build whose entries are purged from the ledger keeps its row: how long a view remembers is its own
//! affair. A view that is made anew after the purge has it again when it follows the ledger with its past (`croft-archive`'s
//! `Whole`); following the ledger alone, it finds a tombstone only, and nothing to fold.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// What can go wrong.
mod error;
/// Tables and numbers.
mod schema;
/// Opening, and starting anew.
mod open;
/// Events, read as far as they have to be.
mod event;
/// Entries into rows, a chunk at a time.
mod fold;
/// The read model, for those that write, wait and ask.
mod views;
/// Feeding it from the ledger.
mod follow;
/// Connections that read.
mod readers;
/// What can be asked.
mod read;
/// A build as the ledger tells it.
mod build;

pub use build::{Attempt, BuildRow, Happened, Lost, Settlement, Stage, StopRequest};
pub use error::{ApplyError, FollowError, OpenError, QueryError};
pub use follow::{PIECE_BYTES, bytes_of, follow};
pub use read::{
    AuditRow, BuildFilter, CaseRow, FinishedBuild, Line, Page, PoolKeyRow, ProjectRow, ROWS_MAX,
    Reading, SecretRow, TokenRow, WorkerRow,
};
pub use schema::SCHEMA_VERSION;
pub use views::Views;

#[cfg(test)]
mod tests;
