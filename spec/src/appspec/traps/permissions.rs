//! Entries of `permissions` that match nothing, less than it seems, or what another entry matches too.

use super::paths::{below, matches, split};
use super::{Draft, check_literal};
use crate::appspec::permissions::{ALL, PermissionSpans};
use crate::appspec::{COMPARED_MAX, Permission};
use crate::code::Code;
use crate::findings::Findings;

/// An entry and where it stands.
type Placed<'d> = (&'d Permission, &'d PermissionSpans);

pub(super) fn check(draft: &Draft, findings: &mut Findings<'_>) {
    let entries: Vec<Placed<'_>> = draft
        .spec
        .permissions
        .iter()
        .zip(&draft.permissions)
        .collect();
    for (index, (permission, spans)) in entries.iter().copied().enumerate() {
        check_literal("object", &permission.object, spans.object, findings);
        check_object(draft, permission, spans, findings);
        check_patterns(permission, spans, findings);
        check_contents(permission, spans, findings);
        if index < COMPARED_MAX {
            check_overlap(&entries[..index], permission, spans, findings);
        }
    }
}

/// What the object is, as far as `files` tells.
fn check_object(
    draft: &Draft,
    permission: &Permission,
    spans: &PermissionSpans,
    findings: &mut Findings<'_>,
) {
    let (object, files) = (&spans.path, &draft.mappings);
    if files.len() > COMPARED_MAX {
        return;
    }
    let near = files.iter().any(|mapping| {
        below(object, &mapping.to).is_some() || below(&mapping.to, object).is_some()
    });
    if !near {
        let message = format!(
            "nothing is put into `{}`, so the entry changes nothing",
            permission.object
        );
        let help = "permissions are set on what `files` puts in place, and on nothing else";
        findings.add(Code::UnmatchedObject, spans.object, message, help);
    }
    let is_file = files.iter().any(|mapping| {
        let name = split(&mapping.from).1;
        !name.is_empty() && below(object, &mapping.to) == Some(name)
    });
    let narrowed = permission.pattern != ALL || !permission.except.is_empty();
    if is_file && narrowed && permission.kinds.files() {
        let message = format!(
            "if `{}` is the file that `files` puts there, the deployment fails: a file has no `pattern` and no `except`",
            permission.object
        );
        let help = "remove `pattern` and `except`, or name the folder as the object";
        let span = spans
            .pattern
            .or_else(|| spans.except.first().copied())
            .unwrap_or(spans.object);
        findings.add(Code::PatternOnFile, span, message, help);
    }
}

fn check_patterns(permission: &Permission, spans: &PermissionSpans, findings: &mut Findings<'_>) {
    if let Some(span) = spans.pattern
        && permission.pattern.contains('/')
    {
        let message = format!(
            "`{}` matches nothing: a pattern is for names directly in the object, without `/`",
            permission.pattern
        );
        let help = "name the deeper folder as the object; `**` alone means everything below it";
        findings.add(Code::PatternMatchesNothing, span, message, help);
    }
    for (except, span) in permission.except.iter().zip(&spans.except) {
        if except.contains('/') {
            let message = format!(
                "`{except}` leaves nothing out: `except` is for names directly in the object, without `/`"
            );
            let help = "write entries for the folders beside it instead of one for all";
            findings.add(Code::PatternMatchesNothing, *span, message, help);
        } else if permission.pattern == ALL && except.contains('*') {
            let message = format!(
                "`{except}` leaves out what is directly in `{}`; deeper files of such names are not left out",
                permission.object
            );
            let help =
                "fine if there are none; else write an entry for each folder, with `pattern: '*'`";
            findings.add(Code::ShallowExcept, *span, message, help);
        }
    }
}

fn check_contents(permission: &Permission, spans: &PermissionSpans, findings: &mut Findings<'_>) {
    if !spans.sets {
        let message =
            "the entry says neither owner, group, mode, acls nor context, so it changes nothing";
        let help = "add what should be set, or remove the entry";
        findings.add(Code::PermissionSetsNothing, spans.object, message, help);
    }
    if let Some(span) = spans.default_acl
        && permission.kinds.files()
    {
        let message = "the deployment fails at the first file this matches: only folders have default entries";
        let help = "write `type: [directory]`, and an entry of its own for the files";
        findings.add(Code::DefaultAclOnFiles, span, message, help);
    }
}

/// The first entry before this one that would match something of it.
fn check_overlap(
    before: &[Placed<'_>],
    permission: &Permission,
    spans: &PermissionSpans,
    findings: &mut Findings<'_>,
) {
    let entry = (permission, spans);
    let Some((first, _)) = before.iter().find(|first| {
        first.0.kinds.overlaps(permission.kinds)
            && !is_refused(**first, entry)
            && (covers(**first, entry) || covers(entry, **first))
    }) else {
        return;
    };
    let message = format!(
        "the entry on line {} is for some of the same paths; the deployment fails at the first that both match",
        first.place.line
    );
    let help = "give each path one entry: narrow one with `pattern`, `except` or `type`";
    findings.add(Code::PermissionsOverlap, spans.object, message, help);
}

/// Whether the two are said to be the same already.
fn is_refused(first: Placed<'_>, second: Placed<'_>) -> bool {
    first.1.path == second.1.path
        && first.0.pattern == second.0.pattern
        && first.0.except.is_empty()
        && second.0.except.is_empty()
}

/// Whether an entry for everything below a folder takes in what another one is for.
fn covers((outer, outer_spans): Placed<'_>, (inner, inner_spans): Placed<'_>) -> bool {
    let Some(path) = below(&inner_spans.path, &outer_spans.path) else {
        return false;
    };
    if outer.pattern != ALL || inner.pattern.contains('/') {
        return false;
    }
    if path.is_empty() {
        return inner.pattern == ALL || !outer.except.contains(&inner.pattern);
    }
    // What is left out by its name is a file with an entry of its own, or a folder whose contents are not left out; a file
    // is the usual reason to do so.
    !outer.except.iter().any(|except| matches(except, path))
}
