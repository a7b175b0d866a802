//! Where a revision's files come from. Made by whoever has the command, asked by the DownloadBundle event; a tree from a
//! server's cache is another implementor.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use croft_unpack::{Kind, Limits};

use super::folder;

/// What a file of a revision may be to others: all that its bundle says. Its scripts run as root anyway.
const MODES: u32 = 0o7777;

/// Something that can bring a revision's files.
pub trait Bundle: Sync {
    /// Makes the site's folder, which is not there yet, with the revision's files in it, until `is_over`.
    ///
    /// # Errors
    /// Named with the entry that cannot be brought; what was brought until then is left in the folder.
    fn bring(&self, site: &Site<'_>, is_over: &AtomicBool) -> Result<(), BundleError>;
}

/// Where a revision's files go, and where those of earlier ones are.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The folder to make.
    pub into: &'a Path,
    /// A folder for whatever helps the next revision to come faster; it lives as long as this one's files.
    pub notes: &'a Path,
    /// Of the same group, the newest first.
    pub earlier: &'a [EarlierRevision],
}

/// A revision that is on this host already. Its files may have been changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierRevision {
    /// Its files.
    pub folder: PathBuf,
    /// What was noted when it came; may not be there.
    pub notes: PathBuf,
}

/// Why a revision did not come.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Where it should be.
    #[error("cannot read the revision at {path}")]
    Unreadable {
        /// Of the bundle.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The folder it goes into.
    #[error("cannot write {path}")]
    Writing {
        /// Of this host.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Something in it that is not brought.
    #[error("{name:?} of the revision: {why}")]
    Entry {
        /// Its path in the revision.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// An archive that is not unpacked.
    #[error("cannot unpack {path}")]
    Archive {
        /// Of the archive.
        path: PathBuf,
        /// Why not.
        #[source]
        source: croft_unpack::Error,
    },
    /// The caller said so.
    #[error("it was stopped")]
    Stopped,
}

/// How a local revision is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BundleKind {
    /// Not at all.
    Directory,
    /// A tar archive.
    Tar,
    /// A compressed one.
    Tgz,
    /// A zip file.
    Zip,
}

impl BundleKind {
    /// What lies at `path`: a folder, or what the file's name says.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        if path.is_dir() {
            return Some(Self::Directory);
        }
        let name = path.file_name()?.to_string_lossy();
        Kind::of(&name).map(|kind| match kind {
            Kind::Zip => Self::Zip,
            Kind::Tar => Self::Tar,
            Kind::TarGz => Self::Tgz,
        })
    }
}

/// A revision on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalBundle {
    /// The folder or archive.
    pub path: PathBuf,
    /// Which of them.
    pub kind: BundleKind,
}

impl Bundle for LocalBundle {
    fn bring(&self, site: &Site<'_>, is_over: &AtomicBool) -> Result<(), BundleError> {
        let into = site.into;
        let writing = |source| BundleError::Writing {
            path: into.to_path_buf(),
            source,
        };
        std::fs::create_dir(into).map_err(writing)?;
        let kind = match self.kind {
            BundleKind::Directory => return folder::copy(&self.path, into, is_over),
            BundleKind::Tar => Kind::Tar,
            BundleKind::Tgz => Kind::TarGz,
            BundleKind::Zip => Kind::Zip,
        };
        let file = File::open(&self.path).map_err(|source| BundleError::Unreadable {
            path: self.path.clone(),
            source,
        })?;
        let limits = Limits {
            modes: MODES,
            ..Limits::default()
        };
        croft_unpack::unpack(file, kind, into, limits, is_over).map_err(|source| {
            BundleError::Archive {
                path: self.path.clone(),
                source,
            }
        })?;
        strip_top(into).map_err(writing)
    }
}

/// What lies in the only folder at the top comes up, when an AppSpec file is there: archives of git servers are so.
fn strip_top(folder: &Path) -> io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?;
    let (Some(only), None) = (entries.next().transpose()?, entries.next()) else {
        return Ok(());
    };
    if !only.file_type()?.is_dir() {
        return Ok(());
    }
    let is_spec = |entry: io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            let name = entry.file_name().to_string_lossy().to_ascii_lowercase();
            name.contains("appspec")
        })
    };
    if !std::fs::read_dir(only.path())?.any(is_spec) {
        return Ok(());
    }
    // A folder cannot take its parent's name while it is in it.
    let aside = folder.with_extension("top");
    std::fs::rename(only.path(), &aside)?;
    std::fs::remove_dir(folder)?;
    std::fs::rename(&aside, folder)
}
