//! Many chunks in one object, so that thousands of small files are a handful of objects. Filled by whoever stores; read by
//! whoever needs chunks.
//!
//! **Shape.** Frames back to back; then the index; then a trailer. A *frame* is one zstd frame, or bytes as they are where
//! compressing them gains nothing; it holds many chunks, which compress better and faster together.
//! The index has 12 bytes a frame (stored length, length, number of chunks), then 36 bytes a chunk in the order of the frames
//! (id, length); numbers are little-endian. The trailer of 64 bytes: the index's hash, a salt of 16 bytes, the numbers of
//! frames and of chunks, `croftpk2`.
//!
//! The salt makes the name of every pack its writer's own: a pack written anew is never the one that a collection of
//! garbage has already decided to remove.

/// Chunks to frames and back.
mod frame;

use bytes::Bytes;
use object_store::path::Path;

use crate::backend::{Listed, Objects};
use crate::layout::{id_of, pack_name};
use crate::{Error, Id};
pub(crate) use frame::{Decoder, Encoder, chunk_of};

/// A pack is written once it holds this much. Large enough that object storage is as fast as it gets (the cost of an object
/// is paid once in eight megabytes), small enough that each worker can hold one in memory.
pub(crate) const PACK_BYTES: usize = 8 << 20;

/// Bytes of a pack at most: nearly full, one more frame, and the index.
pub(crate) const PACK_BYTES_MAX: u64 = 16 << 20;

/// Chunks of a pack, so that its index stays below 2.4 MB however small they are.
const CHUNKS_MAX: usize = 64 * 1024;

/// Chunks are put together until their frame holds this much. Measured on a source tree with its build output: a quarter of
/// it compresses a tenth more slowly and 3% worse; the price is that one chunk alone costs half a millisecond to decompress.
const FRAME_BYTES: usize = 1 << 20;

/// Bytes of a frame's contents at most: nearly full, and one more chunk.
pub(crate) const FRAME_BYTES_MAX: usize = FRAME_BYTES + crate::chunk::CHUNK_BYTES_MAX;

const FRAME_ENTRY_BYTES: usize = 12;
const CHUNK_ENTRY_BYTES: usize = 36;
const TRAILER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"croftpk2";

/// Read from the end of a pack in one go: trailer and index of most packs.
const TAIL_BYTES: u64 = 64 * 1024;

/// What makes a writer's packs its own.
pub(crate) type Salt = [u8; 16];

/// A frame, from the start of its pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) offset: u32,
    pub(crate) stored_bytes: u32,
    pub(crate) raw_bytes: u32,
    /// How many of the pack's chunks are in it.
    pub(crate) chunks: u32,
}

/// What a pack's index says of one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) id: Id,
    /// Position of its frame in the pack.
    pub(crate) frame: u32,
    /// From the start of the frame's contents.
    pub(crate) offset: u32,
    pub(crate) raw_bytes: u32,
}

/// What is in a pack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) frames: Vec<Frame>,
    pub(crate) slots: Vec<Slot>,
}

/// A pack being filled.
pub(crate) struct Builder {
    salt: Salt,
    encoder: Encoder,
    bytes: Vec<u8>,
    frames: Vec<Frame>,
    /// Of the closed frames, in order.
    ids: Vec<(Id, u32)>,
    open: Vec<u8>,
    open_ids: Vec<(Id, u32)>,
}

/// A pack to be written.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) listed: Listed,
    pub(crate) bytes: Vec<u8>,
}

impl Builder {
    pub(crate) fn new(salt: Salt) -> Result<Self, Error> {
        Ok(Self {
            salt,
            encoder: Encoder::new()?,
            bytes: Vec::new(),
            frames: Vec::new(),
            ids: Vec::new(),
            open: Vec::new(),
            open_ids: Vec::new(),
        })
    }

    /// Adds a chunk.
    pub(crate) fn push(&mut self, id: Id, raw: &[u8]) -> Result<(), Error> {
        self.open.extend_from_slice(raw);
        self.open_ids.push((id, length(raw.len())));
        if self.open.len() >= FRAME_BYTES {
            self.close_open()?;
        }
        Ok(())
    }

    /// True when it should be written before more is added.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() + self.open.len() / 2 >= PACK_BYTES
            || self.ids.len() + self.open_ids.len() >= CHUNKS_MAX
    }

    fn close_open(&mut self) -> Result<(), Error> {
        let (mut raw, mut ids) = (
            std::mem::take(&mut self.open),
            std::mem::take(&mut self.open_ids),
        );
        let closed = if ids.is_empty() {
            Ok(())
        } else {
            self.close(&raw, &ids)
        };
        raw.clear();
        ids.clear();
        (self.open, self.open_ids) = (raw, ids);
        closed
    }

    fn close(&mut self, raw: &[u8], ids: &[(Id, u32)]) -> Result<(), Error> {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(PACK_BYTES + PACK_BYTES / 8);
        }
        let stored = self.encoder.encode(raw)?;
        self.frames.push(Frame {
            offset: length(self.bytes.len()),
            stored_bytes: length(stored.len()),
            raw_bytes: length(raw.len()),
            chunks: length(ids.len()),
        });
        self.bytes.extend_from_slice(stored);
        self.ids.extend_from_slice(ids);
        Ok(())
    }

    /// The pack, to be written, and an empty one in its place; none when there is nothing in it.
    pub(crate) fn finish(&mut self) -> Result<Option<Filled>, Error> {
        self.close_open()?;
        if self.frames.is_empty() {
            return Ok(None);
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        let index_start = bytes.len();
        for frame in &self.frames {
            for number in [frame.stored_bytes, frame.raw_bytes, frame.chunks] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        for (id, raw_bytes) in &self.ids {
            bytes.extend_from_slice(id.bytes());
            bytes.extend_from_slice(&raw_bytes.to_le_bytes());
        }
        let hash = Id::of(&bytes[index_start..]);
        bytes.extend_from_slice(hash.bytes());
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(&length(self.frames.len()).to_le_bytes());
        bytes.extend_from_slice(&length(self.ids.len()).to_le_bytes());
        bytes.extend_from_slice(MAGIC);
        self.frames.clear();
        self.ids.clear();
        let listed = Listed {
            name: pack_name(&Id::of(&bytes)),
            size_bytes: bytes.len() as u64,
        };
        Ok(Some(Filled { listed, bytes }))
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a pack is a few MiB")
}

/// A pack's index and trailer, checked, as bytes: what [`Contents::parse`] takes.
pub(crate) fn read_tail(objects: &Objects, pack: &Listed) -> Result<Bytes, Error> {
    let damaged = |reason: &str| damaged(&pack.name, reason);
    if id_of(&pack.name).is_none() {
        return Err(damaged("its name is not an id"));
    }
    let tail = read_end(objects, pack, TAIL_BYTES)?;
    let (frames, chunks) = counts(&tail).map_err(damaged)?;
    let needed = (tail_bytes(frames, chunks)) as u64;
    if chunks > CHUNKS_MAX || frames > CHUNKS_MAX || needed > pack.size_bytes {
        return Err(damaged("its index does not fit into it"));
    }
    if needed > tail.len() as u64 {
        return read_end(objects, pack, needed);
    }
    Ok(tail.slice(tail.len() - tail_bytes(frames, chunks)..))
}

fn tail_bytes(frames: usize, chunks: usize) -> usize {
    frames * FRAME_ENTRY_BYTES + chunks * CHUNK_ENTRY_BYTES + TRAILER_BYTES
}

/// What a pack holds, in order.
pub(crate) fn read_contents(objects: &Objects, pack: &Listed) -> Result<Contents, Error> {
    let tail = read_tail(objects, pack)?;
    Contents::parse(&tail, pack.size_bytes).map_err(|reason| damaged(&pack.name, reason))
}

fn read_end(objects: &Objects, pack: &Listed, bytes: u64) -> Result<Bytes, Error> {
    let from = pack.size_bytes.saturating_sub(bytes);
    if pack.size_bytes < TRAILER_BYTES as u64 {
        return Err(damaged(&pack.name, "it is too short to be a pack"));
    }
    let tail = objects.get_range(&pack.name, from..pack.size_bytes)?;
    if tail.len() as u64 != pack.size_bytes - from {
        return Err(damaged(&pack.name, "it is shorter than its size says"));
    }
    Ok(tail)
}

fn counts(tail: &[u8]) -> Result<(usize, usize), &'static str> {
    let trailer = tail
        .len()
        .checked_sub(TRAILER_BYTES)
        .map(|start| &tail[start..]);
    let trailer = trailer.ok_or("it has no trailer")?;
    if &trailer[56..] != MAGIC {
        return Err("its last bytes are not those of a pack");
    }
    Ok((
        number(&trailer[48..52]) as usize,
        number(&trailer[52..56]) as usize,
    ))
}

fn number(bytes: &[u8]) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(bytes);
    u32::from_le_bytes(four)
}

impl Contents {
    /// What a pack of that size holds by its index and trailer; or how those fail to be one's.
    pub(crate) fn parse(tail: &[u8], pack_bytes: u64) -> Result<Self, &'static str> {
        let (frames, chunks) = counts(tail)?;
        if frames > CHUNKS_MAX || chunks > CHUNKS_MAX || tail.len() != tail_bytes(frames, chunks) {
            return Err("its index does not fit into it");
        }
        let index_end = tail.len() - TRAILER_BYTES;
        let index = &tail[..index_end];
        if Id::of(index).bytes() != &tail[index_end..index_end + 32] {
            return Err("its index does not match its hash");
        }
        let (frame_index, chunk_index) = index.split_at(frames * FRAME_ENTRY_BYTES);
        let mut contents = Self {
            frames: Vec::with_capacity(frames),
            slots: Vec::with_capacity(chunks),
        };
        let mut rest = chunk_index.as_chunks::<CHUNK_ENTRY_BYTES>().0;
        let mut offset = 0_u32;
        for entry in frame_index.as_chunks::<FRAME_ENTRY_BYTES>().0 {
            let frame = Frame {
                offset,
                stored_bytes: number(&entry[..4]),
                raw_bytes: number(&entry[4..8]),
                chunks: number(&entry[8..]),
            };
            rest = contents.push(frame, rest)?;
            offset = offset
                .checked_add(frame.stored_bytes)
                .ok_or("its index is longer than it")?;
        }
        if !rest.is_empty() || u64::from(offset) + tail.len() as u64 != pack_bytes {
            return Err("its index does not add up to its size");
        }
        Ok(contents)
    }

    /// Adds a frame and its chunks, the first of `entries`; the entries that follow.
    fn push<'a>(
        &mut self,
        frame: Frame,
        entries: &'a [[u8; CHUNK_ENTRY_BYTES]],
    ) -> Result<&'a [[u8; CHUNK_ENTRY_BYTES]], &'static str> {
        let (own, rest) = entries
            .split_at_checked(frame.chunks as usize)
            .ok_or("its index has frames without their chunks")?;
        if frame.raw_bytes as usize > FRAME_BYTES_MAX || frame.stored_bytes > frame.raw_bytes {
            return Err("its index has a frame of an impossible length");
        }
        let mut offset = 0_u32;
        for entry in own {
            let (id, raw_bytes) = entry.split_at(32);
            let mut whole = [0; 32];
            whole.copy_from_slice(id);
            let raw_bytes = number(raw_bytes);
            if raw_bytes == 0 || raw_bytes > frame.raw_bytes - offset {
                return Err("its index has a chunk of an impossible length");
            }
            self.slots.push(Slot {
                id: Id::from_bytes(whole),
                frame: length(self.frames.len()),
                offset,
                raw_bytes,
            });
            offset += raw_bytes;
        }
        if offset != frame.raw_bytes || own.is_empty() {
            return Err("its index has a frame that its chunks do not fill");
        }
        self.frames.push(frame);
        Ok(rest)
    }
}

pub(crate) fn damaged(name: &Path, reason: impl Into<String>) -> Error {
    Error::Damaged {
        object: name.to_string(),
        reason: reason.into(),
    }
}
