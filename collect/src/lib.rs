//! What a build leaves behind: test and coverage reports read, artifacts chosen and stored.
//!
//! A finished build's tree enters, as a `Root` that nothing given to it can leave; the buildspec's `reports` and
//! `artifacts`, with their variables already expanded, say what of it is wanted. Reports, stored files and sentences for a
//! person leave. What absent means: nothing here runs a command, follows a link out of the root, holds a whole report or
//! artifact in memory, or fails a build because a report is broken.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// Which paths a list of patterns means.
mod glob;
/// Reading test and coverage reports.
mod report;
/// Choosing and storing artifacts.
mod artifact;

pub use artifact::{Destination, Packaging, SelectError, Selection, StoreError, select, store};
pub use glob::{Error as GlobError, NoMatch};
pub use report::{read_one, read_report, summarise_failures, write_json};
