//! Saving what a build changed in a mounted tree, known from the overlays' upper directories: nothing else is looked at.
//! Received from `save` when an entry was mounted beneath the build; the result is what a walk of everything would give.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::thread;

use croft_beneath::Kind;
use croft_proto::Timestamp;

use super::gather::{Source, gather};
use super::written::{Place, Written, write_list, write_place};
use super::{Layer, Mounted};
use crate::content::Reader;
use crate::index::Index;
use crate::intake::{Brought, Feeder, Intake, bring_in};
use crate::restore::parse_list;
use crate::selection::Selection;
use crate::tree::{Anchor, Entry, Node, Tree, order};
use crate::upper::Changes;
use crate::upper::plan::{At, apply, below};
use crate::walk::{Anchors, Finding, Warnings};
use crate::{Error, Id, Meter, Store};

/// Where a build's changes are looked for.
pub(crate) struct From<'a> {
    pub(crate) meter: &'a Meter,
    pub(crate) selection: &'a Selection,
    pub(crate) anchors: &'a Anchors,
    pub(crate) warnings: &'a Warnings,
    pub(crate) mounted: &'a Mounted<'a>,
    pub(crate) now: Timestamp,
}

/// What has to be done for all mounts together.
#[derive(Debug, Default)]
struct Changed {
    keep: Vec<usize>,
    read: Vec<(Anchor, PathBuf)>,
    is_less: bool,
}

/// Stores the mounted tree with the build's changes.
pub(crate) fn write_changes(
    store: &Store,
    index: &Index,
    from: &From<'_>,
) -> Result<Written, Error> {
    let reference = from.mounted.tree;
    let (base, changes) = thread::scope(|scope| {
        // Listing what changed waits for the disk, parsing what was there takes a processor.
        let listing = thread::Builder::new()
            .name("croft-cache".into())
            .spawn_scoped(scope, || read_uppers(from));
        let base = Reader::new(&store.objects, index)
            .and_then(|mut reader| parse_list(&reference.list, Some(&reference.id), &mut reader));
        let changes = match listing {
            Ok(listing) => listing
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => read_uppers(from),
        };
        (base, changes)
    });
    let base = match base {
        Ok(base) => base,
        // It was collected meanwhile, or is damaged: what is mounted is still there to be read.
        Err(error) if error.is_damage() => return write_all(store, index, from),
        Err(error) => return Err(error),
    };
    let changed = match changes.and_then(|changes| decide(&base, from, changes)) {
        Ok(Some(changed)) => changed,
        Ok(None) => return write_all(store, index, from),
        Err(error) => {
            tracing::debug!(%error, "the build's changes are found by walking");
            return write_all(store, index, from);
        }
    };
    let changed = with_lost(&base, index, changed);
    // A list in a pack that is about to go is written again, as every other chunk is.
    let list = &reference.list.chunks;
    let has_list = list.iter().all(|id| index.has_for_good(&id.short()));
    if changed.read.is_empty() && !changed.is_less && has_list {
        return Ok(Written {
            id: reference.id,
            list: reference.list.clone(),
            tree: base,
            read_bytes: 0,
            brought: Brought::default(),
        });
    }
    let findings = look(from, &changed.read);
    let (written, brought) = bring_in(&store.objects, index, store.cap_bytes, |intake| {
        let mut feeder = intake.feeder()?;
        let (tree, read_bytes) =
            merged((intake, &mut feeder), from, base, &changed.keep, &findings)?;
        let (id, list) = write_list(feeder, &tree)?;
        Ok((tree, id, list, read_bytes))
    })?;
    let (tree, id, list, read_bytes) = written;
    Ok(Written {
        tree,
        id,
        list,
        read_bytes,
        brought,
    })
}

/// The same by looking at everything.
fn write_all(store: &Store, index: &Index, from: &From<'_>) -> Result<Written, Error> {
    let place = Place {
        selection: from.selection,
        anchors: from.anchors,
        warnings: from.warnings,
        stat_file: None,
        now: from.now,
    };
    write_place(store, index, &place)
}

fn read_uppers(from: &From<'_>) -> Result<Vec<Changes>, Error> {
    let layers = from.mounted.layers.iter();
    layers.map(|layer| Changes::read(&layer.upper)).collect()
}

/// What the upper directories say; none when one of them cannot be understood, or a configured path lies in none of them.
fn decide(base: &Tree, from: &From<'_>, changes: Vec<Changes>) -> Result<Option<Changed>, Error> {
    if !covers(from.mounted.layers, from.selection) {
        return Ok(None);
    }
    let mut all = Changed::default();
    for (layer, changes) in from.mounted.layers.iter().zip(changes) {
        let changes = match changes {
            Changes::Known(changes) => changes,
            Changes::Unclear(reason) => {
                tracing::debug!(reason, "the build's changes are found by walking");
                return Ok(None);
            }
        };
        let at = At {
            selection: from.selection,
            anchor: layer.anchor,
            at: &layer.at,
        };
        let mut under = Vec::new();
        for directory in &layer.below {
            under.extend(below(directory, &at)?);
        }
        let plan = apply(base, &changes, &under, &at);
        all.is_less |= !plan.gone.is_empty();
        all.keep.extend(plan.keep);
        let read = plan.read.into_iter();
        all.read.extend(read.map(|(path, _)| (layer.anchor, path)));
    }
    all.keep.sort_unstable();
    Ok(Some(all))
}

fn covers(layers: &[Layer], selection: &Selection) -> bool {
    selection.patterns.iter().all(|pattern| {
        layers
            .iter()
            .any(|layer| layer.anchor == pattern.anchor && pattern.prefix.starts_with(&layer.at))
    })
}

/// Entries cannot be kept unread when their chunks are gone, or when they are another name of a file that is not kept.
fn with_lost(base: &Tree, index: &Index, mut changed: Changed) -> Changed {
    let entries = base.entries();
    // Kept positions are ascending.
    let is_kept = |anchor: Anchor, path: &Path| {
        let at = entries.binary_search_by(|entry| order(entry.place(), (anchor, path)));
        at.is_ok_and(|at| changed.keep.binary_search(&at).is_ok())
    };
    let is_lost = |entry: &Entry| match &entry.node {
        Node::File { chunks, .. } => !chunks.iter().all(|id| index.has_for_good(&id.short())),
        Node::HardLink(original) => !is_kept(entry.anchor, original),
        Node::Directory | Node::Symlink(_) => false,
    };
    let lost: HashSet<usize> = changed
        .keep
        .iter()
        .copied()
        .filter(|at| is_lost(&entries[*at]))
        .collect();
    if lost.is_empty() {
        return changed;
    }
    changed.keep.retain(|at| !lost.contains(at));
    let paths = lost
        .iter()
        .map(|at| (entries[*at].anchor, entries[*at].path.clone()));
    changed.read.extend(paths);
    // The other names of a lost file must be read with it.
    with_lost(base, index, changed)
}

/// What the paths are now. One that has gone since is not there.
fn look(from: &From<'_>, paths: &[(Anchor, PathBuf)]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = paths
        .iter()
        .filter_map(|(anchor, path)| {
            let found = from.anchors.at(*anchor).symlink_metadata(path).ok()?;
            (found.kind != Kind::Other).then(|| Finding {
                anchor: *anchor,
                path: path.clone(),
                found,
            })
        })
        .collect();
    findings.sort_by(|a, b| order(a.place(), b.place()));
    findings.dedup_by(|a, b| order(a.place(), b.place()) == Ordering::Equal);
    findings
}

/// The tree of what was kept and what was read, and the bytes read.
fn merged(
    (intake, feeder): (&Intake<'_>, &mut Feeder<'_>),
    from: &From<'_>,
    base: Tree,
    keep: &[usize],
    findings: &[Finding],
) -> Result<(Tree, u64), Error> {
    let nothing = |_: usize| -> Option<&[Id]> { None };
    let source = Source {
        meter: from.meter,
        anchors: from.anchors,
        warnings: from.warnings,
        unchanged: &nothing,
    };
    let gathered = gather(intake, feeder, &source, findings)?;
    let mut kept = keep.iter().copied().peekable();
    let base = base.into_entries().into_iter().enumerate();
    let mut entries: Vec<Entry> = base
        .filter_map(|(at, entry)| kept.next_if_eq(&at).map(|_| entry))
        .collect();
    entries.extend(gathered.tree.into_entries());
    // Two runs in order: this merges them.
    entries.sort_by(|a, b| order(a.place(), b.place()));
    Ok((Tree::new(entries), gathered.read_bytes))
}
