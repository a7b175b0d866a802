//! The names of scopes, and patterns of them. Parsed where a file, a flag or a token names one; handed to whoever decides
//! who may read, write or sign what.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of a name. Longer ones are not what a person types, and every record carries one.
const NAME_BYTES_MAX: usize = 128;

/// The scope everybody may read.
const TRUSTED: &str = "trusted";

/// A scope: the group of builds that share what they write.
///
/// **Shape.** 1 to 128 bytes of `[A-Za-z0-9._/-]`; the parts between slashes are not empty, `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeName(String);

/// Which scopes a rule is about: one by its exact name, `prefix/*` for all below a prefix, or `*` for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopePattern(Pattern);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Every,
    Below(ScopeName),
    One(ScopeName),
}

/// A text that names no scope. Whoever wrote it can mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` names no scope: {reason}", text.escape_debug())]
pub struct ScopeError {
    text: String,
    reason: &'static str,
}

impl ScopeName {
    /// The scope of what the owner of the farm builds and vouches for; every other scope may read it.
    #[must_use]
    pub fn trusted() -> Self {
        Self(TRUSTED.into())
    }

    /// True for the scope everybody may read.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.0 == TRUSTED
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ScopePattern {
    /// The pattern that means this scope and no other.
    #[must_use]
    pub fn exactly(scope: ScopeName) -> Self {
        Self(Pattern::One(scope))
    }

    /// Every scope there is or will be.
    #[must_use]
    pub fn everything() -> Self {
        Self(Pattern::Every)
    }

    /// True when the scope is meant. `fork/*` means `fork/12` and `fork/12/retry`, neither `fork` nor `forked`.
    #[must_use]
    pub fn admits(&self, scope: &ScopeName) -> bool {
        match &self.0 {
            Pattern::Every => true,
            Pattern::Below(prefix) => scope
                .0
                .strip_prefix(&prefix.0)
                .is_some_and(|rest| rest.starts_with('/')),
            Pattern::One(name) => name == scope,
        }
    }
}

impl FromStr for ScopeName {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        match fault(text) {
            None => Ok(Self(text.into())),
            Some(reason) => Err(ScopeError {
                text: text.chars().take(NAME_BYTES_MAX).collect(),
                reason,
            }),
        }
    }
}

fn fault(text: &str) -> Option<&'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
    if text.is_empty() || text.len() > NAME_BYTES_MAX {
        return Some("a name has 1 to 128 characters");
    }
    if !text.bytes().all(allowed) {
        return Some("only letters, digits, `.`, `_`, `-` and `/` are allowed");
    }
    if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Some("a part between slashes is empty, `.` or `..`");
    }
    None
}

impl FromStr for ScopePattern {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text == "*" {
            return Ok(Self(Pattern::Every));
        }
        let pattern = match text.strip_suffix("/*") {
            Some(prefix) => Pattern::Below(prefix.parse()?),
            None => Pattern::One(text.parse()?),
        };
        Ok(Self(pattern))
    }
}

impl fmt::Display for ScopePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pattern::Every => f.write_str("*"),
            Pattern::Below(prefix) => write!(f, "{prefix}/*"),
            Pattern::One(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ScopeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ScopeName {
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
    fn names_that_climb_hide_or_confuse_are_refused() {
        let long = "x".repeat(129);
        let refused = [
            "", "/", "/a", "a/", "a//b", "..", "a/../b", "a/.", "a b", "a\n", "a\0", "é", "*",
            "a/*", "a:b", "a%2fb", "a\\b", &long,
        ];
        for text in refused {
            assert!(text.parse::<ScopeName>().is_err(), "{text:?}");
        }
        for text in [
            "a",
            "trusted",
            "fork/12",
            "a.b_c-D/9",
            "...",
            "a..b",
            &long[1..],
        ] {
            assert_eq!(text.parse::<ScopeName>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_pattern_means_what_is_below_it_and_nothing_beside() {
        let rows = [
            ("*", "a/b", true),
            ("a", "a", true),
            ("a", "a/b", false),
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", true),
            ("a/*", "a", false),
            ("a/*", "ab", false),
            ("a/*", "ab/c", false),
            ("a/b/*", "a/c", false),
        ];
        for (pattern, scope, admits) in rows {
            let parsed: ScopePattern = pattern.parse().unwrap();
            assert_eq!(
                parsed.admits(&scope.parse().unwrap()),
                admits,
                "{pattern} {scope}"
            );
            assert_eq!(parsed.to_string(), pattern);
        }
        for pattern in ["", "/*", "**", "a*", "*/a", "a/*/b", "../*", "a/**"] {
            assert!(pattern.parse::<ScopePattern>().is_err(), "{pattern:?}");
        }
    }
}
