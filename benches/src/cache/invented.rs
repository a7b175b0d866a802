//! Made-up files of any total size: some that cannot be compressed, some text, some that came before. Received from the
//! rows `memory` and `s3`; the same bytes on each run.

use std::fs;
use std::io::Write as _;
use std::path::Path;

/// Files in a folder.
const FOLDER_FILES: u64 = 200;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// xorshift64*: fast, the same everywhere, nothing to do with secrets.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Bytes that cannot be compressed.
    pub(crate) fn noise(&mut self, bytes: usize) -> Vec<u8> {
        let mut noise = Vec::with_capacity(bytes + 8);
        while noise.len() < bytes {
            noise.extend_from_slice(&self.next().to_le_bytes());
        }
        noise.truncate(bytes);
        noise
    }

    /// Lines that compress to about a quarter.
    pub(crate) fn text(&mut self, bytes: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes + 64);
        while text.len() < bytes {
            let number = self.next();
            let line = format!(
                "    let value_{} = compute({:#x}, offset_{});\n",
                number % 9973,
                number >> 40,
                number % 31
            );
            text.extend_from_slice(line.as_bytes());
        }
        text.truncate(bytes);
        text
    }
}

/// Fills a folder with that many bytes; how many files they became.
pub(crate) fn fill(folder: &Path, bytes: u64) -> Result<u64, String> {
    let (mut numbers, mut written, mut files) = (Numbers::new(1), 0, 0);
    while written < bytes {
        let size = size(numbers.next()).min(bytes - written);
        let seed = match numbers.next() % 10 {
            // A copy of a file from the first hundredth part.
            0 | 1 => numbers.next() % 32,
            _ => 1_000 + files,
        };
        let folder = folder.join(format!("folder-{}", files / FOLDER_FILES));
        let path = folder.join(format!("file-{files}"));
        fs::create_dir_all(&folder)
            .and_then(|()| write(&path, seed, size))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        written += size;
        files += 1;
    }
    Ok(files)
}

/// Many small ones; most of the bytes in few large ones.
fn size(number: u64) -> u64 {
    match number % 100 {
        0..=69 => KIB + number % (8 * KIB),
        70..=94 => 16 * KIB + number % (256 * KIB),
        95..=98 => MIB + number % (4 * MIB),
        _ => 16 * MIB + number % (32 * MIB),
    }
}

/// Half of all seeds give noise, the others text.
fn write(path: &Path, seed: u64, bytes: u64) -> std::io::Result<()> {
    let mut numbers = Numbers::new(seed);
    let mut file = fs::File::create(path)?;
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left.min(MIB)).unwrap_or(usize::MAX);
        let block = if seed.is_multiple_of(2) {
            numbers.noise(part)
        } else {
            numbers.text(part)
        };
        file.write_all(&block)?;
        left -= part as u64;
    }
    Ok(())
}
