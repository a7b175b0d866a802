//! Which projects a token is for. Parsed where a token is granted and where its record is read; asked for every request.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of a pattern: the longest name AWS gives a project, and so the longest there is.
const PATTERN_BYTES_MAX: usize = 255;

/// Some projects: one by its exact name, or all whose names start alike.
///
/// **Shape.** Letters, digits, `-` and `_`, at most 255 of them; a `*` at the end stands for anything. `*` alone is every
/// project.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProjectPattern(Pattern);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Pattern {
    One(String),
    Starting(String),
}

/// A text that is no pattern of projects. Whoever wrote it can mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` names no projects: {reason}", text.escape_debug())]
pub struct BadPattern {
    text: String,
    reason: &'static str,
}

impl ProjectPattern {
    /// True when that project is meant.
    #[must_use]
    pub fn admits(&self, project: &str) -> bool {
        match &self.0 {
            Pattern::One(name) => name == project,
            Pattern::Starting(start) => project.starts_with(start),
        }
    }

    /// True when every project is meant.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0 == Pattern::Starting(String::new())
    }
}

impl FromStr for ProjectPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let (name, pattern): (&str, fn(String) -> Pattern) = match text.strip_suffix('*') {
            Some(start) => (start, Pattern::Starting),
            None => (text, Pattern::One),
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let reason = if text.is_empty() || text.len() > PATTERN_BYTES_MAX {
            "a pattern has 1 to 255 characters"
        } else if !name.bytes().all(allowed) {
            "only letters, digits, `-`, `_` and one `*` at the end are allowed"
        } else {
            return Ok(Self(pattern(name.into())));
        };
        Err(BadPattern {
            text: text.chars().take(PATTERN_BYTES_MAX).collect(),
            reason,
        })
    }
}

impl fmt::Display for ProjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pattern::One(name) => f.write_str(name),
            Pattern::Starting(start) => write!(f, "{start}*"),
        }
    }
}

impl fmt::Debug for ProjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ProjectPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProjectPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_one_name_or_all_that_start_alike() {
        let rows = [
            ("*", "anything", true),
            ("web", "web", true),
            ("web", "web-2", false),
            ("web", "we", false),
            ("web*", "web", true),
            ("web*", "web-2", true),
            ("web*", "we", false),
            ("web*", "my-web", false),
            ("web*", "WEB", false),
        ];
        for (pattern, project, admits) in rows {
            let parsed: ProjectPattern = pattern.parse().unwrap();
            assert_eq!(parsed.admits(project), admits, "{pattern} {project}");
            assert_eq!(parsed.to_string(), pattern);
            assert_eq!(parsed.is_everything(), pattern == "*");
        }
    }

    #[test]
    fn what_means_nothing_or_more_than_it_seems_is_refused() {
        let long = "x".repeat(256);
        let refused = [
            "", "**", "a*b", "*a", "a**", "a b", "a/b", "a.b", "é", "a\n", "a,b", &long,
        ];
        for text in refused {
            let error = text.parse::<ProjectPattern>().unwrap_err();
            assert!(error.to_string().contains("names no projects"), "{error}");
        }
        assert!(long[1..].parse::<ProjectPattern>().is_ok());
    }
}
