//! What a build has changed in a mounted tree, read from the overlay's upper directory instead of by walking everything.
//! Received from the engine, which mounted the tree; handed to `save`, which keeps the rest of the tree as it is.
//!
//! The meaning of an upper directory is the kernel's (`Documentation/filesystems/overlayfs.rst`): a character device 0:0 is a
//! whiteout (the name is gone), a directory with `trusted.overlay.opaque` hides what is below it, everything else is there as
//! it is seen. Anything of another meaning makes the whole directory unclear: then the caller walks.

/// What becomes of a tree by these changes.
pub(crate) mod plan;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use croft_beneath::Kind;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::Error;
use crate::tree::ENTRIES_MAX;

/// The mark of a directory that hides what is below it.
const OPAQUE: &str = "trusted.overlay.opaque";
/// Marks of files and directories whose contents are elsewhere, or that mean something else than they look like.
const UNCLEAR: [&str; 3] = [
    "trusted.overlay.redirect",
    "trusted.overlay.metacopy",
    "trusted.overlay.whiteout",
];

/// What an upper directory says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Every change, ascending by path: a directory comes before what is in it.
    Known(Vec<Change>),
    /// It holds something that is not understood here; why, for a log.
    Unclear(String),
}

/// One name that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Relative to the mount point, never empty.
    pub path: PathBuf,
    /// What it is now.
    pub now: Now,
}

/// What a changed name is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// Gone.
    Gone,
    /// A directory; what was in it before is still there unless it is changed, too.
    Merged,
    /// A directory in which only changed names are.
    Opaque,
    /// Something else than a directory: of that kind.
    Leaf(Kind),
}

impl Now {
    /// The kind of what is there; none when nothing is.
    #[must_use]
    pub const fn kind(self) -> Option<Kind> {
        match self {
            Self::Gone => None,
            Self::Merged | Self::Opaque => Some(Kind::Directory),
            Self::Leaf(kind) => Some(kind),
        }
    }
}

impl Changes {
    /// What the upper directory `upper` says. Lists names and reads marks, never contents; follows no link. A name that goes
    /// while this looks is left out.
    ///
    /// # Errors
    /// When it cannot be read, which needs root, or holds more than a tree may.
    pub fn read(upper: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let failed = |path: &Path, error: Errno| Error::Read {
            path: path.to_path_buf(),
            source: error.into(),
        };
        let top =
            rustix::fs::open(upper, flags, Mode::empty()).map_err(|error| failed(upper, error))?;
        let mut found = Vec::new();
        let mut waiting = vec![PathBuf::new()];
        while let Some(folder) = waiting.pop() {
            let listed = open(&top, &folder).and_then(|opened| list(&opened, &folder));
            let listed = listed.map_err(|error| failed(&upper.join(&folder), error))?;
            let names = match listed {
                Listed::Names(names) => names,
                Listed::Unclear(reason) => return Ok(Self::Unclear(reason)),
            };
            waiting.extend(names.iter().filter_map(directory));
            found.extend(names);
            if found.len() > ENTRIES_MAX {
                return Err(Error::TooMany {
                    entries_max: ENTRIES_MAX,
                });
            }
        }
        found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(Self::Known(found))
    }
}

fn directory(change: &Change) -> Option<PathBuf> {
    matches!(change.now, Now::Merged | Now::Opaque).then(|| change.path.clone())
}

enum Listed {
    Names(Vec<Change>),
    Unclear(String),
}

fn open(top: &OwnedFd, folder: &Path) -> Result<OwnedFd, Errno> {
    let path = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(top, path, flags, Mode::empty(), resolve)
}

fn list(opened: &OwnedFd, folder: &Path) -> Result<Listed, Errno> {
    let mut names = Vec::new();
    for item in Dir::read_from(opened)? {
        let item = item?;
        let name = item.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let name = OsStr::from_bytes(name);
        let path = folder.join(name);
        match look(opened, name) {
            Ok(Ok(now)) => names.push(Change { path, now }),
            Ok(Err(mark)) => {
                return Ok(Listed::Unclear(format!("{} has {mark}", path.display())));
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Listed::Names(names))
}

/// What a name in a directory is now, or the mark that makes it unclear.
fn look(directory: &OwnedFd, name: &OsStr) -> Result<Result<Now, String>, Errno> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let now = match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice if stat.st_rdev == 0 => return Ok(Ok(Now::Gone)),
        FileType::RegularFile => Now::Leaf(Kind::File),
        FileType::Symlink => return Ok(Ok(Now::Leaf(Kind::Symlink))),
        FileType::Directory => Now::Merged,
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => return Ok(Ok(Now::Leaf(Kind::Other))),
    };
    // By way of the directory's descriptor: whatever is moved about meanwhile, this stays inside it.
    let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd())).join(name);
    for mark in UNCLEAR {
        if value_of(&path, mark)?.is_some() {
            return Ok(Err(mark.to_string()));
        }
    }
    if now != Now::Merged {
        return Ok(Ok(now));
    }
    match value_of(&path, OPAQUE)?.as_deref() {
        None => Ok(Ok(Now::Merged)),
        Some(b"y") => Ok(Ok(Now::Opaque)),
        Some(_) => Ok(Err(format!("an unknown value of {OPAQUE}"))),
    }
}

fn value_of(path: &Path, mark: &str) -> Result<Option<Vec<u8>>, Errno> {
    let mut value = vec![0; 16];
    match rustix::fs::lgetxattr(path, mark, &mut value) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        // Longer than any value that is understood.
        Err(Errno::RANGE) => Ok(Some(value)),
        Err(error) => Err(error),
    }
}
