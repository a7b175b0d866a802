//! The root directory and everything that only reads. Made by whoever knows the directory (a build's source directory, the
//! root of a running sandbox); handed to collectors.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};

/// How every path is resolved.
const RESOLVE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// How often a look-up is tried again when the kernel says that a rename elsewhere disturbed it (`EAGAIN`).
const RETRIES_MAX: u32 = 64;

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a pipe or a socket.
    Other,
}

impl Kind {
    fn of(file_type: FileType) -> Self {
        match file_type {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Self::Other,
        }
    }
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Without any `/`.
    pub name: OsString,
    /// What it is; a link is not followed.
    pub kind: Kind,
}

/// What the file system knows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, `0o7777`.
    pub mode: u32,
    /// Bytes.
    pub size_bytes: u64,
    /// Modification time: seconds since the epoch.
    pub modified_seconds: i64,
    /// Modification time: nanoseconds within the second.
    pub modified_nanos: u32,
    /// Time of the last change to contents or metadata: seconds since the epoch, and nanoseconds within the second.
    pub changed: (i64, u32),
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device and inode: equal for hard links.
    pub identity: (u64, u64),
    /// Names that lead to it.
    pub links: u64,
}

impl Metadata {
    /// What the file system knows of an open file.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn of_file(file: &File) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::fstat(file)?))
    }

    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        clippy::unnecessary_cast,
        reason = "sizes are never negative, nanoseconds stay below 10^9, widths differ between targets"
    )]
    fn of(stat: &Stat) -> Self {
        Self {
            kind: Kind::of(FileType::from_raw_mode(stat.st_mode)),
            mode: stat.st_mode & 0o7777,
            size_bytes: stat.st_size as u64,
            modified_seconds: stat.st_mtime as i64,
            modified_nanos: stat.st_mtime_nsec as u32,
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
            uid: stat.st_uid,
            gid: stat.st_gid,
            identity: (stat.st_dev as u64, stat.st_ino as u64),
            links: stat.st_nlink as u64,
        }
    }
}

/// A directory that no path given to it can leave.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    path: PathBuf,
    how: ResolveFlags,
    pub(crate) user: Option<User>,
}

/// For calls that take a directory and one name in it. A longer path would be resolved the ordinary way, and a link that the
/// name is must not be followed by the call.
impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Whose files they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    others_start: u32,
}

impl User {
    fn may_read(self, stat: &Stat) -> bool {
        let own = stat.st_uid == self.uid || stat.st_uid >= self.others_start;
        own || stat.st_mode & 0o004 != 0
    }
}

impl Root {
    /// The root at `path`, which is itself resolved the ordinary way.
    ///
    /// # Errors
    /// When `path` is not a directory or may not be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let directory = rustix::fs::open(
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        Ok(Self {
            directory,
            path: path.to_path_buf(),
            how: RESOLVE,
            user: None,
        })
    }

    /// The same root, used for a build of the user `uid`: files are opened only when that user, or one of those from
    /// `others_start` on, owns them, or everybody may read them, and what is made belongs to that user. A collector with more
    /// rights than the build must not read for it what it could not, nor leave it what it cannot change.
    #[must_use]
    pub fn on_behalf_of(self, uid: u32, gid: u32, others_start: u32) -> Self {
        Self {
            user: Some(User {
                uid,
                gid,
                others_start,
            }),
            ..self
        }
    }

    /// The path the root was opened by, for messages only.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A second handle of the same directory.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            directory: self.directory.try_clone()?,
            path: self.path.clone(),
            how: self.how,
            user: self.user,
        })
    }

    /// The directory at `path` as a root of its own: paths given to it cannot leave that directory.
    ///
    /// # Errors
    /// When it is missing or not a directory.
    pub fn directory(&self, path: &Path) -> io::Result<Self> {
        let directory = self.resolve(path, OFlags::PATH | OFlags::DIRECTORY)?;
        let inside = path.strip_prefix("/").unwrap_or(path);
        Ok(Self {
            directory,
            path: self.path.join(inside),
            how: self.how,
            user: self.user,
        })
    }

    /// The same root, refusing every path with a symbolic link on the way (`ELOOP`). A link that is the last name can
    /// still be looked at, read, replaced and removed.
    ///
    /// For trees in which a link must not lead anywhere, not even elsewhere inside the root.
    #[must_use]
    pub fn refusing_links(self) -> Self {
        Self {
            how: self.how | ResolveFlags::NO_SYMLINKS,
            ..self
        }
    }

    /// The file's contents, opened for reading; a final symbolic link is followed inside the root.
    ///
    /// # Errors
    /// When it is missing or not a regular file. A pipe or a device is refused without being opened.
    pub fn open_file(&self, path: &Path) -> io::Result<File> {
        let handle = self.resolve(path, OFlags::PATH)?;
        let stat = rustix::fs::fstat(&handle)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        if self.user.is_some_and(|user| !user.may_read(&stat)) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        // The very file that was looked at, not whatever the name leads to by now.
        let handle = format!("/proc/self/fd/{}", handle.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::open(handle, flags, Mode::empty())?))
    }

    /// What `path` is; a final symbolic link is not followed.
    ///
    /// # Errors
    /// When it is missing.
    pub fn symlink_metadata(&self, path: &Path) -> io::Result<Metadata> {
        let handle = self.resolve(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        Ok(Metadata::of(&rustix::fs::fstat(&handle)?))
    }

    /// What `path` leads to; links are followed inside the root.
    ///
    /// # Errors
    /// When it is missing or a link leads nowhere.
    pub fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let handle = self.resolve(path, OFlags::PATH)?;
        Ok(Metadata::of(&rustix::fs::fstat(&handle)?))
    }

    /// The names in a directory, sorted by their bytes, without `.` and `..`.
    ///
    /// # Errors
    /// When it is missing or not a directory.
    pub fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let directory = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut entries = Vec::new();
        for item in Dir::read_from(&directory)? {
            let item = item?;
            let name = item.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = if item.file_type() == FileType::Unknown {
                let stat =
                    rustix::fs::statat(&directory, item.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                Kind::of(FileType::from_raw_mode(stat.st_mode))
            } else {
                Kind::of(item.file_type())
            };
            entries.push(Entry {
                name: OsStr::from_bytes(name).to_os_string(),
                kind,
            });
        }
        entries.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        Ok(entries)
    }

    /// The names in a directory with what the file system knows of each, in no order; links are not followed. A name that
    /// goes while this looks is left out.
    ///
    /// # Errors
    /// When it is missing or not a directory.
    pub fn read_dir_metadata(&self, path: &Path) -> io::Result<Vec<(OsString, Metadata)>> {
        let directory = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut entries = Vec::new();
        for item in Dir::read_from(&directory)? {
            let item = item?;
            let name = item.file_name();
            if name.to_bytes() == b"." || name.to_bytes() == b".." {
                continue;
            }
            match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => entries.push((
                    OsStr::from_bytes(name.to_bytes()).to_os_string(),
                    Metadata::of(&stat),
                )),
                Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(entries)
    }

    /// Where a symbolic link points, unresolved.
    ///
    /// # Errors
    /// When it is missing or not a link.
    pub fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let handle = self.resolve(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        let target = rustix::fs::readlinkat(&handle, "", Vec::new())?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    /// A descriptor for `path`, resolved inside the root.
    pub(crate) fn resolve(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let mut tries = 0;
        loop {
            let opened = rustix::fs::openat2(
                self.directory.as_fd(),
                path,
                flags | OFlags::CLOEXEC,
                Mode::empty(),
                self.how,
            );
            match opened {
                Err(rustix::io::Errno::AGAIN) if tries < RETRIES_MAX => tries += 1,
                other => return Ok(other?),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn an_absolute_link_starts_at_the_root_and_dots_stop_there() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "outside").unwrap();
        let inside = outside.path().join("root");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join("secret"), "inside").unwrap();
        symlink("/secret", inside.join("absolute")).unwrap();
        symlink("../../../../secret", inside.join("climbing")).unwrap();
        let root = Root::open(&inside).unwrap();
        for name in ["absolute", "climbing", "/secret", "../secret"] {
            let text = io::read_to_string(root.open_file(Path::new(name)).unwrap()).unwrap();
            assert_eq!(text, "inside", "{name}");
        }
    }

    #[test]
    fn a_root_that_refuses_links_passes_through_none_but_can_look_at_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("real")).unwrap();
        std::fs::write(folder.path().join("real/file"), "text").unwrap();
        symlink("real", folder.path().join("link")).unwrap();
        let root = Root::open(folder.path()).unwrap().refusing_links();
        assert!(root.open_file(Path::new("real/file")).is_ok());
        assert!(root.open_file(Path::new("link/file")).is_err());
        assert!(root.read_dir(Path::new("link")).is_err());
        assert!(root.create_file(Path::new("link/new"), 0o644).is_err());
        assert_eq!(
            root.symlink_metadata(Path::new("link")).unwrap().kind,
            Kind::Symlink
        );
        assert_eq!(
            root.read_link(Path::new("link")).unwrap(),
            Path::new("real")
        );
        root.remove_file(Path::new("link")).unwrap();
        assert!(folder.path().join("real/file").exists());
    }

    #[test]
    fn a_directory_as_a_root_of_its_own_cannot_be_left() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("a/file"), "outer").unwrap();
        let inner = Root::open(folder.path())
            .unwrap()
            .directory(Path::new("/a/b"))
            .unwrap();
        assert!(inner.open_file(Path::new("../file")).is_err());
        assert_eq!(inner.path(), folder.path().join("a/b"));
    }

    #[test]
    fn a_pipe_is_refused_without_waiting_for_a_writer() {
        let folder = tempfile::tempdir().unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.path().join("pipe"),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let root = Root::open(folder.path()).unwrap();
        assert_eq!(
            root.open_file(Path::new("pipe")).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }

    #[test]
    fn what_the_reader_may_not_read_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "key").unwrap();
        let open = |mode: u32, reader: u32| {
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode))
                .unwrap();
            Root::open(folder.path())
                .unwrap()
                .on_behalf_of(reader, reader, u32::MAX)
                .open_file(Path::new("key"))
                .is_ok()
        };
        let own = rustix::process::getuid().as_raw();
        assert!(open(0o600, own) && open(0o644, own + 1));
        assert!(!open(0o640, own + 1));
    }

    #[test]
    fn names_come_sorted_with_their_kinds() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("b"), "").unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        symlink("b", folder.path().join("c")).unwrap();
        let root = Root::open(folder.path()).unwrap();
        let kinds: Vec<Kind> = root
            .read_dir(Path::new(""))
            .unwrap()
            .iter()
            .map(|entry| entry.kind)
            .collect();
        assert_eq!(kinds, [Kind::Directory, Kind::File, Kind::Symlink]);
        assert_eq!(root.read_link(Path::new("c")).unwrap(), Path::new("b"));
    }
}
