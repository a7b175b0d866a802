//! The usual case: configured paths that mean whole directories, and nothing of theirs below the mounted tree. Tree and
//! changes are in the same order, so one pass over both decides, without a look-up for each of a hundred thousand names.

use std::cmp::Ordering;
use std::path::Path;

use super::{At, Plan, is_below, means};
use crate::tree::{Anchor, Tree, order};
use crate::upper::{Change, Now};

/// The plan, or none when a path has wildcards.
pub(super) fn apply(base: &Tree, changes: &[Change], at: &At<'_>) -> Option<Plan> {
    let patterns = || {
        let patterns = at.selection.patterns.iter();
        patterns.filter(|pattern| pattern.anchor == at.anchor)
    };
    if patterns().any(|pattern| !pattern.is_whole()) {
        return None;
    }
    let is_meant = |change: &Change| {
        let kind = change.now.kind()?;
        let path = at.at.join(&change.path);
        let meant = patterns().any(|pattern| means(pattern, &path, kind));
        meant.then_some((path, kind))
    };
    let mut plan = Plan::default();
    let mut pass = Pass {
        changes,
        next: 0,
        hider: None,
    };
    for (position, entry) in base.entries().iter().enumerate() {
        if entry.anchor != at.anchor || !is_below(&entry.path, at.at) {
            continue;
        }
        let inside = entry.path.strip_prefix(at.at).unwrap_or(&entry.path);
        match pass.seen(inside) {
            Seen::AsItWas => plan.keep.push(position),
            Seen::Changed(change) if is_meant(change).is_some() => {}
            Seen::Changed(_) | Seen::Hidden => plan.gone.push(entry.path.clone()),
        }
    }
    plan.read = changes.iter().filter_map(is_meant).collect();
    Some(plan)
}

/// What a change leaves of a name below it.
enum Seen<'a> {
    AsItWas,
    Changed(&'a Change),
    Hidden,
}

/// A walk along the changes beside one along the tree.
struct Pass<'a> {
    changes: &'a [Change],
    next: usize,
    /// The last change passed that hides what is below it.
    hider: Option<&'a Path>,
}

impl<'a> Pass<'a> {
    /// How the name is seen. Names must come in ascending order.
    fn seen(&mut self, name: &Path) -> Seen<'a> {
        let mut found = None;
        while let Some(change) = self.changes.get(self.next) {
            let order = order((Anchor::Source, &change.path), (Anchor::Source, name));
            if order == Ordering::Greater {
                break;
            }
            self.next += 1;
            let is_hidden = self
                .hider
                .is_some_and(|hider| change.path.starts_with(hider));
            if change.now != Now::Merged && !is_hidden {
                self.hider = Some(&change.path);
            }
            if order == Ordering::Equal {
                found = Some(change);
                break;
            }
        }
        match found {
            Some(change) => Seen::Changed(change),
            None if self.hider.is_some_and(|hider| name.starts_with(hider)) => Seen::Hidden,
            None => Seen::AsItWas,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use croft_beneath::Kind;
    use proptest::prelude::*;

    use super::super::{apply_anything, kind};
    use super::*;
    use crate::selection::Selection;
    use crate::tree::{Entry, Node};

    fn tree(names: &[(String, bool)]) -> Tree {
        let mut entries: Vec<Entry> = Vec::new();
        let mut sorted: Vec<_> = names.to_vec();
        sorted.sort_by(|a, b| Path::new(&a.0).cmp(Path::new(&b.0)));
        sorted.dedup_by(|a, b| a.0 == b.0);
        for (name, is_directory) in sorted {
            let is_inside_file = entries.iter().any(|above| {
                above.node != Node::Directory && Path::new(&name).starts_with(&above.path)
            });
            if !is_inside_file {
                entries.push(Entry {
                    anchor: Anchor::Source,
                    path: PathBuf::from(name),
                    mode: 0o755,
                    modified: (1, 0),
                    owner: (0, 0),
                    node: match is_directory {
                        true => Node::Directory,
                        false => Node::Symlink("x".into()),
                    },
                });
            }
        }
        Tree::new(entries)
    }

    /// As an upper directory has them: what is changed lies in directories that are there themselves.
    fn listed(changes: Vec<Change>) -> Vec<Change> {
        let mut all: Vec<Change> = Vec::new();
        for change in changes {
            let is_in_a_directory = all.iter().all(|there| {
                let is_directory = there.now.kind() == Some(Kind::Directory);
                is_directory || !change.path.starts_with(&there.path)
            });
            if !is_in_a_directory {
                continue;
            }
            let above: Vec<PathBuf> = change.path.ancestors().skip(1).map(PathBuf::from).collect();
            for path in above.into_iter().rev().filter(|path| path != Path::new("")) {
                if !all.iter().any(|there| there.path == path) {
                    all.push(Change {
                        path,
                        now: Now::Merged,
                    });
                }
            }
            all.push(change);
        }
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }

    fn name() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "c-d", "c"]), 1..4)
            .prop_map(|parts| parts.join("/"))
    }

    fn now() -> impl Strategy<Value = Now> {
        prop::sample::select(vec![
            Now::Gone,
            Now::Merged,
            Now::Opaque,
            Now::Leaf(Kind::File),
            Now::Leaf(Kind::Symlink),
        ])
    }

    proptest! {
        #[test]
        fn one_pass_decides_what_the_long_way_does(
            names in prop::collection::vec((name(), any::<bool>()), 0..12),
            changes in prop::collection::vec((name(), now()), 0..8),
            path in prop::sample::select(vec!["a", "c", "a/b", "."]),
        ) {
            let base = tree(&names);
            let mut changes: Vec<Change> = changes
                .into_iter()
                .map(|(path, now)| Change { path: path.into(), now })
                .collect();
            changes.sort_by(|a, b| a.path.cmp(&b.path));
            changes.dedup_by(|a, b| a.path == b.path);
            let changes = listed(changes);
            let selection = Selection::parse(&[path.to_string()], Path::new("/src")).unwrap();
            let at = At { selection: &selection, anchor: Anchor::Source, at: Path::new("") };
            // A tree holds what its paths mean.
            let is_meant = |entry: &&Entry| {
                selection
                    .patterns
                    .iter()
                    .any(|pattern| means(pattern, &entry.path, kind(&entry.node)))
            };
            let base = Tree::new(base.entries().iter().filter(is_meant).cloned().collect());
            let fast = apply(&base, &changes, &at).unwrap();
            let long = apply_anything(&base, &changes, &[], &at);
            prop_assert_eq!(fast.keep, long.keep);
            prop_assert_eq!(fast.read, long.read);
            prop_assert_eq!(fast.gone, long.gone);
        }
    }
}
