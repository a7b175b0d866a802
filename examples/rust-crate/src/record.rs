//! One line of a log, and counts over many.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset};
use serde::Serialize;
use serde_json::{Map, Value};

/// The fields that may hold a record's time, the first one present wins.
const TIME_FIELDS: [&str; 4] = ["time", "timestamp", "ts", "@timestamp"];

/// One line of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    fields: Map<String, Value>,
}

impl Record {
    /// The record a line holds; `None` when the line is no JSON object.
    pub fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok().map(|fields| Self { fields })
    }

    /// The record's fields.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// When it was written, if it says so in RFC 3339.
    pub fn time(&self) -> Option<DateTime<FixedOffset>> {
        let value = TIME_FIELDS.iter().find_map(|name| self.fields.get(*name))?;
        DateTime::parse_from_rfc3339(value.as_str()?).ok()
    }

    /// The named fields' texts separated by tabs; an absent field is empty.
    pub fn columns(&self, names: &[String]) -> String {
        let texts: Vec<String> =
            names.iter().map(|name| lookup(&self.fields, name).map(text).unwrap_or_default()).collect();
        texts.join("\t")
    }
}

/// The value at a dotted path such as `request.headers.host`. A field whose own name has the dots in it wins.
pub fn lookup<'a>(fields: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = fields.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    lookup(fields.get(first)?.as_object()?, rest)
}

/// A value as a person would write it: text without quotes, `null` as nothing, the rest as JSON.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// How many lines were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Lines that were not empty.
    pub read: u64,
    /// Records the query kept.
    pub kept: u64,
    /// Lines that are no JSON object.
    pub broken: u64,
}

/// How often each value of one field occurred.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Tally {
    by_value: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts the record under its field's value; an absent field counts as empty text.
    pub fn add(&mut self, record: &Record, field: &str) {
        let value = lookup(record.fields(), field).map(text).unwrap_or_default();
        *self.by_value.entry(value).or_default() += 1;
    }

    /// Values and counts, the most frequent first, equal counts by value.
    pub fn ranked(&self) -> Vec<(&str, u64)> {
        let mut rows: Vec<(&str, u64)> = self.by_value.iter().map(|(value, count)| (value.as_str(), *count)).collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        rows
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(line: &str) -> Record {
        Record::parse(line.as_bytes()).expect("the test's line is a JSON object")
    }

    #[test]
    fn a_dotted_path_reaches_into_objects() {
        let line = record(r#"{"request":{"headers":{"host":"example.test"}},"a.b":1}"#);
        assert_eq!(line.columns(&["request.headers.host".into(), "a.b".into()]), "example.test\t1");
    }

    #[test]
    fn absent_and_null_fields_are_empty_columns() {
        let line = record(r#"{"a":null,"c":true}"#);
        assert_eq!(line.columns(&["a".into(), "b".into(), "c".into()]), "\t\ttrue");
    }

    #[test]
    fn only_objects_are_records() {
        for line in ["", "1", "[]", "\"text\"", "{", "{} {}"] {
            assert_eq!(Record::parse(line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn values_are_ranked_by_frequency_then_name() {
        let mut tally = Tally::default();
        for line in [r#"{"l":"b"}"#, r#"{"l":"c"}"#, r#"{"l":"a"}"#, r#"{"l":"c"}"#] {
            tally.add(&record(line), "l");
        }
        assert_eq!(tally.ranked(), [("c", 2), ("a", 1), ("b", 1)]);
    }

    proptest! {
        #[test]
        fn no_line_of_bytes_panics(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(record) = Record::parse(&line) {
                record.columns(&["a.b.c".to_owned()]);
            }
        }

        #[test]
        fn text_values_come_back_as_they_were(value in ".*") {
            let line = serde_json::json!({ "field": value }).to_string();
            prop_assert_eq!(record(&line).columns(&["field".to_owned()]), value);
        }
    }
}
