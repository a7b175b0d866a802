//! Many chunks in one object, so that thousands of small files are a handful of objects. Filled by `save` and `prune`;
//! read by whoever needs chunks.
//!
//! **Shape.** The chunks' stored bytes back to back; then the index, 40 bytes a chunk (id, length, stored length; numbers
//! little-endian); then a trailer of 44 bytes: the index's hash, the number of chunks, `croftpk1`. A chunk whose two
//! lengths are equal is stored as it is, any other is one zstd frame.

use std::io;

use bytes::Bytes;
use object_store::path::Path;

use crate::backend::{Listed, Objects};
use crate::layout::{id_of, pack_name};
use crate::tree::CHUNK_BYTES;
use crate::{Error, Id};

/// A pack is written once it holds this much. Large enough that a tree of small files is few objects, small enough that
/// each worker can hold one in memory.
const PACK_BYTES: usize = 2 << 20;

/// Chunks of a pack, so that its index stays below 1.3 MB however small they are.
const CHUNKS_MAX: usize = 32 * 1024;

const SLOT_BYTES: usize = 40;
const TRAILER_BYTES: usize = 44;
const MAGIC: &[u8; 8] = b"croftpk1";

/// Read from the end of a pack in one go: trailer and index of most packs.
const TAIL_BYTES: u64 = 32 * 1024;

/// Fast compression: a build waits for it, and the store may be on a disk as fast as the level.
pub(crate) const ZSTD_LEVEL: i32 = 1;

/// What a pack's index says of one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) id: Id,
    /// From the start of the pack.
    pub(crate) offset: u32,
    pub(crate) raw_bytes: u32,
    pub(crate) stored_bytes: u32,
}

/// What a pack holds besides its chunks and their index.
pub(crate) const PACK_OVERHEAD_BYTES: u64 = TRAILER_BYTES as u64;

/// What one chunk adds to a pack besides its stored bytes.
pub(crate) const SLOT_OVERHEAD_BYTES: u64 = SLOT_BYTES as u64;

/// A pack being filled.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

impl Builder {
    /// Adds a chunk as it is to be stored; `raw_bytes` is its length when decoded.
    pub(crate) fn push(&mut self, id: Id, raw_bytes: u32, stored: &[u8]) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(PACK_BYTES + CHUNK_BYTES / 4);
        }
        self.slots.push(Slot {
            id,
            offset: length(self.bytes.len()),
            raw_bytes,
            stored_bytes: length(stored.len()),
        });
        self.bytes.extend_from_slice(stored);
    }

    /// True when it should be written before more is added.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= PACK_BYTES || self.slots.len() >= CHUNKS_MAX
    }

    /// Writes the pack and starts an empty one; the object written, none when there was nothing to write.
    pub(crate) fn flush(&mut self, objects: &Objects) -> Result<Option<Listed>, Error> {
        if self.slots.is_empty() {
            return Ok(None);
        }
        let Self { mut bytes, slots } = std::mem::take(self);
        let start = bytes.len();
        for slot in &slots {
            bytes.extend_from_slice(slot.id.bytes());
            bytes.extend_from_slice(&slot.raw_bytes.to_le_bytes());
            bytes.extend_from_slice(&slot.stored_bytes.to_le_bytes());
        }
        let hash = Id::of(&bytes[start..]);
        bytes.extend_from_slice(hash.bytes());
        bytes.extend_from_slice(&length(slots.len()).to_le_bytes());
        bytes.extend_from_slice(MAGIC);
        let written = Listed {
            name: pack_name(&Id::of(&bytes)),
            size_bytes: bytes.len() as u64,
        };
        objects.put(&written.name, bytes)?;
        Ok(Some(written))
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a pack is a few MiB")
}

/// The chunks a pack holds, in order.
pub(crate) fn read_slots(objects: &Objects, pack: &Listed) -> Result<Vec<Slot>, Error> {
    let damaged = |reason: &str| damaged(&pack.name, reason);
    if id_of(&pack.name).is_none() {
        return Err(damaged("its name is not an id"));
    }
    let tail = read_tail(objects, pack, TAIL_BYTES)?;
    let count = trailer_count(&tail).map_err(damaged)?;
    let needed = (count * SLOT_BYTES + TRAILER_BYTES) as u64;
    if count > CHUNKS_MAX || needed > pack.size_bytes {
        return Err(damaged("its index does not fit into it"));
    }
    let tail = if needed > tail.len() as u64 {
        read_tail(objects, pack, needed)?
    } else {
        tail
    };
    parse_slots(&tail, count, pack.size_bytes - needed).map_err(damaged)
}

fn read_tail(objects: &Objects, pack: &Listed, bytes: u64) -> Result<Bytes, Error> {
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

fn trailer_count(tail: &[u8]) -> Result<usize, &'static str> {
    let Some((rest, magic)) = tail.split_last_chunk::<8>() else {
        return Err("it has no trailer");
    };
    let Some((_, count)) = rest.split_last_chunk::<4>() else {
        return Err("it has no trailer");
    };
    if magic != MAGIC {
        return Err("its last bytes are not those of a pack");
    }
    usize::try_from(u32::from_le_bytes(*count)).map_err(|_huge| "its index is too large")
}

fn parse_slots(tail: &[u8], count: usize, contents_bytes: u64) -> Result<Vec<Slot>, &'static str> {
    let end = tail.len() - TRAILER_BYTES;
    let index = &tail[end - count * SLOT_BYTES..end];
    if Id::of(index).bytes() != &tail[end..end + 32] {
        return Err("its index does not match its hash");
    }
    let mut offset = 0_u32;
    let mut slots = Vec::with_capacity(count);
    for bytes in index.as_chunks::<SLOT_BYTES>().0 {
        let (id, lengths) = bytes.split_at(32);
        let number = |at: usize| {
            let mut four = [0; 4];
            four.copy_from_slice(&lengths[at..at + 4]);
            u32::from_le_bytes(four)
        };
        let mut whole = [0; 32];
        whole.copy_from_slice(id);
        let (raw_bytes, stored_bytes) = (number(0), number(4));
        if raw_bytes == 0 || stored_bytes > raw_bytes || raw_bytes > length(CHUNK_BYTES) {
            return Err("its index has a chunk of an impossible length");
        }
        slots.push(Slot {
            id: Id::from_bytes(whole),
            offset,
            raw_bytes,
            stored_bytes,
        });
        offset = offset
            .checked_add(stored_bytes)
            .ok_or("its index is longer than it")?;
    }
    if u64::from(offset) != contents_bytes {
        return Err("its index does not add up to its size");
    }
    Ok(slots)
}

pub(crate) fn damaged(name: &Path, reason: impl Into<String>) -> Error {
    Error::Damaged {
        object: name.to_string(),
        reason: reason.into(),
    }
}

/// Turns chunks into what is stored.
pub(crate) struct Encoder {
    zstd: zstd::bulk::Compressor<'static>,
    buffer: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self {
            zstd: zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(out_of_memory)?,
            buffer: Vec::new(),
        })
    }

    /// The bytes to store for a chunk: compressed, or as they are when that would gain less than a thirty-second.
    pub(crate) fn encode<'a>(&'a mut self, raw: &'a [u8]) -> Result<&'a [u8], Error> {
        self.buffer.clear();
        self.buffer
            .reserve(zstd::zstd_safe::compress_bound(raw.len()));
        let packed = self
            .zstd
            .compress_to_buffer(raw, &mut self.buffer)
            .map_err(out_of_memory)?;
        let gained = packed + raw.len() / 32 < raw.len();
        Ok(if gained { &self.buffer[..packed] } else { raw })
    }
}

/// Turns what is stored back into chunks.
pub(crate) struct Decoder {
    zstd: zstd::bulk::Decompressor<'static>,
    buffer: Vec<u8>,
}

impl Decoder {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self {
            zstd: zstd::bulk::Decompressor::new().map_err(out_of_memory)?,
            buffer: Vec::with_capacity(CHUNK_BYTES),
        })
    }

    /// The chunk, its length and hash checked; or how the stored bytes fail to be it.
    pub(crate) fn decode<'a>(
        &'a mut self,
        slot: &Slot,
        stored: &'a [u8],
    ) -> Result<&'a [u8], String> {
        let refused = |reason: &str| format!("its chunk {} {reason}", slot.id);
        if stored.len() != slot.stored_bytes as usize {
            return Err(refused("is cut short"));
        }
        let raw = if slot.stored_bytes == slot.raw_bytes {
            stored
        } else {
            self.buffer.clear();
            match self.zstd.decompress_to_buffer(stored, &mut self.buffer) {
                Ok(length) if length == slot.raw_bytes as usize => self.buffer.as_slice(),
                Ok(_) | Err(_) => return Err(refused("does not decompress to its length")),
            }
        };
        if Id::of(raw) != slot.id {
            return Err(refused("does not match its hash"));
        }
        Ok(raw)
    }
}

fn out_of_memory(source: io::Error) -> Error {
    Error::System {
        action: "compress",
        source,
    }
}
