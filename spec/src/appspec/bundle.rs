//! Whether what an AppSpec names is in the revision that it stands in. Receives a draft and somebody who can look into the revision,
//! adds a finding for each name that is not there, with the nearest one that is.

use std::collections::VecDeque;

use croft_proto::deploy::LifecycleEvent;
use croft_proto::{listed, nearest};

use super::document::Draft;
use super::paths::{path_in_bundle, slashed};
use super::{ContainerImage, Os};
use crate::code::Code;
use crate::findings::Findings;
use crate::lines::Span;

/// Folders that are searched for a file of the same name: a guess is not worth a walk through all of somebody's dependencies.
const FOLDERS_SEARCHED_MAX: usize = 500;
/// Names of a folder that are shown.
const NAMES_SHOWN_MAX: usize = 6;

/// Who can look into a revision. Paths are below its root, with `/` between their parts; the empty one is the root.
pub trait Bundle {
    /// What a path leads to.
    fn look(&self, path: &str) -> Found;

    /// The names in a folder, in order; none when it is no folder or cannot be read.
    fn names(&self, folder: &str) -> Vec<String>;
}

/// What is at a path of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Found {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link that leads nowhere, or out of the revision.
    LostLink,
    /// A pipe, a socket or a device.
    Other,
    /// Nothing.
    Absent,
    /// It cannot be looked at, and nothing is said of it.
    Unknown,
}

/// What the files around an AppSpec are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Around {
    /// A revision, as it is deployed: what is lacking is a mistake.
    Revision,
    /// A source, of which a build makes a revision: what is lacking may come of that.
    Source,
}

/// What must be at a path.
#[derive(Clone, Copy)]
enum Needed {
    /// Something that can be put in place.
    Anything,
    /// A file, or a link to one.
    File(&'static str),
}

impl Needed {
    /// What is wrong with what was found, if anything is.
    fn refusal(self, path: &str, found: Found) -> Option<String> {
        let what = match (self, found) {
            (_, Found::Unknown)
            | (Self::Anything, Found::File | Found::Folder | Found::LostLink)
            | (Self::File(_), Found::File) => return None,
            (_, Found::Absent) => return Some(format!("there is no `{path}` in the revision")),
            (Self::Anything, Found::Other) => {
                return Some(format!("`{path}` is neither a file, a folder nor a link"));
            }
            (Self::File(what), Found::Folder) => (what, "a folder"),
            (Self::File(what), Found::LostLink) => (what, "a link that leads to no file of it"),
            (Self::File(what), Found::Other) => (what, "no regular file"),
        };
        let (needed, found) = what;
        Some(format!(
            "`{path}` of the revision is {found}, and {needed} is a file"
        ))
    }
}

/// Adds every name that leads to nothing in the revision.
pub(super) fn check(
    draft: &Draft,
    bundle: &dyn Bundle,
    around: Around,
    findings: &mut Findings<'_>,
) {
    let mut checking = Checking {
        draft,
        bundle,
        around,
        findings,
    };
    let spec = &draft.spec;
    for (mapping, spans) in spec.files.iter().zip(&draft.mappings) {
        checking.one(&mapping.source, spans.source, Needed::Anything);
    }
    for (event, scripts) in &spec.hooks {
        let spans = draft.scripts.get(event).map_or(&[][..], Vec::as_slice);
        for (script, span) in scripts.iter().zip(spans) {
            checking.one(&script.location, *span, Needed::File("a script"));
        }
    }
    if let (Some(container), Some(span)) = (&spec.container, draft.image)
        && let ContainerImage::File(path) = &container.image
    {
        checking.one(path, span, Needed::File("an image"));
    }
}

struct Checking<'c, 'f, 'a> {
    draft: &'c Draft,
    bundle: &'c dyn Bundle,
    around: Around,
    findings: &'f mut Findings<'a>,
}

impl Checking<'_, '_, '_> {
    fn one(&mut self, text: &str, span: Span, needed: Needed) {
        let os = self.draft.spec.os;
        let Some(path) = path_in_bundle(&slashed(text, os)) else {
            return;
        };
        let Some(message) = needed.refusal(&path, self.bundle.look(&path)) else {
            return;
        };
        if self.is_generated(&path, os) {
            return;
        }
        let help = self.help(&path, needed);
        let hooks = &self.draft.spec.hooks;
        let (code, unless) = match self.around {
            Around::Source => (
                Code::MissingFileOfSource,
                Some("if the build makes it, all is well"),
            ),
            Around::Revision => (
                Code::MissingFile,
                hooks.contains_key(&LifecycleEvent::BeforeInstall).then_some(
                    "what a script of `BeforeInstall` makes is listed under `generated` in `x-croft`",
                ),
            ),
        };
        let help = match unless {
            Some(unless) if help.ends_with('?') => format!("{help} {unless}"),
            Some(unless) => format!("{help}; {unless}"),
            None => help,
        };
        self.findings.add(code, span, message, help.as_str());
    }

    /// Whether the AppSpec says that the path, or a folder above it, is made on the host.
    fn is_generated(&self, path: &str, os: Os) -> bool {
        let said = self.draft.generated.iter();
        said.filter_map(|text| path_in_bundle(&slashed(text, os)))
            .any(|said| {
                path.strip_prefix(said.as_str())
                    .is_some_and(|rest| said.is_empty() || rest.is_empty() || rest.starts_with('/'))
            })
    }

    /// What may have been meant, or what there is instead.
    fn help(&self, path: &str, needed: Needed) -> String {
        let fits = |path: &str| needed.refusal(path, self.bundle.look(path)).is_none();
        let (folder, rest) = self.deepest(path);
        let names = self.bundle.names(&folder);
        let (first, below) = rest.split_once('/').unwrap_or((rest, ""));
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let respelt = nearest(first, &known).map(|name| joined(&joined(&folder, name), below));
        let meant = respelt
            .filter(|meant| meant != path && fits(meant))
            .or_else(|| self.elsewhere(path, &fits));
        if let Some(meant) = meant {
            return format!("did you mean `{meant}`?");
        }
        let holder = match folder.as_str() {
            "" => "the revision".to_owned(),
            folder => format!("`{folder}`"),
        };
        let shown = listed(&known[..known.len().min(NAMES_SHOWN_MAX)]);
        match known.len().saturating_sub(NAMES_SHOWN_MAX) {
            _ if known.is_empty() => {
                format!("{holder} is empty; put it there, or correct the name")
            }
            0 => format!("{holder} has {shown}"),
            more => format!("{holder} has {shown}, and {more} more"),
        }
    }

    /// The longest part of a path that is a folder, and what is left of the path.
    fn deepest<'p>(&self, path: &'p str) -> (String, &'p str) {
        let mut end = 0;
        for (at, _) in path.match_indices('/') {
            if self.bundle.look(&path[..at]) != Found::Folder {
                break;
            }
            end = at + 1;
        }
        let folder = path[..end].trim_end_matches('/');
        (folder.to_owned(), &path[end..])
    }

    /// Something of the same name in another folder, the nearest to the root.
    fn elsewhere(&self, path: &str, fits: &dyn Fn(&str) -> bool) -> Option<String> {
        let name = path.rsplit('/').next().unwrap_or_default();
        let mut folders = VecDeque::from([String::new()]);
        let mut searched = 0;
        while let Some(folder) = folders.pop_front() {
            searched += 1;
            if searched > FOLDERS_SEARCHED_MAX {
                return None;
            }
            for found in self.bundle.names(&folder) {
                let path_found = joined(&folder, &found);
                if found.eq_ignore_ascii_case(name) && path_found != path && fits(&path_found) {
                    return Some(path_found);
                }
                // Of links to folders above there is no end.
                let is_known = folders.len() + searched > FOLDERS_SEARCHED_MAX;
                if !is_known && self.bundle.look(&path_found) == Found::Folder {
                    folders.push_back(path_found);
                }
            }
        }
        None
    }
}

fn joined(folder: &str, name: &str) -> String {
    match (folder, name) {
        ("", name) => name.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, name) => format!("{folder}/{name}"),
    }
}
