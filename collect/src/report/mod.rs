//! Test and coverage reports. Receives a report group of the buildspec and the finished build's tree, hands back one
//! `Report` whatever the files look like: tools write these formats loosely, tests die while writing, and neither is a
//! reason to show a person nothing.

/// The files of a group, read and put together.
mod read;
/// What one file gives.
mod format;
/// JUnit's format and its dialects.
mod junit;
/// Cobertura's format.
mod cobertura;
/// XML as a stream of elements, tolerant of what can be tolerated.
mod xml;
/// A stream in which no token is long.
mod bounded;
/// Characters written as entities or in another encoding.
mod text;
/// Numbers as tools write them.
mod number;
/// Test cases counted, and the most telling ones kept.
mod tally;
/// Coverage counted.
mod coverage;
/// Words for a person.
mod failures;
/// Reports as JSON.
mod json;

pub use failures::summarise_failures;
pub use json::write_json;
pub use read::{read_one, read_report};
