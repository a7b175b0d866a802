//! Entries of `files` that may meet at one path, and names that are taken as they stand.

use super::paths::{below, split};
use super::{Draft, check_literal};
use crate::appspec::COMPARED_MAX;
use crate::appspec::files::MappingSpans;
use crate::code::Code;
use crate::findings::Findings;

pub(super) fn check(draft: &Draft, findings: &mut Findings<'_>) {
    let files = &draft.spec.files;
    for (index, (mapping, spans)) in files.iter().zip(&draft.mappings).enumerate() {
        check_literal("source", &mapping.source, spans.source, findings);
        check_literal(
            "destination",
            &mapping.destination,
            spans.destination,
            findings,
        );
        if mapping.source.contains(['*', '?']) {
            let message = format!(
                "`{}` is taken as a name: `source` has no patterns",
                mapping.source
            );
            let help = "name the folder to take all that is in it, or one file";
            findings.add(Code::GlobInSource, spans.source, message, help);
        }
        if index >= COMPARED_MAX {
            continue;
        }
        let before = files.iter().zip(&draft.mappings).take(index);
        let meets = |(_, first): &(_, &MappingSpans)| {
            part_of(first, spans) || part_of(spans, first) || namesakes(first, spans)
        };
        if let Some((first, _)) = before.into_iter().find(meets) {
            let message = format!(
                "if `{}` is a file, the entry on line {} writes the same path, and the deployment fails",
                mapping.source, first.place.line
            );
            let help = "keep one of the two, or give them different destinations";
            findings.add(Code::OverlappingDestinations, spans.source, message, help);
        }
    }
}

/// Whether the inner source, should it be a file, is put in place with the folder it is in and goes there by itself too.
fn part_of(outer: &MappingSpans, inner: &MappingSpans) -> bool {
    below(&inner.from, &outer.from)
        .filter(|path| !path.is_empty())
        .is_some_and(|path| below(&inner.to, &outer.to) == Some(split(path).0))
}

/// Two sources of one name for one folder.
fn namesakes(first: &MappingSpans, second: &MappingSpans) -> bool {
    let (name, other) = (split(&first.from).1, split(&second.from).1);
    first.to == second.to && first.from != second.from && !name.is_empty() && name == other
}
