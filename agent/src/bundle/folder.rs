//! A revision that is a folder of this machine, copied as an unpacked archive would lie there: the same entries are refused.
//! Receives the folder from `source`, leaves the copy.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use croft_beneath::{Entry, Kind, Root};

use super::BundleError;

/// Folders inside one another: deeper ones are a mistake, and their paths too long for most programs.
const DEPTH_MAX: usize = 128;

/// Copies what is in `from` into the empty folder `into`.
pub(super) fn copy(from: &Path, into: &Path, is_over: &AtomicBool) -> Result<(), BundleError> {
    let source = Root::open(from).map_err(|source| BundleError::Unreadable {
        path: from.to_path_buf(),
        source,
    })?;
    let copying = Copying {
        from: source.refusing_links(),
        into,
        is_over,
    };
    copying.folder(Path::new(""), DEPTH_MAX)
}

struct Copying<'a> {
    from: Root,
    into: &'a Path,
    is_over: &'a AtomicBool,
}

impl Copying<'_> {
    fn folder(&self, path: &Path, depth_left: usize) -> Result<(), BundleError> {
        if depth_left == 0 {
            return Err(refused(path, "too many folders inside one another"));
        }
        let entries = self.from.read_dir(path);
        for entry in entries.map_err(|error| self.unreadable(path, error))? {
            if self.is_over.load(Ordering::Relaxed) {
                return Err(BundleError::Stopped);
            }
            self.entry(&path.join(&entry.name), &entry, depth_left)?;
        }
        Ok(())
    }

    fn entry(&self, path: &Path, entry: &Entry, depth_left: usize) -> Result<(), BundleError> {
        if path.to_str().is_none() {
            return Err(refused(path, "its name is no UTF-8 text"));
        }
        let to = self.into.join(path);
        match entry.kind {
            Kind::Directory => {
                std::fs::create_dir(&to).map_err(writing(&to))?;
                self.folder(path, depth_left - 1)
            }
            Kind::File => self.file(path, &to),
            Kind::Symlink => {
                let target = self.from.read_link(path);
                let target = target.map_err(|error| self.unreadable(path, error))?;
                if !stays_inside(path, &target) {
                    return Err(refused(path, "the link leads out of the revision"));
                }
                std::os::unix::fs::symlink(target, &to).map_err(writing(&to))
            }
            Kind::Other => Err(refused(path, "it is no file, folder or link")),
        }
    }

    fn file(&self, path: &Path, to: &Path) -> Result<(), BundleError> {
        let unreadable = |error| self.unreadable(path, error);
        let mut from = self.from.open_file(path).map_err(unreadable)?;
        let found = from.metadata().map_err(unreadable)?;
        let mut made = || -> io::Result<()> {
            let mut file = File::create_new(to)?;
            io::copy(&mut from, &mut file)?;
            file.set_permissions(std::fs::Permissions::from_mode(
                found.permissions().mode() & 0o7777,
            ))?;
            file.set_modified(found.modified()?)
        };
        made().map_err(writing(to))
    }

    fn unreadable(&self, path: &Path, source: io::Error) -> BundleError {
        BundleError::Unreadable {
            path: self.from.path().join(path),
            source,
        }
    }
}

/// Whether a link stays in the revision, wherever its other links lead: `..` only at the beginning, and no more than its depth.
fn stays_inside(path: &Path, target: &Path) -> bool {
    let depth = path.components().count() - 1;
    let mut parts = target.components().peekable();
    let mut ups = 0;
    while parts.next_if_eq(&Component::ParentDir).is_some() {
        ups += 1;
    }
    ups <= depth && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn refused(path: &Path, why: &str) -> BundleError {
    BundleError::Entry {
        name: path.display().to_string(),
        why: why.to_string(),
    }
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> BundleError {
    let path: PathBuf = path.to_path_buf();
    move |source| BundleError::Writing { path, source }
}
