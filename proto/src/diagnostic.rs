//! What is wrong with an input file, where, and what to do. Made by `spec`, rendered by whoever talks to a person.

use serde::{Deserialize, Serialize};

/// A place in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// As the user knows it, such as `buildspec.yml`.
    pub file: String,
    /// From 1; 0 when the place is the file as a whole.
    pub line: u32,
    /// From 1, in characters; 0 when the place is the line or the file.
    pub column: u32,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The file cannot be used.
    Error,
    /// The file can be used; it may not do what was meant.
    Warning,
}

/// One finding.
///
/// **Shape.** `start` and `end` are byte offsets into the file, for the snippet; equal when the place is a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// Stable and short, such as `unknown-key`; the user guide explains each.
    pub code: String,
    /// Error or warning.
    pub level: Level,
    /// What is wrong, one sentence.
    pub message: String,
    /// Where.
    pub place: Place,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// What to do; absent when the message says it all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub help: Option<String>,
}
