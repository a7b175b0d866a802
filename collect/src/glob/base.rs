//! The directories a `base-directory` means: one literal path, or every directory its wildcards match. Receives the text
//! with its variables already expanded.

use std::path::{Path, PathBuf};

use croft_beneath::{Kind, Root};

use super::real::real_path;
use super::{DEPTH_MAX, ENTRIES_MAX, Error, Pattern, is_absence};

/// A directory that paths are counted from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Base {
    /// Inside the root; may pass through links.
    pub(crate) location: PathBuf,
}

/// The directories that exist for `text`, sorted; the source directory itself when there is no text. Empty when none
/// exists.
///
/// # Errors
/// [`Error::Pattern`], [`Error::Read`], [`Error::TooMany`].
pub(crate) fn base_directories(
    root: &Root,
    source_dir: &Path,
    text: Option<&str>,
) -> Result<Vec<Base>, Error> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(vec![Base {
            location: source_dir.to_path_buf(),
        }]);
    };
    let trimmed = text.trim_end_matches('/');
    let pattern = Pattern::parse(if trimmed.is_empty() { "/" } else { trimmed }, source_dir)?;
    let start = pattern.anchor_in(source_dir).join(&pattern.literal);
    if pattern.rest.is_none() {
        let exists = is_directory(root, &start)?;
        return Ok(exists
            .then_some(Base { location: start })
            .into_iter()
            .collect());
    }
    let mut matching = Matching {
        root,
        pattern: &pattern,
        entries_left: ENTRIES_MAX,
        bases: Vec::new(),
    };
    matching.look_in(&start, Path::new(""), 0)?;
    matching.bases.sort();
    Ok(matching.bases)
}

/// The search for directories that match a pattern.
struct Matching<'m> {
    root: &'m Root,
    pattern: &'m Pattern,
    entries_left: usize,
    bases: Vec<Base>,
}

impl Matching<'_> {
    fn look_in(&mut self, location: &Path, below: &Path, depth: usize) -> Result<(), Error> {
        if depth > DEPTH_MAX {
            return Err(Error::TooDeep {
                path: location.to_path_buf(),
                limit: DEPTH_MAX,
            });
        }
        let entries = match self.root.read_dir(location) {
            Ok(entries) => entries,
            Err(error) if is_absence(&error) => return Ok(()),
            Err(source) => {
                return Err(Error::Read {
                    path: location.to_path_buf(),
                    source,
                });
            }
        };
        self.entries_left = self
            .entries_left
            .checked_sub(entries.len())
            .ok_or_else(|| Error::TooMany {
                path: location.to_path_buf(),
                limit: ENTRIES_MAX,
            })?;
        for entry in entries {
            let (location, below) = (location.join(&entry.name), below.join(&entry.name));
            let linked = entry.kind == Kind::Symlink && is_directory(self.root, &location)?;
            if entry.kind != Kind::Directory && !linked {
                continue;
            }
            let rest = self.pattern.rest.as_ref();
            if rest.is_some_and(|rest| rest.matches(&below)) {
                self.bases.push(Base {
                    location: location.clone(),
                });
            }
            // A link can be a base; what lies behind it is not searched for more of them, so no circle is walked.
            if !linked && rest.is_some_and(|rest| rest.may_hold(&below, depth + 1)) {
                self.look_in(&location, &below, depth + 1)?;
            }
        }
        Ok(())
    }
}

fn is_directory(root: &Root, path: &Path) -> Result<bool, Error> {
    match root.metadata(path) {
        Ok(metadata) => Ok(metadata.kind == Kind::Directory && real_path(root, path).is_ok()),
        Err(error) if is_absence(&error) => Ok(false),
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

    #[test]
    fn a_base_is_literal_or_every_directory_that_matches() {
        let folder = tempfile::tempdir().unwrap();
        for directory in [
            "src/my-build1/deep",
            "src/my-build2",
            "src/other",
            "elsewhere",
        ] {
            std::fs::create_dir_all(folder.path().join(directory)).unwrap();
        }
        std::fs::write(folder.path().join("src/my-build.txt"), "").unwrap();
        symlink("other", folder.path().join("src/my-build-link")).unwrap();
        let root = Root::open(folder.path()).unwrap();
        for (text, expected) in [
            (None, &["src"][..]),
            (Some(""), &["src"]),
            (Some("."), &["src"]),
            (Some("my-build1/"), &["src/my-build1"]),
            (Some("./other"), &["src/other"]),
            (
                Some("my-build*"),
                &["src/my-build-link", "src/my-build1", "src/my-build2"],
            ),
            (Some("*/deep"), &["src/my-build1/deep"]),
            (Some("../elsewhere"), &["src/../elsewhere"]),
            (Some("/elsewhere"), &["elsewhere"]),
            (Some("/src/other"), &["src/other"]),
            (Some("/"), &[""]),
            (Some("missing"), &[]),
            (Some("my-build.txt"), &[]),
        ] {
            let found = base_directories(&root, Path::new("src"), text).unwrap();
            let found: Vec<PathBuf> = found.into_iter().map(|base| base.location).collect();
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
