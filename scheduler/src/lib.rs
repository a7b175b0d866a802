//! Which build runs next, and which is lost: decisions.
//!
//! In: entries of the ledger, in order, and what is heard of workers. Out: [`Action`]s, which whoever runs a server carries
//! out: events to append, hints to publish, answers to workers. [`admit`] decides about submissions the same way.
//!
//! What holds by absence: but for [`Server`], nothing here reads a clock, draws a random number, or talks to anybody. So the same
//! entries give the same decisions on every server, and a simulation can try years of them. Nothing here is the truth either: all
//! of it is folded anew from the ledger when a server starts, and an action that another server has taken already is refused by
//! the ledger's expected sequences and changes nothing.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// What is wanted of the ledger.
mod intent;
/// The projects and unfinished builds, folded.
mod farm;
/// Accepting a build, or not.
mod admit;
/// Ending one before it has ended.
mod stop;
/// Many wishes in one append.
mod batch;
/// Who waits for a pool, and who is next.
mod line;
/// Limits on builds at once.
mod gate;
/// What became of lost attempts, in words.
mod evidence;
/// Which attempts are heard of.
mod lease;
/// A pool: its line, its workers, the hints that are out.
mod pool;
/// Why a build waits.
mod why;
/// All of it, an input at a time.
mod step;
/// The loop that feeds it and carries out what it decides.
mod server;

pub use admit::{Admission, Asked, Refusal, admit, retry_id};
pub use batch::{Accepted, Batch, Decided, Granted, Wish, fits};
pub use farm::{Farm, FoldError, Stage, Unfinished};
pub use intent::{Intent, Recorded, build_subject, project_subject};
pub use line::AGE_EVERY;
pub use pool::{Announced, Hint, WORKER_GONE_MS};
pub use server::{
    Failed, Handle, Metrics, Parts, PoolLine, Progress, Refused, Server, ServerError, Started,
    WorkerSeen,
};
pub use step::{Action, Input, Now, Renewed, Scheduler, Verdict};
pub use stop::{Stopping, stop};
pub use why::Why;

#[cfg(test)]
mod tests;
