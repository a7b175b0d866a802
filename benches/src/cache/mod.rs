//! The cache against tar with zstd, restic, borg and casync: `croft-benches cache [ROW...]`.
//!
//! Received from `main`: the arguments. Left behind: a table, on request the same as JSON, and an exit code that is 0 when
//! everything was reached. In the order of a run:

/// What can be asked for.
mod options;
/// The outer process: gives the run a namespace of its own, and removes what is left of it.
mod outside;
/// The inner process: prepares, runs the rows, reports.
mod inside;
/// Folders, tmpfs and overlays.
mod place;
/// Files to save, from what is at hand.
mod corpus;
/// Files to save, made up.
mod invented;
/// One percent of them, changed.
mod change;
/// Everything below a folder.
mod files;
/// Commands with a limit.
mod limited;
/// Croft and its peers, as command lines.
mod tool;
/// Tools that take turns.
mod contest;
/// An S3 server of the benchmark's own.
mod server;
/// The rows of the table.
mod rows;
/// The table.
mod report;
/// Croft's side, in a process of its own.
mod child;
/// Every call of the library that is measured.
mod ours;

pub(crate) use child::run_ours;
pub(crate) use invented::Numbers;
pub(crate) use outside::run;
