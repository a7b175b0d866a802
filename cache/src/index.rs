//! Which chunks are where: read from the end of every pack, so that no separate index can disagree with them. Received
//! from packs; handed to `save` (what need not be stored again), `unpack` (where to read) and `prune` (what is used).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use object_store::path::Path;

use crate::backend::{Listed, Objects};
use crate::id::Short;
use crate::layout::folder;
use crate::pack::{Slot, read_slots};
use crate::{Error, Id};

/// Every pack with its chunks, or with the error of one that is damaged. Other errors end it.
pub(crate) fn for_each_pack(
    objects: &Objects,
    mut each: impl FnMut(Listed, Result<Vec<Slot>, Error>),
) -> Result<(), Error> {
    for pack in objects.list(&folder("packs"))? {
        match read_slots(objects, &pack) {
            Err(error) if !error.is_damage() => return Err(error),
            slots => each(pack, slots),
        }
    }
    Ok(())
}

/// A chunk that is stored.
#[derive(Clone, Copy, Debug)]
struct Spot {
    stored_bytes: u32,
    used: bool,
}

/// The chunks a store has. 24 bytes each: a store at a cap of 10 GiB with an average chunk of 20 KiB needs about 20 MB.
#[derive(Debug, Default)]
pub(crate) struct Known(HashMap<Short, Spot>);

impl Known {
    /// Every chunk of the store; damaged packs are as if they were not there.
    pub(crate) fn load(objects: &Objects) -> Result<Self, Error> {
        let mut known = Self::default();
        for_each_pack(objects, |pack, slots| match slots {
            Ok(slots) => {
                for slot in slots {
                    known.0.entry(slot.id.short()).or_insert(Spot {
                        stored_bytes: slot.stored_bytes,
                        used: false,
                    });
                }
            }
            Err(error) => tracing::warn!(pack = %pack.name, %error, "a damaged pack is not used"),
        })?;
        Ok(known)
    }

    /// Notes that the chunk is used. False when it is not stored yet, and from then on it is the caller's to store.
    pub(crate) fn claim(&mut self, id: &Id) -> bool {
        match self.0.entry(id.short()) {
            Entry::Occupied(mut spot) => {
                spot.get_mut().used = true;
                true
            }
            Entry::Vacant(vacant) => {
                vacant.insert(Spot {
                    stored_bytes: 0,
                    used: true,
                });
                false
            }
        }
    }

    /// Notes how many bytes a claimed chunk took.
    pub(crate) fn stored(&mut self, id: &Id, stored_bytes: u32) {
        if let Some(spot) = self.0.get_mut(&id.short()) {
            spot.stored_bytes = stored_bytes;
        }
    }

    /// Stored bytes of all used chunks.
    pub(crate) fn used_bytes(&self) -> u64 {
        let used = self.0.values().filter(|spot| spot.used);
        used.map(|spot| u64::from(spot.stored_bytes)).sum()
    }

    pub(crate) fn is_used(&self, id: &Id) -> bool {
        self.0.get(&id.short()).is_some_and(|spot| spot.used)
    }

    pub(crate) fn has(&self, id: &Id) -> bool {
        self.0.contains_key(&id.short())
    }

    /// Marks these chunks as used and returns the stored bytes that this adds; when that is more than `room_bytes`,
    /// marks nothing and returns none.
    pub(crate) fn admit<'a>(
        &mut self,
        chunks: impl Iterator<Item = &'a Id>,
        overhead_bytes: u64,
        room_bytes: u64,
    ) -> Option<u64> {
        let mut marked = Vec::new();
        let mut added = 0;
        for id in chunks {
            if let Some(spot) = self.0.get_mut(&id.short())
                && !spot.used
            {
                spot.used = true;
                added += u64::from(spot.stored_bytes) + overhead_bytes;
                marked.push(id.short());
            }
        }
        if added <= room_bytes {
            return Some(added);
        }
        for short in marked {
            if let Some(spot) = self.0.get_mut(&short) {
                spot.used = false;
            }
        }
        None
    }
}

/// Where a chunk is.
#[derive(Clone, Copy, Debug)]
struct Place {
    pack: u32,
    offset: u32,
    raw_bytes: u32,
    stored_bytes: u32,
}

/// Where the chunks of one tree are.
#[derive(Debug, Default)]
pub(crate) struct Located {
    packs: Vec<Path>,
    spots: HashMap<Id, Place>,
}

impl Located {
    /// The places of all `needed` chunks.
    ///
    /// A chunk that is nowhere is an error that names a damaged pack if there is one, since that is where it was.
    pub(crate) fn find<'a>(
        objects: &Objects,
        needed: impl Iterator<Item = &'a Id>,
    ) -> Result<Self, Error> {
        let mut wanted: HashSet<Id> = needed.copied().collect();
        let mut located = Self::default();
        let mut damage = None;
        if wanted.is_empty() {
            return Ok(located);
        }
        for_each_pack(objects, |pack, slots| match slots {
            Ok(slots) => located.take(pack.name, slots, &mut wanted),
            Err(error) => damage = Some(error),
        })?;
        match (wanted.into_iter().min(), damage) {
            (None, _) => Ok(located),
            (Some(_), Some(damage)) => Err(damage),
            (Some(id), None) => Err(Error::Missing {
                object: format!("chunk {id}"),
            }),
        }
    }

    fn take(&mut self, pack: Path, slots: Vec<Slot>, wanted: &mut HashSet<Id>) {
        let number = u32::try_from(self.packs.len()).expect("fewer packs than 2^32");
        let before = self.spots.len();
        for slot in slots {
            if wanted.remove(&slot.id) {
                let place = Place {
                    pack: number,
                    offset: slot.offset,
                    raw_bytes: slot.raw_bytes,
                    stored_bytes: slot.stored_bytes,
                };
                self.spots.insert(slot.id, place);
            }
        }
        if self.spots.len() > before {
            self.packs.push(pack);
        }
    }

    /// The pack that holds the chunk, and where in it.
    pub(crate) fn spot(&self, id: &Id) -> (u32, Slot) {
        let place = self.spots[id];
        let slot = Slot {
            id: *id,
            offset: place.offset,
            raw_bytes: place.raw_bytes,
            stored_bytes: place.stored_bytes,
        };
        (place.pack, slot)
    }

    pub(crate) fn pack(&self, number: u32) -> &Path {
        &self.packs[number as usize]
    }
}
