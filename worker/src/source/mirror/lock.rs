//! The lock beside each mirror: a file that whoever uses the mirror holds, and whose time says when that was last.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Makes a folder that only this user can look into.
pub(super) fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Where the lock of a mirror is.
pub(super) fn path_of(mirror: &Path) -> PathBuf {
    mirror.with_extension("lock")
}

/// The lock of a mirror, marked as used now; `None` while somebody else holds it.
pub(super) fn try_hold(mirror: &Path) -> io::Result<Option<File>> {
    let Some(mut lock) = try_hold_quietly(mirror)? else {
        return Ok(None);
    };
    lock.set_len(0)?;
    lock.write_all(b"used")?;
    Ok(Some(lock))
}

/// The same, without a mark.
pub(super) fn try_hold_quietly(mirror: &Path) -> io::Result<Option<File>> {
    let path = path_of(mirror);
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Whoever removed a mirror removed its lock, too: then this is the lock of nothing.
    let is_same = std::fs::metadata(&path).is_ok_and(|there| {
        lock.metadata()
            .is_ok_and(|held| (held.dev(), held.ino()) == (there.dev(), there.ino()))
    });
    Ok(is_same.then_some(lock))
}

/// Removes what a git that was killed left locked in a mirror; whoever calls this holds the mirror, so nobody else's git works there.
pub(super) fn drop_stale(mirror: &Path) {
    let mut folders = vec![mirror.to_path_buf(), mirror.join("objects/pack")];
    let mut at = 0;
    while let Some(folder) = folders.get(at).cloned() {
        at += 1;
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && (folder != mirror || name == "refs") {
                folders.push(entry.path());
            } else if !is_folder
                && (name.ends_with(".lock") || name.starts_with("tmp_"))
                && let Err(error) = std::fs::remove_file(entry.path())
            {
                tracing::debug!(%error, file = %entry.path().display(), "left in a mirror");
            }
        }
    }
}
