//! Which records to keep.

use std::{error::Error, fmt, str::FromStr};

use chrono::{DateTime, FixedOffset};
use regex::Regex;

use crate::record::{Record, lookup, text};

/// A field and what its value must look like, written `field=pattern` or `field!=pattern`.
#[derive(Clone, Debug)]
pub struct Condition {
    field: String,
    pattern: Regex,
    negated: bool,
}

impl Condition {
    /// Whether the record's field fits. A field that is absent counts as empty text.
    pub fn fits(&self, record: &Record) -> bool {
        let value = lookup(record.fields(), &self.field).map(text).unwrap_or_default();
        self.pattern.is_match(&value) != self.negated
    }
}

/// Why a text is no condition.
#[derive(Debug)]
pub enum ParseConditionError {
    /// There is no `=` in it, or nothing before it.
    NoField(String),
    /// What follows the `=` is no regular expression.
    Pattern(regex::Error),
}

impl fmt::Display for ParseConditionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoField(text) => write!(f, "`{text}` is not of the form FIELD=PATTERN or FIELD!=PATTERN"),
            Self::Pattern(_) => f.write_str("the pattern is no regular expression"),
        }
    }
}

impl Error for ParseConditionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NoField(_) => None,
            Self::Pattern(error) => Some(error),
        }
    }
}

impl FromStr for Condition {
    type Err = ParseConditionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let no_field = || ParseConditionError::NoField(text.to_owned());
        let (field, pattern) = text.split_once('=').ok_or_else(no_field)?;
        let (field, negated) = field.strip_suffix('!').map_or((field, false), |field| (field, true));
        if field.is_empty() {
            return Err(no_field());
        }
        let pattern = Regex::new(pattern).map_err(ParseConditionError::Pattern)?;
        Ok(Self { field: field.to_owned(), pattern, negated })
    }
}

/// All that a record must satisfy.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Every one of them must fit.
    pub conditions: Vec<Condition>,
    /// Earlier records, and those without a time, are dropped.
    pub since: Option<DateTime<FixedOffset>>,
}

impl Query {
    /// Whether the record satisfies the query.
    pub fn keeps(&self, record: &Record) -> bool {
        let recent = self.since.is_none_or(|since| record.time().is_some_and(|time| time >= since));
        recent && self.conditions.iter().all(|condition| condition.fits(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(line: &str) -> Record {
        Record::parse(line.as_bytes()).expect("the test's line is a JSON object")
    }

    fn condition(text: &str) -> Condition {
        text.parse().expect("the test's condition is well formed")
    }

    #[test]
    fn a_condition_searches_the_fields_text() {
        let line = record(r#"{"level":"error","status":503}"#);
        assert!(condition("level=^err").fits(&line));
        assert!(condition("status=^5..$").fits(&line));
        assert!(!condition("level=^warn").fits(&line));
    }

    #[test]
    fn a_negated_condition_keeps_records_without_the_field() {
        let line = record(r#"{"level":"error"}"#);
        assert!(condition("path!=/health").fits(&line));
        assert!(!condition("level!=error").fits(&line));
    }

    #[test]
    fn an_equals_sign_in_the_pattern_is_kept() {
        assert!(condition("query=a=b").fits(&record(r#"{"query":"x?a=b"}"#)));
    }

    #[test]
    fn a_condition_without_a_field_is_refused() {
        for text in ["", "error", "=x", "!=x"] {
            assert!(matches!(text.parse::<Condition>(), Err(ParseConditionError::NoField(_))), "{text:?}");
        }
        assert!(matches!("a=(".parse::<Condition>(), Err(ParseConditionError::Pattern(_))));
    }

    #[test]
    fn since_compares_instants_not_text() {
        let since = DateTime::parse_from_rfc3339("2026-01-01T12:00:00Z").ok();
        let query = Query { since, ..Query::default() };
        assert!(query.keeps(&record(r#"{"time":"2026-01-01T14:30:00+02:00"}"#)));
        assert!(!query.keeps(&record(r#"{"time":"2026-01-01T13:30:00+02:00"}"#)));
        assert!(!query.keeps(&record(r#"{"message":"no time"}"#)));
    }
}
