//! What an artifact may be called. Receives the text from the buildspec, expanded by a shell, hands back a relative path.

use std::path::PathBuf;

use super::StoreError;

/// The most bytes a file system takes in one component, less what a part file and `.zip` need.
const COMPONENT_BYTES_MAX: usize = 240;

/// The relative path that `text` names; empty for `/` and for nothing, which both mean no name of its own.
///
/// # Errors
/// [`StoreError::Name`] when it could lead out of the destination, or no file can have it.
pub(crate) fn relative(what: &'static str, text: &str) -> Result<PathBuf, StoreError> {
    let refuse = |reason| {
        Err(StoreError::Name {
            what,
            name: text.to_owned(),
            reason,
        })
    };
    if text == "/" {
        return Ok(PathBuf::new());
    }
    if text.starts_with('/') {
        return refuse("it must not begin with `/`");
    }
    if text.chars().any(char::is_control) {
        return refuse("it must not hold line breaks or other control characters");
    }
    let parts: Vec<&str> = text
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return refuse("it must not hold `..`");
    }
    if parts.iter().any(|part| part.len() > COMPONENT_BYTES_MAX) {
        return refuse("a part of it is longer than 240 bytes");
    }
    Ok(parts.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn names_stay_below_the_destination() {
        for (text, expected) in [
            ("", Some("")),
            ("/", Some("")),
            ("app", Some("app")),
            ("a/b", Some("a/b")),
            ("./a//b/", Some("a/b")),
            ("app-2024 (1)", Some("app-2024 (1)")),
            ("..", None),
            ("a/../b", None),
            ("/tmp/x", None),
            ("a\nb", None),
            ("a\0", None),
        ] {
            let named = relative("name", text).ok();
            assert_eq!(named.as_deref(), expected.map(Path::new), "{text:?}");
        }
        assert!(relative("name", &"x".repeat(241)).is_err());
    }
}
