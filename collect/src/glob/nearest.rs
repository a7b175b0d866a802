//! What exists near a pattern that matched nothing: the file of that name elsewhere, the name spelt a little differently,
//! or at least what is there. Receives the patterns and where they were looked for, hands back words for a person.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use croft_beneath::{Kind, Root};

use super::pattern::{Anchor, folded, glob, shown};
use super::{Base, Pattern};

/// How many paths are named: a person reads a line, not a list.
const NAMED_MAX: usize = 5;

/// How many entries are looked at, nearest first. The build has failed already; a suggestion is not worth minutes.
const LOOKED_AT_MAX: usize = 5_000;

/// How long a name may be to be compared letter by letter.
const COMPARED_CHARS_MAX: usize = 120;

/// What there is instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nearest {
    /// Paths that exist, the most alike first, counted from where the patterns count.
    pub(crate) paths: Vec<String>,
    /// What would make the pattern match, when that is known.
    pub(crate) hint: Option<String>,
}

/// The paths nearest to `patterns`, none of which matched anything in `bases` (one, or none when the base directory
/// `base_text` does not exist either).
pub(crate) fn nearest(
    root: &Root,
    source_dir: &Path,
    base_text: Option<&str>,
    bases: &[Base],
    patterns: &[Pattern],
) -> Nearest {
    let Some(base) = bases.first() else {
        let entries = list(root, source_dir);
        let directories: Vec<PathBuf> = entries
            .into_iter()
            .filter(|entry| entry.1)
            .map(|entry| entry.0)
            .collect();
        let wanted = base_text.unwrap_or_default().trim_start_matches("./");
        return Nearest {
            paths: alike(Path::new(wanted), &directories),
            hint: None,
        };
    };
    let entries = list(root, &base.location);
    let files: Vec<PathBuf> = entries
        .iter()
        .filter(|entry| !entry.1)
        .map(|entry| entry.0.clone())
        .collect();
    let mut found = Nearest::default();
    for pattern in patterns {
        let elsewhere = elsewhere(pattern, &files);
        if found.hint.is_none() {
            found.hint = counted_from_source(root, source_dir, base_text, pattern).or_else(|| {
                elsewhere
                    .first()
                    .and_then(|path| base_for(pattern, path, base_text))
            });
        }
        let everything: Vec<PathBuf> = entries.iter().map(|entry| entry.0.clone()).collect();
        found.paths.extend(elsewhere.iter().map(|path| shown(path)));
        found.paths.extend(same_name(pattern, &files));
        found.paths.extend(alike(&pattern.literal, &everything));
    }
    if found.paths.is_empty() {
        found.paths = files
            .iter()
            .take(NAMED_MAX)
            .map(|path| shown(path))
            .collect();
    }
    keep_first(&mut found.paths);
    found
}

/// Entries below a directory, the shallow ones first; true marks a directory. What git keeps for itself is no suggestion.
fn list(root: &Root, top: &Path) -> Vec<(PathBuf, bool)> {
    let mut listed = Vec::new();
    let mut ahead = VecDeque::from([PathBuf::new()]);
    while let Some(directory) = ahead.pop_front() {
        let Ok(entries) = root.read_dir(&top.join(&directory)) else {
            continue;
        };
        for entry in entries {
            if listed.len() == LOOKED_AT_MAX {
                return listed;
            }
            let path = directory.join(&entry.name);
            let is_directory = entry.kind == Kind::Directory;
            if is_directory && entry.name != ".git" {
                ahead.push_back(path.clone());
            }
            listed.push((path, is_directory));
        }
    }
    listed
}

/// The files that the pattern would match if it counted from a directory further down.
fn elsewhere(pattern: &Pattern, files: &[PathBuf]) -> Vec<PathBuf> {
    if pattern.anchor != Anchor::Base {
        return Vec::new();
    }
    let below = pattern.text.trim_start_matches("./");
    let Ok(deeper) = glob(&format!("**/{below}")) else {
        return Vec::new();
    };
    files
        .iter()
        .filter(|path| deeper.is_match(path))
        .take(NAMED_MAX)
        .cloned()
        .collect()
}

/// The base directory from which the pattern would have matched `path`.
fn base_for(pattern: &Pattern, path: &Path, base_text: Option<&str>) -> Option<String> {
    let below = glob(pattern.text.trim_start_matches("./")).ok()?;
    let parts: Vec<_> = path.components().collect();
    let split = (1..parts.len())
        .find(|split| below.is_match(parts[*split..].iter().collect::<PathBuf>()))?;
    let directory: PathBuf = parts[..split].iter().collect();
    let from = base_text
        .filter(|text| !text.is_empty())
        .map(PathBuf::from)
        .unwrap_or_default();
    Some(format!(
        "`{}` would match with `base-directory: {}`; where a command changed to with `cd` makes no \
         difference",
        pattern.text,
        shown(&from.join(directory))
    ))
}

/// A pattern that repeats its base directory.
fn counted_from_source(
    root: &Root,
    source_dir: &Path,
    base_text: Option<&str>,
    pattern: &Pattern,
) -> Option<String> {
    let base = base_text.filter(|text| !text.is_empty())?;
    if pattern.anchor != Anchor::Base || pattern.literal.as_os_str().is_empty() {
        return None;
    }
    root.metadata(&source_dir.join(&pattern.literal)).ok()?;
    let repeated = folded(Path::new(base));
    let shorter = Path::new(pattern.text.trim_start_matches("./"))
        .strip_prefix(&repeated)
        .ok();
    let instead = shorter.map_or_else(
        || "leave `base-directory` out".to_owned(),
        |shorter| format!("write `{}`", shown(shorter)),
    );
    Some(format!(
        "`{}` exists, but paths count from `base-directory: {base}`; {instead}",
        shown(&pattern.literal)
    ))
}

/// Files whose name is the pattern's last component.
fn same_name(pattern: &Pattern, files: &[PathBuf]) -> Vec<String> {
    let last = pattern.text.rsplit('/').next().unwrap_or_default();
    if last.trim_matches('*').is_empty() {
        return Vec::new();
    }
    let Ok(name) = glob(last) else {
        return Vec::new();
    };
    let matching = files
        .iter()
        .filter(|path| path.file_name().is_some_and(|own| name.is_match(own)));
    matching.take(NAMED_MAX).map(|path| shown(path)).collect()
}

/// Paths that begin as `wanted` does and go on with a name spelt almost as its next one.
fn alike(wanted: &Path, paths: &[PathBuf]) -> Vec<String> {
    let mut existing = PathBuf::new();
    let mut missing = None;
    for part in wanted.components() {
        let next = existing.join(part);
        if !paths.contains(&next) {
            missing = part.as_os_str().to_str();
            break;
        }
        existing = next;
    }
    let Some(missing) = missing else {
        return Vec::new();
    };
    let mut close: Vec<(usize, String)> = paths
        .iter()
        .filter(|path| path.parent() == Some(&existing))
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            Some((distance_if_close(missing, name)?, shown(path)))
        })
        .collect();
    close.sort();
    close
        .into_iter()
        .take(NAMED_MAX)
        .map(|(_, path)| path)
        .collect()
}

/// How many letters differ, when few enough do for one to be a misspelling of the other.
fn distance_if_close(wanted: &str, name: &str) -> Option<usize> {
    let length = wanted.chars().count();
    if length > COMPARED_CHARS_MAX || name.chars().count() > COMPARED_CHARS_MAX {
        return None;
    }
    let (wanted, name) = (wanted.to_lowercase(), name.to_lowercase());
    if name.starts_with(&wanted) || (wanted.starts_with(&name) && name.len() > 2) {
        return Some(1);
    }
    if letters(&wanted) == letters(&name) {
        return Some(1);
    }
    let distance = edits(&wanted, &name);
    (distance <= (length / 3).max(1)).then_some(distance)
}

/// The letters in the order of the alphabet: two of them swapped is the commonest slip.
fn letters(name: &str) -> Vec<char> {
    let mut letters: Vec<char> = name.chars().collect();
    letters.sort_unstable();
    letters
}

/// The number of letters to insert, remove or replace to get from one to the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for column in 0..to.len() {
            let replaced = diagonal + usize::from(letter != to[column]);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

/// Keeps the first few, each once.
fn keep_first(paths: &mut Vec<String>) {
    let mut kept: Vec<String> = Vec::new();
    for path in paths.drain(..) {
        if kept.len() < NAMED_MAX && !kept.contains(&path) {
            kept.push(path);
        }
    }
    *paths = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(files: &[&str], base: Option<&str>, pattern: &str) -> Nearest {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let root = Root::open(folder.path()).unwrap();
        let bases = super::super::base_directories(&root, Path::new(""), base).unwrap();
        let from = bases
            .first()
            .map(|base| base.location.clone())
            .unwrap_or_default();
        let pattern = Pattern::parse(pattern, &from).unwrap();
        nearest(&root, Path::new(""), base, &bases, &[pattern])
    }

    #[test]
    fn the_file_further_down_is_named_with_the_base_it_would_match_from() {
        let found = near(&["sub/target/app.jar", "other"], None, "target/app.jar");
        assert_eq!(found.paths[0], "sub/target/app.jar");
        assert!(found.hint.unwrap().contains("base-directory: sub`"));
        let found = near(&["a/b/dist/x.js", "other"], None, "dist/**/*");
        assert!(found.hint.unwrap().contains("base-directory: a/b`"));
    }

    #[test]
    fn a_pattern_that_repeats_its_base_directory_is_told_so() {
        let found = near(&["dist/index.html"], Some("dist"), "dist/**/*");
        let hint = found.hint.unwrap();
        assert!(
            hint.contains("count from `base-directory: dist`; write `**/*`"),
            "{hint}"
        );
        assert_eq!(found.paths, ["index.html"]);
    }

    #[test]
    fn a_misspelt_name_and_a_missing_base_find_their_like() {
        assert_eq!(
            near(&["target/app.jar", "x"], None, "taget/*.jar").paths,
            ["target/app.jar", "target"]
        );
        assert_eq!(
            near(&["README.md", "x"], None, "readme.md").paths,
            ["README.md"]
        );
        assert_eq!(
            near(&["app-1.0.jar", "x"], None, "app.jar").paths,
            Vec::<String>::new()
                .into_iter()
                .chain(["app-1.0.jar".to_owned(), "x".to_owned()])
                .collect::<Vec<_>>()
        );
        assert_eq!(
            near(&["dist/x", "src/y"], Some("dsit"), "**/*").paths,
            ["dist"]
        );
    }

    #[test]
    fn edits_are_counted_as_letters() {
        for (from, to, expected) in [
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("dist", "dsit", 2),
            ("größe", "grösse", 2),
        ] {
            assert_eq!(edits(from, to), expected, "{from} {to}");
        }
    }
}
