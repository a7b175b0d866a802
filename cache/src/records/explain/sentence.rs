//! Answers as sentences for people. Keys, names and paths come from somebody's repository, so whatever a terminal could take
//! for a command is written as an escape.

use std::fmt;

use croft_proto::Timestamp;

use super::{Answer, Change, ChangeKind, Explanation, RemovalReason};
use crate::InputKind;

/// Names in one sentence; of the others it says how many they are.
const NAMES_MAX: usize = 3;

/// Characters of a key; a longer one ends in dots.
const KEY_CHARS_MAX: usize = 48;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = key_text(self.key.as_deref());
        match &self.answer {
            Answer::Hit { scope, created } => {
                write!(
                    f,
                    "{wanted} is there: saved {} in the scope {scope}",
                    self.ago(*created)
                )
            }
            Answer::Unusable { reason } => {
                write!(
                    f,
                    "{wanted} is there but cannot be used: {}",
                    reason.escape_debug()
                )
            }
            Answer::OtherScope { scope } => write!(
                f,
                "{wanted} exists in the scope {scope} only, which may not be read from here"
            ),
            Answer::Removed { when, why } => {
                write!(
                    f,
                    "{wanted} was removed {}: {}",
                    self.ago(*when),
                    reason_text(*why)
                )
            }
            Answer::PathsChanged {
                added,
                removed,
                nearest,
            } => {
                let nearest = key_text(nearest.as_deref());
                let parts = [part("added", added), part("removed", removed)];
                let parts: Vec<String> = parts.into_iter().flatten().collect();
                write!(
                    f,
                    "the paths changed since {nearest} was saved: {}",
                    parts.join(", ")
                )
            }
            Answer::InputsChanged {
                nearest,
                created,
                changed,
            } => {
                let (nearest, ago) = (key_text(nearest.as_deref()), self.ago(*created));
                write!(
                    f,
                    "{} since {nearest} was saved {ago}",
                    changes_text(changed)
                )
            }
            Answer::KeyChanged { nearest, created } => {
                let (nearest, ago) = (key_text(nearest.as_deref()), self.ago(*created));
                write!(
                    f,
                    "nothing is saved as {wanted}; the nearest is {nearest}, saved {ago}, and what differs was not noted"
                )
            }
            Answer::NeverSaved => {
                f.write_str("nothing of this project was ever saved where this build may read")
            }
        }
    }
}

impl Explanation {
    fn ago(&self, then: Timestamp) -> String {
        const UNITS: [(u64, &str); 3] = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
        let seconds = self.now.millis_since(then) / 1000;
        let unit = UNITS.iter().find(|(length, _)| seconds >= *length);
        match unit.map(|(length, unit)| (seconds / length, unit)) {
            None => "just now".into(),
            Some((1, unit)) => format!("1 {unit} ago"),
            Some((count, unit)) => format!("{count} {unit}s ago"),
        }
    }
}

fn key_text(key: Option<&str>) -> String {
    let Some(key) = key else {
        return "the entry without a key".into();
    };
    let mut shown: String = key
        .chars()
        .take(KEY_CHARS_MAX)
        .flat_map(char::escape_debug)
        .collect();
    if key.chars().count() > KEY_CHARS_MAX {
        shown.push_str("...");
    }
    shown
}

fn reason_text(why: RemovalReason) -> &'static str {
    match why {
        RemovalReason::Age => "it had not been used for longer than entries are kept",
        RemovalReason::Size => "the cache was full",
        RemovalReason::Count => "its project had more entries than are kept",
        RemovalReason::Asked => "somebody asked for it",
        RemovalReason::Damage => "it, or something it names, was damaged or gone",
    }
}

fn part(verb: &str, paths: &[String]) -> Option<String> {
    let names: Vec<String> = paths
        .iter()
        .map(|path| path.escape_debug().to_string())
        .collect();
    (!names.is_empty()).then(|| format!("{verb} {}", list(&names)))
}

/// `Cargo.lock changed`, `Cargo.lock and the variable RUSTFLAGS changed, build.rs was added`.
fn changes_text(changes: &[Change]) -> String {
    let verbs = [
        (ChangeKind::Changed, "changed", "changed"),
        (ChangeKind::Added, "was added", "were added"),
        (ChangeKind::Removed, "was removed", "were removed"),
    ];
    let mut clauses = Vec::new();
    for (kind, one, many) in verbs {
        let these = changes.iter().filter(|change| change.kind == kind);
        let names: Vec<String> = these.map(input_text).collect();
        if !names.is_empty() {
            let verb = if names.len() == 1 { one } else { many };
            clauses.push(format!("{} {verb}", list(&names)));
        }
    }
    clauses.join(", ")
}

fn input_text(change: &Change) -> String {
    let name = change.name.escape_debug();
    match change.input {
        InputKind::File | InputKind::Other => name.to_string(),
        InputKind::Variable => format!("the variable {name}"),
        InputKind::Image => format!("the image {name}"),
    }
}

/// `a`, `a and b`, `a, b, c and 4 others`.
fn list(names: &[String]) -> String {
    let shown = &names[..names.len().min(NAMES_MAX)];
    let others = names.len() - shown.len();
    let others = match others {
        0 => None,
        1 => Some("1 other".to_owned()),
        count => Some(format!("{count} others")),
    };
    match (others, shown.split_last()) {
        (Some(others), _) => format!("{} and {others}", shown.join(", ")),
        (None, Some((last, []))) => last.clone(),
        (None, Some((last, first))) => format!("{} and {last}", first.join(", ")),
        (None, None) => String::new(),
    }
}
