//! Why there was no answer. Received from `croft cache explain` and the summary of a build, as what was wanted and the
//! records of the project; hands back one answer, which says itself in a sentence. Pure: everything read comes in.

/// Answers as sentences.
mod sentence;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use croft_proto::Timestamp;

use super::lookup::Skipped;
use super::name::{Name, Space, version_of_paths};
use super::record::{Input, InputKind, Record};
use super::removed::{Removal, RemovalReason};
use super::scope::Scopes;
use croft_keys::ScopeName;

/// What was looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) scopes: &'a Scopes,
    pub(crate) space: &'a Space,
    pub(crate) project: &'a str,
    pub(crate) key: Option<&'a str>,
    /// In their plain form, sorted.
    pub(crate) paths: &'a [String],
    /// What the key is made of, if known.
    pub(crate) made_of: &'a [Input],
    pub(crate) now: Timestamp,
}

/// What is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    /// Good records, of all scopes and versions. Those of other projects say nothing.
    pub(crate) records: &'a [Record],
    /// Records that do not count here, or whose contents are gone.
    pub(crate) skipped: &'a [Skipped],
    /// The journal of this machine.
    pub(crate) removed: &'a [Removal],
}

/// Why there was no answer, or that there is one. As text, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The key that was looked for.
    pub key: Option<String>,
    /// When this was asked.
    pub now: Timestamp,
    /// The reason.
    pub answer: Answer,
}

/// A reason. The first that applies, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// There is a record: the look-up finds it.
    Hit {
        /// Where.
        scope: ScopeName,
        /// When it was saved.
        created: Timestamp,
    },
    /// There is a record, but it does not count here.
    Unusable {
        /// Why not.
        reason: String,
    },
    /// The record exists where the caller may not read.
    OtherScope {
        /// Where.
        scope: ScopeName,
    },
    /// The record was removed by this machine.
    Removed {
        /// When.
        when: Timestamp,
        /// Why.
        why: RemovalReason,
    },
    /// Records exist, but for another list of paths.
    PathsChanged {
        /// Paths the nearest record does not have; sorted.
        added: Vec<String>,
        /// Paths only the nearest record has; sorted.
        removed: Vec<String>,
        /// The nearest record's key.
        nearest: Option<String>,
    },
    /// What the key is made of changed against the nearest record.
    InputsChanged {
        /// The nearest record's key.
        nearest: Option<String>,
        /// When it was saved.
        created: Timestamp,
        /// Never empty; sorted by kind and name.
        changed: Vec<Change>,
    },
    /// Records exist under other keys, and nothing says what those were made of.
    KeyChanged {
        /// The newest one's key.
        nearest: Option<String>,
        /// When it was saved.
        created: Timestamp,
    },
    /// The project has nothing where the caller may read.
    NeverSaved,
}

/// An input that differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The input's sort.
    pub input: InputKind,
    /// Its name.
    pub name: String,
    /// How it differs.
    pub kind: ChangeKind,
}

/// How an input differs from the nearest record's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It has another value.
    Changed,
    /// The nearest record was made without it.
    Added,
    /// Only the nearest record was made with it.
    Removed,
}

/// Why a look-up for what is asked has no answer.
pub(crate) fn explain(asked: &Asked<'_>, evidence: &Evidence<'_>) -> Explanation {
    Explanation {
        key: asked.key.map(String::from),
        now: asked.now,
        answer: answer(asked, evidence),
    }
}

fn answer(asked: &Asked<'_>, evidence: &Evidence<'_>) -> Answer {
    let version = version_of_paths(asked.paths);
    let ours: Vec<&Record> = evidence
        .records
        .iter()
        .filter(|record| asked.is_about(record))
        .collect();
    let (readable, hidden): (Vec<&Record>, Vec<&Record>) = ours
        .into_iter()
        .partition(|record| asked.scopes.may_read(&record.scope));
    let is_exact =
        |record: &&&Record| record.version == version && record.key.as_deref() == asked.key;
    let names = asked.names(&version);
    let skipped = evidence
        .skipped
        .iter()
        .find(|skipped| names.contains(&skipped.object));
    let is_skipped = |record: &Record| {
        let name = record.name().to_string();
        evidence
            .skipped
            .iter()
            .any(|skipped| skipped.object == name)
    };
    if let Some(hit) = readable
        .iter()
        .filter(is_exact)
        .find(|record| !is_skipped(record))
    {
        return Answer::Hit {
            scope: hit.scope.clone(),
            created: hit.created,
        };
    }
    if let Some(skipped) = skipped {
        return Answer::Unusable {
            reason: skipped.reason.clone(),
        };
    }
    if let Some(elsewhere) = hidden.iter().find(is_exact) {
        return Answer::OtherScope {
            scope: elsewhere.scope.clone(),
        };
    }
    let removal = evidence
        .removed
        .iter()
        .rev()
        .find(|removal| names.contains(&removal.object));
    if let Some(removal) = removal {
        return Answer::Removed {
            when: removal.when,
            why: removal.reason,
        };
    }
    asked.against_the_nearest(&readable, &version)
}

impl Asked<'_> {
    fn is_about(&self, record: &Record) -> bool {
        record.space == *self.space && record.project == self.project
    }

    /// The names of the exact record, in every scope that may be read.
    fn names(&self, version: &crate::Id) -> Vec<String> {
        let reads = self.scopes.reads().iter();
        let names = reads.map(|scope| Name {
            scope,
            space: self.space,
            project: self.project,
            version,
            key: self.key,
        });
        names.map(|name| name.path().to_string()).collect()
    }

    fn against_the_nearest(&self, readable: &[&Record], version: &crate::Id) -> Answer {
        let same_key = |record: &Record| self.key.is_some() && record.key.as_deref() == self.key;
        let (here, elsewhere): (Vec<&Record>, Vec<&Record>) = readable
            .iter()
            .partition(|record| record.version == *version);
        // The same key with other paths says more than another key with the same ones.
        let moved = elsewhere.iter().max_by_key(|record| {
            (
                same_key(record),
                in_common(&record.paths, self.paths),
                record.created,
                Reverse(&record.key),
            )
        });
        if let Some(moved) = moved
            && (here.is_empty() || same_key(moved))
        {
            return self.paths_changed(moved);
        }
        let nearest = here.into_iter().max_by_key(|record| {
            (
                in_common(&record.made_of, self.made_of),
                record.created,
                Reverse(&record.key),
            )
        });
        match nearest {
            Some(nearest) => self.inputs_changed(nearest),
            None => Answer::NeverSaved,
        }
    }

    fn paths_changed(&self, nearest: &Record) -> Answer {
        Answer::PathsChanged {
            added: without(self.paths, &nearest.paths),
            removed: without(&nearest.paths, self.paths),
            nearest: nearest.key.clone(),
        }
    }

    fn inputs_changed(&self, nearest: &Record) -> Answer {
        let changed = changes(&nearest.made_of, self.made_of);
        // Without inputs on one side, every input of the other would seem to have come or gone.
        if changed.is_empty() || nearest.made_of.is_empty() || self.made_of.is_empty() {
            return Answer::KeyChanged {
                nearest: nearest.key.clone(),
                created: nearest.created,
            };
        }
        Answer::InputsChanged {
            nearest: nearest.key.clone(),
            created: nearest.created,
            changed,
        }
    }
}

fn in_common<T: PartialEq>(left: &[T], right: &[T]) -> usize {
    left.iter().filter(|one| right.contains(one)).count()
}

fn without(all: &[String], known: &[String]) -> Vec<String> {
    let mut rest: Vec<String> = all
        .iter()
        .filter(|path| !known.contains(path))
        .cloned()
        .collect();
    rest.sort();
    rest
}

/// How `now` differs from `then`.
fn changes(then: &[Input], now: &[Input]) -> Vec<Change> {
    type Digests<'a> = BTreeMap<(InputKind, &'a str), &'a str>;
    fn digests(inputs: &[Input]) -> Digests<'_> {
        let named = inputs.iter();
        named
            .map(|input| ((input.kind, input.name.as_str()), input.digest.as_str()))
            .collect()
    }
    let (then, now) = (digests(then), digests(now));
    let mut changed = BTreeMap::new();
    for (input, digest) in &now {
        match then.get(input) {
            None => drop(changed.insert(*input, ChangeKind::Added)),
            Some(before) if before != digest => drop(changed.insert(*input, ChangeKind::Changed)),
            Some(_) => {}
        }
    }
    for input in then.keys().filter(|input| !now.contains_key(*input)) {
        changed.insert(*input, ChangeKind::Removed);
    }
    let changed = changed.into_iter();
    let changes = changed.map(|((input, name), kind)| Change {
        input,
        name: name.into(),
        kind,
    });
    changes.collect()
}
