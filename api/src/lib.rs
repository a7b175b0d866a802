//! The front door: the farm over REST, and the cache for other tools (Bazel, ccache) over HTTP.
//!
//! In: requests of people's tools, each with a token. Out: what the farm knows and what it was told to do, verified bytes of the
//! cache, or a refusal that says what to do. What holds by absence: no request is answered before its token was looked at (but
//! for those that ask whether a server is well); no request names a scope; nothing of an upload is stored before all of it was
//! checked; no task is left when a service ends.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// Connections within a limit.
mod accept;
/// Errors in one line.
mod chain;
/// Uploads that are too slow.
mod pace;
/// One pool of blobs, served in the protocols of other tools.
pub mod caching;
/// Health and metrics of roles without an API.
pub mod probe;
/// The farm, for its people and its workers.
pub mod farm;
