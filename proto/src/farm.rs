//! The farm's vocabulary: what is recorded of projects and builds in the ledger. Written by whoever decides (servers admit and
//! expire, workers claim and settle); folded by everybody.

/// Which build.
mod id;
/// What is built again and again.
mod project;
/// What happened to it, and to its builds.
mod journal;

pub use id::BuildId;
pub use journal::{
    AutoRetry, BuildEvent, LossReason, ProjectEvent, SettledBy, Submitted, TOKEN_VALID_MS,
};
pub use project::{
    Concurrency, ConcurrencyMode, PRIORITIES, Priority, ProjectRules, WEIGHT_MAX, Weight,
};
