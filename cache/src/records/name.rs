//! What records are called. Received from look-ups and saves; a name is made of hashes only, so that no text of a user
//! becomes part of a path, and it is made of everything that says whom a record is for.

use std::borrow::Cow;
use std::str::FromStr;

use croft_keys::ScopeName;
use object_store::path::Path;
use serde::{Deserialize, Deserializer, Serialize};

use crate::Id;
use crate::layout::folder;

/// Bytes of a space's name.
const SPACE_BYTES_MAX: usize = 64;

/// Whose keys these are: croft's own (`build`) or those of another tool's protocol, such as `bazel/ac` or `ccache`.
///
/// **Shape.** 1 to 64 bytes of `[a-z0-9._/-]`. The same project and key in another space is another record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Space(Cow<'static, str>);

impl Space {
    /// The space of croft's own entries, which hold files of a build.
    pub const BUILD: Self = Self(Cow::Borrowed("build"));

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Space {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._/-".contains(&byte)
        };
        if text.is_empty() || text.len() > SPACE_BYTES_MAX || !text.bytes().all(plain) {
            return Err("a space is 1 to 64 of `a-z`, `0-9`, `.`, `_`, `/` and `-`");
        }
        Ok(Self(Cow::Owned(text.into())))
    }
}

impl<'de> Deserialize<'de> for Space {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name<'a> {
    pub(crate) scope: &'a ScopeName,
    pub(crate) space: &'a Space,
    pub(crate) project: &'a str,
    /// Of the paths: see [`version_of_paths`].
    pub(crate) version: &'a Id,
    pub(crate) key: Option<&'a str>,
}

impl Name<'_> {
    /// The object's name.
    pub(crate) fn path(&self) -> Path {
        let key = match self.key {
            Some(key) => Id::of_name("croft cache 2026 record key", key.as_bytes()),
            None => Id::of_name("croft cache 2026 record without key", b""),
        };
        self.versions_folder().join(key.to_string())
    }

    /// The folder of all keys beside this one: where prefixes are looked for.
    pub(crate) fn versions_folder(&self) -> Path {
        self.projects_folder().join(self.version.to_string())
    }

    /// The folder of all versions of the project in its space and scope.
    pub(crate) fn projects_folder(&self) -> Path {
        // The length keeps `a` + `bc` from meaning the same as `ab` + `c`.
        let space = self.space.as_str();
        let length = (space.len() as u64).to_le_bytes();
        let both = [&length, space.as_bytes(), self.project.as_bytes()].concat();
        let project = Id::of_name("croft cache 2026 record project", &both);
        scopes_folder(self.scope).join(project.to_string())
    }
}

/// The folder of all records.
pub(crate) fn all_folder() -> Path {
    folder("entries")
}

/// The folder of all records of a scope.
pub(crate) fn scopes_folder(scope: &ScopeName) -> Path {
    let scope = Id::of_name("croft cache 2026 record scope", scope.as_str().as_bytes());
    all_folder().join(scope.to_string())
}

/// The folder of all leases.
pub(crate) fn leases_folder() -> Path {
    folder("leases")
}

/// What tells records of one list of paths (in plain form, sorted) from those of another. Other tools have no paths: theirs
/// is the version of the empty list.
pub(crate) fn version_of_paths(paths: &[String]) -> Id {
    Id::of_name(
        "croft cache 2026 version of paths",
        paths.join("\0").as_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::Selection;

    #[test]
    fn the_version_is_the_one_of_the_selection_with_these_paths() {
        for paths in [vec![], vec!["target/**/*"], vec!["b", "/a", "b"]] {
            let paths: Vec<String> = paths.into_iter().map(String::from).collect();
            let selection = Selection::parse(&paths, std::path::Path::new("/src")).unwrap();
            assert_eq!(version_of_paths(selection.texts()), selection.version());
        }
    }

    #[test]
    fn names_differ_in_every_part_and_show_no_text() {
        let scope: ScopeName = "trusted".parse().unwrap();
        let other: ScopeName = "fork/1".parse().unwrap();
        let (build, ccache): (Space, Space) = (Space::BUILD, "ccache".parse().unwrap());
        let (versions, empty) = ([Id::of(b"1"), Id::of(b"2")], "");
        let base = Name {
            scope: &scope,
            space: &build,
            project: "app",
            version: &versions[0],
            key: Some("../../k"),
        };
        let names = [
            base,
            Name {
                scope: &other,
                ..base
            },
            Name {
                space: &ccache,
                ..base
            },
            Name {
                project: "app2",
                ..base
            },
            Name {
                version: &versions[1],
                ..base
            },
            Name {
                key: Some("../k"),
                ..base
            },
            Name { key: None, ..base },
            Name {
                key: Some(empty),
                ..base
            },
            Name {
                project: "dapp",
                space: &"buil".parse().unwrap(),
                ..base
            },
        ]
        .map(|name| name.path());
        for (nth, name) in names.iter().enumerate() {
            assert!(!names[..nth].contains(name), "{nth}");
            assert_eq!(name.parts().count(), 6);
            assert!(!name.as_ref().contains("..") && !name.as_ref().contains("app"));
        }
    }

    #[test]
    fn a_space_is_plain() {
        for text in ["build", "bazel/ac", "ccache", "a.b_c-1"] {
            assert_eq!(text.parse::<Space>().unwrap().as_str(), text);
        }
        for text in ["", "Build", "a b", "a\n", "é", &"x".repeat(65)] {
            assert!(text.parse::<Space>().is_err(), "{text:?}");
        }
    }
}
