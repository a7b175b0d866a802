//! The front door. Today: the cache for other tools (Bazel, ccache) over HTTP.
//!
//! In: requests of other people's tools. Out: verified bytes of the cache, or a refusal that says what to do. What holds by
//! absence: no request is answered before its token was looked at (but for `/healthz`); no request names a scope; nothing
//! of an upload is stored before all of it was checked; no task is left when a service ends.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// One pool of blobs, served in the protocols of other tools.
pub mod caching;
