//! From findings to a tree in the store, short of naming it. Received from `save` and `put`; hands back what a record needs.

use std::collections::HashSet;
use std::path::Path;
use std::thread;

use croft_proto::Timestamp;

use super::gather::{Gathered, Source, gather};
use crate::content::{Content, Reader};
use crate::index::Index;
use crate::intake::{Brought, Feeder, bring_in};
use crate::restore::parse_list;
use crate::selection::Selection;
use crate::stat::Remembered;
use crate::tree::Tree;
use crate::walk::{Anchors, Warnings, walk};
use crate::{Error, Id, Store};

/// A tree that is stored whole.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) tree: Tree,
    pub(crate) id: Id,
    pub(crate) list: Content,
    /// Bytes of files that were read.
    pub(crate) read_bytes: u64,
    pub(crate) brought: Brought,
}

impl Written {
    /// Compressed bytes of what the tree uses, each chunk once: new ones by what was written, others by their share.
    pub(crate) fn stored_bytes(&self, index: &Index) -> u64 {
        let mut seen = HashSet::with_capacity(self.tree.entries().len());
        let chunks = self.tree.chunks().chain(&self.list.chunks);
        let known: u64 = chunks
            .map(Id::short)
            .filter(|short| seen.insert(*short))
            .filter_map(|short| index.stored_bytes(&short))
            .sum();
        known + self.brought.stored_bytes
    }
}

/// Where files are found, and what is remembered of them.
pub(crate) struct Place<'a> {
    pub(crate) selection: &'a Selection,
    pub(crate) anchors: &'a Anchors,
    pub(crate) warnings: &'a Warnings,
    /// The stat cache's file for this place; none when nothing is to be remembered.
    pub(crate) stat_file: Option<&'a Path>,
    pub(crate) now: Timestamp,
}

/// Stores what a walk of the place finds, reading only what has changed since it was last saved.
pub(crate) fn write_place(
    store: &Store,
    index: &Index,
    place: &Place<'_>,
) -> Result<Written, Error> {
    let (findings, before) = thread::scope(|scope| {
        // Reading what was saved last takes about as long as walking does.
        let before = place.stat_file.map(|file| {
            thread::Builder::new()
                .name("croft-cache".into())
                .spawn_scoped(scope, || saved_last(store, index, file))
        });
        let findings = walk(place.selection, place.anchors, place.warnings);
        let before = before.and_then(Result::ok).and_then(|reading| {
            reading
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        (findings, before)
    });
    let findings = findings?;
    let before = before.and_then(|(remembered, tree)| {
        let positions = remembered.unchanged(&tree, &findings).ok()?;
        Some((tree, positions))
    });
    let unchanged = |at: usize| -> Option<&[Id]> {
        let (tree, positions) = before.as_ref()?;
        let position: Option<usize> = *positions.get(at)?;
        Some(tree.entries()[position?].node.chunks())
    };
    let source = Source {
        meter: &store.meter,
        anchors: place.anchors,
        warnings: place.warnings,
        unchanged: &unchanged,
    };
    let (written, brought) = bring_in(&store.objects, index, store.cap_bytes, |intake| {
        let mut feeder = intake.feeder()?;
        let gathered = gather(intake, &mut feeder, &source, &findings)?;
        let (id, list) = write_list(feeder, &gathered.tree)?;
        Ok((gathered, id, list))
    })?;
    let (gathered, id, list) = written;
    remember(place, &list, &gathered);
    Ok(Written {
        tree: gathered.tree,
        id,
        list,
        read_bytes: gathered.read_bytes,
        brought,
    })
}

/// Stores the list of a tree's files, as the last thing that goes through that feeder; its id and contents.
pub(crate) fn write_list(mut feeder: Feeder<'_>, tree: &Tree) -> Result<(Id, Content), Error> {
    let failed = |source| Error::System {
        action: "write the list of files",
        source,
    };
    let bytes = tree.encode().map_err(failed)?;
    let list = match feeder.take(&mut bytes.as_slice()) {
        Ok(list) => list,
        Err(crate::intake::Stop::Failed(error)) => return Err(error),
        Err(crate::intake::Stop::Unreadable(source)) => return Err(failed(source)),
    };
    feeder.flush()?;
    Ok((Id::of(&bytes), list))
}

/// What was saved last from that place: the files' times, and the tree.
fn saved_last(store: &Store, index: &Index, file: &Path) -> Option<(Remembered, Tree)> {
    let remembered = Remembered::read(file)?;
    let tree = Reader::new(&store.objects, index)
        .and_then(|mut reader| parse_list(&remembered.list, None, &mut reader))
        .inspect_err(|error| tracing::debug!(%error, "what was saved last is not there any more"))
        .ok()?;
    Some((remembered, tree))
}

fn remember(place: &Place<'_>, list: &Content, gathered: &Gathered) {
    let Some(file) = place.stat_file else {
        return;
    };
    if gathered.found.is_empty() {
        return;
    }
    if let Err(error) = Remembered::write(file, list, &gathered.found, place.now) {
        tracing::debug!(%error, "the files' times are not remembered");
    }
}
