//! Which keys JSON of ours may have, and what each of them means. Beside each document that people write there is its shape; whoever
//! takes a document asks here which of its keys nobody knows, and which do nothing.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::suggest::{listed, nearest};

/// What may stand in a place.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A single value, or one whose inside somebody else judges.
    Value,
    /// A map of these keys.
    Map(&'static [Key]),
    /// A list of that.
    List(&'static Shape),
}

/// A key of a map.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    name: &'static str,
    means: Means,
}

#[derive(Clone, Copy, Debug)]
enum Means {
    /// It is looked at.
    Read(Shape),
    /// AWS has it, and nothing here looks at it, for a reason.
    Idle(&'static str),
    /// AWS's tools or ours print it, and nobody sets it.
    Told,
}

impl Key {
    /// A single value that is looked at.
    pub const fn read(name: &'static str) -> Self {
        Self::of(name, Shape::Value)
    }

    /// What is looked at in that shape.
    pub const fn of(name: &'static str, shape: Shape) -> Self {
        Self {
            name,
            means: Means::Read(shape),
        }
    }

    /// What does nothing here, and why.
    pub const fn idle(name: &'static str, why: &'static str) -> Self {
        Self {
            name,
            means: Means::Idle(why),
        }
    }

    /// What is only printed.
    pub const fn told(name: &'static str) -> Self {
        Self {
            name,
            means: Means::Told,
        }
    }

    const fn may_be_set(&self) -> bool {
        !matches!(self.means, Means::Told)
    }

    const fn is_read(&self) -> bool {
        matches!(self.means, Means::Read(_))
    }
}

/// Something that cannot be in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong, beginning with its path where it has one: `deploymentStyle.typ: ...`.
    pub said: String,
    /// What to do about it.
    pub help: Option<String>,
    /// What of the place it is about.
    pub of: Part,
}

/// A key, or what stands under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The key itself.
    Key,
    /// What stands under it.
    Value,
}

impl Mistake {
    /// What is wrong with a value, in a sentence that begins with its path.
    #[must_use]
    pub const fn of_value(said: String) -> Self {
        Self {
            said,
            help: None,
            of: Part::Value,
        }
    }

    /// Whether a type said it of a key that it does not know.
    #[must_use]
    pub fn is_of_unknown_key(&self) -> bool {
        self.of == Part::Value && self.said.contains("unknown field `")
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// What a document may be: its keys, and the rules that need more than one of them.
pub trait Written: DeserializeOwned {
    /// Its keys.
    const SHAPE: Shape;

    /// Every setting that cannot be, each beginning with its path.
    fn wrong(&self) -> Vec<String>;
}

/// The document that is written in JSON.
///
/// # Errors
/// All that is wrong with it, whoever wrote it: keys that nobody knows first.
pub fn read<W: Written>(json: &Value) -> Result<W, Vec<Mistake>> {
    read_with(json, |_| Vec::new())
}

/// The same, with rules of the caller's own beside those of the document.
///
/// # Errors
/// As of [`read`].
pub fn read_with<W: Written>(
    json: &Value,
    more: impl FnOnce(&W) -> Vec<Mistake>,
) -> Result<W, Vec<Mistake>> {
    let mut mistakes = Strays::of(json, &W::SHAPE).unknown;
    match typed::<W>(json) {
        Ok(read) => {
            mistakes.extend(read.wrong().into_iter().map(Mistake::of_value));
            mistakes.extend(more(&read));
            if mistakes.is_empty() {
                return Ok(read);
            }
        }
        // It is among them already, with more to say of it.
        Err(mistake) if !mistakes.is_empty() && mistake.is_of_unknown_key() => {}
        Err(mistake) => mistakes.push(mistake),
    }
    Err(mistakes)
}

/// What is written in JSON, in the words of its type alone.
///
/// # Errors
/// The first value that does not fit, with its path.
pub fn typed<T: DeserializeOwned>(json: &Value) -> Result<T, Mistake> {
    typed_at(json, "")
}

/// The same of a part of a document, which stands at a path of it.
///
/// # Errors
/// The first value that does not fit, with its path.
pub fn typed_at<T: DeserializeOwned>(json: &Value, at: &str) -> Result<T, Mistake> {
    serde_path_to_error::deserialize(json).map_err(|error| {
        let within = error.path().to_string();
        let path = match (at, within.as_str()) {
            (at, ".") => at.to_string(),
            ("", within) => within.to_string(),
            (at, within) if within.starts_with('[') => format!("{at}{within}"),
            (at, within) => format!("{at}.{within}"),
        };
        let why = error.into_inner().to_string();
        let quotes = "put the value in quotes: without them it is no text";
        Mistake {
            help: why
                .ends_with("expected a string")
                .then(|| quotes.to_string()),
            said: match path.as_str() {
                "" => why,
                path => format!("{path}: {why}"),
            },
            of: Part::Value,
        }
    })
}

/// What of a document is not as its shape says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strays {
    /// Keys that nobody knows.
    pub unknown: Vec<Mistake>,
    /// A sentence for each key that does nothing, beginning with its path.
    pub idle: Vec<String>,
}

impl Strays {
    /// Those of a document.
    ///
    /// **Shape.** In the order of the JSON's own maps. What is a map where a list is meant, or the like, has none: types are checked by whoever reads
    /// the document.
    #[must_use]
    pub fn of(json: &Value, shape: &Shape) -> Self {
        Self::below(json, shape, "")
    }

    /// Those of a part of a document, which stands at a path of it.
    #[must_use]
    pub fn below(json: &Value, shape: &Shape, path: &str) -> Self {
        let mut strays = Self::default();
        strays.walk(json, shape, path);
        strays
    }

    fn walk(&mut self, json: &Value, shape: &Shape, at: &str) {
        match (shape, json) {
            (Shape::Map(keys), Value::Object(map)) => {
                for (name, value) in map {
                    self.key(name, value, keys, at);
                }
            }
            (Shape::List(shape), Value::Array(items)) => {
                for (number, item) in items.iter().enumerate() {
                    self.walk(item, shape, &format!("{at}[{number}]"));
                }
            }
            (Shape::Value | Shape::Map(_) | Shape::List(_), _) => {}
        }
    }

    fn key(&mut self, name: &str, value: &Value, keys: &[Key], within: &str) {
        let path = match within {
            "" => name.to_string(),
            within => format!("{within}.{name}"),
        };
        match keys
            .iter()
            .find(|key| key.name == name)
            .map(|key| key.means)
        {
            Some(Means::Read(shape)) => self.walk(value, &shape, &path),
            Some(Means::Idle(why)) => {
                if is_set(value) {
                    self.idle.push(format!("{path} does nothing here: {why}"));
                }
            }
            Some(Means::Told) => {}
            None => self.unknown.push(Mistake {
                said: format!("{path}: there is no such key"),
                help: Some(meant(name, keys)),
                of: Part::Key,
            }),
        }
    }
}

/// What may be written in place of a key that nobody knows.
fn meant(name: &str, keys: &[Key]) -> String {
    let named = |is_wanted: fn(&Key) -> bool| -> Vec<&'static str> {
        let wanted = keys.iter().filter(|key| is_wanted(key));
        wanted.map(|key| key.name).collect()
    };
    match nearest(name, &named(Key::may_be_set)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the keys are {}", listed(&named(Key::is_read))),
    }
}

/// AWS's words for what is not set: its tools print them with every document.
const UNSET: [&str; 5] = ["", "NONE", "NO_CACHE", "PRIVATE", "CODEBUILD"];

/// Whether somebody meant something by it.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !UNSET.contains(&text.as_str()),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => map.values().any(is_set),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// The JSON pointer of what a path leads to, such as `/ec2TagFilters/0` for `ec2TagFilters[0].Key: ...`; of the nearest that is there,
/// when that itself is not.
///
/// **Shape.** What follows the path in the text does not matter. Empty for the document as a whole.
#[must_use]
pub fn pointer(json: &Value, path: &str) -> String {
    let mut pointer = String::new();
    let (mut at, mut rest) = (json, path);
    while let Some((step, value, more)) = step(at, rest) {
        pointer.push('/');
        pointer.push_str(&escaped(&step));
        (at, rest) = (value, more);
    }
    pointer
}

/// A key as it stands in a JSON pointer.
#[must_use]
pub fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The first step of a path: its name, what is there, and what is left of the path.
fn step<'v, 'p>(at: &'v Value, path: &'p str) -> Option<(String, &'v Value, &'p str)> {
    match at {
        Value::Object(map) => {
            let path = path.strip_prefix('.').unwrap_or(path);
            // A key may hold what separates keys, as hosts' names do: the longest one that is there is meant.
            let fits = |key: &&String| {
                let rest = path.strip_prefix(key.as_str());
                rest.is_some_and(|rest| !rest.starts_with(is_word))
            };
            let key = map.keys().filter(fits).max_by_key(|key| key.len())?;
            Some((key.clone(), map.get(key)?, path.get(key.len()..)?))
        }
        Value::Array(items) => {
            let (number, rest) = path.strip_prefix('[')?.split_once(']')?;
            let item = items.get(number.parse::<usize>().ok()?)?;
            Some((number.to_string(), item, rest))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

const fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_')
}

/// That a shape and its type agree: what is written in the documents is all that the shape says is looked at, and the type keeps all of it.
#[cfg(test)]
pub(crate) fn assert_in_step<W: Written + serde::Serialize>(documents: &[Value]) {
    let mut written = std::collections::BTreeSet::new();
    for json in documents {
        let strays = Strays::of(json, &W::SHAPE);
        assert_eq!(strays, Strays::default());
        let read: W = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), *json);
        paths_of(json, &W::SHAPE, "", &mut written);
    }
    let mut known = std::collections::BTreeSet::new();
    known_paths(&W::SHAPE, "", &mut known);
    assert_eq!(written, known);
}

#[cfg(test)]
fn known_paths(shape: &Shape, at: &str, paths: &mut std::collections::BTreeSet<String>) {
    match shape {
        Shape::Value => {}
        Shape::List(item) => known_paths(item, &format!("{at}[]"), paths),
        Shape::Map(keys) => {
            for key in *keys {
                if let Means::Read(shape) = key.means {
                    let path = format!("{at}.{}", key.name);
                    known_paths(&shape, &path, paths);
                    paths.insert(path);
                }
            }
        }
    }
}

#[cfg(test)]
fn paths_of(json: &Value, shape: &Shape, at: &str, paths: &mut std::collections::BTreeSet<String>) {
    match (shape, json) {
        (Shape::List(item), Value::Array(items)) => {
            for json in items {
                paths_of(json, item, &format!("{at}[]"), paths);
            }
        }
        (Shape::Map(keys), Value::Object(map)) => {
            for key in *keys {
                if let (Means::Read(shape), Some(json)) = (key.means, map.get(key.name)) {
                    let path = format!("{at}.{}", key.name);
                    paths_of(json, &shape, &path, paths);
                    paths.insert(path);
                }
            }
        }
        (Shape::Value | Shape::Map(_) | Shape::List(_), _) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TAG: Shape = Shape::Map(&[Key::read("Key"), Key::read("Value")]);
    const SHAPE: Shape = Shape::Map(&[
        Key::read("name"),
        Key::of("tags", Shape::List(&TAG)),
        Key::idle("role", "there are none"),
        Key::told("made"),
    ]);

    #[test]
    fn keys_that_nobody_knows_are_found_where_they_stand() {
        let json = json!({"nam": 1, "tags": [{"Key": "a"}, {"key": "b"}], "made": 5, "name": {"free": 1}, "rule": 1, "x": 1});
        let strays = Strays::of(&json, &SHAPE);
        let said: Vec<String> = strays.unknown.iter().map(Mistake::to_string).collect();
        assert_eq!(
            said,
            [
                "nam: there is no such key; did you mean `name`?",
                "rule: there is no such key; did you mean `role`?",
                "tags[1].key: there is no such key; did you mean `Key`?",
                "x: there is no such key; the keys are `name` and `tags`",
            ]
        );
        assert!(strays.idle.is_empty());
    }

    #[test]
    fn what_does_nothing_is_said_only_where_something_is_meant() {
        for (role, said) in [
            (json!(null), 0),
            (json!(false), 0),
            (json!(""), 0),
            (json!({"type": "NO_CACHE"}), 0),
            (json!([]), 0),
            (json!({"enabled": false}), 0),
            (json!({"enabled": true}), 1),
            (json!("arn"), 1),
            (json!(0), 1),
        ] {
            let strays = Strays::of(&json!({"role": role}), &SHAPE);
            assert_eq!(strays.idle.len(), said, "{strays:?}");
        }
    }

    #[derive(Debug, serde::Deserialize)]
    struct Named {
        name: String,
    }

    impl Written for Named {
        const SHAPE: Shape = SHAPE;

        fn wrong(&self) -> Vec<String> {
            let is_short = self.name.len() < 2;
            is_short
                .then(|| "name: 2 letters".to_string())
                .into_iter()
                .collect()
        }
    }

    #[test]
    fn all_that_is_wrong_with_a_document_is_said_at_once() {
        for (json, said) in [
            (json!({"name": "abc"}), vec![]),
            (
                json!({"name": "a", "nam": 1}),
                vec!["nam: there is", "name: 2 letters"],
            ),
            (
                json!({"name": 1, "role": "x"}),
                vec!["name: invalid type: integer `1`, expected a string; put"],
            ),
            (
                json!({"nam": "a"}),
                vec!["nam: there is", "missing field `name`"],
            ),
        ] {
            let mistakes = read::<Named>(&json).err().unwrap_or_default();
            assert_eq!(mistakes.len(), said.len(), "{mistakes:?}");
            for (mistake, said) in mistakes.iter().zip(said) {
                assert!(mistake.to_string().starts_with(said), "{mistake}");
            }
        }
    }

    #[test]
    fn a_path_leads_as_far_as_there_is_something() {
        let json =
            json!({"a": [{"b": 1}], "servers": {"h": {}, "h.example": {}}, "x/y": 1, "ab": 1});
        for (path, pointed) in [
            ("a[0].b: wrong", "/a/0/b"),
            ("a[0].c: missing", "/a/0"),
            ("a[7].c", "/a"),
            ("a, ab: one of them", "/a"),
            ("ab `x`: no", "/ab"),
            ("servers.h.example `x`: no", "/servers/h.example"),
            ("servers.h `x`: no", "/servers/h"),
            ("x/y: no", "/x~1y"),
            ("none of these", ""),
        ] {
            assert_eq!(pointer(&json, path), pointed, "{path}");
        }
    }
}
