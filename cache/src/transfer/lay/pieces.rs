//! Which chunk goes where: noted while the list of files is read, asked with each chunk that comes, and kept as a file, so that a later
//! tree finds what is here.
//!
//! **Shape.** The file is `croftpc` and a byte of version, then 24 bytes a piece, ascending: the first 8 bytes of the chunk's id, where
//! the file's line begins in the list (4), the length (4), and where it begins in the file (8).

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::unwritable;
use crate::transfer::{Offer, Offered};
use crate::{Error, Id};

const KIND: &[u8; 8] = b"croftpc\x01";

/// A chunk at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The first bytes of the chunk's id.
    pub(super) key: u64,
    /// Where its file's line begins.
    pub(super) line: u32,
    /// Which of the file's chunks.
    pub(super) ordinal: u32,
    /// Where in the file.
    pub(super) offset_bytes: u64,
}

/// All of a tree. Which of them are where they belong may be said by several threads at once.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pieces: Vec<Piece>,
    /// A bit for each.
    done: Vec<AtomicU64>,
    done_count: AtomicUsize,
    /// Positions in the order of the list.
    order: Vec<u32>,
}

/// A piece of an earlier tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kept {
    pub(super) line: u32,
    pub(super) offset_bytes: u64,
    pub(super) size_bytes: u32,
}

pub(super) fn key(id: &Id) -> u64 {
    let mut key = [0; 8];
    key.copy_from_slice(&id.bytes()[..8]);
    u64::from_be_bytes(key)
}

impl Pieces {
    /// Adds a file's; their bytes, or `None` when one of them is not offered.
    pub(super) fn add(&mut self, offer: &Offer, line: u32, chunks: &[Id]) -> Option<u64> {
        let mut offset_bytes = 0;
        for (ordinal, id) in (0..).zip(chunks) {
            self.pieces.push(Piece {
                key: key(id),
                line,
                ordinal,
                offset_bytes,
            });
            offset_bytes += u64::from(offer.find(id)?.size_bytes);
        }
        Some(offset_bytes)
    }

    /// After the last was added.
    pub(super) fn sort(&mut self) {
        self.pieces.shrink_to_fit();
        self.pieces
            .sort_unstable_by_key(|piece| (piece.key, piece.line, piece.ordinal));
        let positions = 0..u32::try_from(self.pieces.len()).unwrap_or(u32::MAX);
        self.order = positions.collect();
        let place = |at: &u32| {
            let piece = &self.pieces[*at as usize];
            (piece.line, piece.ordinal)
        };
        self.order.sort_unstable_by_key(place);
        let words = self.pieces.len().div_ceil(BITS);
        self.done.resize_with(words, AtomicU64::default);
    }

    /// Positions of those that may be that chunk.
    pub(super) fn of(&self, id: &Id) -> Range<usize> {
        self.keyed(key(id))
    }

    fn keyed(&self, key: u64) -> Range<usize> {
        let start = self.pieces.partition_point(|piece| piece.key < key);
        let rest = self.pieces.get(start..).unwrap_or_default();
        start..start + rest.iter().take_while(|piece| piece.key == key).count()
    }

    pub(super) fn at(&self, at: usize) -> Piece {
        self.pieces[at]
    }

    pub(super) fn is_done(&self, at: usize) -> bool {
        self.done[at / BITS].load(Ordering::Relaxed) & bit(at) != 0
    }

    pub(super) fn set_done(&self, at: usize) {
        let before = self.done[at / BITS].fetch_or(bit(at), Ordering::Relaxed);
        if before & bit(at) == 0 {
            self.done_count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn are_all_done(&self) -> bool {
        self.done_count.load(Ordering::Relaxed) == self.pieces.len()
    }

    /// Whether a chunk that begins so is still to come.
    pub(super) fn is_lacking(&self, key: u64) -> bool {
        self.keyed(key).any(|at| !self.is_done(at))
    }

    /// Chunks that are still to come, each once, in the order of the list, from a place in it on, which is moved behind them; at
    /// most so many, and some more. None when there are none from there on.
    pub(super) fn lacking(&self, offer: &Offer, next: &mut usize, wanted_max: usize) -> Vec<Id> {
        let mut wanted = Vec::new();
        for at in self.order.get(*next..).unwrap_or_default() {
            *next += 1;
            let piece = self.pieces[*at as usize];
            // The first place that is not done speaks for all of its key: of two chunks that begin alike one may be here.
            let first = self.keyed(piece.key).find(|at| !self.is_done(*at));
            if first == Some(*at as usize) {
                wanted.extend(offered(offer, piece.key).map(|chunk| chunk.id));
            }
            if wanted.len() >= wanted_max {
                break;
            }
        }
        wanted
    }

    /// Writes them down for later trees.
    pub(super) fn save(&self, path: &Path, offer: &Offer) -> Result<(), Error> {
        let save = || -> io::Result<()> {
            let mut file = BufWriter::new(File::create(path)?);
            file.write_all(KIND)?;
            for piece in &self.pieces {
                let size_bytes = offered(offer, piece.key).next();
                let size_bytes = size_bytes.map_or(0, |chunk| chunk.size_bytes);
                file.write_all(&piece.key.to_be_bytes())?;
                file.write_all(&piece.line.to_le_bytes())?;
                file.write_all(&size_bytes.to_le_bytes())?;
                file.write_all(&piece.offset_bytes.to_le_bytes())?;
            }
            file.flush()
        };
        save().map_err(unwritable(path))
    }

    /// Pieces of an earlier tree, noted at `path`, that are lacking here: in the order of that tree's list.
    pub(super) fn found_in(&self, path: &Path) -> io::Result<Vec<Kept>> {
        let mut file = BufReader::new(File::open(path)?);
        let mut kind = [0; 8];
        file.read_exact(&mut kind)?;
        if kind != *KIND {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut found = Vec::new();
        let mut last = None;
        let mut bytes = [0; 24];
        while read_or_end(&mut file, &mut bytes)? {
            let key = u64::from_be_bytes(part(&bytes, 0));
            // One place of each is enough.
            if last != Some(key) && self.is_lacking(key) {
                last = Some(key);
                found.push(Kept {
                    line: u32::from_le_bytes(part(&bytes, 8)),
                    size_bytes: u32::from_le_bytes(part(&bytes, 12)),
                    offset_bytes: u64::from_le_bytes(part(&bytes, 16)),
                });
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

const BITS: usize = u64::BITS as usize;

fn bit(at: usize) -> u64 {
    1 << (at % BITS)
}

fn part<const N: usize>(bytes: &[u8; 24], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

fn read_or_end(file: &mut impl io::Read, bytes: &mut [u8; 24]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The offered chunks whose ids begin so: one, unless somebody has looked for two.
fn offered(offer: &Offer, key_of: u64) -> impl Iterator<Item = &Offered> {
    let chunks = offer.chunks();
    let start = chunks.partition_point(|chunk| key(&chunk.id) < key_of);
    let rest = chunks.get(start..).unwrap_or_default();
    rest.iter()
        .take_while(move |chunk| key(&chunk.id) == key_of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::live::TreeRef;

    /// Two that begin alike: nobody has met such, and whoever looks for long enough will.
    fn alike(last: u8) -> Id {
        let mut bytes = [7; 32];
        bytes[31] = last;
        Id::from_bytes(bytes)
    }

    #[test]
    fn of_two_chunks_that_begin_alike_the_other_is_still_lacking() {
        let (one, two) = (alike(1), alike(2));
        let list = Content {
            size_bytes: 1,
            chunks: vec![Id::of(b"list")],
        };
        let id = Id::of(b"tree");
        let mut chunks: Vec<Offered> = [one, two, list.chunks[0]]
            .into_iter()
            .map(|id| Offered { id, size_bytes: 1 })
            .collect();
        chunks.sort_unstable();
        let offer = Offer::new(TreeRef { id, list }, chunks).unwrap();
        let mut pieces = Pieces::default();
        assert_eq!(pieces.add(&offer, 0, &[one]), Some(1));
        assert_eq!(pieces.add(&offer, 1, &[two]), Some(1));
        pieces.sort();
        let lacking = |pieces: &Pieces| pieces.lacking(&offer, &mut 0, 10);
        assert_eq!(lacking(&pieces), [one, two]);
        // The one was copied from an earlier tree.
        pieces.set_done(0);
        pieces.set_done(0);
        assert!(!pieces.are_all_done());
        assert!(lacking(&pieces).contains(&two));
        pieces.set_done(1);
        assert!(pieces.are_all_done());
        assert!(lacking(&pieces).is_empty());
    }
}
