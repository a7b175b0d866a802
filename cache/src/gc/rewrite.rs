//! Copying what is used out of packs that mostly are not, so that those can go. Decided by `choose`, which is pure.

use crate::Error;
use crate::backend::{Listed, Objects};
use crate::content::Reader;
use crate::index::Index;
use crate::intake::bring_in;
use crate::pack::read_contents;

use super::mark::Marked;

/// What to do with packs, by their number in the index.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) rewrite: Vec<usize>,
    pub(super) remove: Vec<usize>,
}

/// Packs smaller than this are put together when there are many: each costs a request to whoever reads.
const SMALL_BYTES: u64 = 1 << 20;

/// So many small packs are not worth the work.
const SMALL_MAX: usize = 32;

pub(super) fn short(number: usize) -> u32 {
    u32::try_from(number).expect("an index in memory has fewer than 2^32 packs")
}

/// Unused packs go; those less than half used are rewritten, and so are the least used others until all fit under the cap,
/// and small ones when there are many.
pub(super) fn choose(
    packs: &[(usize, &Listed)],
    marked: &Marked,
    bytes_max: Option<u64>,
) -> Chosen {
    let uses = packs
        .iter()
        .map(|(number, pack)| (*number, pack.size_bytes, marked.used_bytes(*number)))
        .collect();
    choose_by_use(uses, bytes_max)
}

fn choose_by_use(mut packs: Vec<(usize, u64, u64)>, bytes_max: Option<u64>) -> Chosen {
    let mut chosen = Chosen::default();
    let cap_bytes = bytes_max.unwrap_or(u64::MAX);
    let mut total: u64 = packs.iter().map(|pack| pack.1).sum();
    packs.sort_by_key(|(number, size, used)| {
        (std::cmp::Reverse(size.saturating_sub(*used)), *number)
    });
    let mut small = Vec::new();
    for (number, size, used) in packs {
        let wasted = size.saturating_sub(used);
        // Index and rounding: a pack that is wholly used seems to waste a few per cent.
        let is_sparse = wasted > size / 2 || (total > cap_bytes && wasted > size / 16);
        if used == 0 {
            total -= size;
            chosen.remove.push(number);
        } else if is_sparse {
            total -= wasted;
            chosen.rewrite.push(number);
        } else if size < SMALL_BYTES {
            small.push(number);
        }
    }
    if small.len() > SMALL_MAX {
        chosen.rewrite.extend(small);
    }
    chosen
}

/// Copies every used chunk of these packs into new ones. A damaged chunk is lost, as it was already.
pub(super) fn rewrite(
    objects: &Objects,
    index: &Index,
    marked: &Marked,
    packs: &[usize],
) -> Result<(), Error> {
    if packs.is_empty() {
        return Ok(());
    }
    // Nothing counts as stored: what is copied must be stored again.
    let nothing = Index::default();
    bring_in(objects, &nothing, u64::MAX, |intake| {
        let mut feeder = intake.feeder()?;
        let mut reader = Reader::new(objects, index)?;
        for number in packs {
            let number = short(*number);
            let contents = read_contents(objects, index.pack(number))?;
            for slot in &contents.slots {
                let here = index
                    .place(&slot.id)
                    .is_some_and(|place| place.pack == number);
                if !here || !marked.is_used(&slot.id.short()) {
                    continue;
                }
                let copied = reader.read([&slot.id], |bytes| feeder.copy(slot.id, bytes));
                match copied {
                    Err(error) if error.is_damage() => {
                        tracing::warn!(%error, "a damaged chunk is dropped");
                    }
                    other => other?,
                }
            }
        }
        feeder.flush()
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_packs_go_and_sparse_ones_are_rewritten_even_with_room() {
        let chosen = choose_by_use(vec![(0, 100, 90), (1, 100, 0), (2, 100, 40)], None);
        assert_eq!((chosen.remove, chosen.rewrite), (vec![1], vec![2]));
    }

    #[test]
    fn the_most_wasteful_packs_are_rewritten_until_the_rest_fits() {
        let packs = vec![(0, 100, 95), (1, 100, 60), (2, 100, 70)];
        assert_eq!(choose_by_use(packs.clone(), Some(260)).rewrite, [1]);
        assert_eq!(choose_by_use(packs, Some(300)).rewrite.len(), 0);
    }

    #[test]
    fn many_small_packs_become_few() {
        let packs = |count: usize| (0..count).map(|number| (number, 100, 100)).collect();
        assert_eq!(choose_by_use(packs(SMALL_MAX), None).rewrite.len(), 0);
        assert_eq!(
            choose_by_use(packs(SMALL_MAX + 1), None).rewrite.len(),
            SMALL_MAX + 1
        );
    }
}
