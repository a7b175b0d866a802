//! `batch`: recognised, so that a slip in it is noticed, but a plain build does not use it and no mistake here is an
//! error.

use croft_proto::{listed, nearest};

use super::reader::{Fields, Reader};
use crate::code::Code;
use crate::yaml::{Entry, Kind, Node};

/// The four shapes, of which a batch has exactly one.
const SHAPES: &[&str] = &["build-list", "build-graph", "build-matrix", "build-fanout"];

const TASK_KEYS: &[&str] = &[
    "identifier",
    "buildspec",
    "env",
    "debug-session",
    "ignore-failure",
    "depend-on",
];

impl Reader<'_, '_> {
    /// Whether the file has a batch.
    pub(super) fn batch(&mut self, top: &Fields<'_>) -> bool {
        let Some(entry) = top.entry("batch") else {
            return false;
        };
        let Kind::Map(entries) = &entry.value.kind else {
            let message = format!(
                "`batch` should be a map, and this is {}",
                entry.value.kind_name()
            );
            self.unclear(
                entry,
                message,
                "write `build-list`, `build-graph`, `build-matrix` or `build-fanout` below it",
            );
            return true;
        };
        let shapes: Vec<_> = entries
            .iter()
            .filter(|entry| SHAPES.contains(&entry.key.as_str()))
            .collect();
        if shapes.len() != 1 {
            let message = format!(
                "a batch has exactly one of {}, and this has {}",
                listed(SHAPES),
                shapes.len()
            );
            self.unclear(entry, message, "keep one of them");
        }
        for other in entries
            .iter()
            .filter(|entry| entry.key != "fast-fail" && !SHAPES.contains(&entry.key.as_str()))
        {
            self.unknown(other, "`batch`", &[&["fast-fail"], SHAPES].concat());
        }
        for shape in shapes {
            self.shape(shape);
        }
        true
    }

    fn shape(&mut self, shape: &Entry) {
        match (shape.key.as_str(), &shape.value.kind) {
            ("build-list" | "build-graph", Kind::List(tasks)) => {
                for task in tasks {
                    self.task(task, shape);
                }
            }
            ("build-matrix" | "build-fanout", Kind::Map(entries)) => {
                let known: &[&str] = if shape.key == "build-matrix" {
                    &["static", "dynamic"]
                } else {
                    &["parallelism", "ignore-failure"]
                };
                for other in entries
                    .iter()
                    .filter(|entry| !known.contains(&entry.key.as_str()))
                {
                    self.unknown(other, &format!("`{}`", shape.key), known);
                }
            }
            (name, _) => {
                let (wanted, help) = match name {
                    "build-list" | "build-graph" => {
                        ("a list", "begin each task with `- identifier: name`")
                    }
                    _ => ("a map", "write its keys on lines of their own below it"),
                };
                let message = format!(
                    "`{name}` should be {wanted}, and this is {}",
                    shape.value.kind_name()
                );
                self.unclear(shape, message, help);
            }
        }
    }

    fn task(&mut self, task: &Node, shape: &Entry) {
        let Kind::Map(entries) = &task.kind else {
            let message = format!(
                "each task of `{}` should be a map with an `identifier`",
                shape.key
            );
            self.add(
                Code::BatchUnclear,
                task.span,
                message,
                "begin the task with `- identifier: name`",
            );
            return;
        };
        if !entries.iter().any(|entry| entry.key == "identifier") {
            let message = format!("a task of `{}` has no `identifier`", shape.key);
            self.add(
                Code::BatchUnclear,
                task.span,
                message,
                "begin the task with `- identifier: name`",
            );
        }
        for other in entries
            .iter()
            .filter(|entry| !TASK_KEYS.contains(&entry.key.as_str()))
        {
            self.unknown(other, &format!("a task of `{}`", shape.key), TASK_KEYS);
        }
    }

    fn unknown(&mut self, entry: &Entry, what: &str, known: &[&str]) {
        let help = match nearest(&entry.key, known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the keys are {}", listed(known)),
        };
        self.unclear(entry, format!("{what} has no key `{}`", entry.key), &help);
    }

    fn unclear(&mut self, entry: &Entry, message: String, help: &str) {
        self.add(Code::BatchUnclear, entry.key_span, message, help);
    }
}
