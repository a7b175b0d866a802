//! A file a secret key rests in. Received from `Signer` and `MasterKey`, who know what is in it; nobody but its owner may
//! read it, and it is never replaced.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::{NoRandom, hex, random_bytes};

/// Bytes of a key file. The longest form of a key has 86; anything large is another file.
const KEY_BYTES_MAX: usize = 4096;

/// Why a key file is of no use.
#[derive(Debug)]
pub(crate) enum FileFault {
    /// The system failed to do that with it.
    System(&'static str, io::Error),
    /// Others may read or write it; its permission bits.
    Open(u32),
    /// It cannot be a key.
    Malformed(&'static str),
    /// There are no random bytes to make it with.
    NoRandom,
}

/// Whose file is there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// The one that was asked for.
    Now,
    /// One that was there before.
    Before,
}

/// The bytes in the file, or none when there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, FileFault> {
    let failed = |source| FileFault::System("read", source);
    // Asked by name first, since opening a pipe would wait for whoever writes into it.
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(FileFault::Malformed("it is not a file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    let mut file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(FileFault::Open(mode));
    }
    // In one piece, so that no copy of the key is left where a growing buffer was.
    let mut bytes = Zeroizing::new(vec![0; KEY_BYTES_MAX + 1]);
    let length = fill(&mut file, &mut bytes).map_err(failed)?;
    if length > KEY_BYTES_MAX {
        return Err(FileFault::Malformed("it is too large"));
    }
    bytes.truncate(length);
    Ok(Some(bytes))
}

/// How many bytes there were to read.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Makes the file with those bytes, unless there is one by now. Its folder, if there is none, is one that others may look into: a
/// machine's configuration may stand there, too, and the file itself is its owner's alone.
///
/// The bytes are written and flushed under a name nobody looks for, and the file is then linked to its own: a reader finds
/// all of it or nothing, and a link, other than a rename, takes no other file's place. A crash may leave the odd name
/// behind, as secret as the key and used by nobody.
pub(crate) fn make(path: &Path, key: &impl AsRef<[u8]>) -> Result<Made, FileFault> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let failed = |source| FileFault::System("make", source);
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .map_err(failed)?;
    let random: [u8; 8] = random_bytes().map_err(|NoRandom| FileFault::NoRandom)?;
    let staged = folder.join(format!(".key-{}", hex::encode(&random)));
    let made = write(&staged, key.as_ref()).and_then(|()| link(&staged, path));
    let removed = fs::remove_file(&staged);
    let flushed = |made| File::open(folder)?.sync_all().map(|()| made);
    made.and_then(|made| removed.map(|()| made))
        .and_then(flushed)
        .map_err(failed)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn link(staged: &Path, path: &Path) -> io::Result<Made> {
    match fs::hard_link(staged, path) {
        Ok(()) => Ok(Made::Now),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Made::Before),
        Err(error) => Err(error),
    }
}
