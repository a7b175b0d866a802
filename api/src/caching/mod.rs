//! `croft cache serve`: one pool of blobs for other tools, each in its own protocol.
//!
//! A request's way, in file order: `Service` accepts a connection; the engine asks the `Gate` who it is, a `Front`
//! what it means, and then fetches from the hot set or the `Pool`, or uploads into the pool. A further protocol is one
//! more `Front`, and nothing else.

/// What is served: named blobs, wherever they are.
mod pool;
/// The pool that is a cache's store.
mod store;
/// The pool in memory.
mod memory;
/// Who may come in, and which entries are theirs.
mod gate;
/// How much of everything.
mod limits;
/// What a request means, protocol by protocol.
mod front;
/// What was asked for, in figures.
mod counts;
/// Verified bytes kept in memory.
mod hot;
/// Answers as they go out.
mod reply;
/// From a request to an answer.
mod engine;
/// What an action's result names.
mod result;
/// Answering with an entry.
mod fetch;
/// Taking an entry in.
mod upload;
/// Whether a client still moves.
mod pulse;
/// Connections: accepted, watched, drained.
mod service;

#[cfg(test)]
mod tests;

pub use counts::{FrontSummary, Summary};
pub use front::{Bazel, Ccache, Entry, Front, Kind, Mount, Odd, Op};
pub use gate::{Gate, Grant, NotLoopback, OpenGate, Refused, TokenGate};
pub use limits::Limits;
pub use memory::MemoryPool;
pub use pool::{Found, Name, PIECE_BYTES_MAX, Pieces, Pool, Trouble};
pub use service::{Options, Service};
pub use store::StorePool;
