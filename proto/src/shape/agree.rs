//! That a shape and its type agree: what is written in the documents is all that the shape says is looked at, the type keeps all of it, and
//! what the one takes the other takes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Key, Means, Shape, Strays, Written};

pub(crate) fn assert_in_step<W: Written + serde::Serialize>(documents: &[Value]) {
    let mut written = BTreeSet::new();
    for json in documents {
        let strays = Strays::of(json, &W::SHAPE);
        assert_eq!(strays, Strays::default());
        let read: W = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), *json);
        paths_of(json, &W::SHAPE, "", &mut written);
        let mut others = Vec::new();
        otherwise(json, &W::SHAPE, "", &mut others);
        others
            .iter()
            .for_each(|other| other.assert_agreed::<W>(json));
        without_what_is_needed::<W>(json, &W::SHAPE, "");
    }
    let mut known = BTreeSet::new();
    known_paths(&W::SHAPE, "", &mut known);
    assert_eq!(written, known);
}

/// A value in place of one of a document, and whether it is as the shape says.
struct Other {
    pointer: String,
    value: Value,
    fits: bool,
    /// Words that the type has to name when it refuses the value, and no others.
    words: &'static [&'static str],
}

impl Other {
    fn assert_agreed<W: Written>(&self, json: &Value) {
        let Self {
            pointer,
            value,
            fits,
            words,
        } = self;
        let mut other = json.clone();
        *other.pointer_mut(pointer).unwrap() = value.clone();
        let said = serde_json::from_value::<W>(other).err();
        let said = said.map(|error| error.to_string()).unwrap_or_default();
        // With another word, other keys may be needed beside it.
        let is_of_the_value = !said.is_empty() && !said.contains(" field `");
        assert_eq!(!is_of_the_value, *fits, "{pointer}: {value}: {said}");
        if !words.is_empty() {
            let known = said.split_once("expected").unwrap_or_default().1;
            let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
            assert_eq!(known, *words, "{pointer}");
        }
    }
}

fn otherwise(json: &Value, shape: &Shape, pointer: &str, others: &mut Vec<Other>) {
    let mut put = |value: Value, fits: bool| {
        let pointer = pointer.to_string();
        others.push(Other {
            pointer,
            value,
            fits,
            words: &[],
        });
    };
    match (shape, json) {
        (Shape::Value, _) => {}
        (Shape::Text | Shape::Choice(_), _) => put(json!(7), false),
        (Shape::Flag, _) => {
            put(json!("true"), false);
            put(json!(false), true);
        }
        (Shape::Number, _) => {
            put(json!("7"), false);
            put(json!(0.5), true);
        }
        (Shape::Whole(least, most), _) => {
            put(json!(0.5), false);
            put(json!(least), true);
            put(json!(most), true);
            let beyond = [least.checked_sub(1), most.checked_add(1)];
            beyond
                .into_iter()
                .flatten()
                .for_each(|number| put(json!(number), false));
        }
        (Shape::Word(words), _) => {
            words.iter().for_each(|word| put(json!(word), true));
            others.push(Other {
                pointer: pointer.to_string(),
                value: json!("no such word"),
                fits: false,
                words,
            });
        }
        (Shape::Map(keys), Value::Object(map)) => {
            for Key { name, means, .. } in *keys {
                if let (Means::Read(shape), Some(json)) = (means, map.get(*name)) {
                    otherwise(json, shape, &format!("{pointer}/{name}"), others);
                }
            }
        }
        (Shape::Named(shape), Value::Object(map)) => {
            for (name, json) in map {
                otherwise(json, shape, &format!("{pointer}/{name}"), others);
            }
        }
        (Shape::List(shape), Value::Array(items)) => {
            for (number, json) in items.iter().enumerate() {
                otherwise(json, shape, &format!("{pointer}/{number}"), others);
            }
        }
        (Shape::Map(_) | Shape::Named(_) | Shape::List(_), _) => panic!("{pointer}: {json}"),
    }
}

/// What a shape says is needed, its type needs.
fn without_what_is_needed<W: Written>(whole: &Value, shape: &Shape, pointer: &str) {
    let json = whole.pointer(pointer).unwrap();
    match (shape, json) {
        (Shape::Map(keys), Value::Object(map)) => {
            for key in keys.iter().filter(|key| map.contains_key(key.name)) {
                if let Means::Read(shape) = key.means {
                    without_what_is_needed::<W>(whole, &shape, &format!("{pointer}/{}", key.name));
                }
                if key.is_needed {
                    let mut without = whole.clone();
                    let map = without.pointer_mut(pointer).unwrap();
                    map.as_object_mut().unwrap().remove(key.name);
                    assert!(
                        serde_json::from_value::<W>(without).is_err(),
                        "{pointer}: {} is not needed",
                        key.name
                    );
                }
            }
        }
        (Shape::List(shape), Value::Array(items)) => {
            for number in 0..items.len() {
                without_what_is_needed::<W>(whole, shape, &format!("{pointer}/{number}"));
            }
        }
        _ => {}
    }
}

fn known_paths(shape: &Shape, at: &str, paths: &mut BTreeSet<String>) {
    match shape {
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
        Shape::Value
        | Shape::Text
        | Shape::Flag
        | Shape::Whole(..)
        | Shape::Number
        | Shape::Word(_)
        | Shape::Choice(_)
        | Shape::Named(_) => {}
    }
}

fn paths_of(json: &Value, shape: &Shape, at: &str, paths: &mut BTreeSet<String>) {
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
        _ => {}
    }
}
