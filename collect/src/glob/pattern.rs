//! One pattern, split into the literal path it begins with and the wildcards after it. Made from the buildspec's text,
//! used by the walk, which starts at the literal path and so reads no directory that cannot hold a match.

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use super::Error;

/// The characters that make a component a wildcard. The backslash takes the meaning of the next character away.
const WILD: [char; 5] = ['*', '?', '[', '{', '\\'];

/// Where a pattern counts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// The base directory.
    Base,
    /// So many directories above it: the pattern begins with `..`.
    Above(usize),
    /// The root: the pattern is absolute and not below the base directory.
    Root,
}

/// One pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// As the user wrote it.
    pub(crate) text: String,
    /// Where it counts from.
    pub(crate) anchor: Anchor,
    /// The components before the first wildcard; empty when there are none.
    pub(crate) literal: PathBuf,
    /// The wildcards after it; absent when there are none.
    pub(crate) rest: Option<Rest>,
}

/// The part of a pattern from its first wildcard on.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    matcher: GlobMatcher,
    /// What the directory at each depth must match for anything below it to match.
    steps: Vec<GlobMatcher>,
    /// The depth of the deepest possible match; `None` when `**` goes to any.
    depth_max: Option<usize>,
}

impl Pattern {
    /// The pattern that `text` means for paths counted from `base`, a directory inside the root.
    ///
    /// # Errors
    /// [`Error::Pattern`].
    pub(crate) fn parse(text: &str, base: &Path) -> Result<Self, Error> {
        if text.is_empty() || text.contains('\0') {
            return Err(bad(text, "it is empty or holds a NUL byte"));
        }
        let parts: Vec<&str> = text
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        let wild_from = parts
            .iter()
            .position(|part| part.contains(WILD))
            .unwrap_or(parts.len());
        let (before, after) = parts.split_at(wild_from);
        if after.contains(&"..") {
            return Err(bad(text, "`..` cannot follow a wildcard"));
        }
        let absolute = text.starts_with('/');
        let (climbs, literal) = fold(before, absolute);
        let (anchor, literal) = place(climbs, literal, absolute, base);
        // `dist/*/` means the directories; what is stored is what they hold.
        let whole_directories = text.ends_with('/') && !after.is_empty();
        let rest = match (after.is_empty(), whole_directories) {
            (true, _) => None,
            (false, false) => Some(Rest::compile(text, &after.join("/"))?),
            (false, true) => Some(Rest::compile(text, &format!("{}/**", after.join("/")))?),
        };
        Ok(Self {
            text: text.to_owned(),
            anchor,
            literal,
            rest,
        })
    }

    /// Where the paths are counted from, inside the root.
    pub(crate) fn anchor_in(&self, base: &Path) -> PathBuf {
        match self.anchor {
            Anchor::Base => base.to_path_buf(),
            Anchor::Above(levels) => {
                let mut above = base.to_path_buf();
                above.extend(std::iter::repeat_n("..", levels));
                above
            }
            Anchor::Root => PathBuf::new(),
        }
    }
}

impl Rest {
    fn compile(text: &str, rest: &str) -> Result<Self, Error> {
        let matcher = glob(rest).map_err(|error| bad(text, &error.kind().to_string()))?;
        let parts: Vec<&str> = rest.split('/').collect();
        let deep = parts.iter().position(|part| part.contains("**"));
        let depth_max = if deep.is_some() {
            None
        } else {
            Some(parts.len())
        };
        let steps_len = deep.unwrap_or(parts.len() - 1);
        // Braces may hold slashes: the parts are then no components, and nothing can be said of each depth.
        let steps = if rest.contains('{') {
            Vec::new()
        } else {
            (1..=steps_len)
                .map(|len| glob(&parts[..len].join("/")))
                .collect::<Result<Vec<_>, _>>()
                .unwrap_or_default()
        };
        Ok(Self {
            matcher,
            steps,
            depth_max,
        })
    }

    /// Whether a path, relative to the literal part, matches.
    pub(crate) fn matches(&self, below: &Path) -> bool {
        self.matcher.is_match(below)
    }

    /// Whether the directory at that path, so many components deep, can hold a match.
    pub(crate) fn may_hold(&self, below: &Path, depth: usize) -> bool {
        match depth.checked_sub(1).and_then(|index| self.steps.get(index)) {
            Some(step) => step.is_match(below),
            None => self.depth_max.is_none_or(|max| depth < max),
        }
    }
}

/// The paths a list of patterns takes out again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exclude {
    paths: GlobSet,
    trees: GlobSet,
}

impl Exclude {
    /// The set of `patterns`, which count from the base directory. A pattern without a wildcard excludes the file of
    /// that name, or the directory of that name with all it holds.
    ///
    /// # Errors
    /// [`Error::Pattern`].
    pub(crate) fn parse(patterns: &[String]) -> Result<Self, Error> {
        let (mut paths, mut trees) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for text in patterns {
            let plain = text.strip_prefix("./").unwrap_or(text);
            let stem = plain
                .strip_suffix("/**/*")
                .or_else(|| plain.strip_suffix("/**"));
            let compiled =
                |glob: &str| build(glob).map_err(|error| bad(text, &error.kind().to_string()));
            match stem.or_else(|| plain.strip_suffix('/')) {
                Some(stem) => {
                    trees.add(compiled(stem)?);
                }
                None if plain.contains(WILD) => {
                    paths.add(compiled(plain)?);
                }
                None => {
                    paths.add(compiled(plain)?);
                    trees.add(compiled(plain)?);
                }
            }
        }
        let set = |builder: &GlobSetBuilder| {
            builder
                .build()
                .map_err(|error| bad(&patterns.join(", "), &error.to_string()))
        };
        Ok(Self {
            paths: set(&paths)?,
            trees: set(&trees)?,
        })
    }

    /// Whether a file or link is left out.
    pub(crate) fn leaves_out(&self, name: &Path) -> bool {
        self.paths.is_match(name)
    }

    /// Whether everything in a directory is left out.
    pub(crate) fn leaves_out_tree(&self, name: &Path) -> bool {
        self.trees.is_match(name)
    }

    /// Whether a path or any directory above it is left out.
    pub(crate) fn leaves_out_path(&self, name: &Path) -> bool {
        self.leaves_out(name)
            || name
                .ancestors()
                .skip(1)
                .any(|above| self.leaves_out_tree(above))
    }
}

/// A path as people write it: bytes that are no text are replaced, and the directory itself is a dot.
pub(crate) fn shown(path: &Path) -> String {
    if path.as_os_str().is_empty() {
        ".".to_owned()
    } else {
        path.display().to_string()
    }
}

/// A glob by the rules of this module.
pub(crate) fn glob(text: &str) -> Result<GlobMatcher, globset::Error> {
    build(text).map(|glob| glob.compile_matcher())
}

fn build(text: &str) -> Result<globset::Glob, globset::Error> {
    GlobBuilder::new(text)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
}

fn bad(pattern: &str, reason: &str) -> Error {
    Error::Pattern {
        pattern: pattern.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Takes `..` back against the component before it: how many are left at the front, and the rest.
fn fold(parts: &[&str], absolute: bool) -> (usize, PathBuf) {
    let mut kept: Vec<&str> = Vec::new();
    let mut climbs = 0;
    for part in parts {
        if *part != ".." {
            kept.push(part);
        } else if kept.pop().is_none() && !absolute {
            climbs += 1;
        }
    }
    (climbs, kept.iter().collect())
}

fn place(climbs: usize, literal: PathBuf, absolute: bool, base: &Path) -> (Anchor, PathBuf) {
    if !absolute {
        return (
            if climbs == 0 {
                Anchor::Base
            } else {
                Anchor::Above(climbs)
            },
            literal,
        );
    }
    match literal.strip_prefix(folded(base)) {
        Ok(below) => (Anchor::Base, below.to_path_buf()),
        Err(_) => (Anchor::Root, literal),
    }
}

/// A path inside the root without its leading `/` and without `.` and `..`.
pub(crate) fn folded(path: &Path) -> PathBuf {
    let mut kept = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => kept.push(name),
            Component::ParentDir => {
                kept.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Pattern {
        Pattern::parse(text, Path::new("src")).unwrap()
    }

    #[test]
    fn a_pattern_is_split_where_its_wildcards_begin() {
        for (text, anchor, literal, wild) in [
            ("a/b.jar", Anchor::Base, "a/b.jar", false),
            ("./a//b/", Anchor::Base, "a/b", false),
            (".", Anchor::Base, "", false),
            ("**/*", Anchor::Base, "", true),
            ("a/b/*.xml", Anchor::Base, "a/b", true),
            ("a/../b/*", Anchor::Base, "b", true),
            ("../x/*", Anchor::Above(1), "x", true),
            ("a/../../../x", Anchor::Above(2), "x", false),
            ("/src/a/*", Anchor::Base, "a", true),
            ("/tmp/a", Anchor::Root, "tmp/a", false),
            ("/../tmp/a", Anchor::Root, "tmp/a", false),
            ("a/{b,c/d}/e", Anchor::Base, "a", true),
        ] {
            let pattern = parse(text);
            assert_eq!(pattern.anchor, anchor, "{text}");
            assert_eq!(pattern.literal, Path::new(literal), "{text}");
            assert_eq!(pattern.rest.is_some(), wild, "{text}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_named_with_the_reason() {
        for text in ["", "a/[b", "a/{b", "*/../a"] {
            let error = Pattern::parse(text, Path::new("")).unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn wildcards_match_as_the_table_says() {
        for (text, path, expected) in [
            ("*", "a", true),
            ("*", ".hidden", true),
            ("*", "a/b", false),
            ("**/*", "a", true),
            ("**/*", ".git/config", true),
            ("**/*", "a/b/.c", true),
            ("**/*.xml", "x.xml", true),
            ("**/*.xml", "a/b/x.xml", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("[ab].txt", "b.txt", true),
            ("{x,y/z}/*.txt", "y/z/1.txt", true),
            ("*/", "a/deep/file", true),
            ("*/", "file", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
        ] {
            let rest = parse(text).rest.unwrap();
            assert_eq!(rest.matches(Path::new(path)), expected, "{text} {path}");
        }
    }

    #[test]
    fn a_directory_is_entered_only_when_it_can_hold_a_match() {
        for (text, directory, expected) in [
            ("*", "a", false),
            ("*/target/*.jar", "a", true),
            ("*/target/*.jar", "a/target", true),
            ("*/target/*.jar", "a/other", false),
            ("*/target/*.jar", "a/target/deep", false),
            ("a*/**/x", "abc", true),
            ("a*/**/x", "b", false),
            ("a*/**/x", "abc/b/c/d", true),
            ("{a,b/c}/*.txt", "b/c", true),
            ("{a,b/c}/*.txt", "b/c/d", false),
        ] {
            let rest = parse(text).rest.unwrap();
            let depth = Path::new(directory).components().count();
            assert_eq!(
                rest.may_hold(Path::new(directory), depth),
                expected,
                "{text} {directory}"
            );
        }
    }

    #[test]
    fn exclusion_follows_the_documented_forms() {
        for (text, path, expected) in [
            ("**/.*", ".env", true),
            ("**/.*", "a/.env", true),
            ("**/.*", ".git/config", false),
            ("**/.*/**/*", ".git/config", true),
            ("**/.*/**/*", "a/.git/b/c", true),
            ("*", "a", true),
            ("*", "a/b", false),
            ("node_modules", "node_modules/a/b", true),
            ("node_modules/", "node_modules/a/b", true),
            ("./node_modules/**/*", "node_modules/a", true),
            ("node_modules", "sub/node_modules/a", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
        ] {
            let exclude = Exclude::parse(&[text.to_owned()]).unwrap();
            assert_eq!(
                exclude.leaves_out_path(Path::new(path)),
                expected,
                "{text} {path}"
            );
        }
    }
}
