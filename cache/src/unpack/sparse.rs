//! Writing a file's bytes so that long runs of zeros take no room.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};

/// A run shorter than this is written: a hole must cover whole blocks to save anything.
const HOLE_BYTES_MIN: usize = 64 << 10;

/// A new file being written from its start.
#[derive(Debug)]
pub(super) struct SparseFile {
    file: File,
    length: u64,
    ends_in_hole: bool,
}

impl SparseFile {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            length: 0,
            ends_in_hole: false,
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        self.ends_in_hole = bytes.len() >= HOLE_BYTES_MIN && is_zero(bytes);
        if self.ends_in_hole {
            self.file.seek(SeekFrom::Start(self.length))?;
            return Ok(());
        }
        self.file.write_all(bytes)
    }

    pub(super) fn finish(&mut self) -> io::Result<()> {
        if self.ends_in_hole {
            self.file.set_len(self.length)?;
        }
        Ok(())
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

/// Stops at the first byte that is not.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
