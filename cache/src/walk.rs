//! Finding the files that a selection means. Received from `save`; handed to the workers that read them.
//!
//! No symbolic link is followed, neither on the way to a path's first wildcard nor below it: a build could point one at
//! files it was never meant to see, and the next build would find them in its cache.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use croft_beneath::{Kind, Metadata, Root};

use crate::Error;
use crate::selection::{Pattern, Selection};
use crate::tree::{Anchor, ENTRIES_MAX, PATH_BYTES_MAX, order};
use crate::workers::{self, Queue};

/// Directories that must wait before several threads share them.
const SHARED_MIN: usize = 64;

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

    /// A folder that holds the two directories under the anchors' names.
    pub(crate) fn of_live(folder: &Root) -> Result<Self, Error> {
        let opened = || -> io::Result<(Root, Root)> {
            Ok((
                folder.directory(Path::new("source"))?.refusing_links(),
                folder.directory(Path::new("root"))?.refusing_links(),
            ))
        };
        let (source, root) = opened().map_err(|source| Error::Read {
            path: folder.path().to_path_buf(),
            source,
        })?;
        let base = PathBuf::from("source");
        Ok(Self { source, root, base })
    }

    /// One folder for everything: entries that start at the root go to `root/` in it when there are any.
    pub(crate) fn of_folder(folder: &Root) -> Result<Self, Error> {
        Self::open(folder, Path::new("/"))
    }

    /// One directory for both, which a person knows as `base`.
    pub(crate) fn of_one(directory: Root, base: &Path) -> Result<Self, Error> {
        let root = directory.refusing_links();
        let source = root.try_clone().map_err(|source| Error::Read {
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

/// Something to store.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) anchor: Anchor,
    pub(crate) path: PathBuf,
    pub(crate) found: Metadata,
}

impl Finding {
    /// What orders findings.
    pub(crate) fn place(&self) -> (Anchor, &Path) {
        (self.anchor, &self.path)
    }
}

/// In the order of a tree: a directory comes right before what is in it. No path is there twice.
pub(crate) type Findings = Vec<Finding>;

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
        above: HashSet::new(),
    };
    for pattern in &selection.patterns {
        walk.start(pattern)?;
    }
    let mut findings = walk.findings;
    // Runs in order, of which there are a few, are merged.
    findings.sort_by(|a, b| order(a.place(), b.place()));
    findings.dedup_by(|a, b| order(a.place(), b.place()) == Ordering::Equal);
    Ok(findings)
}

struct Walk<'a> {
    anchors: &'a Anchors,
    warnings: &'a Warnings,
    findings: Findings,
    /// Directories that were added because something in them was.
    above: HashSet<(Anchor, PathBuf)>,
}

impl Walk<'_> {
    fn start(&mut self, pattern: &Pattern) -> Result<(), Error> {
        let (anchor, prefix) = (pattern.anchor, &pattern.prefix);
        let found = match self.anchors.at(anchor).symlink_metadata(prefix) {
            Ok(found) => found,
            Err(error) => {
                self.missing(pattern, &error);
                return Ok(());
            }
        };
        match found.kind {
            Kind::Directory => {
                if pattern.is_whole() {
                    self.add(pattern, prefix.clone(), found)?;
                    return self.descend_whole(pattern);
                }
                self.descend(pattern)
            }
            Kind::File if pattern.is_whole() => self.add(pattern, prefix.clone(), found),
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

    /// Finds everything below a pattern that means all of it, with several threads once there is enough to share.
    fn descend_whole(&mut self, pattern: &Pattern) -> Result<(), Error> {
        let mut waiting = vec![pattern.prefix.clone()];
        while !waiting.is_empty() && waiting.len() < SHARED_MIN {
            for folder in std::mem::take(&mut waiting) {
                let found = self.list(pattern.anchor, &folder);
                waiting.extend(folders_of(&found));
                self.findings.extend(found);
            }
        }
        let queue = Queue::new(waiting.len());
        let looking = &*self;
        let parts = workers::run(&queue, |queue| {
            let mut found = Vec::new();
            while let Some(at) = queue.take() {
                let mut below = vec![waiting[at].clone()];
                while let Some(folder) = below.pop() {
                    let listed = looking.list(pattern.anchor, &folder);
                    below.extend(folders_of(&listed));
                    found.extend(listed);
                    check_count(found.len())?;
                }
            }
            found.sort_unstable_by(|a, b| order(a.place(), b.place()));
            Ok(found)
        })?;
        self.findings.extend(parts.into_iter().flatten());
        check_count(self.findings.len())
    }

    /// What may be stored of what is in a directory. The rest is told.
    fn list(&self, anchor: Anchor, folder: &Path) -> Findings {
        let names = match self.anchors.at(anchor).read_dir_metadata(folder) {
            Ok(names) => names,
            Err(error) => {
                self.warn(anchor, folder, &format!("cannot be listed: {error}"));
                return Findings::new();
            }
        };
        let found = names.into_iter().map(|(name, found)| Finding {
            anchor,
            path: folder.join(name),
            found,
        });
        found
            .filter(|finding| self.may_be_stored(finding))
            .collect()
    }

    fn may_be_stored(&self, finding: &Finding) -> bool {
        let reason = if finding.found.kind == Kind::Other {
            "is neither a file, a link nor a folder"
        } else if finding.path.as_os_str().len() > PATH_BYTES_MAX {
            "has too long a path"
        } else {
            return true;
        };
        self.warn(finding.anchor, &finding.path, reason);
        false
    }

    /// Goes through what is below a pattern with wildcards.
    fn descend(&mut self, pattern: &Pattern) -> Result<(), Error> {
        let mut waiting = vec![(pattern.prefix.clone(), false)];
        while let Some((folder, whole)) = waiting.pop() {
            let names = match self.anchors.at(pattern.anchor).read_dir_metadata(&folder) {
                Ok(names) => names,
                Err(error) => {
                    let words = format!("cannot be listed: {error}");
                    self.warn(pattern.anchor, &folder, &words);
                    continue;
                }
            };
            for (name, found) in names {
                let path = folder.join(&name);
                let inside = path.strip_prefix(&pattern.prefix).unwrap_or(&path);
                let matches = whole || pattern.matches(inside);
                if found.kind == Kind::Directory {
                    let below = whole || (matches && pattern.names_trees());
                    waiting.push((path.clone(), below));
                }
                if matches {
                    self.add(pattern, path, found)?;
                }
            }
        }
        Ok(())
    }

    /// Notes a path, and the directories above it down from the pattern's prefix.
    fn add(&mut self, pattern: &Pattern, path: PathBuf, found: Metadata) -> Result<(), Error> {
        let finding = Finding {
            anchor: pattern.anchor,
            path,
            found,
        };
        if !self.may_be_stored(&finding) {
            return Ok(());
        }
        if !pattern.is_whole() {
            self.add_above(pattern, &finding.path);
        }
        if !finding.path.as_os_str().is_empty() {
            self.findings.push(finding);
        }
        check_count(self.findings.len())
    }

    fn add_above(&mut self, pattern: &Pattern, path: &Path) {
        for above in path.ancestors().skip(1) {
            let outside = above.as_os_str().is_empty() || !above.starts_with(&pattern.prefix);
            if outside || !self.above.insert((pattern.anchor, above.to_path_buf())) {
                break;
            }
            // One that has gone since has nothing in it to store either.
            if let Ok(found) = self.anchors.at(pattern.anchor).symlink_metadata(above) {
                self.findings.push(Finding {
                    anchor: pattern.anchor,
                    path: above.to_path_buf(),
                    found,
                });
            }
        }
    }

    fn warn(&self, anchor: Anchor, path: &Path, text: &str) {
        self.warnings
            .add(|| left_out(&self.anchors.shown(anchor, path), text));
    }
}

fn folders_of(findings: &[Finding]) -> impl Iterator<Item = PathBuf> {
    let folders = findings
        .iter()
        .filter(|finding| finding.found.kind == Kind::Directory);
    folders.map(|finding| finding.path.clone())
}

fn check_count(count: usize) -> Result<(), Error> {
    if count > ENTRIES_MAX {
        return Err(Error::TooMany {
            entries_max: ENTRIES_MAX,
        });
    }
    Ok(())
}

/// The sentence for something that is not stored.
pub(crate) fn left_out(path: &Path, reason: impl std::fmt::Display) -> String {
    format!("{} is left out of the cache: it {reason}", path.display())
}
