//! The scripts of a lifecycle event: which revision's, as whom, for how long, and what becomes of what they print.

/// Whose scripts.
pub(crate) mod choose;
/// What they find in their environment.
mod environment;
/// Their words.
mod words;
/// Bytes into lines.
mod lines;
/// Lines into the log.
pub(crate) mod log;
/// How long a process may run, and what is done about it. Pure.
mod phase;
/// One process.
mod process;
/// A process with what it has started.
pub(crate) mod tree;
/// Output that outlives its script.
pub(crate) mod leftover;
/// The event.
pub(crate) mod event;

#[cfg(test)]
mod tests;
