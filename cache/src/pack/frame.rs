//! Contents of frames to what is stored, and back. Used by the builder of packs and by everybody who reads one.

use std::io;

use super::FRAME_BYTES_MAX;
use crate::{Error, Id};

/// Fast compression: a build waits for it, and the store may be on a disk as fast as the level.
pub(crate) const ZSTD_LEVEL: i32 = 1;

/// Compresses.
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

    /// The bytes to store: compressed, or as they are when that would gain less than a thirty-second.
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

/// Decompresses.
pub(crate) struct Decoder(zstd::bulk::Decompressor<'static>);

impl Decoder {
    pub(crate) fn new() -> Result<Self, Error> {
        zstd::bulk::Decompressor::new()
            .map(Self)
            .map_err(out_of_memory)
    }

    /// Puts a frame's contents into `contents`, their length checked but not their hashes; or says how the stored bytes
    /// fail to be them.
    pub(crate) fn decode(
        &mut self,
        stored: &[u8],
        (stored_bytes, raw_bytes): (u32, u32),
        contents: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        contents.clear();
        if stored.len() != stored_bytes as usize {
            return Err("is cut short");
        }
        if stored_bytes == raw_bytes {
            contents.extend_from_slice(stored);
            return Ok(());
        }
        if raw_bytes as usize > FRAME_BYTES_MAX {
            return Err("is longer than any frame");
        }
        contents.reserve_exact(raw_bytes as usize);
        match self.0.decompress_to_buffer(stored, contents) {
            Ok(length) if length == raw_bytes as usize => Ok(()),
            Ok(_) | Err(_) => Err("does not decompress to its length"),
        }
    }
}

/// A chunk's bytes out of its frame's contents, their hash checked.
pub(crate) fn chunk_of(
    contents: &[u8],
    id: Id,
    (offset, raw_bytes): (u32, u32),
) -> Result<&[u8], &'static str> {
    let start = offset as usize;
    let bytes = contents
        .get(start..start + raw_bytes as usize)
        .ok_or("lies outside its frame")?;
    if Id::of(bytes) != id {
        return Err("does not match its hash");
    }
    Ok(bytes)
}

fn out_of_memory(source: io::Error) -> Error {
    Error::System {
        action: "compress",
        source,
    }
}
