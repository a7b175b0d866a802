//! Unpacking an archive that somebody else made: nothing of it may lie outside its folder, lead out of it, or be more than a
//! disk can take.
//!
//! An open file enters, from whoever fetched it: a source out of a bucket, a revision to deploy. A folder is left. What holds
//! by absence: nothing is written through a link, no owner is taken from an archive, and no archive is held in memory.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use croft_beneath::{Kind as Node, Root};

/// Bytes of all files of an archive: ten times the largest that people have, and a tenth of a build machine's disk.
const BYTES_MAX: u64 = 20 << 30;
/// Files, links and folders of an archive.
const ENTRIES_MAX: usize = 500_000;
/// Who may read, write and run it: what a mode keeps unless [`Limits`] says another.
const MODES: u32 = 0o755;
/// Linux's longest path, and the longest target of a link.
const PATH_BYTES_MAX: usize = 4096;

/// What kind of archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A zip file.
    Zip,
    /// A tar archive.
    Tar,
    /// The same, compressed with gzip.
    TarGz,
}

impl Kind {
    /// By its name's end; `None` for another one.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let ends = |end: &str| name.ends_with(end);
        if ends(".zip") {
            Some(Self::Zip)
        } else if ends(".tar.gz") || ends(".tgz") {
            Some(Self::TarGz)
        } else {
            ends(".tar").then_some(Self::Tar)
        }
    }
}

/// How much may be unpacked.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all files together.
    pub bytes_max: u64,
    /// Files, links and folders.
    pub entries_max: usize,
    /// The bits of a file's mode that are kept; its owner may always read and write it.
    pub modes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: BYTES_MAX,
            entries_max: ENTRIES_MAX,
            modes: MODES,
        }
    }
}

/// Why an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is none, or it is damaged.
    #[error("the archive cannot be read")]
    Unreadable(#[source] io::Error),
    /// An entry that is not made.
    #[error("entry {name:?} of the archive: {why}")]
    Entry {
        /// As the archive names it.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More than the limits allow.
    #[error("the archive holds more than {0}")]
    TooMuch(String),
    /// An entry that could not be made.
    #[error("cannot unpack {name:?}")]
    Writing {
        /// As the archive names it.
        name: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The caller said so.
    #[error("unpacking was given up")]
    GivenUp,
}

impl Error {
    /// Whether it is this machine's fault, and not the archive's.
    #[must_use]
    pub fn is_the_machines(&self) -> bool {
        match self {
            // What an archive can make wrong by itself: files in the place of folders, and links on the way.
            Self::Writing { source, .. } => {
                let is_loop = source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
                let kinds = [
                    io::ErrorKind::NotADirectory,
                    io::ErrorKind::IsADirectory,
                    io::ErrorKind::AlreadyExists,
                    io::ErrorKind::NotFound,
                    io::ErrorKind::InvalidInput,
                    io::ErrorKind::InvalidFilename,
                ];
                !is_loop && !kinds.contains(&source.kind())
            }
            Self::GivenUp => true,
            Self::Unreadable(_) | Self::Entry { .. } | Self::TooMuch(_) => false,
        }
    }
}

/// Unpacks it into the empty folder `into`, until `is_over`.
///
/// # Errors
/// Each with the entry's name where there is one; what was unpacked until then stays in the folder.
pub fn unpack(
    file: File,
    kind: Kind,
    into: &Path,
    limits: Limits,
    is_over: &AtomicBool,
) -> Result<(), Error> {
    let root = Root::open(into).map_err(|source| Error::Writing {
        name: into.display().to_string(),
        source,
    })?;
    let mut unpacking = Unpacking {
        // Then no entry can be written through a link that another made.
        root: root.refusing_links(),
        limits,
        bytes: 0,
        entries: 0,
        is_over,
    };
    match kind {
        Kind::Zip => unpacking.zip(file),
        Kind::Tar => unpacking.tar(io::BufReader::new(file)),
        Kind::TarGz => unpacking.tar(flate2::read::MultiGzDecoder::new(file)),
    }
}

struct Unpacking<'a> {
    root: Root,
    limits: Limits,
    bytes: u64,
    entries: usize,
    is_over: &'a AtomicBool,
}

impl Unpacking<'_> {
    fn zip(&mut self, file: File) -> Result<(), Error> {
        let unreadable = |error: zip::result::ZipError| Error::Unreadable(io::Error::other(error));
        let mut archive = zip::ZipArchive::new(file).map_err(unreadable)?;
        for at in 0..archive.len() {
            let mut entry = archive.by_index(at).map_err(unreadable)?;
            let name = entry.name().to_string();
            let mode = entry.unix_mode();
            // The kind of file, as in `st_mode`; Windows writes none.
            match (mode.unwrap_or(0) & 0o170_000, entry.is_dir()) {
                (_, true) => self.folder(&name)?,
                (0 | 0o100_000, false) => {
                    self.file(&name, mode.unwrap_or(0o644), &mut entry)?;
                }
                (0o120_000, false) => {
                    let mut target = Vec::new();
                    let mut start = entry.take(PATH_BYTES_MAX as u64);
                    start.read_to_end(&mut target).map_err(Error::Unreadable)?;
                    self.link(&name, &target)?;
                }
                _ => return Err(refused(&name, "it is no file, folder or link")),
            }
        }
        Ok(())
    }

    fn tar(&mut self, reader: impl Read) -> Result<(), Error> {
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries().map_err(Error::Unreadable)? {
            let mut entry = entry.map_err(Error::Unreadable)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mode = entry.header().mode().map_err(Error::Unreadable)?;
            let modified = entry.header().mtime().map_err(Error::Unreadable)?;
            let target = entry.link_name_bytes().unwrap_or_default().into_owned();
            let kind = entry.header().entry_type();
            if kind.is_dir() {
                self.folder(&name)?;
            } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
                let path = self.file(&name, mode, &mut entry)?;
                self.dated(&name, &path, modified)?;
            } else if kind.is_symlink() {
                self.link(&name, &target)?;
            } else if kind.is_hard_link() {
                self.second_name(&name, &target)?;
            } else if !kind.is_pax_global_extensions() {
                return Err(refused(&name, "it is no file, folder or link"));
            }
        }
        Ok(())
    }

    /// Where an entry goes; none for the folder itself.
    fn place(&mut self, name: &str) -> Result<Option<PathBuf>, Error> {
        if self.is_over.load(Ordering::Relaxed) {
            return Err(Error::GivenUp);
        }
        self.entries += 1;
        if self.entries > self.limits.entries_max {
            return Err(Error::TooMuch(format!(
                "{} entries",
                self.limits.entries_max
            )));
        }
        if name.len() > PATH_BYTES_MAX || name.contains('\0') {
            return Err(refused(name, "its name cannot be a file's"));
        }
        // Windows' separator is part of a name here, and would lie in the place of folders that were meant.
        if name.contains('\\') {
            return Err(refused(name, "its name has a backslash"));
        }
        let mut path = PathBuf::new();
        for part in Path::new(name).components() {
            match part {
                Component::Normal(part) => path.push(part),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(refused(name, "it would lie outside the archive's folder"));
                }
            }
        }
        Ok((!path.as_os_str().is_empty()).then_some(path))
    }

    fn named(&mut self, name: &str) -> Result<PathBuf, Error> {
        let path = self.place(name)?;
        let path = path.ok_or_else(|| refused(name, "it has no name"))?;
        let parent = path.parent().unwrap_or(Path::new(""));
        self.root
            .create_dir_all(parent)
            .map_err(|error| writing(name, error))?;
        Ok(path)
    }

    fn folder(&mut self, name: &str) -> Result<(), Error> {
        match self.place(name)? {
            Some(path) => self
                .root
                .create_dir_all(&path)
                .map_err(|error| writing(name, error)),
            None => Ok(()),
        }
    }

    fn file(&mut self, name: &str, mode: u32, reader: &mut dyn Read) -> Result<PathBuf, Error> {
        let path = self.named(name)?;
        let mode = mode & self.limits.modes | 0o600;
        let mut file = self
            .root
            .create_file(&path, mode)
            .map_err(|error| writing(name, error))?;
        let mut piece = vec![0; 64 << 10];
        loop {
            if self.is_over.load(Ordering::Relaxed) {
                return Err(Error::GivenUp);
            }
            let bytes = reader.read(&mut piece).map_err(Error::Unreadable)?;
            if bytes == 0 {
                return Ok(path);
            }
            self.bytes += bytes as u64;
            if self.bytes > self.limits.bytes_max {
                return Err(Error::TooMuch(format!("{} bytes", self.limits.bytes_max)));
            }
            io::Write::write_all(&mut file, &piece[..bytes])
                .map_err(|error| writing(name, error))?;
        }
    }

    fn dated(&self, name: &str, path: &Path, seconds: u64) -> Result<(), Error> {
        let Ok(seconds) = i64::try_from(seconds) else {
            return Ok(());
        };
        self.root
            .set_modified(path, seconds, 0)
            .map_err(|error| writing(name, error))
    }

    fn link(&mut self, name: &str, target: &[u8]) -> Result<(), Error> {
        let path = self.named(name)?;
        let Ok(target) = std::str::from_utf8(target) else {
            return Err(refused(name, "its target is no text"));
        };
        if target.is_empty() || target.len() >= PATH_BYTES_MAX || target.contains('\0') {
            return Err(refused(name, "its target cannot be a path"));
        }
        if !stays_inside(&path, Path::new(target)) {
            return Err(refused(name, "it leads out of the archive's folder"));
        }
        self.root
            .symlink(Path::new(target), &path)
            .map_err(|error| writing(name, error))
    }

    fn second_name(&mut self, name: &str, target: &[u8]) -> Result<(), Error> {
        let target = String::from_utf8_lossy(target).into_owned();
        let original = self.named(&target)?;
        let path = self.named(name)?;
        let found = self
            .root
            .symlink_metadata(&original)
            .map_err(|error| writing(name, error))?;
        // A link's second name at another depth would lead elsewhere.
        if found.kind != Node::File {
            return Err(refused(name, "it is a second name of what is no file"));
        }
        if original == path {
            return Ok(());
        }
        self.root
            .hard_link(&original, &path)
            .map_err(|error| writing(name, error))
    }
}

/// Whether a link at `path` stays in the root, whatever other links of the same kind it meets: `..` only at its beginning, and not
/// more often than it is deep. The folders above a link are folders, so its depth is the true one.
fn stays_inside(path: &Path, target: &Path) -> bool {
    let depth = path.components().count() - 1;
    let (mut ups, mut has_gone_down) = (0, false);
    for part in target.components() {
        match part {
            Component::Normal(_) => has_gone_down = true,
            Component::CurDir => {}
            Component::ParentDir if has_gone_down => return false,
            Component::ParentDir => ups += 1,
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    ups <= depth
}

fn refused(name: &str, why: &'static str) -> Error {
    Error::Entry {
        name: name.to_string(),
        why,
    }
}

fn writing(name: &str, source: io::Error) -> Error {
    Error::Writing {
        name: name.to_string(),
        source,
    }
}
