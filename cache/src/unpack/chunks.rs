//! Reading chunks: which together, in what order. Received from `unpack`, which writes the bytes into files.
//!
//! Files are dealt out in batches. A batch's chunks are read a window at a time; the parts of a window that lie in one
//! pack are one request. So memory stays at one window a worker, and small files cost a fraction of a request each.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;

use crate::Error;
use crate::backend::Objects;
use crate::index::Located;
use crate::pack::{Decoder, Slot, damaged};
use crate::tree::{Entry, Node};

/// Stored bytes fetched at once by a worker.
const WINDOW_BYTES: u64 = 2 << 20;

/// Files of a batch hold about this many bytes together. A larger file is a batch of its own.
const BATCH_BYTES: u64 = 1 << 20;

/// Entries of a batch at most, so that many empty files are still shared out.
const BATCH_ENTRIES: usize = 128;

/// A verified chunk and where it goes.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// Position of its file in the tree.
    pub(super) entry: usize,
    pub(super) bytes: &'a [u8],
    pub(super) is_first: bool,
    pub(super) is_last: bool,
}

/// Splits a tree into work of similar size.
pub(super) fn batches(entries: &[Entry]) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0_u64);
    for (position, entry) in entries.iter().enumerate() {
        bytes += entry.node.chunks().len() as u64 * (BATCH_BYTES / 64);
        if let Node::File { size_bytes, .. } = entry.node {
            bytes = bytes.saturating_add(size_bytes);
        }
        if bytes >= BATCH_BYTES || position + 1 - start >= BATCH_ENTRIES {
            batches.push(start..position + 1);
            (start, bytes) = (position + 1, 0);
        }
    }
    if start < entries.len() {
        batches.push(start..entries.len());
    }
    batches
}

/// A chunk to read.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    entry: usize,
    position: usize,
    pack: u32,
    slot: Slot,
}

/// One worker's reader.
pub(super) struct Reader<'a> {
    objects: &'a Objects,
    located: &'a Located,
    decoder: Decoder,
}

impl<'a> Reader<'a> {
    pub(super) fn new(objects: &'a Objects, located: &'a Located) -> Result<Self, Error> {
        Ok(Self {
            objects,
            located,
            decoder: Decoder::new()?,
        })
    }

    /// Hands every chunk of these entries to `each`, file by file and in order.
    pub(super) fn read(
        &mut self,
        entries: &[Entry],
        batch: Range<usize>,
        mut each: impl FnMut(Piece<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut window = Vec::new();
        let mut window_bytes = 0;
        for entry in batch {
            for (position, id) in entries[entry].node.chunks().iter().enumerate() {
                let (pack, slot) = self.located.spot(id);
                window.push(Wanted {
                    entry,
                    position,
                    pack,
                    slot,
                });
                window_bytes += u64::from(slot.stored_bytes);
                if window_bytes >= WINDOW_BYTES {
                    self.read_window(entries, &window, &mut each)?;
                    window.clear();
                    window_bytes = 0;
                }
            }
        }
        self.read_window(entries, &window, &mut each)
    }

    fn read_window(
        &mut self,
        entries: &[Entry],
        window: &[Wanted],
        each: &mut impl FnMut(Piece<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let stored = self.fetch(window)?;
        for (wanted, stored) in window.iter().zip(stored) {
            let pack = self.located.pack(wanted.pack);
            let decoded = self.decoder.decode(&wanted.slot, &stored);
            let bytes = decoded.map_err(|reason| damaged(pack, reason))?;
            let chunks = entries[wanted.entry].node.chunks().len();
            each(Piece {
                entry: wanted.entry,
                bytes,
                is_first: wanted.position == 0,
                is_last: wanted.position + 1 == chunks,
            })?;
        }
        Ok(())
    }

    /// The stored bytes of each wanted chunk, with one request a pack.
    fn fetch(&self, window: &[Wanted]) -> Result<Vec<Bytes>, Error> {
        let mut by_pack: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (position, wanted) in window.iter().enumerate() {
            by_pack.entry(wanted.pack).or_default().push(position);
        }
        let mut stored = vec![Bytes::new(); window.len()];
        for (pack, positions) in by_pack {
            let ranges: Vec<Range<u64>> = positions
                .iter()
                .map(|position| {
                    let slot = &window[*position].slot;
                    let from = u64::from(slot.offset);
                    from..from + u64::from(slot.stored_bytes)
                })
                .collect();
            let parts = self.objects.get_ranges(self.located.pack(pack), &ranges)?;
            for (position, part) in positions.into_iter().zip(parts) {
                stored[position] = part;
            }
        }
        Ok(stored)
    }
}
