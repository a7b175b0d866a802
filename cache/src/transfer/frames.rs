//! Chunks on their way: many together, compressed together, as packs hold them. Written by the sender, read by the receiver, which
//! gets each with its hash checked.
//!
//! **Shape.** Batches back to back. A batch is `croftch` and a byte of version, then frames, then four zeros. A *frame* has the
//! number of its chunks (4 bytes), the length of their bytes (4) and of what is stored of them (4), then 36 bytes a chunk (id,
//! length), then one zstd frame, or the bytes as they are where compressing them gains nothing. So bytes that end early always
//! show, and a receiver never holds more than one frame.

use std::io::{self, Read};

use super::wire::{ENVELOPE_BYTES, check_envelope, write_envelope};
use super::{BATCH_BYTES_MAX, Refusal};
use crate::chunk::CHUNK_BYTES_MAX;
use crate::pack::{Decoder, Encoder, FRAME_BYTES_MAX, chunk_of};
use crate::{Error, Id};

const KIND: &[u8; 7] = b"croftch";

/// A frame is closed when it holds this much: chunks compress better together, and one more never makes it too long.
const FRAME_BYTES: usize = FRAME_BYTES_MAX - CHUNK_BYTES_MAX;

/// Chunks of a frame, so that what is said of them stays below 150 KB however small they are.
const FRAME_CHUNKS_MAX: usize = 4096;

const CHUNK_ENTRY_BYTES: usize = 36;

const FRAME_ENTRY_BYTES: usize = 12;

/// What a batch has besides its chunks and the heads of its frames: its ends.
const BATCH_OVERHEAD_BYTES: usize = 64;

/// How many of the chunks, whose sizes are given, surely fit into one batch; never none.
pub(super) fn fitting(sizes: impl Iterator<Item = u32>) -> usize {
    let mut room = BATCH_BYTES_MAX - BATCH_OVERHEAD_BYTES;
    let fitting = sizes.take_while(|size| {
        // Each may be a frame of its own.
        let needed = *size as usize + CHUNK_ENTRY_BYTES + FRAME_ENTRY_BYTES;
        let fits = needed <= room;
        room = room.saturating_sub(needed);
        fits
    });
    fitting.count().max(1)
}

/// A batch being written.
pub(super) struct Batch {
    encoder: Encoder,
    bytes: Vec<u8>,
    open: Vec<u8>,
    open_ids: Vec<(Id, u32)>,
}

impl Batch {
    pub(super) fn new() -> Result<Self, Error> {
        let mut bytes = Vec::new();
        write_envelope(&mut bytes, KIND);
        Ok(Self {
            encoder: Encoder::new()?,
            bytes,
            open: Vec::new(),
            open_ids: Vec::new(),
        })
    }

    pub(super) fn push(&mut self, id: Id, raw: &[u8]) -> Result<(), Error> {
        self.open.extend_from_slice(raw);
        self.open_ids.push((id, length(raw.len())));
        if self.open.len() >= FRAME_BYTES || self.open_ids.len() >= FRAME_CHUNKS_MAX {
            self.close()?;
        }
        Ok(())
    }

    /// Adds chunks as they are stored: all of a pack's frame, in its order. What was compressed once is not compressed again.
    pub(super) fn push_frame(&mut self, frame: &Whole<'_>) -> Result<(), Error> {
        self.close()?;
        write_frame(&mut self.bytes, frame);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        if self.open_ids.is_empty() {
            return Ok(());
        }
        let frame = Whole {
            ids: &self.open_ids,
            raw_bytes: length(self.open.len()),
            stored: self.encoder.encode(&self.open)?,
        };
        write_frame(&mut self.bytes, &frame);
        self.open.clear();
        self.open_ids.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>, Error> {
        self.close()?;
        self.bytes.extend_from_slice(&[0; 4]);
        Ok(self.bytes)
    }
}

/// A frame to be sent.
#[derive(Debug)]
pub(super) struct Whole<'a> {
    /// Each with its length; as many as are lawful.
    pub(super) ids: &'a [(Id, u32)],
    pub(super) raw_bytes: u32,
    pub(super) stored: &'a [u8],
}

impl Whole<'_> {
    /// Whether a frame of so many chunks is one that a receiver takes.
    pub(super) const fn is_lawful(chunks: u32) -> bool {
        chunks as usize <= FRAME_CHUNKS_MAX
    }
}

fn write_frame(bytes: &mut Vec<u8>, frame: &Whole<'_>) {
    let numbers = [
        length(frame.ids.len()),
        frame.raw_bytes,
        length(frame.stored.len()),
    ];
    for number in numbers {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for (id, size_bytes) in frame.ids {
        bytes.extend_from_slice(id.bytes());
        bytes.extend_from_slice(&size_bytes.to_le_bytes());
    }
    bytes.extend_from_slice(frame.stored);
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a frame is below two MiB")
}

/// Hands every chunk of all batches to `each`, its hash checked.
///
/// # Errors
/// [`Error::Sent`] at the first frame that no croft writes; [`Error::Read`] when reading fails; what `each` fails with.
pub(super) fn read_batches(
    reader: &mut dyn Read,
    mut each: impl FnMut(Id, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut frames = Frames {
        reader,
        decoder: Decoder::new()?,
        ids: Vec::new(),
        stored: Vec::new(),
        contents: Vec::new(),
    };
    while frames.begin_batch()? {
        while frames.next()? {
            let mut offset = 0;
            for (id, size_bytes) in &frames.ids {
                let chunk = chunk_of(&frames.contents, *id, (offset, *size_bytes));
                let chunk =
                    chunk.map_err(|reason| malformed(format!("the chunk {id} {reason}")))?;
                each(*id, chunk)?;
                offset += size_bytes;
            }
        }
    }
    Ok(())
}

struct Frames<'r> {
    reader: &'r mut dyn Read,
    decoder: Decoder,
    ids: Vec<(Id, u32)>,
    stored: Vec<u8>,
    contents: Vec<u8>,
}

impl Frames<'_> {
    /// False when there is no further batch.
    fn begin_batch(&mut self) -> Result<bool, Error> {
        let mut envelope = [0; ENVELOPE_BYTES];
        let read = read_up_to(self.reader, &mut envelope).map_err(unreadable)?;
        if read == 0 {
            return Ok(false);
        }
        if read < ENVELOPE_BYTES {
            return Err(malformed("it ends in the middle"));
        }
        check_envelope(&envelope, KIND)?;
        Ok(true)
    }

    /// Reads the next frame, decompressed; false at the batch's end.
    fn next(&mut self) -> Result<bool, Error> {
        let count = self.number()?;
        if count == 0 {
            return Ok(false);
        }
        let (raw_bytes, stored_bytes) = (self.number()?, self.number()?);
        // In this order: nothing is read, and no memory taken, by a number that no croft writes.
        let is_lawful = count as usize <= FRAME_CHUNKS_MAX
            && raw_bytes as usize <= FRAME_BYTES_MAX
            && stored_bytes <= raw_bytes;
        if !is_lawful {
            return Err(malformed("a frame is larger than any"));
        }
        self.read_ids(count, raw_bytes)?;
        if stored_bytes == raw_bytes {
            // What was not compressed needs no second place.
            fill(self.reader, &mut self.contents, raw_bytes)?;
            return Ok(true);
        }
        fill(self.reader, &mut self.stored, stored_bytes)?;
        let lengths = (stored_bytes, raw_bytes);
        self.decoder
            .decode(&self.stored, lengths, &mut self.contents)
            .map_err(|reason| malformed(format!("a frame {reason}")))?;
        Ok(true)
    }

    fn read_ids(&mut self, count: u32, raw_bytes: u32) -> Result<(), Error> {
        self.ids.clear();
        let mut sum = 0;
        for _ in 0..count {
            let mut id = [0; 32];
            read_exactly(self.reader, &mut id)?;
            let size_bytes = self.number()?;
            if size_bytes == 0 || size_bytes as usize > CHUNK_BYTES_MAX {
                return Err(malformed("a chunk has a length that none has"));
            }
            sum += u64::from(size_bytes);
            self.ids.push((Id::from_bytes(id), size_bytes));
        }
        if sum != u64::from(raw_bytes) {
            return Err(malformed("the chunks of a frame do not add up to it"));
        }
        Ok(())
    }

    fn number(&mut self) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        read_exactly(self.reader, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
}

fn read_exactly(reader: &mut dyn Read, bytes: &mut [u8]) -> Result<(), Error> {
    let read = read_up_to(reader, bytes).map_err(unreadable)?;
    if read < bytes.len() {
        return Err(malformed("it ends in the middle"));
    }
    Ok(())
}

/// Reads so many bytes, in place of those that were there.
fn fill(reader: &mut dyn Read, bytes: &mut Vec<u8>, count: u32) -> Result<(), Error> {
    let count = count as usize;
    bytes.clear();
    // No more than a frame needs: each line has its own.
    bytes.reserve_exact(count);
    bytes.resize(count, 0);
    read_exactly(reader, bytes)
}

/// Fills the bytes as far as there are any.
fn read_up_to(reader: &mut dyn Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match reader.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn unreadable(source: io::Error) -> Error {
    Error::Read {
        path: "chunks that are being sent".into(),
        source,
    }
}

fn malformed(reason: impl Into<String>) -> Error {
    Error::Sent(Refusal::malformed(reason))
}
