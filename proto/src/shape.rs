//! Which keys JSON of ours may have, and what each of them means. Beside each document that people write there is its shape; whoever
//! takes a document asks here which of its keys nobody knows, and which do nothing.

use std::borrow::Cow;
use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::suggest::{listed, nearest};

/// What is found where something else is expected.
mod fit;
/// What a type says of a value, in our words.
mod words;

/// What may stand in a place. `null` stands for what is not there.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Anything: somebody else judges it.
    Value,
    /// A text.
    Text,
    /// True or false.
    Flag,
    /// A whole number, no smaller than the first and no larger than the second.
    Whole(u64, u64),
    /// A number.
    Number,
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of these words for who writes it now; what was recorded earlier may have others, and the type keeps them.
    Choice(&'static [&'static str]),
    /// A map of these keys.
    Map(&'static [Key]),
    /// A map of that, by names.
    Named(&'static Shape),
    /// A list of that.
    List(&'static Shape),
}

/// A key of a map.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    name: &'static str,
    means: Means,
    is_needed: bool,
}

#[derive(Clone, Copy, Debug)]
enum Means {
    /// It is looked at.
    Read(Shape),
    /// AWS has it in that shape, and nothing here looks at it, for a reason.
    Idle(Shape, &'static str),
    /// AWS's tools or ours print it, and nobody sets it.
    Told,
}

impl Key {
    /// What is looked at, whatever it is.
    pub const fn read(name: &'static str) -> Self {
        Self::of(name, Shape::Value)
    }

    /// A text that is looked at.
    pub const fn text(name: &'static str) -> Self {
        Self::of(name, Shape::Text)
    }

    /// What is on or off.
    pub const fn flag(name: &'static str) -> Self {
        Self::of(name, Shape::Flag)
    }

    /// A count, of four bytes.
    pub const fn count(name: &'static str) -> Self {
        Self::of(name, Shape::Whole(0, u32::MAX as u64))
    }

    /// A count, of eight bytes.
    pub const fn long(name: &'static str) -> Self {
        Self::of(name, Shape::Whole(0, u64::MAX))
    }

    /// A number, whole or not.
    pub const fn number(name: &'static str) -> Self {
        Self::of(name, Shape::Number)
    }

    /// One of these words.
    pub const fn word(name: &'static str, words: &'static [&'static str]) -> Self {
        Self::of(name, Shape::Word(words))
    }

    /// One of these words, and of what was recorded earlier any.
    pub const fn choice(name: &'static str, words: &'static [&'static str]) -> Self {
        Self::of(name, Shape::Choice(words))
    }

    /// What is looked at in that shape.
    pub const fn of(name: &'static str, shape: Shape) -> Self {
        Self::meaning(name, Means::Read(shape))
    }

    /// What does nothing here, and why.
    pub const fn idle(name: &'static str, why: &'static str) -> Self {
        Self::idle_of(name, Shape::Value, why)
    }

    /// The same, whose shape is looked at all the same: nobody means what cannot be.
    pub const fn idle_of(name: &'static str, shape: Shape, why: &'static str) -> Self {
        Self::meaning(name, Means::Idle(shape, why))
    }

    /// What is only printed.
    pub const fn told(name: &'static str) -> Self {
        Self::meaning(name, Means::Told)
    }

    /// The same where nothing goes without it.
    #[must_use]
    pub const fn needed(self) -> Self {
        Self {
            is_needed: true,
            ..self
        }
    }

    const fn meaning(name: &'static str, means: Means) -> Self {
        Self {
            name,
            means,
            is_needed: false,
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
    let strays = Strays::of(json, &W::SHAPE);
    // What can be read without what is wrong is judged all the same.
    let rest = match strays.is_clean() {
        true => Some(Cow::Borrowed(json)),
        false => strays.rest(json).map(Cow::Owned),
    };
    let is_news = |mistake: &Mistake| strays.leave_open(json, &mistake.said);
    let mut more_wrong = Vec::new();
    match rest.map(|rest| typed::<W>(&rest)) {
        Some(Ok(read)) => {
            more_wrong.extend(read.wrong().into_iter().map(Mistake::of_value));
            more_wrong.extend(more(&read));
            if strays.is_clean() && more_wrong.is_empty() {
                return Ok(read);
            }
        }
        Some(Err(mistake)) => more_wrong.push(mistake),
        None => {}
    }
    more_wrong.retain(is_news);
    let mut mistakes = strays.into_mistakes();
    mistakes.extend(more_wrong);
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
        let said = words::of_type(&why);
        Mistake {
            help: why
                .ends_with("expected a string")
                .then(|| fit::QUOTES.to_string()),
            said: match path.as_str() {
                "" => said,
                path => format!("{path}: {said}"),
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
    /// Values that are something else than is expected, and what is missing.
    pub unfit: Vec<Mistake>,
    /// Keys that are looked at and stand without a value: the same as if they were not there, and hardly meant.
    pub empty: Vec<Mistake>,
    /// A sentence for each key that does nothing, beginning with its path.
    pub idle: Vec<String>,
    /// What is left out to read the rest.
    asides: fit::Asides,
}

impl Strays {
    /// All that is wrong.
    #[must_use]
    pub fn into_mistakes(self) -> Vec<Mistake> {
        let mut mistakes = self.unknown;
        mistakes.extend(self.unfit);
        mistakes
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unknown.is_empty() && self.unfit.is_empty()
    }

    /// Those of a document.
    ///
    /// **Shape.** In the order of the JSON's own maps.
    #[must_use]
    pub fn of(json: &Value, shape: &Shape) -> Self {
        Self::below(json, shape, "")
    }

    /// Those of a part of a document, which stands at a path of it.
    #[must_use]
    pub fn below(json: &Value, shape: &Shape, path: &str) -> Self {
        let mut strays = Self::default();
        strays.walk(json, shape, &At::top(path));
        strays
    }

    fn walk(&mut self, json: &Value, shape: &Shape, at: &At) {
        match (shape, json) {
            (_, Value::Null) => {}
            (Shape::Map(keys), Value::Object(map)) => {
                for (name, value) in map {
                    self.key(name, value, keys, at);
                }
                self.missing(map, keys, at);
            }
            (Shape::Named(shape), Value::Object(map)) => {
                for (name, value) in map {
                    self.walk(value, shape, &at.key(name, Needed::No));
                }
            }
            (Shape::List(shape), Value::Array(items)) => {
                for (number, item) in items.iter().enumerate() {
                    self.walk(item, shape, &at.item(number));
                }
            }
            (shape, json) => {
                if let Some(mistake) = fit::unfit(json, shape, &at.path) {
                    self.unfit.push(mistake);
                    self.asides.value(at);
                }
            }
        }
    }

    fn key(&mut self, name: &str, value: &Value, keys: &[Key], within: &At) {
        let known = keys.iter().find(|key| key.name == name);
        let needed = match known.is_some_and(|key| key.is_needed) {
            true => Needed::Yes,
            false => Needed::No,
        };
        let at = within.key(name, needed);
        let path = &at.path;
        match known.map(|key| key.means) {
            // What is needed and not there is told as missing.
            Some(Means::Read(shape)) if value.is_null() => {
                if needed == Needed::No {
                    self.empty.push(fit::empty(&shape, &at.path));
                }
            }
            Some(Means::Read(shape)) => self.walk(value, &shape, &at),
            Some(Means::Idle(shape, why)) => {
                if is_set(value) {
                    self.idle.push(format!("{path} does nothing here: {why}"));
                }
                self.walk(value, &shape, &at);
            }
            Some(Means::Told) => {}
            None => {
                self.unknown.push(Mistake {
                    said: format!("{path}: there is no such key"),
                    help: Some(meant(name, keys)),
                    of: Part::Key,
                });
                self.asides.key(&at);
            }
        }
    }

    fn missing(&mut self, map: &Map<String, Value>, keys: &[Key], at: &At) {
        let is_there = |name: &str| map.get(name).is_some_and(|value| !value.is_null());
        let missing = keys
            .iter()
            .filter(|key| key.is_needed && !is_there(key.name));
        for key in missing {
            self.unfit.push(match map.contains_key(key.name) {
                true => fit::valueless(key, &at.path),
                false => fit::missing(key, &at.path),
            });
            self.asides.value(at);
        }
    }
}

/// A place in a document.
#[derive(Clone, Debug, Default)]
struct At {
    /// For people.
    path: String,
    /// Its JSON pointer.
    pointer: String,
    /// The pointer of the nearest key around it that may be left out.
    aside: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needed {
    Yes,
    No,
}

impl At {
    fn top(path: &str) -> Self {
        Self {
            path: path.to_string(),
            ..Self::default()
        }
    }

    fn key(&self, name: &str, needed: Needed) -> Self {
        let pointer = format!("{}/{}", self.pointer, escaped(name));
        Self {
            path: match self.path.as_str() {
                "" => name.to_string(),
                within => format!("{within}.{name}"),
            },
            aside: match needed {
                Needed::Yes => self.aside.clone(),
                Needed::No => Some(pointer.clone()),
            },
            pointer,
        }
    }

    fn item(&self, number: usize) -> Self {
        Self {
            path: format!("{}[{number}]", self.path),
            pointer: format!("{}/{number}", self.pointer),
            aside: self.aside.clone(),
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

/// Shapes beside their types.
#[cfg(test)]
mod agree;

#[cfg(test)]
pub(crate) use agree::assert_in_step;

#[cfg(test)]
mod tests;
