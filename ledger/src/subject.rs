//! Subjects. Made by whoever owns an id or a name; keys of the log, and parts of a broker's subjects as they are.

use std::fmt;
use std::str::FromStr;

use croft_nats::{escape, is_plain};
use serde::{Deserialize, Serialize};

/// Longest subject in bytes. A name of 255 bytes (a file's, an application's) with every byte escaped fits beside its kind;
/// far more than that and a broker's own limit on protocol lines (4 KiB) comes near.
pub const SUBJECT_BYTES_MAX: usize = 1024;

/// What an event is about: `build.<id>`, `group.<application>.<name>`.
///
/// **Shape.** Tokens joined by dots, none of them empty. A token holds `[A-Za-z0-9_-]`, and `=XX` (upper-case hexadecimal
/// digits) for any other byte of a name: so different names are different subjects, and none has a meaning to a broker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject(String);

/// Why a text is no subject, or a name cannot become one. Whoever made it can fix that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubjectError {
    /// A token, or the whole, is empty.
    #[error("the subject `{subject}` has an empty part")]
    Empty {
        /// As given.
        subject: String,
    },
    /// A byte that has to be written as `=XX`, or an escape that is none, or of a byte that needs none.
    #[error("the subject `{subject}` is not written as subjects are, at byte {at}")]
    Form {
        /// As given.
        subject: String,
        /// Counted from 0.
        at: usize,
    },
    /// Longer than [`SUBJECT_BYTES_MAX`].
    #[error("a subject of {size_bytes} bytes is longer than {SUBJECT_BYTES_MAX}")]
    TooLong {
        /// How long it is.
        size_bytes: usize,
    },
}

impl Subject {
    /// The subject of something with a name: `Subject::of("project", "my app")` is `project.my=20app`.
    ///
    /// # Errors
    ///
    /// The name or the kind is empty, or the two are too long.
    pub fn of(kind: &str, name: &str) -> Result<Self, SubjectError> {
        Self::from_parts(&[kind, name])
    }

    /// The subject of something whose name has several parts: `group`, application, name.
    ///
    /// # Errors
    ///
    /// A part is empty, there is none, or together they are too long.
    pub fn from_parts(parts: &[&str]) -> Result<Self, SubjectError> {
        let mut subject = String::new();
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                subject.push('.');
            }
            subject.push_str(&escape(part));
        }
        subject.parse()
    }

    /// This subject with one more part behind it: `deployment.<id>` and `host` and so on.
    ///
    /// # Errors
    ///
    /// The part is empty, or the whole too long.
    pub fn child(&self, part: &str) -> Result<Self, SubjectError> {
        let mut subject = format!("{self}.");
        subject.push_str(&escape(part));
        subject.parse()
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first token.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// Its parts with their escapes undone. A part that is not UTF-8 has replacement characters.
    pub fn parts(&self) -> impl Iterator<Item = String> + '_ {
        self.0.split('.').map(unescape)
    }

    /// Whether it is `prefix` or has further tokens behind it.
    #[must_use]
    pub fn is_within(&self, prefix: &Self) -> bool {
        self.0
            .strip_prefix(prefix.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

fn unescape(token: &str) -> String {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'=', [high, low, after @ ..]) => {
                bytes.push(digit(*high) << 4 | digit(*low));
                after
            }
            _ => {
                bytes.push(byte);
                after
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Of a digit that was checked when the subject was parsed.
fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte.saturating_sub(b'A') + 10,
    }
}

/// How many bytes of a token one sign takes: 1, 3 when it is an escape, none when it is wrong.
fn sign(rest: &[u8]) -> Option<usize> {
    let upper = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'F');
    match rest {
        [byte, ..] if is_plain(*byte) => Some(1),
        // An escape of a plain byte would be a second way to write the same name.
        [b'=', high, low, ..]
            if upper(high) && upper(low) && !is_plain(digit(*high) << 4 | digit(*low)) =>
        {
            Some(3)
        }
        _ => None,
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        if text.len() > SUBJECT_BYTES_MAX {
            let size_bytes = text.len();
            return Err(SubjectError::TooLong { size_bytes });
        }
        if text.split('.').any(str::is_empty) {
            let subject = text.to_owned();
            return Err(SubjectError::Empty { subject });
        }
        let (bytes, mut at) = (text.as_bytes(), 0);
        while at < bytes.len() {
            at += match (bytes[at], sign(&bytes[at..])) {
                (b'.', _) => 1,
                (_, Some(length)) => length,
                (_, None) => {
                    let subject = text.to_owned();
                    return Err(SubjectError::Form { subject, at });
                }
            };
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Subject {
    type Error = SubjectError;

    fn try_from(text: String) -> Result<Self, SubjectError> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_subject_and_comes_back() {
        for (name, written) in [
            ("app", "project.app"),
            ("my app", "project.my=20app"),
            ("a.b", "project.a=2Eb"),
            ("a*>b", "project.a=2A=3Eb"),
            ("a=20b", "project.a=3D20b"),
            ("bäcker", "project.b=C3=A4cker"),
            ("\n", "project.=0A"),
        ] {
            let subject = Subject::of("project", name).unwrap();
            assert_eq!(subject.as_str(), written);
            assert_eq!(subject.parts().nth(1).unwrap(), name);
            assert_eq!(written.parse::<Subject>().unwrap(), subject);
            assert_eq!(subject.kind(), "project");
        }
    }

    #[test]
    fn what_is_not_written_as_subjects_are_is_refused() {
        for text in ["", ".", "a.", ".a", "a..b"] {
            let error = text.parse::<Subject>().unwrap_err();
            assert!(matches!(error, SubjectError::Empty { .. }), "{text}");
        }
        for (text, wrong) in [
            ("a b", 1),
            ("a.*", 2),
            ("a.>", 2),
            ("a=2", 1),
            ("a=2e", 1),
            ("a=41", 1),
            ("ä", 0),
        ] {
            let error = text.parse::<Subject>().unwrap_err();
            assert!(
                matches!(error, SubjectError::Form { at, .. } if at == wrong),
                "{text}: {error}"
            );
        }
        let fits = "a".repeat(SUBJECT_BYTES_MAX);
        assert!(fits.parse::<Subject>().is_ok());
        let error = format!("{fits}a").parse::<Subject>().unwrap_err();
        assert!(matches!(error, SubjectError::TooLong { .. }));
        assert!(Subject::of("project", "").is_err());
    }

    #[test]
    fn a_prefix_ends_where_a_token_ends() {
        let subject = |text: &str| text.parse::<Subject>().unwrap();
        let host = subject("deployment.1").child("host").unwrap();
        assert!(host.is_within(&subject("deployment.1")));
        assert!(host.is_within(&host));
        assert!(!subject("deployment.12").is_within(&subject("deployment.1")));
        assert!(!subject("deployment").is_within(&host));
    }
}
