//! The sender's part: what a tree is made of, and its chunks read out. Received from a client that has its own store; hands over
//! bytes to be sent.

use bytes::Bytes;

use super::frames::{Batch, fitting};
use super::{Offer, Offered, Refusal};
use crate::content::Reader;
use crate::index::Index;
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
        let end = self.sent + fitting(sizes);
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
    let mut ids = group.iter();
    Reader::new(&store.objects, index)?.read(group, |raw| match ids.next() {
        Some(id) => batch.push(*id, raw),
        None => Ok(()),
    })?;
    batch.finish()
}
