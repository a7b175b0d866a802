//! The walk: from each pattern's literal path down, through a `Root`, in the order of names. Receives patterns, hands back
//! the files they mean and a note for everything that matched and cannot be taken.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use croft_beneath::{Entry, Kind, Root};

use super::real::real_path;
use super::{Base, DEPTH_MAX, ENTRIES_MAX, Error, Exclude, Pattern, is_absence, shown};

/// How many notes are kept; a tree with more of them says the same thing many times.
const NOTES_MAX: usize = 50;

/// What happens to symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// A link to a file stands for the file, a link to a directory for its tree.
    Follow,
    /// A link that stays within the base directory is kept as it is; another to a file stands for the file.
    Keep,
}

/// One file a pattern means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where it is, inside the root; may end in a link.
    pub(crate) location: PathBuf,
    /// The link's text when it is kept as a link.
    pub(crate) link: Option<PathBuf>,
}

/// The files found, by the name they are stored under.
pub(crate) type Files = BTreeMap<PathBuf, Found>;

/// A walk over one tree.
#[derive(Debug)]
pub(crate) struct Walk<'r> {
    root: &'r Root,
    links: Links,
    /// Directories, without links in their paths, that links to directories may lead into.
    fence: Vec<PathBuf>,
    entries_left: usize,
    /// What was left out and why, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// One pattern on its way through one base directory.
struct Search<'s> {
    pattern: &'s Pattern,
    exclude: &'s Exclude,
    found: &'s mut Files,
    /// The real paths of the directories being walked, outermost first.
    chain: Vec<PathBuf>,
}

/// One directory on the walk.
struct Place {
    location: PathBuf,
    /// As it is stored.
    name: PathBuf,
    /// Relative to the pattern's literal path.
    below: PathBuf,
    depth: usize,
}

impl Place {
    fn child(&self, entry: &Entry) -> Self {
        Self {
            location: self.location.join(&entry.name),
            name: self.name.join(&entry.name),
            below: self.below.join(&entry.name),
            depth: self.depth + 1,
        }
    }
}

impl<'r> Walk<'r> {
    /// A walk in `root` for a build whose source directory is `source_dir`.
    pub(crate) fn new(root: &'r Root, source_dir: &Path, links: Links) -> Self {
        let fence = real_path(root, source_dir).into_iter().collect();
        Self {
            root,
            links,
            fence,
            entries_left: ENTRIES_MAX,
            notes: Vec::new(),
        }
    }

    /// Adds the files that `pattern` means in `base` to `found`; how many it meant.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::TooMany`], [`Error::TooDeep`].
    pub(crate) fn search(
        &mut self,
        pattern: &Pattern,
        base: &Base,
        exclude: &Exclude,
        found: &mut Files,
    ) -> Result<usize, Error> {
        let mut own = Files::new();
        let start = Place {
            location: pattern.anchor_in(&base.location).join(&pattern.literal),
            name: pattern.literal.clone(),
            below: PathBuf::new(),
            depth: 0,
        };
        let mut search = Search {
            pattern,
            exclude,
            found: &mut own,
            chain: Vec::new(),
        };
        self.begin(&mut search, &start, base)?;
        let count = own.len();
        found.append(&mut own);
        Ok(count)
    }

    /// The literal path is the user's word: links on it are followed wherever they lead inside the root.
    fn begin(&mut self, search: &mut Search<'_>, start: &Place, base: &Base) -> Result<(), Error> {
        if start.name.components().next().is_some() && search.exclude.leaves_out_path(&start.name) {
            return Ok(());
        }
        let looked = self.root.symlink_metadata(&start.location);
        let Some(own) = present(looked, &start.location)? else {
            return Ok(());
        };
        if search.pattern.rest.is_none() && own.kind != Kind::Directory {
            let stands_for_a_tree = own.kind == Kind::Symlink
                && self.links == Links::Follow
                && self
                    .root
                    .metadata(&start.location)
                    .is_ok_and(|to| to.kind == Kind::Directory);
            if !stands_for_a_tree {
                return self.leaf(search, start, own.kind);
            }
        }
        let looked = self.root.metadata(&start.location);
        let Some(Kind::Directory) = present(looked, &start.location)?.map(|to| to.kind) else {
            return Ok(());
        };
        if search.pattern.rest.is_none() {
            self.note(format!(
                "`{}` is a directory: everything in it is taken; write `{}` to say so",
                search.pattern.text,
                shown(&start.name.join("**/*"))
            ));
        }
        let fence_len = self.fence.len();
        for place in [&base.location, &start.location] {
            self.fence.extend(real_path(self.root, place));
        }
        search.chain.extend(real_path(self.root, &start.location));
        let walked = self.enter(search, start);
        search.chain.clear();
        self.fence.truncate(fence_len);
        walked
    }

    fn enter(&mut self, search: &mut Search<'_>, directory: &Place) -> Result<(), Error> {
        if directory.depth > DEPTH_MAX {
            return Err(Error::TooDeep {
                path: directory.location.clone(),
                limit: DEPTH_MAX,
            });
        }
        let Some(entries) = present(self.root.read_dir(&directory.location), &directory.location)?
        else {
            return Ok(());
        };
        self.entries_left = self
            .entries_left
            .checked_sub(entries.len())
            .ok_or_else(|| Error::TooMany {
                path: directory.location.clone(),
                limit: ENTRIES_MAX,
            })?;
        for entry in &entries {
            let child = directory.child(entry);
            match entry.kind {
                Kind::Directory if search.may_enter(&child) => {
                    let above = search.chain.last().cloned().unwrap_or_default();
                    search.chain.push(above.join(&entry.name));
                    self.enter(search, &child)?;
                    search.chain.pop();
                }
                Kind::Directory => {}
                Kind::Symlink => self.link(search, &child)?,
                Kind::File | Kind::Other => self.leaf(search, &child, entry.kind)?,
            }
        }
        Ok(())
    }

    fn link(&mut self, search: &mut Search<'_>, link: &Place) -> Result<(), Error> {
        let to = present(self.root.metadata(&link.location), &link.location)?;
        let is_directory = to.is_some_and(|to| to.kind == Kind::Directory);
        if self.links == Links::Keep || !is_directory {
            return self.leaf(search, link, Kind::Symlink);
        }
        if !search.may_enter(link) {
            return Ok(());
        }
        let Ok(real) = real_path(self.root, &link.location) else {
            return Ok(());
        };
        if search.chain.iter().any(|walked| walked.starts_with(&real)) {
            self.note(format!(
                "`{}` is a link that leads in a circle: not followed",
                shown(&link.name)
            ));
        } else if !self.fence.iter().any(|fence| real.starts_with(fence)) {
            self.note(format!(
                "`{}` is a link to a directory outside, `/{}`: not followed; copy the directory \
                 during the build if it belongs here",
                shown(&link.name),
                real.display()
            ));
        } else {
            search.chain.push(real);
            self.enter(search, link)?;
            search.chain.pop();
        }
        Ok(())
    }

    /// Takes a file, a link or something special if it matches and can be taken.
    fn leaf(&mut self, search: &mut Search<'_>, leaf: &Place, kind: Kind) -> Result<(), Error> {
        if !search.wants(leaf) {
            return Ok(());
        }
        let mut link = None;
        let mut kind = kind;
        if kind == Kind::Symlink {
            if self.links == Links::Keep {
                link = self.kept_link(search, leaf);
            }
            if link.is_none() {
                let to = present(self.root.metadata(&leaf.location), &leaf.location)?;
                let Some(to) = to else {
                    self.note(format!(
                        "`{}` is a link that leads nowhere: left out",
                        shown(&leaf.name)
                    ));
                    return Ok(());
                };
                kind = to.kind;
            }
        }
        match kind {
            Kind::File | Kind::Symlink => {
                search.found.insert(
                    leaf.name.clone(),
                    Found {
                        location: leaf.location.clone(),
                        link,
                    },
                );
            }
            Kind::Directory => self.note(format!(
                "`{}` is a link to a directory that leads out: left out",
                shown(&leaf.name)
            )),
            Kind::Other => self.note(format!(
                "`{}` is a device, a pipe or a socket: left out",
                shown(&leaf.name)
            )),
        }
        Ok(())
    }

    /// The link's text, when unpacking it anywhere can only lead to what is unpacked with it.
    fn kept_link(&self, search: &Search<'_>, link: &Place) -> Option<PathBuf> {
        if search.pattern.anchor != super::pattern::Anchor::Base {
            return None;
        }
        let target = self.root.read_link(&link.location).ok()?;
        stays_within(&link.name, &target).then_some(target)
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < NOTES_MAX && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

impl Search<'_> {
    fn wants(&self, leaf: &Place) -> bool {
        self.pattern
            .rest
            .as_ref()
            .is_none_or(|rest| rest.matches(&leaf.below))
            && !self.exclude.leaves_out(&leaf.name)
    }

    fn may_enter(&self, directory: &Place) -> bool {
        self.pattern
            .rest
            .as_ref()
            .is_none_or(|rest| rest.may_hold(&directory.below, directory.depth))
            && !self.exclude.leaves_out_tree(&directory.name)
    }
}

/// Whether a link stored as `name` with that text leads nowhere but below the top of what is stored.
///
/// `..` is allowed only in front: after a name it could start from wherever another link leads.
fn stays_within(name: &Path, target: &Path) -> bool {
    let mut level = name.components().count().saturating_sub(1);
    let mut named = false;
    for part in target.components() {
        match part {
            Component::ParentDir if named || level == 0 => return false,
            Component::ParentDir => level -= 1,
            Component::Normal(_) => named = true,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    named
}

/// What was read, or `None` when nothing is there.
fn present<T>(looked: std::io::Result<T>, path: &Path) -> Result<Option<T>, Error> {
    match looked {
        Ok(seen) => Ok(Some(seen)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(source) => Err(Error::Read {
            path: path.to_path_buf(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        folder
    }

    fn search(folder: &Path, pattern: &str, links: Links) -> (Vec<String>, Vec<String>) {
        let root = Root::open(folder).unwrap();
        let mut walk = Walk::new(&root, Path::new("src"), links);
        let base = Base {
            location: PathBuf::from("src"),
        };
        let pattern = Pattern::parse(pattern, &base.location).unwrap();
        let mut found = Files::new();
        walk.search(&pattern, &base, &Exclude::default(), &mut found)
            .unwrap();
        (found.keys().map(|name| shown(name)).collect(), walk.notes)
    }

    #[test]
    fn patterns_of_every_anchor_find_their_files() {
        let folder = tree(&["src/a/1.txt", "src/2.txt", "other/3.txt", "src/.hidden/x"]);
        for (pattern, expected) in [
            ("**/*", &[".hidden/x", "2.txt", "a/1.txt"][..]),
            ("*", &["2.txt"]),
            ("a/1.txt", &["a/1.txt"]),
            ("/src/a/*", &["a/1.txt"]),
            ("../other/*.txt", &["other/3.txt"]),
            ("/other/3.txt", &["other/3.txt"]),
            ("../../../../other/3.txt", &["other/3.txt"]),
            ("a", &["a/1.txt"]),
            ("missing/**/*", &[]),
            ("2.txt/x", &[]),
        ] {
            assert_eq!(
                search(folder.path(), pattern, Links::Follow).0,
                expected,
                "{pattern}"
            );
        }
    }

    #[test]
    fn links_in_circles_end_and_are_noted() {
        let folder = tree(&["src/a/file", "src/b/file"]);
        symlink("../b", folder.path().join("src/a/to-b")).unwrap();
        symlink("../a", folder.path().join("src/b/to-a")).unwrap();
        symlink("..", folder.path().join("src/a/up")).unwrap();
        symlink("self", folder.path().join("src/self")).unwrap();
        let (names, notes) = search(folder.path(), "**/*", Links::Follow);
        assert_eq!(names, ["a/file", "a/to-b/file", "b/file", "b/to-a/file"]);
        assert!(
            notes
                .iter()
                .any(|note| note.contains("`a/up`") && note.contains("circle")),
            "{notes:?}"
        );
        assert!(
            notes
                .iter()
                .any(|note| note.contains("`self`") && note.contains("nowhere")),
            "{notes:?}"
        );
    }

    #[test]
    fn a_link_to_a_directory_outside_is_followed_only_when_the_pattern_names_it() {
        let folder = tree(&["out/file", "src/file"]);
        symlink("../out", folder.path().join("src/link")).unwrap();
        let (names, notes) = search(folder.path(), "**/*", Links::Follow);
        assert_eq!(names, ["file"]);
        assert!(
            notes[0].contains("`link` is a link to a directory outside, `/out`"),
            "{notes:?}"
        );
        assert_eq!(
            search(folder.path(), "link/**/*", Links::Follow).0,
            ["link/file"]
        );
        assert_eq!(
            search(folder.path(), "link", Links::Follow).0,
            ["link/file"]
        );
    }

    #[test]
    fn a_tree_that_its_links_multiply_is_given_up_with_an_error() {
        let folder = tree(&["src/d0/file"]);
        for level in 1..30 {
            let directory = folder.path().join(format!("src/d{level}"));
            std::fs::create_dir(&directory).unwrap();
            for name in ["x", "y", "z"] {
                symlink(format!("../d{}", level - 1), directory.join(name)).unwrap();
            }
        }
        let root = Root::open(folder.path()).unwrap();
        let mut walk = Walk::new(&root, Path::new("src"), Links::Follow);
        walk.entries_left = 5_000;
        let base = Base {
            location: PathBuf::from("src"),
        };
        let pattern = Pattern::parse("**/*", &base.location).unwrap();
        let tried = walk.search(&pattern, &base, &Exclude::default(), &mut Files::new());
        assert!(matches!(tried, Err(Error::TooMany { .. })));
    }

    #[test]
    fn only_a_link_that_cannot_lead_out_is_kept() {
        for (name, target, expected) in [
            ("a", "b", true),
            ("a", "b/c", true),
            ("d/a", "../b", true),
            ("d/a", "./../b", true),
            ("d/a", "../../b", false),
            ("a", "..", false),
            ("a", ".", false),
            ("a", "/b", false),
            ("d/a", "b/../c", false),
            ("a", "b/..", false),
        ] {
            assert_eq!(
                stays_within(Path::new(name), Path::new(target)),
                expected,
                "{name} {target}"
            );
        }
    }
}
