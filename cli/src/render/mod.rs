//! Renderings: receive a build's events and output from the one writer, show them to a person or a tool.

/// Colours, or none.
mod style;
/// Sizes, times and counts for people.
mod units;
/// Where renderings write.
mod out;
/// What is told when a build is over.
mod summary;
/// The end of a build that did not succeed.
mod failure;
/// For a person at a terminal: the running command's last lines, drawn over themselves.
mod terminal;
/// For pipes and logs: every line with its phase.
mod plain;
/// For tools: one JSON event a line.
mod ndjson;

/// Builds that never ran, for the renderings' tests.
#[cfg(test)]
mod script;

pub use ndjson::Ndjson;
pub use plain::Plain;
pub use style::Style;
pub use terminal::{Size, Terminal};
pub use units::{clock, count, date, date_and_seconds, duration, size};
