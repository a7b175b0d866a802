//! The top level of an AppSpec. Receives the findings of one file, hands back a draft; a draft with an error among its
//! findings never leaves the crate as an AppSpec.

use std::collections::BTreeMap;

use croft_proto::deploy::{FileExistsBehavior, LifecycleEvent};
use croft_proto::{listed, nearest};

use super::files::{self, MappingSpans};
use super::hooks::{self, Hooks};
use super::paths::{path_in_bundle, slashed};
use super::permissions::{self, PermissionSpans};
use super::{AppSpec, Os, container, platform};
use crate::code::Code;
use crate::findings::Findings;
use crate::lines::Span;
use crate::read::{Fields, Reader};
use crate::yaml::{self, Entry, Kind};

const KEYS: &[&str] = &[
    "version",
    "os",
    "files",
    "file_exists_behavior",
    "permissions",
    "hooks",
    "x-croft",
];

/// What of the top level is Croft's own.
const OWN_KEYS: &[&str] = &["container", "generated"];

/// The one version there is.
const VERSION: &str = "0.0";

/// What `file_exists_behavior` may say, the default first.
const BEHAVIORS: &[(&str, FileExistsBehavior)] = &[
    ("DISALLOW", FileExistsBehavior::Disallow),
    ("OVERWRITE", FileExistsBehavior::Overwrite),
    ("RETAIN", FileExistsBehavior::Retain),
];

/// A file as far as it could be read. It is an AppSpec only if nothing among the findings is an error.
#[derive(Debug)]
pub(super) struct Draft {
    /// The sections, without the entries that could not be read.
    pub(super) spec: AppSpec,
    /// Where each of `spec.files` stands.
    pub(super) mappings: Vec<MappingSpans>,
    /// Where each of `spec.permissions` stands.
    pub(super) permissions: Vec<PermissionSpans>,
    /// Where the scripts of each event stand, in the order of `spec.hooks`.
    pub(super) scripts: BTreeMap<LifecycleEvent, Vec<Span>>,
    /// Events with nothing below them.
    pub(super) empty_hooks: Vec<(LifecycleEvent, Span)>,
    /// Where the container stands.
    pub(super) container: Option<Span>,
    /// Where its image does.
    pub(super) image: Option<Span>,
    /// Paths of the revision that a script makes on the host.
    pub(super) generated: Vec<String>,
    /// Where the file begins, when it has neither `files` nor `hooks`.
    pub(super) idle: Option<Span>,
}

/// Reads the file; `None` when there is no map to read, or when it is for something other than servers.
pub(super) fn read(findings: &mut Findings<'_>) -> Option<Draft> {
    const BEGIN: &str = "an AppSpec begins with `version: 0.0` and `os: linux`";
    let tree = yaml::read(findings);
    let Some(root) = tree.root else {
        if !tree.gaps.open_end && tree.gaps.lines.is_empty() {
            findings.add_for_file(Code::EmptyFile, "the file says nothing", BEGIN);
        }
        return None;
    };
    let Kind::Map(entries) = &root.kind else {
        if root.is_null() {
            findings.add_for_file(Code::EmptyFile, "the file says nothing", BEGIN);
        } else {
            let message = format!(
                "an AppSpec is a map of sections such as `version` and `files`, and this is {}",
                root.kind_name()
            );
            let help = "begin with `version: 0.0`; a key needs a space after its `:`";
            findings.add(Code::WrongType, root.span, message, help);
        }
        return None;
    };
    if platform::refuse(entries, findings) {
        return None;
    }
    Some(sections(&mut Reader::new(findings, tree.gaps), entries))
}

fn sections(reader: &mut Reader<'_, '_>, entries: &[Entry]) -> Draft {
    let top = reader.top(entries, "the AppSpec");
    check_top_keys(reader, entries);
    version(reader, &top);
    let os = os(reader, &top);
    // What a path means is told by `os`; without it, the file is refused and the usual one is supposed.
    let rules = os.unwrap_or(Os::Linux);
    let (files, mappings) = files::read(reader, &top, rules).into_iter().unzip();
    let (permissions, permission_spans) =
        permissions::read(reader, &top, rules).into_iter().unzip();
    let Hooks {
        hooks,
        scripts,
        empty,
    } = hooks::read(reader, &top, rules);
    let own = top
        .entry("x-croft")
        .and_then(|entry| reader.own_fields(entry, "`x-croft`", OWN_KEYS));
    let read = own
        .as_ref()
        .and_then(|own| container::read(reader, &top, own, rules));
    let (container, container_spans) = read.unzip();
    let generated = own.map_or_else(Vec::new, |own| generated(reader, &own, rules));
    let idle = ["files", "hooks", "x-croft"]
        .iter()
        .all(|key| top.get(key).is_none());
    Draft {
        spec: AppSpec {
            os: rules,
            files,
            file_exists_behavior: file_exists_behavior(reader, &top),
            permissions,
            container,
            hooks,
        },
        mappings,
        permissions: permission_spans,
        scripts,
        empty_hooks: empty,
        container: container_spans.map(|spans| spans.whole),
        image: container_spans.map(|spans| spans.image),
        generated,
        idle: (idle && reader.is_sure(&top)).then_some(top.at),
    }
}

/// Paths of the revision; one that leads out of it is none.
fn generated(reader: &mut Reader<'_, '_>, own: &Fields<'_>, os: Os) -> Vec<String> {
    let mut generated = Vec::new();
    for (text, span) in reader.texts(own, "generated") {
        if path_in_bundle(&slashed(&text, os)).is_some() {
            generated.push(text);
            continue;
        }
        let message = format!("`generated` leads out of the bundle: `{text}`");
        let help = "paths begin at the bundle's root";
        reader.add(Code::ClimbingPath, span, message, help);
    }
    generated
}

fn check_top_keys(reader: &mut Reader<'_, '_>, entries: &[Entry]) {
    for entry in entries
        .iter()
        .filter(|entry| !KEYS.contains(&entry.key.as_str()))
    {
        let message = format!(
            "`{}` is not a section of an AppSpec and is not used",
            entry.key
        );
        if let Some(meant) = nearest(&entry.key, KEYS) {
            let help = format!("did you mean `{meant}`?");
            reader.add(Code::UnknownKey, entry.key_span, message, help.as_str());
        } else {
            let help = format!(
                "fine for parking anchors; the sections are {}",
                listed(KEYS)
            );
            reader.add(
                Code::UnknownTopLevelKey,
                entry.key_span,
                message,
                help.as_str(),
            );
        }
    }
}

fn version(reader: &mut Reader<'_, '_>, top: &Fields<'_>) {
    let Some(node) = top.get("version") else {
        reader.missing(top, "version", "add `version: 0.0` as the first line");
        return;
    };
    let Some(text) = reader.text(node, "`version`") else {
        return;
    };
    let zero = is_zero(text.trim());
    let plain = match &node.kind {
        Kind::Scalar(scalar) => scalar.plain,
        Kind::List(_) | Kind::Map(_) => false,
    };
    let (message, help) = match (zero, plain) {
        (true, true) => return,
        (true, false) => (
            format!("the version must be the number {VERSION}, and in quotes it is a text"),
            "write `version: 0.0` without quotes",
        ),
        (false, _) => (
            format!("`{text}` is not an AppSpec version"),
            "write `version: 0.0`, the only one there is",
        ),
    };
    reader.add(Code::BadVersion, node.span, message, help);
}

/// Whether a text is zero to a reader of YAML, as `0` and `0.00` are.
pub(super) fn is_zero(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let zeros = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit == b'0');
    whole == "0" && zeros(fraction)
}

fn os(reader: &mut Reader<'_, '_>, top: &Fields<'_>) -> Option<Os> {
    let help = "write `os: linux`, or `os: windows`";
    let (text, span) = reader.required_text(top, "os", help)?;
    let systems = [Os::Linux, Os::Windows];
    let found = systems.into_iter().find(|os| os.name() == text);
    if found.is_none() {
        let message = format!("`{text}` is not an operating system an AppSpec can be for");
        let help = match nearest(&text, &systems.map(Os::name)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => help.to_owned(),
        };
        reader.add(Code::BadOs, span, message, help.as_str());
    }
    found
}

fn file_exists_behavior(
    reader: &mut Reader<'_, '_>,
    top: &Fields<'_>,
) -> Option<FileExistsBehavior> {
    let text = reader.optional_text(top, "file_exists_behavior")?;
    let known = BEHAVIORS.iter().find(|(name, _)| *name == text);
    if known.is_none() {
        let names: Vec<&str> = BEHAVIORS.iter().map(|(name, _)| *name).collect();
        let message = format!("`{text}` is not a behavior for files that exist");
        let help = match nearest(&text, &names) {
            Some(meant) => format!("did you mean `{meant}`? it is written in capital letters"),
            None => format!("the behaviors are {}", listed(&names)),
        };
        let span = top
            .get("file_exists_behavior")
            .map_or(top.at, |node| node.span);
        reader.add(Code::BadFileExistsBehavior, span, message, help.as_str());
    }
    known.map(|(_, behavior)| *behavior)
}
