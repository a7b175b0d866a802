//! Contents: a list of chunks, in order. Made by [`crate::intake`]; named by trees and records; read here, every byte checked.

use std::collections::HashSet;
use std::io::Read;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::backend::Objects;
use crate::index::{Index, Place};
use crate::pack::{Decoder, PACK_BYTES_MAX, chunk_of, damaged};
use crate::{Error, Id};

/// The bytes of a file, or of anything else: which chunks they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Content {
    /// All chunks together.
    pub size_bytes: u64,
    /// In order; empty when there are no bytes.
    pub chunks: Vec<Id>,
}

/// Stored bytes fetched with one request at most: a pack's worth.
const FETCH_BYTES_MAX: u64 = 8 << 20;

/// Frames not asked for that are fetched along, when they lie between two that are: cheaper than a request.
const GAP_BYTES_MAX: u64 = 512 << 10;

/// Frames kept decompressed: neighbours in a tree are in a frame of small chunks, and in frames of their own, by turns.
const OPEN_MAX: usize = 4;

/// Reads chunks. Each frame is fetched and decompressed once for all of its chunks that are asked for in a row.
pub(crate) struct Reader<'a> {
    objects: &'a Objects,
    index: &'a Index,
    decoder: Decoder,
    /// Packs that are fetched whole, since most of each is needed.
    whole: Option<&'a HashSet<u32>>,
    fetched: Vec<Fetched>,
    /// Frames' contents, the last used first.
    open: Vec<(u32, Vec<u8>)>,
}

/// A chunk that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'r> {
    /// Its bytes, their hash checked.
    pub(crate) raw: &'r [u8],
    /// All of its frame, as it is stored.
    pub(crate) frame: &'r [u8],
}

/// A piece of a pack in memory.
#[derive(Debug)]
struct Fetched {
    pack: u32,
    start: u64,
    bytes: Bytes,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(objects: &'a Objects, index: &'a Index) -> Result<Self, Error> {
        Ok(Self {
            objects,
            index,
            decoder: Decoder::new()?,
            whole: None,
            fetched: Vec::new(),
            open: Vec::with_capacity(OPEN_MAX),
        })
    }

    /// The same, fetching those packs whole, each once for all readers of this machine.
    pub(crate) fn fetching_whole(self, packs: &'a HashSet<u32>) -> Self {
        Self {
            whole: Some(packs),
            ..self
        }
    }

    /// Hands every chunk of `chunks` to `each`, in order, its hash checked.
    pub(crate) fn read<'c>(
        &mut self,
        chunks: impl IntoIterator<Item = &'c Id>,
        mut each: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.read_with_frames(chunks, |chunk| each(chunk.raw))
    }

    /// The same, each with its frame, for who hands on whole ones.
    pub(crate) fn read_with_frames<'c>(
        &mut self,
        chunks: impl IntoIterator<Item = &'c Id>,
        mut each: impl FnMut(Chunk<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut places: Vec<(Id, Place)> = Vec::new();
        for id in chunks {
            let place = self.index.place(id).ok_or_else(|| self.index.lost(id))?;
            places.push((*id, place));
        }
        let mut rest = places.as_slice();
        while !rest.is_empty() {
            let (window, after) = rest.split_at(window_length(rest));
            self.read_window(window, &mut each)?;
            rest = after;
        }
        Ok(())
    }

    fn read_window(
        &mut self,
        window: &[(Id, Place)],
        each: &mut impl FnMut(Chunk<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.fetch(window)?;
        for (id, place) in window {
            match self.chunk(id, place).and_then(&mut *each) {
                Err(error) if error.is_damage() && self.distrust(place) => {
                    // Another tier may have it whole.
                    self.fetch(std::slice::from_ref(&(*id, *place)))?;
                    self.chunk(id, place).and_then(&mut *each)?;
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// True when there is another copy to be had.
    fn distrust(&mut self, place: &Place) -> bool {
        self.fetched.clear();
        self.open.clear();
        self.objects.distrust(&self.index.pack(place.pack).name)
    }

    fn chunk(&mut self, id: &Id, place: &Place) -> Result<Chunk<'_>, Error> {
        let at = self
            .open
            .iter()
            .position(|open| open.0 == place.frame_number);
        match at {
            Some(at) => self.open[..=at].rotate_right(1),
            None => self.open(id, place)?,
        }
        let raw = chunk_of(&self.open[0].1, *id, (place.offset, place.raw_bytes));
        Ok(Chunk {
            raw: raw.map_err(|reason| self.refuse(id, place, reason))?,
            frame: stored(&self.fetched, place),
        })
    }

    /// Decompresses a frame, in place of the one not used for longest.
    fn open(&mut self, id: &Id, place: &Place) -> Result<(), Error> {
        let mut contents = if self.open.len() < OPEN_MAX {
            Vec::new()
        } else {
            self.open.pop().map(|open| open.1).unwrap_or_default()
        };
        let stored = stored(&self.fetched, place);
        let lengths = (place.frame.stored_bytes, place.frame.raw_bytes);
        let decoded = self.decoder.decode(stored, lengths, &mut contents);
        decoded.map_err(|reason| self.refuse(id, place, reason))?;
        self.open.insert(0, (place.frame_number, contents));
        Ok(())
    }

    fn refuse(&self, id: &Id, place: &Place, reason: &str) -> Error {
        let pack = self.index.pack(place.pack);
        damaged(&pack.name, format!("its chunk {id} {reason}"))
    }

    /// Brings every frame of the window into memory, those near each other together.
    fn fetch(&mut self, window: &[(Id, Place)]) -> Result<(), Error> {
        let is_here = |place: &Place| !stored(&self.fetched, place).is_empty();
        if window.iter().all(|(_, place)| is_here(place)) {
            return Ok(());
        }
        // What is in memory of the last window is fetched anew: it is at most the frame the two share.
        let mut wanted: Vec<(u32, u64, u64)> = window
            .iter()
            .map(|(_, place)| {
                let start = u64::from(place.frame.offset);
                (
                    place.pack,
                    start,
                    start + u64::from(place.frame.stored_bytes),
                )
            })
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let is_whole = |pack: u32| self.whole.is_some_and(|whole| whole.contains(&pack));
        let mut spans: Vec<(u32, u64, u64)> = Vec::new();
        for (pack, start, end) in wanted {
            match spans.last_mut() {
                Some(span)
                    if span.0 == pack && (is_whole(pack) || start <= span.2 + GAP_BYTES_MAX) =>
                {
                    span.2 = end;
                }
                _ => spans.push((pack, start, end)),
            }
        }
        self.fetched.clear();
        for (pack, start, end) in spans {
            let name = &self.index.pack(pack).name;
            let (start, bytes) = if is_whole(pack) {
                (0, self.objects.get(name, PACK_BYTES_MAX)?)
            } else {
                (start, self.objects.get_range(name, start..end)?)
            };
            self.fetched.push(Fetched { pack, start, bytes });
        }
        Ok(())
    }
}

/// How many of the chunks are read with one fetch.
fn window_length(places: &[(Id, Place)]) -> usize {
    let mut bytes = 0;
    let mut last = None;
    for (at, (_, place)) in places.iter().enumerate() {
        if last != Some(place.frame_number) {
            bytes += u64::from(place.frame.stored_bytes);
            last = Some(place.frame_number);
        }
        if bytes > FETCH_BYTES_MAX && at > 0 {
            return at;
        }
    }
    places.len()
}

/// The stored bytes of the place's frame, as far as they are in memory.
fn stored<'f>(fetched: &'f [Fetched], place: &Place) -> &'f [u8] {
    let (start, end) = (
        u64::from(place.frame.offset),
        u64::from(place.frame.offset) + u64::from(place.frame.stored_bytes),
    );
    let piece = fetched.iter().find(|piece| {
        piece.pack == place.pack
            && piece.start <= start
            && end <= piece.start + piece.bytes.len() as u64
    });
    let range = |piece: &Fetched| {
        let from = usize::try_from(start - piece.start).unwrap_or(usize::MAX);
        let to = usize::try_from(end - piece.start).unwrap_or(usize::MAX);
        from..to
    };
    piece
        .and_then(|piece| piece.bytes.get(range(piece)))
        .unwrap_or_default()
}

impl Content {
    /// All bytes in memory; contents larger than `bytes_max` are refused unread.
    pub(crate) fn read_whole(
        &self,
        reader: &mut Reader<'_>,
        bytes_max: u64,
    ) -> Result<Vec<u8>, Error> {
        if self.size_bytes > bytes_max {
            return Err(Error::Damaged {
                object: "contents".into(),
                reason: format!("they are larger than {bytes_max} bytes"),
            });
        }
        let wrong = || Error::Damaged {
            object: "contents".into(),
            reason: "their chunks do not add up to their size".into(),
        };
        // Before any memory is taken: a size is easily made up, chunks that are stored are not.
        let places = self.chunks.iter().map(|id| reader.index.place(id));
        let stored: Option<u64> = places.map(|place| Some(u64::from(place?.raw_bytes))).sum();
        if stored.is_some_and(|stored| stored != self.size_bytes) {
            return Err(wrong());
        }
        let room = stored.and_then(|stored| usize::try_from(stored).ok());
        let mut bytes = Vec::with_capacity(room.unwrap_or(0));
        reader.read(&self.chunks, |chunk| {
            if (bytes.len() + chunk.len()) as u64 > self.size_bytes {
                return Err(wrong());
            }
            bytes.extend_from_slice(chunk);
            Ok(())
        })?;
        if bytes.len() as u64 != self.size_bytes {
            return Err(wrong());
        }
        Ok(bytes)
    }
}

/// Reads no further than one byte past a limit, so that whoever reads notices.
pub(crate) fn limited(reader: &mut dyn Read, bytes_max: u64) -> impl Read + '_ {
    reader.take(bytes_max + 1)
}
