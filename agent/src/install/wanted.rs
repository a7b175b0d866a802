//! What a revision wants on this host, path by path: its `files`, walked through the folders of the bundle. Receives the AppSpec
//! and the bundle, looks at the host only for links in the place of folders, hands a list to the planner.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use croft_beneath::{Kind, Metadata, Root};
use croft_spec::appspec::{FileMapping, path_in_bundle};

use super::place;
use super::plan::{Place, joined};

/// Folders inside one another.
const DEPTH_MAX: usize = 128;

/// What is wanted at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) place: Place,
    pub(super) what: Wish,
    /// The line of the AppSpec that wants it.
    line: u32,
}

/// What is wanted there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Folder,
    /// A file of the bundle.
    File {
        source: String,
        mode: u32,
        size_bytes: u64,
    },
    Link(String),
}

/// Why a wish cannot be granted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot read {path} of the revision")]
    Bundle {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot look at {path}")]
    Host {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("{0}")]
    Refused(String),
}

/// The wishes by path.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    archive: &'a Root,
    /// Paths that are links now, and will be gone when the folder that is wanted there is made.
    replaced: &'a dyn Replaced,
    pub(super) bases: Vec<String>,
    pub(super) wanted: BTreeMap<String, Wanted>,
}

/// Whether something at a path is the group's own, and goes when something else is wanted there.
pub(super) trait Replaced: std::fmt::Debug {
    fn is_replaced(&self, path: &str) -> bool;
}

/// A folder of the bundle and where it goes.
struct Going<'p> {
    source: String,
    to: Place,
    line: u32,
    /// The folders of the bundle above, by identity: a link to one of them has no end.
    above: &'p [(u64, u64)],
}

impl<'a> Walk<'a> {
    pub(super) fn new(archive: &'a Root, replaced: &'a dyn Replaced) -> Self {
        Self {
            archive,
            replaced,
            bases: vec!["/".into()],
            wanted: BTreeMap::new(),
        }
    }

    /// Adds what one entry of `files` wants.
    pub(super) fn mapping(&mut self, mapping: &FileMapping) -> Result<(), Error> {
        let line = mapping.place.line;
        let source = mapping.source_in_bundle().unwrap_or_default();
        let destination = path_in_bundle(&mapping.destination).unwrap_or_default();
        let found = self.archive.symlink_metadata(Path::new(&source));
        let found = found.map_err(|error| self.bundle(&source, error))?;
        self.folders_above(&destination, line)?;
        let base = self.base(joined("/", &destination));
        let leads_to_folder = found.kind == Kind::Directory
            || (found.kind == Kind::Symlink && self.is_folder(&source));
        if leads_to_folder {
            let to = Place {
                base,
                below: String::new(),
            };
            return self.folder(&Going {
                source,
                to,
                line,
                above: &[],
            });
        }
        let name = source.rsplit('/').next().unwrap_or_default();
        let to = Place {
            base,
            below: name.to_string(),
        };
        self.file(&source, &found, to, line)
    }

    /// The destination, and those above it.
    fn folders_above(&mut self, destination: &str, line: u32) -> Result<(), Error> {
        let ends = destination.match_indices('/').map(|(at, _)| at);
        let ends: Vec<usize> = ends.chain([destination.len()]).collect();
        for end in ends {
            let below = destination.get(..end).unwrap_or_default().to_string();
            if !below.is_empty() {
                self.add(Place { base: 0, below }, Wish::Folder, line)?;
            }
        }
        Ok(())
    }

    fn base(&mut self, path: String) -> usize {
        if let Some(at) = self.bases.iter().skip(1).position(|base| *base == path) {
            return at + 1;
        }
        self.bases.push(path);
        self.bases.len() - 1
    }

    fn folder(&mut self, going: &Going<'_>) -> Result<(), Error> {
        let path = Path::new(&going.source);
        let found = self.archive.metadata(path);
        let found = found.map_err(|error| self.bundle(&going.source, error))?;
        if going.above.contains(&found.identity) || going.above.len() >= DEPTH_MAX {
            return Err(Error::Refused(format!(
                "{} of the revision leads to a folder that it is in",
                going.source
            )));
        }
        let above: Vec<(u64, u64)> = [going.above, &[found.identity]].concat();
        let entries = self.archive.read_dir_metadata(path);
        let mut entries = entries.map_err(|error| self.bundle(&going.source, error))?;
        entries.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        for (name, found) in entries {
            let Some(name) = name.to_str() else {
                return Err(Error::Refused(format!(
                    "{:?} of the revision has a name that is no UTF-8 text",
                    path.join(&name)
                )));
            };
            let source = joined_below(&going.source, name);
            let to = Place {
                base: going.to.base,
                below: joined_below(&going.to.below, name),
            };
            let is_folder = found.kind == Kind::Directory
                || (found.kind == Kind::Symlink && self.is_folder(&source));
            if is_folder {
                let to = self.through(to, going.line)?;
                self.folder(&Going {
                    source,
                    to,
                    line: going.line,
                    above: &above,
                })?;
            } else {
                self.file(&source, &found, to, going.line)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, source: &str, found: &Metadata, to: Place, line: u32) -> Result<(), Error> {
        let wish = match found.kind {
            Kind::File => Wish::File {
                source: source.to_string(),
                mode: found.mode,
                size_bytes: found.size_bytes,
            },
            Kind::Symlink => {
                let target = self.archive.read_link(Path::new(source));
                let target = target.map_err(|error| self.bundle(source, error))?;
                Wish::Link(target.to_string_lossy().into_owned())
            }
            Kind::Directory | Kind::Other => {
                return Err(Error::Refused(format!(
                    "{source} of the revision is no file, folder or link"
                )));
            }
        };
        self.add(to, wish, line)
    }

    /// Where what is in the folder at `to` goes: there, or to where a link of this host's administrator leads.
    fn through(&mut self, to: Place, line: u32) -> Result<Place, Error> {
        let path = self.path(&to);
        match self.link_at(&to) {
            Ok(None) => {
                self.add(to.clone(), Wish::Folder, line)?;
                Ok(to)
            }
            Ok(Some(_)) if self.replaced.is_replaced(&path) => {
                self.add(to.clone(), Wish::Folder, line)?;
                Ok(to)
            }
            Ok(Some(Trust::Administrators)) => Ok(Place {
                base: self.base(path),
                below: String::new(),
            }),
            Ok(Some(Trust::Somebodys(uid))) => Err(Error::Refused(format!(
                "{path} on this host is a link that user {uid} can lead elsewhere: nothing is installed through it"
            ))),
            Err(source) => Err(Error::Host { path, source }),
        }
    }

    /// Whose the link is that stands there; `None` when no link does.
    fn link_at(&self, to: &Place) -> io::Result<Option<Trust>> {
        let (parent, _) = to.below.rsplit_once('/').unwrap_or_default();
        let look = || -> io::Result<Option<Trust>> {
            let root = place::base(&self.bases, to.base)?;
            let found = root.symlink_metadata(Path::new(&to.below))?;
            if found.kind != Kind::Symlink {
                return Ok(None);
            }
            let around = root.metadata(Path::new(parent))?;
            let ours = rustix::process::geteuid().as_raw();
            let is_trusted = |uid| uid == 0 || uid == ours;
            Ok(Some(match (found.uid, around.uid) {
                (uid, _) if !is_trusted(uid) => Trust::Somebodys(uid),
                (_, uid) if !is_trusted(uid) => Trust::Somebodys(uid),
                (_, _) if around.mode & 0o022 != 0 => Trust::Somebodys(found.uid),
                (_, _) => Trust::Administrators,
            }))
        };
        match look() {
            Err(error) if is_absent(&error) => Ok(None),
            other => other,
        }
    }

    fn add(&mut self, place: Place, what: Wish, line: u32) -> Result<(), Error> {
        let path = self.path(&place);
        let Some(before) = self.wanted.get(&path) else {
            self.wanted.insert(path, Wanted { place, what, line });
            return Ok(());
        };
        match (&before.what, &what) {
            (Wish::Folder, Wish::Folder) => Ok(()),
            (Wish::Folder, _) | (_, Wish::Folder) => Err(Error::Refused(format!(
                "{path} would be a file by one entry of `files` and a folder by another (lines {} and {line})",
                before.line
            ))),
            (_, _) => Err(Error::Refused(format!(
                "{path} would be put in place twice (by the entries of `files` on lines {} and {line})",
                before.line
            ))),
        }
    }

    fn path(&self, place: &Place) -> String {
        let base = self.bases.get(place.base).map_or("/", String::as_str);
        joined(base, &place.below)
    }

    fn is_folder(&self, source: &str) -> bool {
        let found = self.archive.metadata(Path::new(source));
        found.is_ok_and(|found| found.kind == Kind::Directory)
    }

    fn bundle(&self, path: &str, source: io::Error) -> Error {
        if source.kind() == io::ErrorKind::NotFound {
            return Error::Refused(format!("the revision has no {path}"));
        }
        Error::Bundle {
            path: path.to_string(),
            source,
        }
    }
}

enum Trust {
    /// Only who may do everything can change it.
    Administrators,
    Somebodys(u32),
}

fn joined_below(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        return name.to_string();
    }
    format!("{folder}/{name}")
}

/// Nothing is there, or it is below what is no folder: then it is below something that has a verdict of its own.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    let is_loop = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    is_loop || kinds.contains(&error.kind())
}
