//! The format from outside: every key, every mistake, every trap, and what people see.

use croft_proto::{Diagnostic, Level};

use crate::{Buildspec, parse};

/// What each key means.
mod keys;
/// What is refused or warned of, and where.
mod mistakes;
/// Text, anchors, places.
mod text;
/// Warnings about commands.
mod traps;
/// Whole pages of findings.
mod rendered;
/// Laws for any input.
mod properties;

/// The smallest file that says something.
const MINIMAL: &str = "version: 0.2\nphases:\n  build:\n    commands:\n      - make\n";

/// The buildspec, which must have no error.
fn good(text: &str) -> Buildspec {
    let parsed = parse("buildspec.yml", text.as_bytes());
    let Some(spec) = parsed.spec else {
        panic!("{text}\n{:#?}", parsed.diagnostics)
    };
    spec
}

/// A good file with more lines before `phases`.
fn with(more: &str) -> Buildspec {
    good(&around(more))
}

/// The minimal file with more lines.
fn around(more: &str) -> String {
    format!("{MINIMAL}{more}\n")
}

/// The errors' and warnings' codes, in the file's order.
fn codes(text: &str) -> Vec<String> {
    parse("buildspec.yml", text.as_bytes())
        .diagnostics
        .into_iter()
        .map(|found| found.code)
        .collect()
}

/// The one finding of a file.
fn only(text: &str) -> Diagnostic {
    let mut found = parse("buildspec.yml", text.as_bytes()).diagnostics;
    assert_eq!(found.len(), 1, "{text}\n{found:#?}");
    found.remove(0)
}

/// The bytes of the file that a finding points at.
fn pointed<'t>(text: &'t str, found: &Diagnostic) -> &'t str {
    &text[found.start..found.end]
}

fn is_error(found: &Diagnostic) -> bool {
    found.level == Level::Error
}
