//! Values that are something else than their shape says: what is expected and what is found, for people. Asked by the walk over a document;
//! handed back with what has to be left out so that the rest can still be read.

use serde_json::Value;

use super::{At, Key, Means, Mistake, Part, Shape, Strays, is_word, pointer};
use crate::suggest::{listed, nearest};

/// What to do about a text that YAML takes for something else.
pub(super) const QUOTES: &str = "put the value in quotes: without them it is no text";
/// Letters of a text that is shown as found.
const SHOWN_CHARS_MAX: usize = 40;

/// What is left out of a document, so that what is left can be read: JSON pointers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asides {
    /// Of keys that nobody knows.
    unknown: Vec<String>,
    /// Of what holds a value that does not fit.
    unfit: Vec<String>,
    /// Whether one cannot be left out.
    is_stuck: bool,
}

impl Asides {
    pub(super) fn key(&mut self, at: &At) {
        self.unknown.push(at.pointer.clone());
    }

    pub(super) fn value(&mut self, at: &At) {
        match &at.aside {
            Some(aside) => self.unfit.push(aside.clone()),
            None => self.is_stuck = true,
        }
    }
}

impl Strays {
    /// The document without what is wrong; none when it is nothing without that.
    pub(super) fn rest(&self, json: &Value) -> Option<Value> {
        let Asides {
            unknown,
            unfit,
            is_stuck,
        } = &self.asides;
        if *is_stuck {
            return None;
        }
        let mut rest = json.clone();
        for pointer in unknown.iter().chain(unfit) {
            let (within, name) = pointer.rsplit_once('/')?;
            // What was within something that is gone is gone as well.
            if let Some(Value::Object(map)) = rest.pointer_mut(within) {
                map.remove(&name.replace("~1", "/").replace("~0", "~"));
            }
        }
        Some(rest)
    }

    /// Whether what is said of the rest may still be so, with what was left out of it: it is neither about that nor names it.
    pub(super) fn leave_open(&self, json: &Value, said: &str) -> bool {
        let at = pointer(json, said);
        let is_apart = |aside: &String| {
            let is_around = aside.starts_with(&format!("{at}/"));
            let is_within = at == *aside || at.starts_with(&format!("{aside}/"));
            let name = aside.rsplit('/').next().unwrap_or_default();
            let is_named = said
                .split(|letter| !is_word(letter))
                .any(|word| word == name);
            !is_around && !is_within && !is_named
        };
        self.asides.unfit.iter().all(is_apart)
    }
}

/// What is wrong with a value that is not of that shape; none when it is.
pub(super) fn unfit(json: &Value, shape: &Shape, path: &str) -> Option<Mistake> {
    let fits = match (shape, json) {
        (Shape::Value, _)
        | (_, Value::Null)
        | (Shape::Text, Value::String(_))
        | (Shape::Flag, Value::Bool(_))
        | (Shape::Number, Value::Number(_))
        | (Shape::Map(_) | Shape::Named(_), Value::Object(_))
        | (Shape::List(_), Value::Array(_)) => true,
        (Shape::Whole(least, most), Value::Number(number)) => {
            let whole = number.as_u64();
            whole.is_some_and(|whole| (*least..=*most).contains(&whole))
        }
        (Shape::Word(words) | Shape::Choice(words), Value::String(word)) => {
            words.contains(&word.as_str())
        }
        _ => false,
    };
    (!fits).then(|| Mistake {
        said: format!(
            "{}expected {}, found {}",
            before(path),
            expected(shape),
            found(json)
        ),
        help: help(json, shape),
        of: Part::Value,
    })
}

/// What is wrong with a map that lacks a key.
pub(super) fn missing(key: &Key, path: &str) -> Mistake {
    let expected = match key.means {
        Means::Read(shape) => expected(&shape),
        Means::Idle(..) | Means::Told => "a value".into(),
    };
    Mistake::of_value(format!(
        "{}`{}` is missing, {expected}",
        before(path),
        key.name
    ))
}

/// The same of a key that stands there with nothing after it.
pub(super) fn valueless(key: &Key, path: &str) -> Mistake {
    let path = match path {
        "" => key.name.to_string(),
        within => format!("{within}.{}", key.name),
    };
    match key.means {
        Means::Read(shape) => Mistake {
            help: Some("write one".into()),
            ..empty(&shape, &path)
        },
        Means::Idle(..) | Means::Told => empty(&Shape::Value, &path),
    }
}

/// What may be meant by a key without a value.
pub(super) fn empty(shape: &Shape, path: &str) -> Mistake {
    Mistake {
        said: format!("{path}: expected {}, found nothing", expected(shape)),
        help: Some("write one, or leave the key out".into()),
        of: Part::Value,
    }
}

fn before(path: &str) -> String {
    match path {
        "" => String::new(),
        path => format!("{path}: "),
    }
}

fn expected(shape: &Shape) -> String {
    match shape {
        Shape::Value => "a value".into(),
        Shape::Text => "a text".into(),
        Shape::Flag => "true or false".into(),
        Shape::Whole(0, most) if *most >= u64::from(u32::MAX) => "a whole number".into(),
        Shape::Whole(least, most) => format!("a whole number from {least} to {most}"),
        Shape::Number => "a number".into(),
        Shape::Word([word]) | Shape::Choice([word]) => format!("`{word}`"),
        Shape::Word(words) | Shape::Choice(words) => format!("one of {}", listed(words)),
        Shape::Map(_) | Shape::Named(_) => "a map".into(),
        Shape::List(_) => "a list".into(),
    }
}

fn found(json: &Value) -> String {
    match json {
        Value::Null => "nothing".into(),
        Value::Bool(flag) => format!("{flag}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => {
            let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
            let more = if shown.len() < text.len() { "..." } else { "" };
            format!("the text `{shown}{more}`")
        }
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
    }
}

fn help(json: &Value, shape: &Shape) -> Option<String> {
    match (shape, json) {
        (Shape::Text, Value::Number(_) | Value::Bool(_)) => Some(QUOTES.into()),
        (Shape::Word(words) | Shape::Choice(words), Value::String(word)) => {
            nearest(word, words).map(|meant| format!("did you mean `{meant}`?"))
        }
        (Shape::Flag, Value::String(text)) if matches!(text.as_str(), "true" | "false") => {
            Some("write it without quotes".into())
        }
        (Shape::Whole(..) | Shape::Number, Value::String(text)) if text.parse::<f64>().is_ok() => {
            Some("write it without quotes".into())
        }
        (Shape::Whole(0, _), Value::Number(number))
            if number.as_f64().is_some_and(|it| it < 0.0) =>
        {
            Some("it cannot be less than 0".into())
        }
        (Shape::List(_), Value::Object(_) | Value::String(_)) => {
            Some("begin it with a hyphen, or put it in brackets".into())
        }
        _ => None,
    }
}
