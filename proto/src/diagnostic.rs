//! What is wrong with an input file, where, and what to do. Made by `spec`, rendered by whoever talks to a person.

use std::fmt;

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

/// `file:line:column`, as editors take it, without what is 0.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_says_only_what_is_known() {
        let place = |line, column| {
            let file = "buildspec.yml".to_string();
            Place { file, line, column }.to_string()
        };
        assert_eq!(place(4, 7), "buildspec.yml:4:7");
        assert_eq!(place(4, 0), "buildspec.yml:4");
        assert_eq!(place(0, 0), "buildspec.yml");
    }
}
