//! The static runner: the one program of Croft's that stands inside a sandbox or container.
//!
//! It is the first process there. It takes commands from the worker over a socket, runs each with the user, directory and
//! environment given, tells how it ended and what state it left, reaps orphans, and leaves when the worker is gone, which
//! ends everything it started. It carries the in-build helpers (`codebuild-hash-files` and friends) under their own names.
//!
//! Requests enter by the socket, commands' output leaves by a pipe that this program never reads, replies leave by the
//! socket. Nothing here decides: phases, failures and limits are the worker's. It links statically, so that it runs in any
//! image, and it holds one thread.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// What worker and runner say to each other.
pub mod protocol;
/// How it travels: frames on a stream.
pub mod frame;
/// Making a sandbox out of mounts and namespaces.
pub mod sandbox;
/// The loop: requests in, commands run, replies out.
pub mod serve;
/// One command: script, launcher, state.
mod command;
/// From a user's name to numbers.
mod user;
/// An ordinary user's build has users of its own.
mod mapping;
/// The last step before a user's shell: drop what it must not have.
pub mod launch;
/// The first step after a user's command: write down variables and directory.
pub mod save;
/// A copy-on-write view of a directory, for a container to be given.
pub mod overlay;
/// Layers mounted over directories of a place that stands already.
pub mod layer;
/// The programs a build can call.
pub mod helpers;
