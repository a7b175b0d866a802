//! What an Install replaces or removes, kept beside the plan until it is not needed: as a second name where the file system is
//! the same, as a copy with all that belongs to it where it is not.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use croft_beneath::Root;
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Timestamps, Uid, XattrFlags, chownat, fchmod,
    fchown, fgetxattr, flistxattr, fremovexattr, fsetxattr, linkat, openat, readlinkat, renameat,
    statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::place::Folder;

/// Access control lists, as the file system keeps them.
const ACLS: [&CStr; 2] = [c"system.posix_acl_access", c"system.posix_acl_default"];
/// Linux's longest extended attribute, and the longest list of their names.
const XATTR_BYTES_MAX: usize = 64 << 10;

/// Gives the file or link a second name at `kept`, and leaves it where it is. Whole or not at all.
pub(super) fn keep(from: &Folder<'_>, kept: &Path) -> io::Result<()> {
    match linkat(from, from.name, CWD, kept, AtFlags::empty()) {
        Ok(()) => Ok(()),
        Err(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP) => {
            let beside = kept.with_extension("new");
            remove(&CWD, &beside)?;
            copy(from, from.name, &CWD, &beside)?;
            Ok(renameat(CWD, &beside, CWD, kept)?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Puts what lies at `kept` back, in the place of whatever file or link is there.
pub(super) fn put_back(kept: &Path, to: &Folder<'_>, beside: &str) -> io::Result<()> {
    match renameat(CWD, kept, to, to.name) {
        Err(Errno::XDEV) => {
            remove(to, Path::new(beside))?;
            copy(&CWD, kept, to, Path::new(beside))?;
            renameat(to, beside, to, to.name)?;
            remove(&CWD, kept)
        }
        other => Ok(other?),
    }
}

/// Removes a file or link; a missing one is no error.
pub(super) fn remove(folder: &impl AsFd, name: &Path) -> io::Result<()> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn copy(
    from: &impl AsFd,
    name: impl rustix::path::Arg + Copy,
    to: &impl AsFd,
    to_name: &Path,
) -> io::Result<()> {
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        let target = readlinkat(from, name, Vec::new())?;
        symlinkat(target, to, to_name)?;
        chownat(to, to_name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    } else {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut from = File::from(openat(from, name, flags, Mode::empty())?);
        let made = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | flags;
        let mut copy = File::from(openat(to, to_name, made, Mode::from_raw_mode(0o600))?);
        io::copy(&mut from, &mut copy)?;
        fchown(&copy, Some(uid), Some(gid))?;
        fchmod(&copy, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        copy_xattrs(&from, &copy)?;
    }
    let times = Timestamps {
        last_access: rustix::fs::Timespec {
            tv_sec: stat.st_atime,
            tv_nsec: i64::try_from(stat.st_atime_nsec).unwrap_or_default(),
        },
        last_modification: rustix::fs::Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        },
    };
    Ok(utimensat(to, to_name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Access control lists, capabilities, labels: what the new file system knows of them.
fn copy_xattrs(from: &File, to: &File) -> io::Result<()> {
    let mut names = vec![0_u8; XATTR_BYTES_MAX];
    let length = match flistxattr(from, names.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    names.truncate(length);
    for name in names.split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else {
            continue;
        };
        if let Some(value) = xattr(from, name)? {
            match fsetxattr(to, name, &value, XattrFlags::empty()) {
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

fn xattr(of: &impl AsFd, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0_u8; XATTR_BYTES_MAX];
    match fgetxattr(of, name, value.as_mut_slice()) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A folder that can be asked and changed, and not only passed through.
pub(super) fn opened(folder: &Root) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(folder, ".", flags, Mode::empty())?)
}

/// The folder's access control lists: of itself, and of what is made in it.
pub(super) fn acls(folder: &Root) -> io::Result<[Option<Vec<u8>>; 2]> {
    let folder = opened(folder)?;
    let [own, default] = ACLS.map(|name| xattr(&folder, name));
    Ok([own?, default?])
}

/// Sets them as they were.
pub(super) fn set_acls(folder: &OwnedFd, acls: &[Option<Vec<u8>>; 2]) -> io::Result<()> {
    for (name, value) in ACLS.iter().zip(acls) {
        let set = match value {
            Some(value) => fsetxattr(folder, *name, value, XattrFlags::empty()),
            None => fremovexattr(folder, *name),
        };
        match set {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
