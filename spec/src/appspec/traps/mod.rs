//! What a valid AppSpec may still do other than was meant. Receives a draft, adds warnings to the file's findings.
//!
//! The bundle and the host are not there, so each rule speaks of what the text alone makes likely, and stays silent else.

use super::document::Draft;
use super::paths;
use crate::code::Code;
use crate::findings::Findings;
use crate::lines::Span;

/// Entries of `files`.
mod files;
/// Entries of `permissions`.
mod permissions;
/// Scripts.
mod scripts;

/// Adds every warning about what the draft would do.
pub(super) fn check(draft: &Draft, findings: &mut Findings<'_>) {
    if let Some(span) = draft.idle {
        let message = "there are neither `files` nor `hooks`, so a deployment would do nothing";
        let help = "add `files`, and `hooks` with the scripts that stop and start the application";
        findings.add(Code::EmptyDeployment, span, message, help);
    }
    if let (Some(container), Some(span)) = (&draft.spec.container, draft.container)
        && container.health_check.is_none()
    {
        let message = "the container has no `healthCheck`, so it gets traffic once it stays up for a few seconds";
        let help = "add `healthCheck: {path: /healthz}`, or a `command`";
        findings.add(Code::NoHealthCheck, span, message, help);
    }
    files::check(draft, findings);
    permissions::check(draft, findings);
    scripts::check(draft, findings);
}

/// A path in which someone expects a variable to be replaced.
fn check_literal(key: &str, text: &str, span: Span, findings: &mut Findings<'_>) {
    let mut after = text.split('$').skip(1);
    let begins = |rest: &str| {
        rest.starts_with(|first: char| first.is_ascii_alphabetic() || "_{(".contains(first))
    };
    if after.any(begins) {
        let message = format!("`{key}: {text}` is not expanded: the `$` stays as it is");
        let help = "write the path itself";
        findings.add(Code::LiteralValue, span, message, help);
    }
}
