//! The steps of a plan, one by one, each of which may have been done already by an agent that was killed. Called by `apply` in the
//! plan's order.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use croft_beneath::Root;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, chownat,
    copy_file_range, fchmod, fchown, fstat, futimens, mkdirat, openat, renameat, statat, symlinkat,
    unlinkat,
};
use rustix::io::Errno;

use super::aside;
use super::place::{Folder, Folders};
use super::plan::{Attributes, Changed, Made, Put, Removal, What};

/// Read at once where the kernel cannot copy.
const PIECE_BYTES: usize = 128 << 10;
/// Copied with one call, at most: the kernel ends at the file's end.
const COPIED_BYTES_MAX: usize = 1 << 30;

/// What carries a plan out.
pub(super) struct Hands<'a> {
    pub(super) archive: &'a Root,
    /// Where what is replaced or removed is kept.
    pub(super) kept: PathBuf,
    /// Whether the plan has been begun before: then what is there may be its own.
    pub(super) is_resumed: bool,
    /// Told before every change: tests end the process here.
    pub(super) before_change: &'a (dyn Fn() + Sync),
}

impl Hands<'_> {
    pub(super) fn kept_put(&self, number: usize) -> PathBuf {
        self.kept.join(format!("put-{number}"))
    }

    pub(super) fn kept_removal(&self, number: usize) -> PathBuf {
        self.kept.join(format!("removal-{number}"))
    }

    pub(super) fn remove(
        &self,
        folders: &mut Folders<'_>,
        number: usize,
        removal: &Removal,
    ) -> io::Result<()> {
        let folder = match folders.of(&removal.place) {
            Err(error) if is_absent(&error) => return Ok(()),
            other => other?,
        };
        // Something of another kind is what was put in its place, or somebody else's.
        let is_folder = match statat(&folder, folder.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if is_folder != removal.folder.is_some() {
            return Ok(());
        }
        (self.before_change)();
        if is_folder {
            return match unlinkat(&folder, folder.name, AtFlags::REMOVEDIR) {
                // What others have put into it is theirs.
                Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
                Err(error) => Err(error.into()),
            };
        }
        let kept = self.kept_removal(number);
        if !is_there(&kept) {
            match aside::keep(&folder, &kept) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                other => other?,
            }
            (self.before_change)();
        }
        aside::remove(&folder, Path::new(folder.name))
    }

    pub(super) fn make(&self, folders: &mut Folders<'_>, made: &Made) -> io::Result<()> {
        let folder = folders.of(&made.place)?;
        (self.before_change)();
        match mkdirat(&folder, folder.name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let made_folder = folder.root.directory(Path::new(folder.name))?;
        give(&aside::opened(&made_folder)?, made.attributes)
    }

    pub(super) fn change(
        &self,
        bases: &[String],
        changed: &Changed,
        attributes: Attributes,
    ) -> io::Result<()> {
        let root = super::place::base(bases, changed.place.base)?;
        let folder = root.directory(Path::new(&changed.place.below))?;
        (self.before_change)();
        give(&aside::opened(&folder)?, attributes)
    }

    /// Puts a file or link in place. At every moment there is the old one or the new one.
    pub(super) fn put(
        &self,
        folders: &mut Folders<'_>,
        sources: &mut Sources,
        number: usize,
        put: &Put,
    ) -> io::Result<()> {
        let folder = folders.of(&put.place)?;
        let kept = self.kept_put(number);
        if put.replaces && !is_there(&kept) {
            (self.before_change)();
            match aside::keep(&folder, &kept) {
                // It has gone since the plan was made.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        if !put.replaces && !self.is_resumed {
            (self.before_change)();
            return match self.fill(&folder, folder.name, sources, put) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    // Whoever undoes this finds it kept, and does not take it for ours.
                    aside::keep(&folder, &kept)?;
                    Err(error)
                }
                other => other,
            };
        }
        let beside = beside(number);
        (self.before_change)();
        aside::remove(&folder, Path::new(&beside))?;
        self.fill(&folder, &beside, sources, put)?;
        (self.before_change)();
        Ok(renameat(&folder, &beside, &folder, folder.name)?)
    }

    fn fill(
        &self,
        folder: &Folder<'_>,
        name: &str,
        sources: &mut Sources,
        put: &Put,
    ) -> io::Result<()> {
        match &put.what {
            What::Link { target, uid, gid } => {
                symlinkat(target.as_str(), folder, name)?;
                let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                Ok(chownat(folder, name, Some(uid), Some(gid), flags)?)
            }
            What::File { source, attributes } => {
                let (from, found) = sources.open(self.archive, source)?;
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let file = File::from(openat(folder, name, flags, Mode::from_raw_mode(0o600))?);
                sources.copy(&from, &found, &file)?;
                give(&file, *attributes)?;
                Ok(futimens(&file, &times(&found))?)
            }
        }
    }
}

/// The name that a file has until it is whole.
pub(super) fn beside(number: usize) -> String {
    format!(".croft-put-{number}")
}

/// Files of the revision; the folder of the last one stays open.
#[derive(Debug, Default)]
pub(super) struct Sources {
    open: Option<(String, Root)>,
    piece: Vec<u8>,
}

impl Sources {
    fn open(&mut self, archive: &Root, source: &str) -> io::Result<(File, Stat)> {
        let (parent, name) = source.rsplit_once('/').unwrap_or(("", source));
        if self.open.as_ref().is_none_or(|(open, _)| open != parent) {
            let root = archive.directory(Path::new(parent))?;
            self.open = Some((parent.to_string(), root));
        }
        let (_, root) = self.open.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(root, name, flags, Mode::empty())?);
        let found = fstat(&file)?;
        if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile {
            return Ok((file, found));
        }
        Err(io::Error::other("it is no file any more"))
    }

    /// All bytes of a file into a new one. The kernel copies them where it can: a sixth less to do than when they pass through here, and on
    /// some file systems nothing is copied at all.
    fn copy(&mut self, from: &File, found: &Stat, to: &File) -> io::Result<()> {
        let mut copied = 0;
        loop {
            match copy_file_range(from, None, to, None, COPIED_BYTES_MAX) {
                // A file system that knows no better says so of a file that is not empty.
                Ok(0) if copied == 0 && found.st_size > 0 => break,
                Ok(0) => return Ok(()),
                Ok(more) => copied += more,
                Err(Errno::INTR) => {}
                Err(Errno::NOSYS | Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::PERM)
                    if copied == 0 =>
                {
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.copy_through(from, to)
    }

    fn copy_through(&mut self, mut from: &File, mut to: &File) -> io::Result<()> {
        self.piece.resize(PIECE_BYTES, 0);
        loop {
            match from.read(&mut self.piece) {
                Ok(0) => return Ok(()),
                Ok(read) => to.write_all(self.piece.get(..read).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn times(found: &Stat) -> Timestamps {
    let last_modification = Timespec {
        tv_sec: found.st_mtime,
        tv_nsec: i64::try_from(found.st_mtime_nsec).unwrap_or_default(),
    };
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification,
    }
}

/// Owner and group first: a change of them takes away what a mode gives beyond read, write and execute.
pub(super) fn give(to: &impl std::os::fd::AsFd, attributes: Attributes) -> io::Result<()> {
    let found = fstat(to)?;
    let Attributes { mode, uid, gid } = attributes;
    if (found.st_uid, found.st_gid) != (uid, gid) {
        fchown(to, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    Ok(fchmod(to, Mode::from_raw_mode(mode))?)
}

fn is_absent(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    kinds.contains(&error.kind())
}

pub(super) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Sets an access control list on the very file that was opened, whatever its name leads to by now.
pub(super) fn set_acl(
    folders: &mut Folders<'_>,
    set: &super::plan::AclSet,
    environment: &[(std::ffi::OsString, std::ffi::OsString)],
) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let folder = folders.of(&set.place)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(&folder, folder.name, flags, Mode::empty())?;
    let stat = statat(&opened, "", AtFlags::EMPTY_PATH)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        return Err(io::Error::other("it is a link by now"));
    }
    let ours = std::process::id();
    let path = format!("/proc/{ours}/fd/{}", opened.as_fd().as_raw_fd());
    program(
        "setfacl",
        &["--set", &set.entries, "--", &path],
        environment,
    )
}

/// Runs a program of this host that says nothing when all is well.
pub(super) fn program(
    name: &str,
    words: &[&str],
    environment: &[(std::ffi::OsString, std::ffi::OsString)],
) -> io::Result<()> {
    let ran = Command::new(name)
        .args(words)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()?;
    if ran.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    Err(io::Error::other(format!(
        "{name} ended with {}: {}",
        ran.status,
        said.trim()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than one piece, and not a whole number of them.
    fn contents() -> Vec<u8> {
        (0..=u8::MAX).cycle().take(PIECE_BYTES * 2 + 7).collect()
    }

    #[test]
    fn a_file_is_copied_whole_by_the_kernel_and_through_here() {
        let folder = tempfile::tempdir().unwrap();
        // Another file system where there is one: then the kernel may not.
        let memory =
            tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
        let mut sources = Sources::default();
        for (number, bytes) in [contents(), b"short".to_vec(), Vec::new()]
            .iter()
            .enumerate()
        {
            for place in [folder.path(), memory.path()] {
                let from = place.join(format!("from-{number}"));
                std::fs::write(&from, bytes).unwrap();
                let to = folder.path().join(format!("to-{number}"));
                let (file, copy) = (File::open(&from).unwrap(), File::create(&to).unwrap());
                let found = fstat(&file).unwrap();
                sources.copy(&file, &found, &copy).unwrap();
                assert!(std::fs::read(&to).unwrap() == *bytes, "{number}");
                let (file, copy) = (File::open(&from).unwrap(), File::create(&to).unwrap());
                sources.copy_through(&file, &copy).unwrap();
                assert!(
                    std::fs::read(&to).unwrap() == *bytes,
                    "{number}, through here"
                );
            }
        }
    }
}
