//! A NATS server or cluster, as the rooms above need it: where it is, as whom to speak to it, and whether it is what it must be.
//!
//! In: a [`Broker`] as it was configured, from the composition root. Out: a connected client that a role's ledger and bus may
//! share, streams whose settings were read back, and what is wrong with the servers, in words. What is sent and stored is no
//! business of this room.
//!
//! What holds by absence: no client of a server that is too old is handed out; no setting that a server dropped goes unnoticed;
//! no secret is printed.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// Where, and as whom.
mod broker;
/// What can go wrong on the way.
mod error;
/// The way.
mod connect;
/// Streams, made and read back.
mod stream;
/// Names in subjects.
mod escape;
/// What only the servers' monitoring says.
mod monitoring;
/// Whether all is well.
mod health;

#[cfg(test)]
mod tests;

pub use broker::{Broker, Credentials};
pub use connect::{check_version, context};
pub use error::{Cause, ConnectError, chain};
pub use escape::{escape, is_plain};
pub use health::{Health, wrong_with};
pub use monitoring::Durability;
pub use stream::{once_settled, open};
