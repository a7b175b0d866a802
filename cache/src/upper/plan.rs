//! What becomes of a tree by a build's changes: pure. Receives the tree that was mounted, what the upper directory says, and
//! what lies below the tree; hands `save` the entries it can keep unread and the paths it has to read.

/// The usual case, in one pass.
mod whole;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use croft_beneath::{Kind, Root};

use super::{Change, Now};
use crate::Error;
use crate::selection::{Pattern, Selection};
use crate::tree::{Anchor, Node, PATH_BYTES_MAX, Tree};
use crate::walk::{Anchors, Warnings, walk};

/// Where a tree is mounted, and which paths are cached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    pub(crate) selection: &'a Selection,
    pub(crate) anchor: Anchor,
    /// Relative to the anchor; empty for the anchor itself.
    pub(crate) at: &'a Path,
}

/// What a save has to do for one mount. Paths are relative to the anchor, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Positions among the tree's entries, ascending: these are as they were.
    pub(crate) keep: Vec<usize>,
    /// What must be read through the mounted view, directories and links too.
    pub(crate) read: Vec<(PathBuf, Kind)>,
    /// Entries of the tree that are not there any more.
    pub(crate) gone: Vec<PathBuf>,
}

/// What the selection means of the directory below a mounted tree, as it was before.
///
/// # Errors
/// When it cannot be opened, or holds more than a tree may.
pub(crate) fn below(directory: &Path, at: &At<'_>) -> Result<Vec<(PathBuf, Kind)>, Error> {
    let root = Root::open(directory).map_err(|source| Error::Read {
        path: directory.to_path_buf(),
        source,
    })?;
    // What cannot be listed here, or is behind a link, is found again and told by whoever reads the view.
    let warnings = Warnings::default();
    let selection = at.selection.seen_from(at.anchor, at.at);
    let found = walk(&selection, &Anchors::of_one(root, directory)?, &warnings)?;
    let found = found.into_iter();
    Ok(found
        .map(|finding| (at.at.join(&finding.path), finding.found.kind))
        .collect())
}

/// The plan for one mount: together, `keep` and `read` are what a walk of the mounted view finds.
///
/// `changes` is the upper directory's; `below` is what the selection means of what lies below the tree.
pub(crate) fn apply(
    base: &Tree,
    changes: &[Change],
    below: &[(PathBuf, Kind)],
    at: &At<'_>,
) -> Plan {
    if below.is_empty()
        && let Some(plan) = whole::apply(base, changes, at)
    {
        return plan;
    }
    apply_anything(base, changes, below, at)
}

/// The same for patterns of every sort, over anything.
fn apply_anything(base: &Tree, changes: &[Change], below: &[(PathBuf, Kind)], at: &At<'_>) -> Plan {
    let view = View::of(base, changes, below, at);
    let meant = view.meant(at);
    let mut plan = Plan::default();
    for path in &meant {
        match view.names.get(*path) {
            Some((_, Origin::Tree(position))) => plan.keep.push(*position),
            Some((kind, Origin::Read)) => plan.read.push((path.to_path_buf(), *kind)),
            None => {}
        }
    }
    let gone = base.entries().iter();
    let gone = gone.filter(|entry| entry.anchor == at.anchor && is_below(&entry.path, at.at));
    let gone = gone.filter(|entry| !meant.contains(entry.path.as_path()));
    plan.gone = gone.map(|entry| entry.path.clone()).collect();
    plan.keep.sort_unstable();
    plan
}

#[derive(Clone, Copy)]
enum Origin {
    /// An entry of the tree that nothing has changed.
    Tree(usize),
    /// Changed, or from below the tree.
    Read,
}

/// The names that are visible at a mount and that may be meant.
struct View {
    names: BTreeMap<PathBuf, (Kind, Origin)>,
}

impl View {
    fn of(base: &Tree, changes: &[Change], below: &[(PathBuf, Kind)], at: &At<'_>) -> Self {
        let changed = Changed::new(changes, at.at);
        let mut names = BTreeMap::new();
        let mut tree: HashMap<&Path, Kind> = HashMap::new();
        for (position, entry) in base.entries().iter().enumerate() {
            if entry.anchor != at.anchor || !is_below(&entry.path, at.at) {
                continue;
            }
            let kind = kind(&entry.node);
            tree.insert(&entry.path, kind);
            if !changed.covers(&entry.path) {
                names.insert(entry.path.clone(), (kind, Origin::Tree(position)));
            }
        }
        for (path, kind) in below {
            // What the tree has at a name, and everything below a file of the tree's, is not seen.
            let by_tree = path.ancestors().enumerate().any(|(distance, above)| {
                let found = tree.get(above);
                found.is_some_and(|kind| distance == 0 || *kind != Kind::Directory)
            });
            if !by_tree && !changed.covers(path) {
                names.insert(path.clone(), (*kind, Origin::Read));
            }
        }
        for change in changes {
            if let Some(kind) = change.now.kind() {
                names.insert(at.at.join(&change.path), (kind, Origin::Read));
            }
        }
        Self { names }
    }

    /// The names that the selection means, with the directories above them down from a pattern's first part.
    fn meant(&self, at: &At<'_>) -> BTreeSet<&Path> {
        let mut meant = BTreeSet::new();
        let patterns = at.selection.patterns.iter();
        for pattern in patterns.filter(|pattern| pattern.anchor == at.anchor) {
            let names = self.names.iter();
            let names = names.filter(|(path, (kind, _))| means(pattern, path, *kind));
            for (path, _) in names {
                let above = path.ancestors();
                meant.extend(above.take_while(|above| {
                    above.starts_with(&pattern.prefix) && !above.as_os_str().is_empty()
                }));
            }
        }
        meant
    }
}

/// What the walk for a pattern would find by itself.
fn means(pattern: &Pattern, path: &Path, kind: Kind) -> bool {
    let Ok(inside) = path.strip_prefix(&pattern.prefix) else {
        return false;
    };
    if kind == Kind::Other || path.as_os_str().len() > PATH_BYTES_MAX {
        return false;
    }
    if inside.as_os_str().is_empty() {
        // A link that stands for the configured path is not followed.
        return pattern.is_whole() && kind != Kind::Symlink;
    }
    let above = || {
        inside
            .ancestors()
            .skip(1)
            .filter(|path| !path.as_os_str().is_empty())
    };
    pattern.matches(inside)
        || (pattern.names_trees() && above().any(|above| pattern.matches(above)))
}

/// The upper directory's changes, by path relative to the anchor.
struct Changed<'a> {
    now: HashMap<&'a Path, Now>,
    at: &'a Path,
}

impl<'a> Changed<'a> {
    fn new(changes: &'a [Change], at: &'a Path) -> Self {
        let now = changes.iter();
        Self {
            now: now
                .map(|change| (change.path.as_path(), change.now))
                .collect(),
            at,
        }
    }

    /// Whether a name of a lower layer is not seen, or not as it was.
    fn covers(&self, path: &Path) -> bool {
        let Ok(path) = path.strip_prefix(self.at) else {
            return false;
        };
        self.now.contains_key(path)
            || path.ancestors().skip(1).any(|above| {
                let now = self.now.get(above);
                now.is_some_and(|now| *now != Now::Merged)
            })
    }
}

fn is_below(path: &Path, at: &Path) -> bool {
    path.starts_with(at) && path != at
}

pub(super) fn kind(node: &Node) -> Kind {
    match node {
        Node::File { .. } | Node::HardLink(_) => Kind::File,
        Node::Directory => Kind::Directory,
        Node::Symlink(_) => Kind::Symlink,
    }
}
