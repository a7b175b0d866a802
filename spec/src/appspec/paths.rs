//! Paths as an AppSpec writes them, compared and taken apart by their text alone: the file is checked where neither bundle
//! nor host is. Receives texts from the reader, the rules and the agent.

/// The path below the bundle's root that a text means: no `.`, no `..`, no empty part, and nothing for the root itself.
/// `None` when it leads out of the bundle.
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

#[cfg(test)]
mod tests {
    use super::path_in_bundle;

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
}
