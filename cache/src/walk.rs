//! Finding the files that a selection means. Received from `save`; handed to the workers that read them.
//!
//! No symbolic link is followed, neither on the way to a path's first wildcard nor below it: a build could point one at
//! files it was never meant to see, and the next build would find them in its cache.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use croft_beneath::{Kind, Root};

use crate::Error;
use crate::selection::{Pattern, Selection};
use crate::tree::{Anchor, ENTRIES_MAX, PATH_BYTES_MAX};

/// Warnings kept for one operation; a tree of a million unreadable files should not fill a log.
const WARNINGS_MAX: usize = 20;

/// Sentences for the person who reads the build's output.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Mutex<(Vec<String>, usize)>);

impl Warnings {
    pub(crate) fn add(&self, text: impl FnOnce() -> String) {
        let mut kept = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if kept.0.len() < WARNINGS_MAX {
            kept.0.push(text());
        } else {
            kept.1 += 1;
        }
    }

    /// The sentences, sorted, and how many more there were.
    pub(crate) fn into_sentences(self) -> Vec<String> {
        let (mut kept, more) = self
            .0
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.sort();
        if more > 0 {
            kept.push(format!("and {more} more like these"));
        }
        kept
    }
}

/// The two directories that paths start from. Neither lets a symbolic link lead anywhere.
#[derive(Debug)]
pub(crate) struct Anchors {
    source: Root,
    root: Root,
    base: PathBuf,
}

impl Anchors {
    pub(crate) fn open(root: &Root, base: &Path) -> Result<Self, Error> {
        let opened = || -> io::Result<(Root, Root)> {
            Ok((
                root.directory(base)?.refusing_links(),
                root.try_clone()?.refusing_links(),
            ))
        };
        let (source, root) = opened().map_err(|source| Error::Read {
            path: base.to_path_buf(),
            source,
        })?;
        Ok(Self {
            source,
            root,
            base: base.to_path_buf(),
        })
    }

    pub(crate) fn at(&self, anchor: Anchor) -> &Root {
        match anchor {
            Anchor::Source => &self.source,
            Anchor::Root => &self.root,
        }
    }

    /// The path as a person knows it.
    pub(crate) fn shown(&self, anchor: Anchor, path: &Path) -> PathBuf {
        match anchor {
            Anchor::Source if path.as_os_str().is_empty() => self.base.clone(),
            Anchor::Source => path.to_path_buf(),
            Anchor::Root => Path::new("/").join(path),
        }
    }
}

/// Something to store. The order is that of the tree: a directory comes right before what is in it.
pub(crate) type Findings = BTreeMap<(Anchor, PathBuf), Kind>;

/// Everything the selection means.
pub(crate) fn walk(
    selection: &Selection,
    anchors: &Anchors,
    warnings: &Warnings,
) -> Result<Findings, Error> {
    let mut walk = Walk {
        anchors,
        warnings,
        findings: Findings::new(),
    };
    for pattern in &selection.patterns {
        walk.start(pattern)?;
    }
    Ok(walk.findings)
}

struct Walk<'a> {
    anchors: &'a Anchors,
    warnings: &'a Warnings,
    findings: Findings,
}

impl Walk<'_> {
    fn start(&mut self, pattern: &Pattern) -> Result<(), Error> {
        let (anchor, prefix) = (pattern.anchor, &pattern.prefix);
        let kind = if prefix.as_os_str().is_empty() {
            Kind::Directory
        } else {
            match self.anchors.at(anchor).symlink_metadata(prefix) {
                Ok(metadata) => metadata.kind,
                Err(error) => {
                    self.missing(pattern, &error);
                    return Ok(());
                }
            }
        };
        match kind {
            Kind::Directory => self.descend(pattern),
            Kind::File if pattern.is_whole() => self.add(pattern, prefix.clone(), kind),
            Kind::File => Ok(()),
            Kind::Symlink => {
                self.warn(
                    anchor,
                    prefix,
                    "is a symbolic link, which the cache does not follow; name where it leads",
                );
                Ok(())
            }
            Kind::Other => {
                self.warn(anchor, prefix, "is neither a file nor a folder");
                Ok(())
            }
        }
    }

    /// A configured path that is not there is ordinary: the build may not have made it.
    fn missing(&self, pattern: &Pattern, error: &io::Error) {
        if matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        ) {
            return;
        }
        let text = if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
            "is behind a symbolic link, which the cache does not follow; name where it leads"
                .to_string()
        } else {
            format!("cannot be looked at: {error}")
        };
        self.warn(pattern.anchor, &pattern.prefix, &text);
    }

    fn descend(&mut self, pattern: &Pattern) -> Result<(), Error> {
        let mut waiting = vec![(pattern.prefix.clone(), pattern.is_whole())];
        if pattern.is_whole() {
            self.add(pattern, pattern.prefix.clone(), Kind::Directory)?;
        }
        while let Some((folder, whole)) = waiting.pop() {
            let names = match self.anchors.at(pattern.anchor).read_dir(&folder) {
                Ok(names) => names,
                Err(error) => {
                    self.warn(
                        pattern.anchor,
                        &folder,
                        &format!("cannot be listed: {error}"),
                    );
                    continue;
                }
            };
            for entry in names {
                let path = folder.join(&entry.name);
                let inside = path.strip_prefix(&pattern.prefix).unwrap_or(&path);
                let matches = whole || pattern.matches(inside);
                if entry.kind == Kind::Directory {
                    waiting.push((path.clone(), whole || (matches && pattern.names_trees())));
                }
                if matches {
                    self.add(pattern, path, entry.kind)?;
                }
            }
        }
        Ok(())
    }

    /// Notes a path, and the directories above it down from the pattern's prefix.
    fn add(&mut self, pattern: &Pattern, path: PathBuf, kind: Kind) -> Result<(), Error> {
        if kind == Kind::Other {
            self.warn(
                pattern.anchor,
                &path,
                "is neither a file, a link nor a folder",
            );
            return Ok(());
        }
        if path.as_os_str().len() > PATH_BYTES_MAX {
            self.warn(pattern.anchor, &path, "has too long a path");
            return Ok(());
        }
        for above in path.ancestors().skip(1) {
            if above.as_os_str().is_empty() || !above.starts_with(&pattern.prefix) {
                break;
            }
            match self.findings.entry((pattern.anchor, above.to_path_buf())) {
                Entry::Occupied(_) => break,
                Entry::Vacant(vacant) => drop(vacant.insert(Kind::Directory)),
            }
        }
        if !path.as_os_str().is_empty() {
            self.findings.insert((pattern.anchor, path), kind);
        }
        if self.findings.len() > ENTRIES_MAX {
            return Err(Error::TooMany {
                entries_max: ENTRIES_MAX,
            });
        }
        Ok(())
    }

    fn warn(&self, anchor: Anchor, path: &Path, text: &str) {
        self.warnings
            .add(|| left_out(&self.anchors.shown(anchor, path), text));
    }
}

/// The sentence for something that is not stored.
pub(crate) fn left_out(path: &Path, reason: impl std::fmt::Display) -> String {
    format!("{} is left out of the cache: it {reason}", path.display())
}
