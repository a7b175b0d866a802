//! Entries of `files` that may meet at one path, and names that are taken as they stand.

use super::paths::{below, join, normal, split};
use super::{Draft, check_literal};
use crate::appspec::{FileMapping, Os};
use crate::code::Code;
use crate::findings::Findings;

pub(super) fn check(draft: &Draft, findings: &mut Findings<'_>) {
    let (files, os) = (&draft.spec.files, draft.spec.os);
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
        let before = files.iter().take(index);
        if let Some((first, path)) = before
            .filter_map(|first| Some((first, meeting(first, mapping, os)?)))
            .next()
        {
            let message = format!(
                "if `{}` is a file, the entry on line {} puts `{path}` there too, and the deployment fails",
                mapping.source, first.place.line
            );
            let help = "keep one of the two, or give them different destinations";
            findings.add(Code::OverlappingDestinations, spans.source, message, help);
        }
    }
}

/// The path that both entries write when what they name is a file; `None` when there is none, or when they meet in any case
/// and are refused for it.
fn meeting(first: &FileMapping, second: &FileMapping, os: Os) -> Option<String> {
    part_of(first, second, os)
        .or_else(|| part_of(second, first, os))
        .or_else(|| namesakes(first, second, os))
}

/// A file of a folder that is put in place with it, and goes to the same place by itself.
fn part_of(outer: &FileMapping, inner: &FileMapping, os: Os) -> Option<String> {
    let (outer_source, inner_source) = (normal(&outer.source, os), normal(&inner.source, os));
    let path = below(&inner_source, &outer_source).filter(|path| !path.is_empty())?;
    let (folder, name) = split(path);
    let to = normal(&inner.destination, os);
    (to == join(&normal(&outer.destination, os), folder)).then(|| shown(inner, name))
}

/// Two files of one name for one folder.
fn namesakes(first: &FileMapping, second: &FileMapping, os: Os) -> Option<String> {
    let (from, other) = (normal(&first.source, os), normal(&second.source, os));
    let (name, other_name) = (split(&from).1, split(&other).1);
    let together = normal(&first.destination, os) == normal(&second.destination, os);
    (together && from != other && !name.is_empty() && name == other_name)
        .then(|| shown(second, name))
}

fn shown(mapping: &FileMapping, name: &str) -> String {
    format!("{}/{name}", mapping.destination.trim_end_matches('/'))
}
