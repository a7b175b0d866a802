//! A farm's worker: takes hints from the bus, claims builds in the ledger, runs them with the engine of this crate, and records
//! one outcome each. Stateless: whatever it holds is lost with it and started elsewhere.
//!
//! In file order a build's way: [`run`] takes a hint, `claim` makes it this worker's, `attempt` walks it from there (`request` and
//! `source` say what to run, `vault` opens its secrets, `live` sends its output, `lease` keeps it), `keep` stores what it leaves,
//! `settle` records how it ended. What holds by absence: nothing here waits for a scheduler's opinion, and nothing is settled
//! that another attempt may have taken over.

/// What a worker is made of.
mod parts;
/// The loop.
mod run;
/// From a hint to a build that is this worker's.
mod claim;
/// From there to its outcome.
mod attempt;
/// What is to be run.
mod request;
/// The source's folder.
pub(crate) mod source;
/// The values of its secrets.
mod vault;
/// What opens them.
mod pool_keys;
/// Who one is to its image's registry.
mod registry;
/// Where it runs.
mod places;
/// Its output on the bus.
mod live;
/// Its lease.
mod lease;
/// What it leaves.
mod keep;
/// How it ended.
mod settle;
/// Whether this machine is fit to run builds.
mod fitness;
/// A build's subject, folded.
mod story;
/// What is measured.
mod metrics;
/// How the worker is, for who asks.
mod vitals;

pub use claim::Claimed;
pub use metrics::Metrics;
pub use parts::{Parts, Settings};
pub use places::{Machine, Places, SANDBOX, Unplaced};
pub use pool_keys::{KeySource, PoolKeys};
pub use run::{Standing, Worker, WorkerError};
pub use vitals::{Condition, Vitals};
