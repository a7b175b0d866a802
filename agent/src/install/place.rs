//! Folders of the host, opened so that no link below a destination is followed: whoever owns an application's files must not be
//! able to lead an installation elsewhere. Receives places from the plan, hands out open folders.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use croft_beneath::Root;

use super::plan::Place;

/// The folder that holds a place, and the place's own name in it.
#[derive(Debug)]
pub(super) struct Folder<'a> {
    pub(super) root: &'a Root,
    pub(super) name: &'a str,
}

impl AsFd for Folder<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// Opens one folder after the other; the last one stays open, since most places are beside the one before.
#[derive(Debug)]
pub(super) struct Folders<'a> {
    bases: &'a [String],
    open: Option<(usize, String, Root)>,
}

impl<'a> Folders<'a> {
    pub(super) fn new(bases: &'a [String]) -> Self {
        Self { bases, open: None }
    }

    /// The folder of that place.
    pub(super) fn of<'p>(&'p mut self, place: &'p Place) -> io::Result<Folder<'p>> {
        let (parent, name) = place
            .below
            .rsplit_once('/')
            .unwrap_or(("", place.below.as_str()));
        let is_open = self
            .open
            .as_ref()
            .is_some_and(|(base, open, _)| *base == place.base && open == parent);
        if !is_open {
            self.open = None;
            let root = base(self.bases, place.base)?.directory(Path::new(parent))?;
            self.open = Some((place.base, parent.to_string(), root));
        }
        match &self.open {
            Some((_, _, root)) if !name.is_empty() => Ok(Folder { root, name }),
            Some(_) | None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// One of a plan's bases; links are followed on the way to it, and below the first one.
pub(super) fn base(bases: &[String], at: usize) -> io::Result<Root> {
    let path = bases.get(at).ok_or(io::ErrorKind::NotFound)?;
    let root = Root::open(Path::new(path))?;
    Ok(if at == 0 { root } else { root.refusing_links() })
}
