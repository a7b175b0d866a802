//! Which files the configured paths mean. Made from a buildspec's `cache.paths` (variables and `~` already expanded);
//! handed to `walk`, which finds the files, and to `unpack`, which writes nothing that is not selected.

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::records::name::version_of_paths;
use crate::tree::Anchor;
use crate::{Error, Id};

/// The configured paths, understood.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) patterns: Vec<Pattern>,
    texts: Vec<String>,
}

/// One configured path.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) anchor: Anchor,
    /// The part before the first wildcard. Nothing outside it is looked at.
    pub(crate) prefix: PathBuf,
    /// What follows the prefix; none means everything there.
    glob: Option<GlobMatcher>,
    /// The last part has no wildcard, so that a directory it names means its whole tree.
    names_trees: bool,
}

impl Selection {
    /// The meaning of `paths`: relative ones start at the source directory `base`, absolute ones at the root. An absolute
    /// path inside `base` is the same as the relative one, wherever the next build's source directory is.
    pub(crate) fn parse(paths: &[String], base: &Path) -> Result<Self, Error> {
        let mut patterns = Vec::new();
        let mut texts = Vec::new();
        for path in paths {
            let (pattern, text) = parse_one(path, base).map_err(|reason| Error::Pattern {
                pattern: path.clone(),
                reason,
            })?;
            patterns.push(pattern);
            texts.push(text);
        }
        texts.sort();
        texts.dedup();
        Ok(Self { patterns, texts })
    }

    /// The paths in their plain form, sorted.
    pub(crate) fn texts(&self) -> &[String] {
        &self.texts
    }

    /// What tells entries of one configuration from those of another: any change of the list is another version, its
    /// order is not.
    pub(crate) fn version(&self) -> Id {
        version_of_paths(&self.texts)
    }

    /// True when a save with these paths could have stored that path.
    pub(crate) fn admits(&self, anchor: Anchor, path: &Path, is_directory: bool) -> bool {
        self.patterns.iter().any(|pattern| {
            let inside = path.strip_prefix(&pattern.prefix);
            pattern.anchor == anchor
                && inside.is_ok_and(|inside| is_directory || pattern.matches_within(inside))
        })
    }
}

impl Selection {
    /// What of it lies below the directory `at`, with paths that start there.
    pub(crate) fn seen_from(&self, anchor: Anchor, at: &Path) -> Self {
        let patterns = self.patterns.iter();
        let patterns = patterns.filter(|pattern| pattern.anchor == anchor);
        Self {
            patterns: patterns
                .filter_map(|pattern| {
                    Some(Pattern {
                        anchor,
                        prefix: pattern.prefix.strip_prefix(at).ok()?.to_path_buf(),
                        glob: pattern.glob.clone(),
                        names_trees: pattern.names_trees,
                    })
                })
                .collect(),
            texts: self.texts.clone(),
        }
    }
}

impl Pattern {
    /// Everything below the prefix is meant.
    pub(crate) fn is_whole(&self) -> bool {
        self.glob.is_none()
    }

    /// A path below the prefix matches by itself.
    pub(crate) fn matches(&self, inside: &Path) -> bool {
        self.glob.as_ref().is_none_or(|glob| glob.is_match(inside))
    }

    /// A directory that matches means its whole tree.
    pub(crate) fn names_trees(&self) -> bool {
        self.names_trees
    }

    /// A path below the prefix matches, or lies in a directory that means its tree.
    fn matches_within(&self, inside: &Path) -> bool {
        let mut ancestors = inside.ancestors();
        ancestors.next().is_some_and(|path| self.matches(path))
            || (self.names_trees && ancestors.any(|path| self.matches(path)))
    }
}

fn parse_one(text: &str, base: &Path) -> Result<(Pattern, String), String> {
    if text.contains('\0') {
        return Err("a path has no NUL character".into());
    }
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                return Err(
                    "`..` is not followed; write an absolute path, or one below the source directory".into(),
                );
            }
            part => parts.push(part),
        }
    }
    if text.is_empty() {
        return Err("it is empty (was a variable not set?)".into());
    }
    let mut anchor = Anchor::Source;
    if text.starts_with('/') {
        match inside_base(&parts, base) {
            Some(depth) => drop(parts.drain(..depth)),
            None => anchor = Anchor::Root,
        }
    }
    let literal = parts.iter().take_while(|part| !has_wildcard(part)).count();
    if anchor == Anchor::Root && literal == 0 {
        return Err(
            "it means the whole file system; name a directory, such as `/root/.m2/**/*`".into(),
        );
    }
    let (prefix, rest) = parts.split_at(literal);
    let glob = match rest {
        [] | ["**"] | ["**", "*"] => None,
        rest => Some(compile(&rest.join("/"))?),
    };
    let pattern = Pattern {
        anchor,
        prefix: prefix.iter().collect(),
        glob,
        names_trees: rest.last().is_none_or(|last| !has_wildcard(last)),
    };
    let start = match anchor {
        Anchor::Source => "",
        Anchor::Root => "/",
    };
    Ok((pattern, format!("{start}{}", parts.join("/"))))
}

fn inside_base(parts: &[&str], base: &Path) -> Option<usize> {
    let base: Vec<_> = base
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            Component::Prefix(_)
            | Component::RootDir
            | Component::CurDir
            | Component::ParentDir => None,
        })
        .collect();
    let starts = parts.len() >= base.len()
        && std::iter::zip(parts, &base).all(|(part, name)| std::ffi::OsStr::new(part) == *name);
    starts.then_some(base.len())
}

fn has_wildcard(part: &str) -> bool {
    part.contains(['*', '?', '[', '{', '\\'])
}

fn compile(glob: &str) -> Result<GlobMatcher, String> {
    let built = GlobBuilder::new(glob)
        .literal_separator(true)
        .backslash_escape(true)
        .build();
    match built {
        Ok(glob) => Ok(glob.compile_matcher()),
        Err(error) => Err(error.kind().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(paths: &[&str]) -> Selection {
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        Selection::parse(&paths, Path::new("/work/src")).unwrap()
    }

    fn admits(pattern: &str, path: &str) -> bool {
        let (anchor, path) = match path.strip_prefix('/') {
            Some(path) => (Anchor::Root, path),
            None => (Anchor::Source, path),
        };
        selection(&[pattern]).admits(anchor, Path::new(path), false)
    }

    #[test]
    fn patterns_mean_what_their_users_expect() {
        let rows = [
            ("target", "target/a/b", true),
            ("target/", "target", true),
            ("target/**/*", "target/.hidden", true),
            ("target/**/*", "targets/x", false),
            ("target/*", "target/a", true),
            ("target/*", "target/a/b", false),
            ("target/**/*.o", "target/deep/down/a.o", true),
            ("target/**/*.o", "target/a.c", false),
            (
                "packages/*/node_modules",
                "packages/a/node_modules/x/y",
                true,
            ),
            ("packages/*/node_modules", "packages/a/src/x", false),
            ("/root/.m2/**/*", "/root/.m2/repository/x", true),
            ("/root/.m2/**/*", "root/.m2/x", false),
            ("/work/src/target/**/*", "target/x", true),
            ("/work/src/target/**/*", "/work/src/target/x", false),
            ("./a/./b", "a/b", true),
            ("{a,b/c}/*", "b/c/d", true),
            (".", "anything/at/all", true),
        ];
        for (pattern, path, expected) in rows {
            assert_eq!(admits(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_path_that_cannot_be_meant_says_why() {
        for (path, reason) in [
            ("", "empty"),
            ("../x", "`..`"),
            ("/", "whole file system"),
            ("/**/*", "whole file system"),
            ("a/[", "unclosed"),
        ] {
            let error = Selection::parse(&[path.to_string()], Path::new("/work")).unwrap_err();
            assert!(error.to_string().contains(reason), "{path}: {error}");
        }
    }

    #[test]
    fn another_list_is_another_version_but_another_order_is_not() {
        let version = |paths: &[&str]| selection(paths).version();
        assert_eq!(version(&["a", "b"]), version(&["b", "./a"]));
        assert_ne!(version(&["a"]), version(&["a", "b"]));
        assert_ne!(version(&["a"]), version(&["/a"]));
    }
}
