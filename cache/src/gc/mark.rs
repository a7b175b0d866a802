//! What is reachable: every chunk that records and the leases of running builds lead to. Handed to the sweep, which takes
//! away packs in which nothing is.

use std::collections::HashSet;

use super::plan::Candidate;
use crate::backend::Objects;
use crate::content::{Content, Reader};
use crate::id::Short;
use crate::index::Index;
use crate::records::lease::Leases;
use crate::records::record::Outcome;
use crate::restore::parse_list;
use crate::{Error, Id};

/// What stays.
#[derive(Debug, Default)]
pub(super) struct Marked {
    chunks: HashSet<Short>,
    /// For each pack of the index, stored bytes of what is used in it.
    packs: Vec<u64>,
    /// False when a lease cannot be read: then nobody knows what it needs.
    complete: bool,
}

impl Marked {
    /// Stored bytes of what is used in the pack, about.
    pub(super) fn used_bytes(&self, pack: usize) -> u64 {
        self.packs.get(pack).copied().unwrap_or(0)
    }

    pub(super) fn is_used(&self, short: &Short) -> bool {
        self.chunks.contains(short)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    fn add(&mut self, index: &Index, short: Short) {
        if !self.chunks.insert(short) {
            return;
        }
        if let Some(place) = index.place_of(&short) {
            let bytes = index.stored_bytes(&short).unwrap_or(0).max(1);
            self.packs[place.pack as usize] += bytes;
        }
    }
}

/// Marks what the entries that stay and the leases need.
pub(super) fn mark(
    objects: &Objects,
    index: &Index,
    kept: &[Candidate],
    leases: &Leases,
) -> Result<Marked, Error> {
    let mut marked = Marked {
        packs: vec![0; index.packs().len()],
        complete: leases.live.iter().all(|lease| lease.terms.is_some()),
        ..Marked::default()
    };
    let mut seen: HashSet<Id> = HashSet::new();
    let outcomes = kept.iter().map(|candidate| &candidate.record.outcome);
    let held = leases
        .live
        .iter()
        .filter_map(|lease| lease.terms.as_ref())
        .flat_map(|terms| &terms.roots);
    for outcome in outcomes.chain(held) {
        if let Outcome::Tree { id, .. } = outcome
            && seen.contains(id)
        {
            continue;
        }
        match chunks_of(objects, index, outcome) {
            Ok(chunks) => {
                chunks
                    .into_iter()
                    .for_each(|short| marked.add(index, short));
                // Only now: a forged entry may name the tree of a good one with a list that leads nowhere.
                if let Outcome::Tree { id, .. } = outcome {
                    seen.insert(*id);
                }
            }
            // It gives nothing to anybody; what it still leads to is not worth keeping.
            Err(error) if error.is_damage() => {
                tracing::warn!(%error, "an entry that is not whole keeps nothing alive");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(marked)
}

/// Every chunk an outcome needs.
pub(super) fn chunks_of(
    objects: &Objects,
    index: &Index,
    outcome: &Outcome,
) -> Result<Vec<Short>, Error> {
    match outcome {
        Outcome::Content { chunks, .. } => Ok(chunks.iter().map(Id::short).collect()),
        Outcome::Tree { id, list } => {
            let tree = parsed(objects, index, id, list)?;
            let chunks = tree.chunks().chain(&list.chunks);
            Ok(chunks.map(Id::short).collect())
        }
    }
}

fn parsed(objects: &Objects, index: &Index, id: &Id, list: &Content) -> Result<crate::Tree, Error> {
    let mut reader = Reader::new(objects, index)?;
    parse_list(list, Some(id), &mut reader)
}
