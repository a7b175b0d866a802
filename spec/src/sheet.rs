//! Documents of the farm as people write them, in YAML or JSON: their value, and where each part of it stands. Receives a file's bytes,
//! hands its value to whoever knows what it should be, takes back what is wrong with it, and ends as findings with line and column.

use std::collections::HashMap;

use croft_proto::shape::{Mistake, Part, escaped};
use croft_proto::{Diagnostic, Level};
use serde_json::{Map, Number, Value};

use crate::code::Code;
use crate::findings::Findings;
use crate::lines::Span;
use crate::parse::{examine, usable};
use crate::yaml::{self, Kind, Node, Scalar};

/// Where in the file a text's parts stand.
mod within;

/// Where each part of a value stands, by its JSON pointer.
type Places = HashMap<String, Place>;

#[derive(Clone, Copy, Debug)]
struct Place {
    /// Its key, or the item of a list.
    key: Span,
    /// A single value; a map or list of several lines is shown by its key.
    value: Span,
}

/// One file that could be read.
#[derive(Debug)]
pub struct Sheet<'a> {
    findings: Findings<'a>,
    value: Value,
    places: Places,
}

impl<'a> Sheet<'a> {
    /// The file in these bytes, JSON when it begins with a bracket, else YAML. One that says nothing is `null`.
    ///
    /// # Errors
    /// Everything that keeps it from being read.
    pub fn read(file_name: &'a str, bytes: &'a [u8]) -> Result<Self, Vec<Diagnostic>> {
        let (read, found) = examine(file_name, bytes, read);
        let (Some((value, places)), true) = (read, usable(&found)) else {
            return Err(found);
        };
        // It was examined, so it is text.
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        Ok(Self {
            findings: Findings::new(file_name, text),
            value,
            places,
        })
    }

    /// What it says.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Adds what is wrong with the part at a JSON pointer, or at the nearest around it that is there.
    pub fn wrong(&mut self, pointer: &str, mistake: &Mistake) {
        let mut at = pointer;
        let place = loop {
            match self.places.get(at) {
                Some(place) => break *place,
                None if at.is_empty() => {
                    break Place {
                        key: Span::point(0),
                        value: Span::point(0),
                    };
                }
                None => at = at.rfind('/').map_or("", |end| &at[..end]),
            }
        };
        let (code, span) = match mistake.of {
            Part::Key => (Code::UnknownKey, place.key),
            Part::Value => (Code::BadSetting, place.value),
        };
        let help = mistake.help.as_deref();
        self.findings.add(code, span, mistake.said.as_str(), help);
    }

    /// The same of a text's part: the one at that line and byte of what it says, both from 1. Of all of it, where that cannot be found again in
    /// the file.
    pub fn wrong_within(&mut self, pointer: &str, line: usize, column: usize, mistake: &Mistake) {
        let place = self.places.get(pointer).map(|place| place.value);
        let text = self.value.pointer(pointer).and_then(Value::as_str);
        let found = place.zip(text).and_then(|(place, text)| {
            let at = within::byte(text, line, column)?;
            let found = within::find(self.findings.slice(place), text, at)?;
            Some(Span::new(
                place.start + found.start,
                place.start + found.end,
            ))
        });
        match found {
            Some(span) => {
                let help = mistake.help.as_deref();
                let said = mistake.said.as_str();
                self.findings.add(Code::BadSetting, span, said, help);
            }
            None => self.wrong(pointer, mistake),
        }
    }

    /// Whether anything was added.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        self.findings.count() > 0
    }

    /// All that was added, in the file's order.
    #[must_use]
    pub fn finish(self) -> Vec<Diagnostic> {
        self.findings.finish()
    }
}

fn read(findings: &mut Findings<'_>) -> Option<(Value, Places)> {
    let source = findings.source();
    let text = source.trim_start_matches('\u{feff}');
    if !text.trim_start().starts_with(['{', '[']) {
        let tree = yaml::read(findings);
        return Some(
            tree.root
                .map_or_else(Default::default, |root| of_tree(&root)),
        );
    }
    // Its places are those of the same text as YAML. What only YAML minds is no mistake of JSON.
    let mut beside = Findings::new("", source);
    let tree = yaml::read(&mut beside);
    let beside = beside.finish();
    let as_yaml = tree.root.map(|root| of_tree(&root));
    match serde_json::from_str(text) {
        Ok(value) => {
            let twice = |found: &&Diagnostic| found.code == Code::DuplicateKey.name();
            for found in beside.iter().filter(twice) {
                let span = Span::new(found.start, found.end);
                let help = found.help.as_deref();
                findings.add(Code::DuplicateKey, span, found.message.as_str(), help);
            }
            Some((value, as_yaml.map(|(_, places)| places).unwrap_or_default()))
        }
        // `{a: b}` is YAML.
        Err(_) if !beside.iter().any(|found| found.level == Level::Error) => as_yaml,
        Err(error) => {
            let (line, column) = (number(error.line()), number(error.column()));
            let at = findings.lines.offset(line, column);
            let why = error.to_string();
            let why = in_our_words(why.split(" at line ").next().unwrap_or_default());
            let help = "JSON has its keys and texts in double quotes, and a comma between two entries and after none";
            findings.add(Code::JsonSyntax, Span::new(at, at + 1), why, help);
            None
        }
    }
}

/// What the reader of JSON says, for who does not know how one is made.
fn in_our_words(why: &str) -> &str {
    match why {
        "EOF while parsing an object" => "the file ends within a map: a `}` is missing",
        "EOF while parsing a list" => "the file ends within a list: a `]` is missing",
        "EOF while parsing a string" => "the file ends within a text: a `\"` is missing",
        "EOF while parsing a value" => "the file ends where a value is expected",
        "trailing comma" => "a comma stands before the closing bracket",
        "key must be a string" => "a key stands without double quotes",
        "expected value" => "expected a value",
        "trailing characters" => "something follows the end of the document",
        why => why,
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn of_tree(root: &Node) -> (Value, Places) {
    let mut places = Places::new();
    let value = walk(root, root.span, String::new(), &mut places);
    (value, places)
}

fn walk(node: &Node, key: Span, pointer: String, places: &mut Places) -> Value {
    let value = match &node.kind {
        Kind::Scalar(scalar) => of_scalar(node, scalar),
        Kind::List(items) => {
            let numbered = items.iter().enumerate();
            numbered
                .map(|(at, item)| walk(item, item.span, format!("{pointer}/{at}"), places))
                .collect()
        }
        Kind::Map(entries) => {
            let mut map = Map::new();
            for entry in entries {
                let pointer = format!("{pointer}/{}", escaped(&entry.key));
                let value = walk(&entry.value, entry.key_span, pointer, places);
                map.insert(entry.key.clone(), value);
            }
            Value::Object(map)
        }
    };
    let is_single = matches!(node.kind, Kind::Scalar(_)) && node.span.start < node.span.end;
    let value_span = if is_single { node.span } else { key };
    let place = Place {
        key,
        value: value_span,
    };
    places.insert(pointer, place);
    value
}

/// What a text means when nothing says that it is one: YAML's own words for nothing, yes and no, and numbers as JSON has them.
fn of_scalar(node: &Node, scalar: &Scalar) -> Value {
    let text = scalar.text.as_str();
    if node.is_null() {
        return Value::Null;
    }
    if !scalar.plain {
        return text.into();
    }
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => return true.into(),
        "false" | "no" | "off" => return false.into(),
        _ => {}
    }
    let as_number: Option<Number> = serde_json::from_str(text).ok();
    as_number.map_or_else(|| text.into(), Value::Number)
}
