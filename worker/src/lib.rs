//! Running a build: from a source and a buildspec to an outcome.
//!
//! A request enters (source, buildspec, variables, where to run); events leave through the output writer, and an outcome at
//! the end. A build that fails is a value, never an error. What absent means: nothing here reads flags or configuration, and
//! nothing here outlives its build: a sweeper removes what a killed process left.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop"))]

/// Where commands run: sandbox or container.
pub mod runtime;
