use super::*;
use crate::records::explain::{Asked, Evidence, explain};
use crate::records::removed::Removal;
use crate::{Answer, Change, ChangeKind, Explanation, Input, InputKind, RemovalReason, Skipped};

const DAY: u64 = 86_400_000;
const NOW: u64 = 100 * DAY;

fn input(kind: InputKind, name: &str, value: &str) -> Input {
    Input {
        kind,
        name: name.into(),
        digest: Id::of(value.as_bytes()).to_string(),
    }
}

fn file(name: &str, value: &str) -> Input {
    input(InputKind::File, name, value)
}

fn made_of(record: Record, inputs: &[Input]) -> Record {
    Record {
        made_of: inputs.to_vec(),
        ..record
    }
}

fn with_paths(record: Record, paths: &[&str]) -> Record {
    let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
    Record {
        version: version_of_paths(&paths),
        paths,
        ..record
    }
}

/// What is known in a row of a table.
#[derive(Default)]
struct Known {
    records: Vec<Record>,
    skipped: Vec<Skipped>,
    removed: Vec<Removal>,
}

impl Known {
    fn of(records: impl Into<Vec<Record>>) -> Self {
        Self {
            records: records.into(),
            ..Self::default()
        }
    }

    fn explain_to(&self, scopes: &Scopes, key: Option<&str>, inputs: &[Input]) -> Explanation {
        let asked = Asked {
            scopes,
            space: &Space::BUILD,
            project: "app",
            key,
            paths: &["target".into()],
            made_of: inputs,
            now: at(NOW),
        };
        let evidence = Evidence {
            records: &self.records,
            skipped: &self.skipped,
            removed: &self.removed,
        };
        explain(&asked, &evidence)
    }

    fn explain(&self, inputs: &[Input]) -> Explanation {
        self.explain_to(&Scopes::trusted(), Some("wanted"), inputs)
    }

    fn says(&self, inputs: &[Input]) -> String {
        self.explain(inputs).to_string()
    }
}

#[test]
fn a_record_that_is_there_is_a_hit() {
    let known = Known::of([record("wanted", NOW - DAY)]);
    assert_eq!(
        known.says(&[]),
        "wanted is there: saved 1 day ago in the scope trusted"
    );
}

#[test]
fn a_project_without_records_was_never_saved() {
    let never = "nothing of this project was ever saved where this build may read";
    let other = Record {
        project: "other".into(),
        ..record("wanted", 1)
    };
    let space = Record {
        space: "ccache".parse().unwrap(),
        ..record("wanted", 1)
    };
    let scope = in_scope("fork/1", record("older", 1));
    assert_eq!(Known::of([]).says(&[]), never);
    assert_eq!(Known::of([other, space, scope]).says(&[]), never);
}

#[test]
fn a_record_that_does_not_count_is_unusable_with_its_reason() {
    let skipped = Skipped {
        object: record("wanted", 1).name().to_string(),
        reason: "its signer is in no keyring here".into(),
        is_damaged: false,
    };
    let known = Known {
        skipped: vec![skipped],
        ..Known::default()
    };
    let says = "wanted is there but cannot be used: its signer is in no keyring here";
    assert_eq!(known.says(&[]), says);
    // Even when the record itself is good, but what it names is gone.
    let known = Known {
        records: vec![record("wanted", 1)],
        ..known
    };
    assert_eq!(known.says(&[]), says);
}

#[test]
fn a_record_in_a_scope_that_may_not_be_read_is_named_by_its_scope() {
    let known = Known::of([in_scope("fork/1", record("wanted", 1)), record("older", 1)]);
    assert_eq!(
        known.says(&[]),
        "wanted exists in the scope fork/1 only, which may not be read from here"
    );
    let from_the_fork = known.explain_to(&fork("fork/1"), Some("wanted"), &[]);
    assert!(matches!(from_the_fork.answer, Answer::Hit { .. }));
}

#[test]
fn a_record_that_was_removed_says_when_and_why() {
    let removal = |when, reason| Removal::of(&record("wanted", 1), at(when), reason);
    let known = Known {
        records: vec![record("older", 1)],
        removed: vec![
            removal(1, RemovalReason::Asked),
            removal(NOW - 3 * 3_600_000, RemovalReason::Size),
            Removal::of(&record("another", 1), at(NOW), RemovalReason::Age),
        ],
        ..Known::default()
    };
    assert_eq!(
        known.says(&[]),
        "wanted was removed 3 hours ago: the cache was full"
    );
}

#[test]
fn other_paths_are_named_one_by_one() {
    let moved = with_paths(record("wanted", 5), &["dist", "target"]);
    let known = Known::of([moved, record("wante", 9)]);
    let answer = known.explain(&[]).answer;
    let expected = Answer::PathsChanged {
        added: vec![],
        removed: vec!["dist".into()],
        nearest: Some("wanted".into()),
    };
    assert_eq!(answer, expected, "the same key with other paths says most");
    let moved = with_paths(record("older", 5), &["dist", "node_modules"]);
    assert_eq!(
        Known::of([moved.clone()]).says(&[]),
        "the paths changed since older was saved: added target, removed dist and node_modules"
    );
    let answer = Known::of([moved, record("same-paths", 1)])
        .explain(&[])
        .answer;
    assert!(matches!(answer, Answer::KeyChanged { .. }), "{answer:?}");
}

#[test]
fn the_changed_input_is_named_against_the_nearest_record() {
    let then = [
        file("Cargo.lock", "1"),
        input(InputKind::Image, "rust", "1.95"),
    ];
    let far = [
        file("Cargo.lock", "0"),
        input(InputKind::Image, "rust", "1.90"),
    ];
    let known = Known::of([
        made_of(record("cargo-1f3e", NOW - 2 * DAY), &then),
        made_of(record("cargo-aaaa", NOW), &far),
        record("cargo-bbbb", NOW),
    ]);
    let now = [
        file("Cargo.lock", "2"),
        input(InputKind::Image, "rust", "1.95"),
    ];
    let answer = known.explain(&now).answer;
    let expected = Answer::InputsChanged {
        nearest: Some("cargo-1f3e".into()),
        created: at(NOW - 2 * DAY),
        changed: vec![Change {
            input: InputKind::File,
            name: "Cargo.lock".into(),
            kind: ChangeKind::Changed,
        }],
    };
    assert_eq!(answer, expected);
    assert_eq!(
        known.says(&now),
        "Cargo.lock changed since cargo-1f3e was saved 2 days ago"
    );
}

#[test]
fn of_equally_near_records_the_newest_is_the_nearest() {
    let lock = |value| [file("Cargo.lock", value)];
    let known = Known::of([
        made_of(record("new", NOW - DAY), &lock("1")),
        made_of(record("old", NOW - 9 * DAY), &lock("0")),
    ]);
    assert_eq!(
        known.says(&lock("2")),
        "Cargo.lock changed since new was saved 1 day ago"
    );
}

#[test]
fn sentences_about_changes_read_well() {
    let rows: [(&[Input], &[Input], &str); 5] = [
        (
            &[file("a", "1")],
            &[file("a", "1"), file("b", "1")],
            "b was added",
        ),
        (
            &[file("a", "1"), input(InputKind::Variable, "FLAGS", "1")],
            &[file("a", "1")],
            "the variable FLAGS was removed",
        ),
        (
            &[file("a", "1"), file("b", "1"), file("c", "1")],
            &[
                file("a", "2"),
                file("b", "2"),
                input(InputKind::Image, "rust", "1"),
            ],
            "a and b changed, the image rust was added, c was removed",
        ),
        (
            &["a", "b", "c", "d", "e"].map(|name| file(name, "1")),
            &["a", "b", "c", "d", "e"].map(|name| file(name, "2")),
            "a, b, c and 2 others changed",
        ),
        (
            &[file("x\u{1b}[2J\n", "1")],
            &[file("x\u{1b}[2J\n", "2")],
            "x\\u{1b}[2J\\n changed",
        ),
    ];
    for (then, now, says) in rows {
        let known = Known::of([made_of(record("before", NOW), then)]);
        assert_eq!(
            known.says(now),
            format!("{says} since before was saved just now")
        );
    }
}

#[test]
fn without_inputs_on_either_side_only_the_key_is_said_to_differ() {
    let known = Known::of([record("older", NOW - DAY)]);
    let says = "nothing is saved as wanted; the nearest is older, saved 1 day ago, and what differs was not noted";
    assert_eq!(known.says(&[]), says);
    assert_eq!(known.says(&[file("a", "1")]), says);
    let known = Known::of([made_of(record("older", NOW - DAY), &[file("a", "1")])]);
    assert_eq!(known.says(&[]), says);
    assert_eq!(known.says(&[file("a", "1")]), says);
}

#[test]
fn a_long_key_or_one_with_escapes_is_shown_safely() {
    let known = Known::of([record(&format!("\u{1b}]0;{}", "x".repeat(100)), NOW)]);
    let says = known.says(&[]);
    assert!(
        says.contains(r"\u{1b}]0;xxx") && says.contains("xxx...,"),
        "{says}"
    );
    let none = known.explain_to(&Scopes::trusted(), None, &[]).to_string();
    assert!(
        none.starts_with("nothing is saved as the entry without a key"),
        "{none}"
    );
}
