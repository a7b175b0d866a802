//! The file a private key rests in. Received from `Signer`; nobody but its owner may read it, and it is never replaced.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::KeyError;
use crate::{NoRandom, hex, random_bytes};

/// Bytes of a key file. An Ed25519 key in PKCS#8 has 85 at most; anything large is another file.
const KEY_BYTES_MAX: u64 = 4096;

/// The bytes in the file, or none when there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, KeyError> {
    let failed = |source| failed("read", path, source);
    // Asked by name first, since opening a pipe would wait for whoever writes into it.
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(malformed(path, "it is not a file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Open {
            path: path.into(),
            mode,
        });
    }
    if found.len() > KEY_BYTES_MAX {
        return Err(malformed(path, "it is too large"));
    }
    let mut bytes = Vec::new();
    file.take(KEY_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(Some(bytes))
}

/// Makes the file with those bytes, unless there is one by now.
///
/// The bytes are written and flushed under a name nobody looks for, and the file is then linked to its own: a reader finds
/// all of it or nothing, and a link, other than a rename, takes no other file's place. A crash may leave the odd name
/// behind, as secret as the key and used by nobody.
pub(super) fn make(path: &Path, key: &impl AsRef<[u8]>) -> Result<(), KeyError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let failed = |source| failed("make", path, source);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed)?;
    let random: [u8; 8] = random_bytes().map_err(|NoRandom| KeyError::NoRandom)?;
    let staged = folder.join(format!(".key-{}", hex::encode(&random)));
    let made = write(&staged, key.as_ref()).and_then(|()| link(&staged, path));
    let removed = fs::remove_file(&staged);
    made.and(removed)
        .and_then(|()| File::open(folder)?.sync_all())
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

fn link(staged: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(staged, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> KeyError {
    KeyError::File {
        action,
        path: path.into(),
        source,
    }
}

fn malformed(path: &Path, reason: &str) -> KeyError {
    KeyError::Malformed {
        path: path.into(),
        reason: reason.into(),
    }
}
