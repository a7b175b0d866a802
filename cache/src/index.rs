//! Which chunks are where: read from the end of every pack, so that no separate index can disagree with them. Received
//! from packs; handed to whoever stores (what need not be stored again), reads (where it is) and collects garbage.
//!
//! What was read once is remembered on this machine (`index/remembered`), so that presence is answered without asking the
//! object storage for anything but the names of its packs.

/// Ends of packs, remembered on this machine.
mod remembered;

use std::collections::HashMap;
use std::path::Path as FilePath;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use object_store::path::Path;

use crate::backend::{Listed, Objects};
use crate::id::Short;
use crate::layout::folder;
use crate::pack::{Contents, Frame, PACK_BYTES_MAX, damaged, read_tail};
use crate::workers::{self, Queue};
use crate::{Error, Id};
use remembered::Remembered;

/// A pack in the index.
#[derive(Clone, Debug)]
pub(crate) struct Pack {
    pub(crate) listed: Listed,
    /// A collection of garbage is about to remove it: read from it, but do not count on it.
    pub(crate) condemned: bool,
}

#[derive(Clone, Copy, Debug)]
struct Spot {
    frame: u32,
    offset: u32,
    raw_bytes: u32,
}

/// Where a chunk is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Position in [`Index::pack`].
    pub(crate) pack: u32,
    /// Unique among all frames of the index.
    pub(crate) frame_number: u32,
    pub(crate) frame: Frame,
    /// From the start of the frame's contents.
    pub(crate) offset: u32,
    pub(crate) raw_bytes: u32,
}

/// Every chunk of a store. About 50 bytes a chunk: a store of 10 GiB needs some 15 MB.
#[derive(Debug, Default)]
pub(crate) struct Index {
    packs: Vec<Pack>,
    frames: Vec<(u32, Frame)>,
    spots: HashMap<Short, Spot>,
    broken: Vec<Error>,
}

impl Index {
    /// The index of every pack there is now. Damaged packs are as if they were not there, but see [`Index::broken`].
    ///
    /// `near` is a folder of this machine where ends of packs are remembered.
    pub(crate) fn load(
        objects: &Objects,
        near: Option<&FilePath>,
        is_condemned: impl Fn(&Path) -> bool,
    ) -> Result<Self, Error> {
        let packs = objects.list(&folder("packs"))?;
        let mut remembered = near.map(Remembered::open).unwrap_or_default();
        let fresh: Vec<Listed> = packs
            .iter()
            .filter(|pack| !remembered.knows(pack))
            .cloned()
            .collect();
        let mut index = Self::default();
        for (pack, tail) in read_tails(objects, &fresh)? {
            match tail {
                Ok(tail) => remembered.add(&pack, tail),
                Err(error) => index.broken.push(error),
            }
        }
        let (doomed, kept): (Vec<_>, Vec<_>) =
            packs.into_iter().partition(|pack| is_condemned(&pack.name));
        // Where a chunk is in two packs, the one that stays counts.
        for (listed, condemned) in kept
            .into_iter()
            .map(|pack| (pack, false))
            .chain(doomed.into_iter().map(|pack| (pack, true)))
        {
            let Some(tail) = remembered.tail(&listed) else {
                continue;
            };
            match Contents::parse(&tail, listed.size_bytes) {
                Ok(contents) => index.add(Pack { listed, condemned }, &contents),
                Err(reason) => index.broken.push(damaged(&listed.name, reason)),
            }
        }
        remembered.close();
        Ok(index)
    }

    /// The index of those packs, of which some may be gone.
    pub(crate) fn of(objects: &Objects, packs: &[Listed]) -> Result<Self, Error> {
        let mut index = Self::default();
        for (listed, tail) in read_tails(objects, packs)? {
            let parsed = tail.and_then(|tail| {
                Contents::parse(&tail, listed.size_bytes)
                    .map_err(|reason| damaged(&listed.name, reason))
            });
            match parsed {
                Ok(contents) => {
                    let condemned = false;
                    index.add(Pack { listed, condemned }, &contents);
                }
                Err(error) => index.broken.push(error),
            }
        }
        Ok(index)
    }

    fn add(&mut self, pack: Pack, contents: &Contents) {
        let number = short(self.packs.len());
        let first = short(self.frames.len());
        self.packs.push(pack);
        self.frames
            .extend(contents.frames.iter().map(|frame| (number, *frame)));
        self.spots.reserve(contents.slots.len());
        for slot in &contents.slots {
            self.spots.entry(slot.id.short()).or_insert(Spot {
                frame: first + slot.frame,
                offset: slot.offset,
                raw_bytes: slot.raw_bytes,
            });
        }
    }

    /// Packs whose index cannot be read.
    pub(crate) fn broken(&self) -> &[Error] {
        &self.broken
    }

    pub(crate) fn packs(&self) -> &[Pack] {
        &self.packs
    }

    pub(crate) fn pack(&self, number: u32) -> &Listed {
        &self.packs[number as usize].listed
    }

    /// Where the chunk is, if it is anywhere.
    pub(crate) fn place(&self, id: &Id) -> Option<Place> {
        self.place_of(&id.short())
    }

    pub(crate) fn place_of(&self, short: &Short) -> Option<Place> {
        self.spots.get(short).map(|spot| {
            let (pack, frame) = self.frames[spot.frame as usize];
            Place {
                pack,
                frame_number: spot.frame,
                frame,
                offset: spot.offset,
                raw_bytes: spot.raw_bytes,
            }
        })
    }

    /// True when the chunk is stored and will stay.
    pub(crate) fn has_for_good(&self, short: &Short) -> bool {
        self.place_of(short)
            .is_some_and(|place| !self.packs[place.pack as usize].condemned)
    }

    /// The first of these chunks that is nowhere, as the error to give for it: a damaged pack if there is one, since that is
    /// where it was.
    pub(crate) fn missing<'a>(&self, chunks: impl IntoIterator<Item = &'a Id>) -> Option<Error> {
        let gone = chunks
            .into_iter()
            .find(|id| !self.spots.contains_key(&id.short()))?;
        Some(self.lost(gone))
    }

    /// The error to give for a chunk that is nowhere.
    pub(crate) fn lost(&self, chunk: &Id) -> Error {
        match self.broken.first() {
            Some(Error::Damaged { object, reason }) => Error::Damaged {
                object: object.clone(),
                reason: reason.clone(),
            },
            Some(_) | None => Error::Missing {
                object: format!("chunk {chunk}"),
            },
        }
    }

    /// The share of its frame that a chunk takes of what is stored, in bytes.
    pub(crate) fn stored_bytes(&self, short: &Short) -> Option<u64> {
        self.place_of(short).map(|place| {
            let share = u64::from(place.frame.stored_bytes) * u64::from(place.raw_bytes);
            share / u64::from(place.frame.raw_bytes.max(1))
        })
    }
}

fn short(count: usize) -> u32 {
    u32::try_from(count).expect("an index in memory has fewer than 2^32 parts")
}

type Tails = Vec<(Listed, Result<Bytes, Error>)>;

/// The end of a pack, which is whole. When a near copy's is not, the far tier is asked: one machine's rot must not speak for
/// the pack.
fn read_whole_tail(objects: &Objects, pack: &Listed) -> Result<Bytes, Error> {
    let read = || {
        let tail = read_tail(objects, pack)?;
        match Contents::parse(&tail, pack.size_bytes) {
            Ok(_) => Ok(tail),
            Err(reason) => Err(damaged(&pack.name, reason)),
        }
    };
    match read() {
        Err(error) if error.is_damage() && objects.distrust(&pack.name) => read(),
        tail => tail,
    }
}

/// The ends of packs, several at a time. Damage is an answer; other errors end it.
fn read_tails(objects: &Objects, packs: &[Listed]) -> Result<Tails, Error> {
    let tails = Mutex::new(Vec::with_capacity(packs.len()));
    let queue = Queue::new(packs.len());
    workers::run_reading(objects, &queue, |queue| {
        while let Some(at) = queue.take() {
            let tail = match read_whole_tail(objects, &packs[at]) {
                // Removed since it was listed.
                Err(Error::Missing { .. }) => continue,
                Err(error) if !error.is_damage() => return Err(error),
                tail if packs[at].size_bytes > PACK_BYTES_MAX => {
                    drop(tail);
                    Err(damaged(&packs[at].name, "it is larger than any pack"))
                }
                tail => tail,
            };
            let mut tails = tails.lock().unwrap_or_else(PoisonError::into_inner);
            tails.push((packs[at].clone(), tail));
        }
        Ok(())
    })?;
    Ok(tails.into_inner().unwrap_or_else(PoisonError::into_inner))
}
