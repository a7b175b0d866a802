//! Staying under the cap. Received from `Store`, which holds the lock alone, so that no save is about to name what goes.
//!
//! The entries not used for longest go first, then trees and packs that no entry uses. A pack of which some chunks are
//! still used is rewritten when less than half of it is, or when the cap asks for it. New packs are written before old
//! ones are removed and entries are removed before what they use, so a crash at any point leaves every entry that is
//! still there whole.

use std::collections::HashSet;

use object_store::path::Path;

use crate::backend::{Listed, Objects};
use crate::id::Short;
use crate::index::{Known, for_each_pack};
use crate::layout::{folder, id_of};
use crate::lock::Held;
use crate::pack::{Builder, Decoder, PACK_OVERHEAD_BYTES, SLOT_OVERHEAD_BYTES, Slot, read_slots};
use crate::record::{self, Record};
use crate::restore::load_tree;
use crate::{Error, Id};

/// What a prune or removal took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Entries removed, including damaged ones.
    pub entries: u64,
    /// Bytes freed.
    pub freed_bytes: u64,
    /// Bytes of all objects that are left.
    pub stored_bytes: u64,
}

/// Brings the store down to `cap_bytes`. The caller holds the store alone.
pub(crate) fn prune_held(
    objects: &Objects,
    _alone: &Held<'_>,
    cap_bytes: u64,
) -> Result<Pruned, Error> {
    let before = total_bytes(objects)?;
    let mut known = Known::load(objects)?;
    let kept = evict(objects, &mut known, cap_bytes)?;
    remove_unnamed(objects, &kept)?;
    remove_unused_packs(objects, &known, cap_bytes)?;
    let stored_bytes = total_bytes(objects)?;
    Ok(Pruned {
        entries: kept.evicted,
        freed_bytes: before.saturating_sub(stored_bytes),
        stored_bytes,
    })
}

fn total_bytes(objects: &Objects) -> Result<u64, Error> {
    let all = objects.list(&crate::layout::everything())?;
    Ok(all.iter().map(|object| object.size_bytes).sum())
}

/// What the entries that stay use besides chunks.
#[derive(Debug, Default)]
struct Kept {
    trees: HashSet<Id>,
    used: HashSet<Path>,
    evicted: u64,
}

/// Removes entries until the rest fits; marks the chunks of those that stay.
///
/// Going from the last used to the longest unused, everything from the first entry that does not fit is removed. An entry
/// that would not fit even alone is removed without ending this.
fn evict(objects: &Objects, known: &mut Known, cap_bytes: u64) -> Result<Kept, Error> {
    let mut kept = Kept::default();
    let mut candidates = Vec::new();
    for (listed, record) in record::read_all(objects, &folder("entries"))? {
        match record {
            Ok(record) => candidates.push((record::last_used(objects, &record), listed, record)),
            Err(_) => remove_entry(objects, &listed.name, &mut kept)?,
        }
    }
    candidates.sort_by(|a, b| (b.0, b.2.created, &b.1.name).cmp(&(a.0, a.2.created, &a.1.name)));
    let mut room_bytes = cap_bytes;
    let mut full = false;
    for (_, listed, record) in candidates {
        let cost = if full {
            None
        } else {
            admit(objects, known, &listed, &record, room_bytes)?
        };
        let Some(cost) = cost else {
            full |= room_bytes < cap_bytes;
            remove_entry(objects, &listed.name, &mut kept)?;
            continue;
        };
        room_bytes -= cost;
        kept.trees.insert(record.tree);
        kept.used.insert(record::used_name(&listed.name));
    }
    Ok(kept)
}

/// Marks what the entry uses and returns what keeping it costs; none when that is too much or the entry is damaged.
fn admit(
    objects: &Objects,
    known: &mut Known,
    listed: &Listed,
    record: &Record,
    room_bytes: u64,
) -> Result<Option<u64>, Error> {
    let tree = match load_tree(objects, &record.tree) {
        Ok(tree) => tree,
        Err(error) if error.is_damage() => {
            tracing::warn!(%error, "a damaged cache entry is removed");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let tree_name = crate::layout::tree_name(&record.tree);
    let tree_bytes = objects.size_bytes(&tree_name)?.unwrap_or(0);
    let own_bytes = tree_bytes + listed.size_bytes;
    if own_bytes > room_bytes || !tree.chunks().all(|id| known.has(id)) {
        return Ok(None);
    }
    let chunk_bytes = known.admit(tree.chunks(), SLOT_OVERHEAD_BYTES, room_bytes - own_bytes);
    Ok(chunk_bytes.map(|bytes| bytes + own_bytes))
}

fn remove_entry(objects: &Objects, name: &Path, kept: &mut Kept) -> Result<(), Error> {
    objects.delete(name)?;
    kept.evicted += 1;
    Ok(())
}

/// Removes trees and times of use that belong to no entry.
fn remove_unnamed(objects: &Objects, kept: &Kept) -> Result<(), Error> {
    for tree in objects.list(&folder("trees"))? {
        if id_of(&tree.name).is_none_or(|id| !kept.trees.contains(&id)) {
            objects.delete(&tree.name)?;
        }
    }
    for used in objects.list(&folder("used"))? {
        if !kept.used.contains(&used.name) {
            objects.delete(&used.name)?;
        }
    }
    Ok(())
}

/// A pack, and how much of it is used.
#[derive(Clone, Debug)]
struct PackUse {
    listed: Listed,
    used_bytes: u64,
}

/// What to do with packs.
#[derive(Debug, Default)]
struct Plan {
    keep: Vec<Listed>,
    rewrite: Vec<Listed>,
    remove: Vec<Listed>,
}

/// Decides over packs: unused ones go, those less than half used are rewritten, and so are the least used others until
/// all fit under the cap.
fn plan(mut packs: Vec<PackUse>, cap_bytes: u64) -> Plan {
    let wasted = |pack: &PackUse| pack.listed.size_bytes.saturating_sub(pack.used_bytes);
    let mut plan = Plan::default();
    let mut total: u64 = packs.iter().map(|pack| pack.listed.size_bytes).sum();
    packs.sort_by_key(|pack| std::cmp::Reverse(wasted(pack)));
    for pack in packs {
        let wasted = wasted(&pack);
        if pack.used_bytes == 0 {
            total -= pack.listed.size_bytes;
            plan.remove.push(pack.listed);
        } else if wasted > pack.listed.size_bytes / 2 || (total > cap_bytes && wasted > 0) {
            total -= wasted;
            plan.rewrite.push(pack.listed);
        } else {
            plan.keep.push(pack.listed);
        }
    }
    plan
}

fn remove_unused_packs(objects: &Objects, known: &Known, cap_bytes: u64) -> Result<(), Error> {
    let mut packs = Vec::new();
    for_each_pack(objects, |listed, slots| {
        // A damaged pack gives nothing to anybody: entries that needed it have been removed.
        let slots = slots.unwrap_or_default();
        let used = slots.iter().filter(|slot| known.is_used(&slot.id));
        let chunks = used.map(|slot| u64::from(slot.stored_bytes) + SLOT_OVERHEAD_BYTES);
        let used_bytes = match chunks.sum() {
            0 => 0,
            chunks => chunks + PACK_OVERHEAD_BYTES,
        };
        packs.push(PackUse { listed, used_bytes });
    })?;
    let plan = plan(packs, cap_bytes);
    let mut housed = HashSet::new();
    for pack in &plan.keep {
        housed.extend(
            read_slots(objects, pack)?
                .iter()
                .map(|slot| slot.id.short()),
        );
    }
    let written = rewrite(objects, known, &plan.rewrite, housed)?;
    for pack in plan.rewrite.iter().chain(&plan.remove) {
        // A pack that came out as it was has the name it had.
        if !written.contains(&pack.name) {
            objects.delete(&pack.name)?;
        }
    }
    Ok(())
}

/// Copies what is used of these packs, and not `housed` elsewhere, into new ones; the names of those.
fn rewrite(
    objects: &Objects,
    known: &Known,
    packs: &[Listed],
    mut housed: HashSet<Short>,
) -> Result<HashSet<Path>, Error> {
    let mut builder = Builder::default();
    let mut written = HashSet::new();
    for pack in packs {
        for slot in read_slots(objects, pack)? {
            if known.is_used(&slot.id) && housed.insert(slot.id.short()) {
                copy(objects, pack, &slot, &mut builder)?;
            }
            if builder.is_full() {
                written.extend(builder.flush(objects)?.map(|pack| pack.name));
            }
        }
    }
    written.extend(builder.flush(objects)?.map(|pack| pack.name));
    Ok(written)
}

/// Copies a chunk into the pack being built, unless it is damaged: then it is lost, as it was already.
fn copy(objects: &Objects, pack: &Listed, slot: &Slot, builder: &mut Builder) -> Result<(), Error> {
    let from = u64::from(slot.offset);
    let range = from..from + u64::from(slot.stored_bytes);
    let stored = objects.get_range(&pack.name, range)?;
    if let Err(reason) = Decoder::new()?.decode(slot, &stored) {
        tracing::warn!(pack = %pack.name, reason, "a damaged chunk is dropped");
        return Ok(());
    }
    builder.push(slot.id, slot.raw_bytes, &stored);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(name: &str, size_bytes: u64, used_bytes: u64) -> PackUse {
        PackUse {
            listed: Listed {
                name: Path::from(name),
                size_bytes,
            },
            used_bytes,
        }
    }

    fn names(packs: &[Listed]) -> Vec<&str> {
        packs.iter().map(|pack| pack.name.as_ref()).collect()
    }

    #[test]
    fn unused_packs_go_and_sparse_ones_are_rewritten_even_with_room() {
        let plan = plan(
            vec![
                pack("full", 100, 90),
                pack("unused", 100, 0),
                pack("sparse", 100, 40),
            ],
            u64::MAX,
        );
        assert_eq!(names(&plan.keep), ["full"]);
        assert_eq!(names(&plan.remove), ["unused"]);
        assert_eq!(names(&plan.rewrite), ["sparse"]);
    }

    #[test]
    fn the_most_wasteful_packs_are_rewritten_until_the_rest_fits() {
        let packs = vec![pack("a", 100, 95), pack("b", 100, 60), pack("c", 100, 70)];
        let tight = plan(packs.clone(), 260);
        assert_eq!(names(&tight.rewrite), ["b"]);
        assert_eq!(names(&tight.keep), ["c", "a"]);
        assert_eq!(plan(packs, 300).rewrite.len(), 0);
    }
}
