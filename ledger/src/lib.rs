//! The truth: an append-only log of events by subject.
//!
//! In: batches of (subject, expected last sequence, event), from whoever decides. Out: the same events in one order, to whoever
//! folds them. Three implementations stand behind [`Ledger`] and pass one [`conformance`] suite:
//! - [`Memory`] for simulations: no I/O, and its clock is an argument;
//! - [`Embedded`], one SQLite file, for one machine;
//! - [`JetStream`], one stream of a NATS server or cluster, for a farm.
//!
//! The expectation is the only lock there is: whoever must not be overtaken appends to the subject that owns the rule, at
//! the sequence up to which it has folded that subject, and folds again when that is no longer the last.
//!
//! What holds by absence: no entry is changed; no sequence is used twice; nothing is acknowledged before it is durable;
//! no part of a batch is ever there without the rest; no decision is made on a read.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// Where in the log.
mod seq;
/// What an event is about.
mod subject;
/// What goes in and what comes out.
mod entry;
/// What can go wrong.
mod error;
/// What every implementation refuses before it looks at its log.
mod check;
/// What time it is.
mod clock;
/// The trait.
mod ledger;
/// One ledger in front of another.
mod through;
/// Entries to come, for logs of this process.
mod follow;
/// A log written anew.
mod restore;
/// The log in memory.
mod memory;
/// The log in a file.
mod embedded;
/// The log in a broker.
mod jetstream;
/// What each of them must do.
pub mod conformance;

#[cfg(test)]
mod tests;

pub use croft_nats::{Broker, ConnectError, Credentials, Health};

pub use check::{BATCH_MAX, EVENT_BYTES_MAX};
pub use clock::Clock;
pub use embedded::{Embedded, EmbeddedRestoring, Looking, OpenError};
pub use entry::{Append, Appended, Body, Entry, Expected};
pub use error::{AppendError, Cause, NO_ROOM, ReadError};
pub use jetstream::{Config, JetStream, JetStreamRestoring};
pub use ledger::Ledger;
pub use memory::Memory;
pub use restore::{RestoreError, Restoring};
pub use seq::Seq;
pub use subject::{SUBJECT_BYTES_MAX, Subject, SubjectError};
pub use through::Through;
