//! Deploying and taking back: which host is next, how much traffic moves, and when a revision goes back.
//!
//! Plans, what is heard of hosts and what is measured enter; commands, weights and verdicts leave. What absent means: nothing here
//! reads a clock, a file or a socket.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// Whether a release is a good one: detectors over what is measured, and one decision.
pub mod verdict;
/// Alarms, our own and from outside.
pub mod alarm;
/// Simulated releases, for tests and benchmarks.
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
