//! The keys of a map: each a text, none twice, and `<<` taken over from the maps it names.

use std::collections::HashMap;
use std::rc::Rc;

use super::node::{Entry, Kind, Node};
use crate::code::Code;
use crate::findings::Findings;
use crate::lines::Span;

const MERGE: &str = "<<";

/// The entry; a complaint and nothing when the key is not a text.
pub(super) fn entry(key: &Node, value: Rc<Node>, findings: &mut Findings<'_>) -> Option<Entry> {
    match &key.kind {
        Kind::Scalar(scalar) => {
            // A quoted "<<" is an ordinary key; no section has one, so the difference is kept by a mark no key contains.
            let key_text = if scalar.text == MERGE && !scalar.plain {
                "\"<<\"".to_owned()
            } else {
                scalar.text.clone()
            };
            Some(Entry {
                key: key_text,
                key_span: key.span,
                value,
            })
        }
        Kind::List(_) | Kind::Map(_) => {
            let message = format!("a key must be a text, and this is {}", key.kind_name());
            findings.add(
                Code::BadKey,
                key.span,
                message,
                "quote it when it should be text, braces or brackets included",
            );
            None
        }
    }
}

/// The entries with `<<` resolved: a map's own keys win over merged ones, earlier merged maps over later ones.
pub(super) fn resolve(entries: Vec<Entry>, findings: &mut Findings<'_>) -> Vec<Entry> {
    let mut seen: HashMap<String, Span> = HashMap::new();
    let mut own = Vec::new();
    let mut merged = Vec::new();
    for entry in entries {
        if let Some(first) = seen.get(&entry.key) {
            let line = findings.place(first.start).line;
            let message = format!("the key `{}` is already on line {line}", entry.key);
            findings.add(
                Code::DuplicateKey,
                entry.key_span,
                message,
                "keep one of the two, or join their contents",
            );
        } else {
            seen.insert(entry.key.clone(), entry.key_span);
            if entry.key == MERGE {
                merged = sources(&entry.value, findings)
            } else {
                own.push(entry)
            }
        }
    }
    for entry in merged {
        if !seen.contains_key(&entry.key) {
            seen.insert(entry.key.clone(), entry.key_span);
            own.push(entry);
        }
    }
    own
}

fn sources(value: &Rc<Node>, findings: &mut Findings<'_>) -> Vec<Entry> {
    match &value.kind {
        Kind::Map(entries) => entries.clone(),
        Kind::List(maps) => maps
            .iter()
            .flat_map(|map| sources_of_item(map, findings))
            .collect(),
        Kind::Scalar(_) => {
            complain(value, findings);
            Vec::new()
        }
    }
}

fn sources_of_item(item: &Node, findings: &mut Findings<'_>) -> Vec<Entry> {
    if let Kind::Map(entries) = &item.kind {
        return entries.clone();
    }
    complain(item, findings);
    Vec::new()
}

fn complain(value: &Node, findings: &mut Findings<'_>) {
    let message = format!(
        "`<<` takes a map or a list of maps, and this is {}",
        value.kind_name()
    );
    findings.add(
        Code::BadMerge,
        value.span,
        message,
        "write `<<: *name`, where `&name` marks a map",
    );
}
