//! Cutting contents into chunks where the contents say so, so that bytes inserted near the start of a file move one or two
//! boundaries and not all. Received from `save` and `content`, which store each chunk once.
//!
//! Source: FastCDC as published in 2020 (Xia et al., IEEE TPDS), normalised chunking of level 1. The sizes were measured on
//! a source tree with its build output: half the average stores a few per cent less and costs as much in speed and index.

use std::io::{self, Read};

use fastcdc::v2020::FastCDC;

/// Bytes of a chunk, aimed at.
pub(crate) const CHUNK_BYTES_AVG: usize = 128 << 10;

/// Bytes of a chunk at least, the last of a file aside.
pub(crate) const CHUNK_BYTES_MIN: usize = CHUNK_BYTES_AVG / 4;

/// Bytes of a chunk at most. Every reader holds a few of them in memory.
pub(crate) const CHUNK_BYTES_MAX: usize = CHUNK_BYTES_AVG * 4;

/// Contents up to this size are one chunk: cutting them would cost more index than it could save.
const WHOLE_BYTES_MAX: usize = CHUNK_BYTES_AVG * 2;

/// Read at once; large enough that the rest moved to the front afterwards is a small part of it.
const BUFFER_BYTES: usize = CHUNK_BYTES_MAX * 4;

/// Reads contents and hands out their chunks.
#[derive(Debug)]
pub(crate) struct Cutter {
    buffer: Vec<u8>,
    filled: usize,
}

impl Cutter {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER_BYTES],
            filled: 0,
        }
    }

    /// Hands every chunk of the contents to `each`, in order; how many bytes there were.
    pub(crate) fn cut<E: From<io::Error>>(
        &mut self,
        reader: &mut dyn Read,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<u64, E> {
        self.filled = 0;
        let mut total = 0_u64;
        let mut ended = self.fill(reader)?;
        if ended && self.filled <= WHOLE_BYTES_MAX {
            if self.filled > 0 {
                each(&self.buffer[..self.filled])?;
            }
            return Ok(self.filled as u64);
        }
        loop {
            let used = cut_points(&self.buffer[..self.filled], ended, &mut each)?;
            total += used as u64;
            self.buffer.copy_within(used..self.filled, 0);
            self.filled -= used;
            if ended {
                return Ok(total);
            }
            ended = self.fill(reader)?;
        }
    }

    /// Fills the buffer; true when the contents have ended.
    fn fill(&mut self, reader: &mut dyn Read) -> io::Result<bool> {
        while self.filled < self.buffer.len() {
            match reader.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Ok(true),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// Hands out the chunks whose ends are certain; the bytes used. More may follow unless the contents have `ended`.
fn cut_points<E>(
    bytes: &[u8],
    ended: bool,
    each: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<usize, E> {
    let cutter = FastCDC::new(bytes, CHUNK_BYTES_MIN, CHUNK_BYTES_AVG, CHUNK_BYTES_MAX);
    let mut start = 0;
    while start < bytes.len() {
        let remaining = bytes.len() - start;
        if !ended && remaining < CHUNK_BYTES_MAX {
            break;
        }
        let (_, end) = cutter.cut(start, remaining);
        each(&bytes[start..end])?;
        start = end;
    }
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::noise;

    fn lengths(bytes: &[u8], reader: &mut dyn Read) -> Vec<usize> {
        let mut lengths = Vec::new();
        let mut all = Vec::new();
        let total = Cutter::new()
            .cut::<io::Error>(reader, |chunk| {
                lengths.push(chunk.len());
                all.extend_from_slice(chunk);
                Ok(())
            })
            .unwrap();
        assert_eq!(total, bytes.len() as u64);
        assert!(all == bytes, "the chunks are the contents");
        lengths
    }

    /// Hands out a few bytes at a time, as a pipe would.
    struct Dripping<'a>(&'a [u8]);

    impl Read for Dripping<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(self.0.len()).min(70_001);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn boundaries_are_those_of_every_croft_before() {
        let bytes = noise(7, 3 << 20);
        let found = lengths(&bytes, &mut bytes.as_slice());
        insta::assert_json_snapshot!(found);
    }

    #[test]
    fn how_bytes_arrive_does_not_move_a_boundary() {
        let bytes = noise(8, 5_000_000);
        assert_eq!(
            lengths(&bytes, &mut bytes.as_slice()),
            lengths(&bytes, &mut Dripping(&bytes))
        );
    }

    #[test]
    fn a_byte_put_in_front_moves_few_boundaries() {
        let bytes = noise(9, 4 << 20);
        let mut longer = vec![1];
        longer.extend_from_slice(&bytes);
        let (before, after) = (
            lengths(&bytes, &mut bytes.as_slice()),
            lengths(&longer, &mut longer.as_slice()),
        );
        let same = before
            .iter()
            .rev()
            .zip(after.iter().rev())
            .take_while(|(a, b)| a == b)
            .count();
        assert!(same + 3 >= before.len(), "{before:?} {after:?}");
    }

    #[test]
    fn small_contents_are_one_chunk_and_none_are_none() {
        for length in [0, 1, WHOLE_BYTES_MAX] {
            let bytes = noise(1, length);
            let expected: Vec<usize> = if length == 0 { vec![] } else { vec![length] };
            assert_eq!(lengths(&bytes, &mut bytes.as_slice()), expected);
        }
    }
}
