//! Making directories, files and links inside a root. The parent directory is resolved inside the root, the last name is
//! never followed: a link that stands there is replaced, not written through.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};

use crate::Root;

impl Root {
    /// Makes `path` and every missing directory above it with mode 0755; existing ones are left as they are.
    ///
    /// # Errors
    /// When something on the way is not a directory, or may not be made.
    pub fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut walked = std::path::PathBuf::new();
        for part in path.components() {
            match part {
                Component::Normal(name) => {
                    let parent = self.directory_of(&walked)?;
                    walked.push(name);
                    match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                        Ok(()) => self.give(&parent, name)?,
                        Err(rustix::io::Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Component::ParentDir => walked.push(".."),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        drop(self.directory_of(&walked)?);
        Ok(())
    }

    /// Makes one directory with that mode in an existing parent; true when it was made, false when a directory stood there.
    ///
    /// # Errors
    /// When the parent is missing, something other than a directory stands there, or it may not be made.
    pub fn create_dir(&self, path: &Path, mode: u32) -> io::Result<bool> {
        let (parent, name) = self.parent_of(path)?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700)) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => {
                let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    return Ok(false);
                }
                return Err(rustix::io::Errno::NOTDIR.into());
            }
            Err(error) => return Err(error.into()),
        }
        // The mode of `mkdirat` passes through the umask; this one does not.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&parent, name, flags, Mode::empty())?;
        rustix::fs::fchmod(&made, Mode::from_raw_mode(mode & 0o7777))?;
        self.give(&parent, name)?;
        Ok(true)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// When it is missing, not a directory, not empty, or may not be removed.
    pub fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        Ok(rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)?)
    }

    /// A new, empty file for writing, with that mode; whatever file or link stood there is removed first.
    ///
    /// # Errors
    /// When the parent is missing, a directory stands there, or the file may not be made.
    pub fn create_file(&self, path: &Path, mode: u32) -> io::Result<File> {
        let (parent, name) = self.parent_of(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600));
        let file = match create() {
            Err(rustix::io::Errno::EXIST) => {
                remove_name(&parent, name)?;
                create()
            }
            created => created,
        };
        let file = File::from(file?);
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o7777))?;
        self.give(&parent, name)?;
        Ok(file)
    }

    /// A file for writing at any place of it: the one that stands there, or a new one that only its owner may read.
    ///
    /// # Errors
    /// When the parent is missing, something other than a file stands there, or it may not be made.
    pub fn writable_file(&self, path: &Path) -> io::Result<File> {
        let (parent, name) = self.parent_of(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(
            &parent,
            name,
            flags,
            Mode::from_raw_mode(0o600),
        )?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("something other than a file stands there"));
        }
        self.give(&parent, name)?;
        Ok(file)
    }

    /// A symbolic link with that target, which is not looked at; whatever file or link stood there is removed first.
    ///
    /// # Errors
    /// When the parent is missing, a directory stands there, or the link may not be made.
    pub fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        remove_name(&parent, name)?;
        rustix::fs::symlinkat(target, &parent, name)?;
        self.give(&parent, name)
    }

    /// A second name for the existing file `original`.
    ///
    /// # Errors
    /// When `original` is missing, is on another file system, or the name may not be made.
    pub fn hard_link(&self, original: &Path, path: &Path) -> io::Result<()> {
        let (from, from_name) = self.parent_of(original)?;
        let (parent, name) = self.parent_of(path)?;
        remove_name(&parent, name)?;
        Ok(rustix::fs::linkat(
            &from,
            from_name,
            &parent,
            name,
            AtFlags::empty(),
        )?)
    }

    /// Sets the permission bits of a directory or file that is not a link.
    ///
    /// # Errors
    /// When it is missing, a link, or may not be changed.
    pub fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        let handle = self.resolve(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK)?;
        Ok(rustix::fs::fchmod(
            &handle,
            Mode::from_raw_mode(mode & 0o7777),
        )?)
    }

    /// Sets owner and group of the name itself; a link is not followed.
    ///
    /// # Errors
    /// When it is missing or may not be changed.
    pub fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        let (uid, gid) = (
            rustix::fs::Uid::from_raw(uid),
            rustix::fs::Gid::from_raw(gid),
        );
        Ok(rustix::fs::chownat(
            &parent,
            name,
            Some(uid),
            Some(gid),
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// Sets access and modification time of the name itself; a link is not followed.
    ///
    /// # Errors
    /// When it is missing or may not be changed.
    pub fn set_modified(&self, path: &Path, seconds: i64, nanos: u32) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        let moment = Timespec {
            tv_sec: seconds,
            tv_nsec: nanos.into(),
        };
        let times = Timestamps {
            last_access: moment,
            last_modification: moment,
        };
        Ok(rustix::fs::utimensat(
            &parent,
            name,
            &times,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// Removes a file or link; a missing one is no error, a directory is.
    ///
    /// # Errors
    /// When a directory stands there or it may not be removed.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        remove_name(&parent, name)
    }

    /// Gives `from` the name `to` in one step; a file or link that stands at `to` is replaced.
    ///
    /// # Errors
    /// When `from` is missing, a directory stands at `to`, or the two are on different file systems.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (parent, name) = self.parent_of(from)?;
        let (to_parent, to_name) = self.parent_of(to)?;
        Ok(rustix::fs::renameat(&parent, name, &to_parent, to_name)?)
    }

    /// What was just made becomes the user's whom this root is used for.
    fn give(&self, parent: &impl AsFd, name: &OsStr) -> io::Result<()> {
        let Some(user) = self.user else { return Ok(()) };
        let (uid, gid) = (
            rustix::fs::Uid::from_raw(user.uid),
            rustix::fs::Gid::from_raw(user.gid),
        );
        Ok(rustix::fs::chownat(
            parent,
            name,
            Some(uid),
            Some(gid),
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    fn directory_of(&self, path: &Path) -> io::Result<OwnedFd> {
        self.resolve(path, OFlags::PATH | OFlags::DIRECTORY)
    }

    fn parent_of<'p>(&self, path: &'p Path) -> io::Result<(Parent<'_>, &'p OsStr)> {
        let name = path.file_name().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "a path must end in a name")
        })?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                Parent::Below(self.directory_of(parent)?)
            }
            Some(_) | None => Parent::Root(self.as_fd()),
        };
        Ok((parent, name))
    }
}

/// The directory that a name is in.
enum Parent<'r> {
    /// The root itself, which is open.
    Root(BorrowedFd<'r>),
    Below(OwnedFd),
}

impl AsFd for Parent<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root(root) => *root,
            Self::Below(below) => below.as_fd(),
        }
    }
}

fn remove_name(parent: &impl AsFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_in_the_way_is_replaced_and_its_target_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        let inside = folder.path().join("root");
        std::fs::create_dir(&inside).unwrap();
        symlink(&victim, inside.join("name")).unwrap();
        let root = Root::open(&inside).unwrap();
        root.create_file(Path::new("name"), 0o644)
            .unwrap()
            .write_all(b"new")
            .unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(std::fs::read_to_string(inside.join("name")).unwrap(), "new");
    }

    #[test]
    fn directories_are_never_made_outside() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("root");
        std::fs::create_dir(&inside).unwrap();
        symlink("..", inside.join("up")).unwrap();
        let root = Root::open(&inside).unwrap();
        root.create_dir_all(Path::new("up/made/here")).unwrap();
        root.create_dir_all(Path::new("../also")).unwrap();
        assert!(inside.join("made/here").is_dir());
        assert!(inside.join("also").is_dir());
        assert!(!folder.path().join("made").exists());
    }

    #[test]
    fn one_directory_is_made_once_and_a_link_there_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        symlink("/", folder.path().join("link")).unwrap();
        let root = Root::open(folder.path()).unwrap();
        assert!(root.create_dir(Path::new("made"), 0o2775).unwrap());
        assert!(!root.create_dir(Path::new("made"), 0o700).unwrap());
        let mode = std::fs::metadata(folder.path().join("made"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o2775);
        assert!(root.create_dir(Path::new("link"), 0o755).is_err());
        root.remove_dir(Path::new("made")).unwrap();
        assert!(!folder.path().join("made").exists());
        assert!(root.remove_dir(Path::new("link")).is_err());
    }

    #[test]
    fn a_renamed_file_replaces_a_link_and_not_its_target() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("new"), "new").unwrap();
        std::fs::write(folder.path().join("old"), "old").unwrap();
        symlink("old", folder.path().join("name")).unwrap();
        let root = Root::open(folder.path()).unwrap();
        root.rename(Path::new("new"), Path::new("name")).unwrap();
        assert_eq!(
            std::fs::read_to_string(folder.path().join("name")).unwrap(),
            "new"
        );
        assert_eq!(
            std::fs::read_to_string(folder.path().join("old")).unwrap(),
            "old"
        );
        assert!(!folder.path().join("new").exists());
    }

    #[test]
    fn a_last_name_of_dots_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        assert!(root.create_file(Path::new("a/.."), 0o644).is_err());
    }
}
