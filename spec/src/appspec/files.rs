//! `files`: what of the bundle goes where. The paths' questions here are asked by the other sections too.

use super::paths::{below, climbs, drive, is_absolute, normal, path_in_bundle, slashed};
use super::{COMPARED_MAX, FileMapping, Os};
use crate::code::Code;
use crate::lines::Span;
use crate::read::{Fields, Reader};
use crate::yaml::Node;

/// The top level's key that people write into an entry.
const BEHAVIOR: &str = "file_exists_behavior";

const KEYS: &[&str] = &["source", "destination", BEHAVIOR];

/// Bytes of a path; Linux takes no longer ones.
const PATH_BYTES_MAX: usize = 4096;

/// Where the parts of an entry stand, and what they mean.
#[derive(Clone, Debug)]
pub(super) struct MappingSpans {
    pub(super) source: Span,
    pub(super) destination: Span,
    /// The source as a normal path.
    pub(super) from: String,
    /// The destination as a normal path.
    pub(super) to: String,
}

/// The entries that could be read.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    top: &Fields<'_>,
    os: Os,
) -> Vec<(FileMapping, MappingSpans)> {
    let Some(entry) = top.entry("files") else {
        return Vec::new();
    };
    if entry.value.is_null() {
        reader.empty(entry, "`files`");
        return Vec::new();
    }
    let mut mappings: Vec<(FileMapping, MappingSpans)> = Vec::new();
    for item in reader.list(entry, "`files`") {
        if let Some(read) = mapping(reader, item, os) {
            check_conflict(reader, &mappings, &read);
            mappings.push(read);
        }
    }
    mappings
}

fn mapping(
    reader: &mut Reader<'_, '_>,
    item: &Node,
    os: Os,
) -> Option<(FileMapping, MappingSpans)> {
    let fields = reader.item_fields(item, "an entry of `files`", KEYS)?;
    if let Some(entry) = fields.entry(BEHAVIOR) {
        let message = format!(
            "`{BEHAVIOR}` does not belong to one entry of `files`: it is said once, for all of them"
        );
        let help = "move it to the top level, beside `files`";
        reader.add(Code::MisplacedKey, entry.key_span, message, help);
    }
    let help = "name a file or folder of the bundle, or `/` for all of it";
    let source = bundle_path(reader, &fields, "source", os, help);
    let help = "name the folder on the host that receives it, such as `/srv/app`";
    let destination = host_path(reader, &fields, "destination", os, help);
    let ((source, source_span), (destination, destination_span)) = (source?, destination?);
    let (from, to) = (normal(&source, os), normal(&destination, os));
    let mapping = FileMapping {
        source,
        destination,
        place: reader.place(fields.at),
    };
    let spans = MappingSpans {
        source: source_span,
        destination: destination_span,
        from,
        to,
    };
    Some((mapping, spans))
}

/// Two entries that certainly put something at the same path, or a file where a folder goes.
fn check_conflict(
    reader: &mut Reader<'_, '_>,
    before: &[(FileMapping, MappingSpans)],
    (mapping, spans): &(FileMapping, MappingSpans),
) {
    if before.len() >= COMPARED_MAX {
        return;
    }
    let Some((first, _)) = before
        .iter()
        .find(|(_, first)| conflict(first, spans) || conflict(spans, first))
    else {
        return;
    };
    let message = format!(
        "`{}` goes where the entry on line {} puts it already, and no path may be written twice",
        mapping.source, first.place.line
    );
    let help = "keep one of the two entries, or give them different destinations";
    reader.add(Code::SameDestination, spans.source, message, help);
}

/// Whether all of `inner` is part of `outer` and goes to where it is put with it: a folder's contents then meet
/// themselves, and a file meets a folder of its name.
fn conflict(outer: &MappingSpans, inner: &MappingSpans) -> bool {
    below(&inner.from, &outer.from).is_some_and(|path| below(&inner.to, &outer.to) == Some(path))
}

/// A path text that must be there and that a system can take.
fn path(
    reader: &mut Reader<'_, '_>,
    fields: &Fields<'_>,
    key: &str,
    help: &str,
) -> Option<(String, Span)> {
    let (text, span) = reader.required_text(fields, key, help)?;
    if text.len() > PATH_BYTES_MAX {
        let message = format!("`{key}` in {} has {} bytes", fields.what, text.len());
        let help = format!("a path has at most {PATH_BYTES_MAX}");
        reader.add(Code::LongPath, span, message, help.as_str());
        return None;
    }
    if text.contains('\0') {
        let message = format!("`{key}` in {} has a NUL character in it", fields.what);
        reader.add(Code::NulCharacter, span, message, "remove it");
        return None;
    }
    Some((text, span))
}

/// A path of the bundle.
pub(super) fn bundle_path(
    reader: &mut Reader<'_, '_>,
    fields: &Fields<'_>,
    key: &str,
    os: Os,
    help: &str,
) -> Option<(String, Span)> {
    let (text, span) = path(reader, fields, key, help)?;
    let outside = match os {
        Os::Linux => false,
        Os::Windows => drive(&text).is_some(),
    };
    if outside || path_in_bundle(&slashed(&text, os)).is_none() {
        let message = format!("`{key}` leads out of the bundle: `{text}`");
        let help = "paths begin at the bundle's root; put what is needed into the bundle";
        reader.add(Code::ClimbingPath, span, message, help);
        return None;
    }
    Some((text, span))
}

/// A path of the host.
pub(super) fn host_path(
    reader: &mut Reader<'_, '_>,
    fields: &Fields<'_>,
    key: &str,
    os: Os,
    help: &str,
) -> Option<(String, Span)> {
    let (text, span) = path(reader, fields, key, help)?;
    if !is_absolute(&text, os) {
        let message = format!("`{key}` must be an absolute path, and `{text}` is not");
        let windows = os == Os::Linux && is_absolute(&text, Os::Windows);
        let help = if windows {
            "this is a path of Windows, and `os` is `linux`"
        } else if text.starts_with('~') || text.contains('$') {
            "write the path itself, such as `/srv/app`: variables and `~` are not replaced here"
        } else {
            "write it from the root on, such as `/srv/app`"
        };
        reader.add(Code::NotAbsolute, span, message, help);
        return None;
    }
    if climbs(&text, os) {
        let message = format!("`{key}` has a `..` in it: `{text}`");
        let help = "write the path it leads to";
        reader.add(Code::ClimbingPath, span, message, help);
        return None;
    }
    Some((text, span))
}
