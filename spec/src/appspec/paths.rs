//! Paths and patterns as an AppSpec writes them, compared and taken apart by their text alone: the file is checked where
//! neither bundle nor host is. Receives texts from the reader, the rules and the agent.

use super::Os;

/// The path below the bundle's root that a text means: no `.`, no `..`, no empty part, and nothing for the root itself.
/// `None` when it leads out of the bundle. Only `/` parts a path here, as on Linux.
#[must_use]
pub fn path_in_bundle(text: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The text with `/` between its parts.
pub(super) fn slashed(text: &str, os: Os) -> String {
    match os {
        Os::Linux => text.to_owned(),
        Os::Windows => text.replace('\\', "/"),
    }
}

/// Whether a path of a host begins at its root.
pub(super) fn is_absolute(text: &str, os: Os) -> bool {
    let text = slashed(text, os);
    match os {
        Os::Linux => text.starts_with('/'),
        Os::Windows => {
            text.starts_with('/') || drive(&text).is_some_and(|rest| rest.starts_with('/'))
        }
    }
}

/// What follows `C:`.
pub(super) fn drive(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(|first: char| first.is_ascii_alphabetic())?;
    rest.strip_prefix(':')
}

/// Whether one part of a path is `..`.
pub(super) fn climbs(text: &str, os: Os) -> bool {
    slashed(text, os).split('/').any(|part| part == "..")
}

/// A path of a host without detours and without its leading `/`, so that two texts for one path are equal; in lower case
/// where case does not count.
pub(super) fn normal(text: &str, os: Os) -> String {
    let path = path_in_bundle(&slashed(text, os)).unwrap_or_default();
    match os {
        Os::Linux => path,
        Os::Windows => path.to_lowercase(),
    }
}

/// The part of a normal path below another, empty when they are the same; `None` when it is not below it.
pub(super) fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    if folder.is_empty() || path == folder {
        return Some(path.strip_prefix(folder).unwrap_or_default());
    }
    path.strip_prefix(folder)?.strip_prefix('/')
}

/// A normal path's folder and name.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Whether a name matches a pattern in which only `*` is special. Neither crosses a `/`.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    if name.contains('/') || pattern.contains('/') {
        return false;
    }
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else {
        return rest.is_empty();
    };
    // Each piece as early as possible leaves the most for those after it; the last one must stand at the end.
    for piece in pieces {
        let Some(at) = rest.find(piece) else {
            return false;
        };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_bundle_is_what_is_left_without_detours() {
        for (text, path) in [
            ("/", Some("")),
            ("", Some("")),
            (".", Some("")),
            ("./", Some("")),
            ("a", Some("a")),
            ("/a", Some("a")),
            ("a/", Some("a")),
            ("./a//b/./c", Some("a/b/c")),
            ("a/../b", Some("b")),
            ("a/..", Some("")),
            ("..", None),
            ("/..", None),
            ("../a", None),
            ("a/../../b", None),
            ("..a/b..", Some("..a/b..")),
        ] {
            assert_eq!(path_in_bundle(text).as_deref(), path, "{text:?}");
        }
    }

    #[test]
    fn a_path_of_a_host_begins_at_its_root() {
        for (text, linux, windows) in [
            ("/srv/app", true, true),
            ("srv/app", false, false),
            ("~/app", false, false),
            ("$HOME/app", false, false),
            (r"C:\app", false, true),
            ("c:/app", false, true),
            ("c:app", false, false),
            (r"\app", false, true),
            (r"app\bin", false, false),
        ] {
            assert_eq!(is_absolute(text, Os::Linux), linux, "{text}");
            assert_eq!(is_absolute(text, Os::Windows), windows, "{text}");
        }
    }

    #[test]
    fn one_path_in_two_spellings_is_equal() {
        assert_eq!(
            normal("/srv//app/./", Os::Linux),
            normal("/srv/app", Os::Linux)
        );
        assert_ne!(normal("/srv/App", Os::Linux), normal("/srv/app", Os::Linux));
        assert_eq!(
            normal(r"C:\Srv\App\", Os::Windows),
            normal("c:/srv/app", Os::Windows)
        );
        assert_ne!(normal(r"/a\b", Os::Linux), normal("/a/b", Os::Linux));
    }

    #[test]
    fn only_whole_parts_make_a_path_one_below_another() {
        for (path, folder, rest) in [
            ("a/b", "a", Some("b")),
            ("a", "a", Some("")),
            ("ab", "a", None),
            ("a/b/c", "a", Some("b/c")),
            ("a", "", Some("a")),
            ("", "", Some("")),
            ("", "a", None),
            ("a", "a/b", None),
        ] {
            assert_eq!(below(path, folder), rest, "{path} {folder}");
        }
    }

    #[test]
    fn only_a_star_is_special_and_it_never_crosses_a_slash() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("*", "", true),
            ("**", "a", true),
            ("*", "a/b", false),
            ("*.sh", "run.sh", true),
            ("*.sh", ".sh", true),
            ("*.sh", "run.sh.bak", false),
            ("run*", "run", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "abcbc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*ab*ab", "ab", false),
            ("a?", "ab", false),
            ("a?", "a?", true),
            ("[ab]", "a", false),
            ("bin/*", "bin/x", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
