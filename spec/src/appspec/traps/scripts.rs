//! Scripts that run twice, or under another name than it seems.

use std::collections::HashMap;

use super::paths::normal;
use super::{Draft, check_literal};
use crate::appspec::Script;
use crate::code::Code;
use crate::findings::Findings;
use crate::lines::Span;

pub(super) fn check(draft: &Draft, findings: &mut Findings<'_>) {
    for (event, span) in &draft.empty_hooks {
        let message = format!("`{event}` has no scripts, so nothing runs in it");
        let help = "remove it, or add a `- location:`";
        findings.add(Code::EmptyValue, *span, message, help);
    }
    for (event, scripts) in &draft.spec.hooks {
        let spans = draft.scripts.get(event).map_or(&[][..], Vec::as_slice);
        let mut seen = HashMap::new();
        for (script, span) in scripts.iter().zip(spans) {
            check_location(script, *span, findings);
            let path = normal(&script.location, draft.spec.os);
            let first = *seen
                .entry((path, &script.runas, script.sudo))
                .or_insert(script);
            if !std::ptr::eq(first, script) {
                let message = format!(
                    "`{}` runs in `{event}` already, by line {}",
                    script.location, first.place.line
                );
                let help = "remove one of the two, unless it shall run twice";
                findings.add(Code::ScriptTwice, *span, message, help);
            }
        }
    }
}

fn check_location(script: &Script, span: Span, findings: &mut Findings<'_>) {
    let location = &script.location;
    check_literal("location", location, span, findings);
    if location.starts_with('/') {
        let message = format!("`{location}` is taken from the bundle's root, not from the host's");
        let help = "write it without the leading `/`; a program of the host is called by a script of the bundle";
        findings.add(Code::AbsoluteScript, span, message, help);
    }
    if let Some((name, _)) = location.split_once(char::is_whitespace) {
        let message = format!("`{location}` is one file's name: a script gets no arguments");
        let help = format!(
            "let a script call `{name}` with them; a script can tell events apart by `LIFECYCLE_EVENT`"
        );
        findings.add(Code::ScriptArguments, span, message, help.as_str());
    }
}
