//! The sender's part: what a tree is made of, and its chunks read out. Received from a client that has its own store; hands over
//! bytes to be sent.

use std::collections::HashSet;

use bytes::Bytes;

use super::frames::{Batch, Whole, fitting};
use super::{Offer, Offered, Refusal};
use crate::content::Reader;
use crate::index::{Index, Place};
use crate::live::TreeRef;
use crate::restore::parse_list;
use crate::{Error, Id, Store};

impl Store {
    /// What a tree of this store is made of. Reads its list, no contents.
    ///
    /// # Errors
    /// [`Error::Sent`] when the tree is larger than one that is sent; [`Error::Missing`] and [`Error::Damaged`] when it is not
    /// whole here; else when the store cannot be read.
    pub fn offer(&self, tree: &TreeRef) -> Result<Offer, Error> {
        let held = self.share()?;
        let index = self.index()?;
        let parsed = Reader::new(&self.objects, &index)
            .and_then(|mut reader| parse_list(&tree.list, Some(&tree.id), &mut reader))
            .inspect_err(|error| self.heal(error))?;
        drop(held);
        let offered = |id: &Id| match index.place(id) {
            Some(place) => Ok(Offered {
                id: *id,
                size_bytes: place.raw_bytes,
            }),
            None => Err(index.lost(id)),
        };
        let chunks: Result<Vec<Offered>, Error> = parsed
            .chunks()
            .chain(&tree.list.chunks)
            .map(offered)
            .collect();
        Offer::new(tree.clone(), chunks?)
    }

    /// The chunks of an offer that the other side wants, in batches of at most [`BATCH_BYTES_MAX`](super::BATCH_BYTES_MAX) bytes,
    /// each checked against its hash when it is read. One batch is in memory at a time.
    ///
    /// Only what is offered is handed out: else the other side could ask for anything whose hash it knows.
    ///
    /// # Errors
    /// [`Error::Sent`] when something else is wanted; [`Error::Missing`] when a chunk is not here any more; when the store
    /// cannot be read.
    pub fn export(&self, offer: &Offer, wanted: &[Id]) -> Result<Export, Error> {
        if let Some(other) = wanted.iter().find(|id| offer.find(id).is_none()) {
            return Err(Refusal::malformed(format!("the chunk {other} was not offered")).into());
        }
        let index = self.index()?;
        if let Some(error) = index.missing(wanted) {
            return Err(error);
        }
        let mut wanted = wanted.to_vec();
        // Neighbours in a pack are fetched, and decompressed, together.
        wanted.sort_by_cached_key(|id| {
            let place = index.place(id);
            (
                place.map(|place| (place.pack, place.frame_number, place.offset)),
                *id,
            )
        });
        wanted.dedup();
        Ok(Export {
            store: self.clone(),
            index,
            wanted,
            sent: 0,
        })
    }
}

/// Batches of chunks, to be sent as they come. Ends after an error.
#[derive(Debug)]
pub struct Export {
    store: Store,
    index: Index,
    wanted: Vec<Id>,
    /// How many of them are in batches that were handed out.
    sent: usize,
}

impl Iterator for Export {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Result<Bytes, Error>> {
        let rest = self.wanted.get(self.sent..)?;
        if rest.is_empty() {
            return None;
        }
        // Chunks that are gone have no size; reading them says so.
        let sizes = rest
            .iter()
            .map(|id| self.index.place(id).map_or(0, |place| place.raw_bytes));
        let end = self.end_of_frame(self.sent + fitting(sizes));
        let batch = self.batch(self.sent..end);
        self.sent = if batch.is_ok() {
            end
        } else {
            self.wanted.len()
        };
        Some(batch.map(Bytes::from))
    }
}

impl Export {
    /// The same end, or one before it at which no frame is cut in two: a whole one is sent as it is stored.
    fn end_of_frame(&self, end: usize) -> usize {
        let frame_of = |at: usize| {
            let place = self.wanted.get(at).and_then(|id| self.index.place(id));
            place.map(|place| place.frame_number)
        };
        let cut = frame_of(end).filter(|cut| frame_of(end - 1) == Some(*cut));
        let Some(cut) = cut else { return end };
        let start = (self.sent..end).rev().find(|at| frame_of(*at) != Some(cut));
        start.map_or(end, |before| before + 1)
    }

    fn batch(&mut self, range: std::ops::Range<usize>) -> Result<Vec<u8>, Error> {
        let group = &self.wanted[range];
        read(&self.store, &self.index, group).or_else(|error| {
            self.store.heal(&error);
            // A collection of another process may have moved them since the index was read.
            match self.store.index() {
                Ok(fresh) if error.is_unusable() => {
                    self.index = fresh;
                    read(&self.store, &self.index, group)
                }
                _ => Err(error),
            }
        })
    }
}

fn read(store: &Store, index: &Index, group: &[Id]) -> Result<Vec<u8>, Error> {
    let mut batch = Batch::new()?;
    let whole = whole_frames(index, group);
    let mut ids = group.iter();
    let mut open: Vec<(Id, u32)> = Vec::new();
    Reader::new(&store.objects, index)?.read_with_frames(group, |chunk| {
        let Some(id) = ids.next() else { return Ok(()) };
        let place = index.place(id);
        let Some(place) = place.filter(|place| whole.contains(&place.frame_number)) else {
            return batch.push(*id, chunk.raw);
        };
        open.push((*id, place.raw_bytes));
        if open.len() < place.frame.chunks as usize {
            return Ok(());
        }
        batch.push_frame(&Whole {
            ids: &std::mem::take(&mut open),
            raw_bytes: place.frame.raw_bytes,
            stored: chunk.frame,
        })
    })?;
    batch.finish()
}

/// Frames all of whose chunks are wanted, one after the other in their order.
fn whole_frames(index: &Index, group: &[Id]) -> HashSet<u32> {
    let places: Vec<Place> = group.iter().filter_map(|id| index.place(id)).collect();
    let runs = places.chunk_by(|one, next| one.frame_number == next.frame_number);
    let is_whole = |run: &&[Place]| {
        let Some(first) = run.first() else {
            return false;
        };
        let mut end = 0;
        let in_order = run.iter().all(|place| {
            let follows = place.offset == end;
            end += place.raw_bytes;
            follows
        });
        let is_all = run.len() == first.frame.chunks as usize && end == first.frame.raw_bytes;
        in_order && is_all && Whole::is_lawful(first.frame.chunks)
    };
    let whole = runs.filter(is_whole);
    whole
        .filter_map(|run| run.first())
        .map(|place| place.frame_number)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use croft_proto::Timestamp;
    use object_store::memory::InMemory;

    use super::*;
    use crate::Put;

    /// A store with a tree of text, and what its chunks are, as they lie in it.
    fn stored() -> (Store, Offer, Vec<Id>) {
        let site = tempfile::tempdir().unwrap();
        for number in 0..3_000 {
            let line = format!("line {number} of a file that is much like the others\n");
            std::fs::write(site.path().join(number.to_string()), line.repeat(60)).unwrap();
        }
        let store = Store::new(Arc::new(InMemory::new()), 1 << 30).unwrap();
        let put = Put {
            directory: site.path(),
            now: Timestamp::from_millis(1_800_000_000_000),
        };
        let offer = store.offer(&store.put(&put).unwrap().tree).unwrap();
        let wanted = store.export(&offer, &offer.ids()).unwrap().wanted;
        (store, offer, wanted)
    }

    #[test]
    fn a_frame_is_whole_when_all_of_it_is_wanted_in_its_order() {
        let (store, _, wanted) = stored();
        let index = store.index().unwrap();
        let all = whole_frames(&index, &wanted);
        assert!(all.len() > 5, "{all:?}");
        let frame_of = |id: &Id| index.place(id).unwrap().frame_number;
        // The first is in a frame with others.
        assert_eq!(frame_of(&wanted[0]), frame_of(&wanted[1]));
        let others: HashSet<u32> = all
            .iter()
            .copied()
            .filter(|frame| *frame != frame_of(&wanted[0]))
            .collect();
        assert_eq!(whole_frames(&index, &wanted[1..]), others);
        let mut swapped = wanted;
        swapped.swap(0, 1);
        assert_eq!(whole_frames(&index, &swapped), others);
    }

    #[test]
    fn what_is_whole_is_sent_as_it_is_stored_and_no_batch_cuts_it() {
        let (store, offer, wanted) = stored();
        let index = store.index().unwrap();
        let places: Vec<Place> = wanted.iter().filter_map(|id| index.place(id)).collect();
        let mut sent = Vec::new();
        for batch in store.export(&offer, &wanted).unwrap() {
            sent.extend_from_slice(&batch.unwrap());
        }
        for first in places.chunk_by(|one, next| one.frame_number == next.frame_number) {
            let Place { pack, frame, .. } = first[0];
            let start = u64::from(frame.offset);
            let span = start..start + u64::from(frame.stored_bytes);
            let name = &index.pack(pack).name;
            let frame = store.objects.get_range(name, span).unwrap();
            assert!(sent.windows(frame.len()).any(|bytes| bytes == frame));
        }
    }
}
