//! Running someone's program and showing what it says.
//!
//! What enters: the bytes commands write and the events of a build. What leaves: the same, numbered, masked, recorded and
//! forwarded to one rendering. Nothing that went through [`output::Writer`] holds a secret in a form that
//! [`mask::Masker`] knows.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// Secrets out of a stream.
pub mod mask;
/// The one writer: numbers, masks, records, forwards.
pub mod output;
