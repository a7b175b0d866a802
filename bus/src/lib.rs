//! What is on its way: hints that a build waits, renewals of leases, live output of builds and of hosts, announcements of workers, and which
//! hosts each server hears.
//!
//! In: what one role wants another to know soon. Out: the same, mostly, to whoever listens. Two implementations stand behind
//! [`Bus`] and pass one [`conformance`] suite:
//! - [`Memory`], for one process;
//! - [`Nats`], streams in a broker's memory and plain messages, for a farm.
//!
//! Everything here may be lost at any moment and is rebuilt from the ledger: a hint by publishing again what the fold says is
//! queued, output by reading the archive, a renewal by the next one.
//!
//! What holds by absence: nothing here is truth; no decision rests on a message having come once, or at all; no queue grows
//! without a bound; no follower of output can stop the build that it follows.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]
/// What things are called.
mod name;
/// What is said.
mod message;
/// And in which bytes.
mod wire;
/// What can go wrong.
mod error;
/// How much and how long.
mod settings;
/// What a receiver holds: a hint taken, a renewal to answer.
mod held;
/// The trait.
mod bus;
/// What a follower of output is given, and when.
mod order;
/// How long output waits for those who follow it.
mod patience;
/// The bus of one process.
mod memory;
/// The bus of a farm.
mod nats;
/// What each of them must do.
pub mod conformance;

#[cfg(test)]
mod tests;

pub use croft_nats::{Broker, ConnectError, Credentials, Health};

pub use bus::Bus;
pub use error::{
    Cause, FollowError, NotUnderstood, PublishError, PutError, RenewError, TakeError, Unavailable,
};
pub use held::{RenewalRequest, Taken};
pub use memory::Memory;
pub use message::{
    Announcement, CHUNK_BYTES_MAX, Chunk, Heard, Hint, Item, Mark, NoMark, PRESENCE_BYTES_MAX,
    Place, Presence, REASON_BYTES_MAX, Renewal, VERSION_BYTES_MAX, Verdict,
};
pub use name::{Build, Deployment, Host, NAME_BYTES_MAX, NameError, POOL_BYTES_MAX, Pool, Worker};
pub use nats::{Config, Nats};
pub use settings::{HINTS_MAX, Output, Printing, Settings};
