//! The `[farm]` table of `croft.toml`: which farm is asked, and as whom. Kept apart from the flags' defaults, since a token belongs
//! to the server that the same file names. Handed to `farm::client`.

use std::path::{Path, PathBuf};

use super::FARM;
use crate::exit::Wrong;

/// What the files say of the farm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FarmTable {
    /// With the file that names it.
    pub(crate) server: Option<(String, PathBuf)>,
    /// With the file that holds it.
    pub(crate) token: Option<(String, PathBuf)>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) insecure_http: bool,
    pub(crate) retry: Option<String>,
}

impl FarmTable {
    /// The table of a file's text; empty when it has none.
    pub(super) fn parse_file(text: &str, path: &Path) -> Result<Self, Wrong> {
        let wrong = |reason: String| Wrong(format!("{}: {reason}", path.display()));
        let mut file: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| wrong(error.to_string()))?;
        match file.remove(FARM) {
            Some(toml::Value::Table(options)) => Self::of(options, path),
            Some(_) => Err(wrong("farm: write a table, [farm]".into())),
            None => Ok(Self::default()),
        }
    }

    /// The table whose lines those are.
    #[cfg(test)]
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, Wrong> {
        Self::parse_file(&format!("[{FARM}]\n{text}"), path)
    }

    pub(super) fn of(options: toml::Table, path: &Path) -> Result<Self, Wrong> {
        let mut table = Self::default();
        for (key, value) in options {
            let wrong = |reason: &str| Wrong(format!("{}: farm.{key}: {reason}", path.display()));
            if key == "insecure-http" {
                table.insecure_http = value.as_bool().ok_or_else(|| wrong("give true or false"))?;
                continue;
            }
            let text = value.as_str().ok_or_else(|| wrong("give a text"))?;
            // Paths in a file are meant from where the file is.
            let named = || path.parent().unwrap_or(Path::new("")).join(text);
            match key.as_str() {
                "server" => table.server = Some((text.to_string(), path.to_path_buf())),
                "token" => table.token = Some((text.to_string(), path.to_path_buf())),
                "token-file" => table.token_file = Some(named()),
                "ca-file" => table.ca_file = Some(named()),
                "retry" => table.retry = Some(text.to_string()),
                _ => {
                    return Err(wrong(
                        "there is no such option; there are server, token, token-file, ca-file, insecure-http, retry",
                    ));
                }
            }
        }
        Ok(table)
    }

    /// This file before another. One that names a server names all of it: another file's token is not for that server.
    pub(super) fn over(self, other: Self) -> Self {
        if self.server.is_some() {
            return Self {
                retry: self.retry.or(other.retry),
                ..self
            };
        }
        let has_token = self.token.is_some() || self.token_file.is_some();
        Self {
            server: other.server,
            token: if has_token { self.token } else { other.token },
            token_file: if has_token {
                self.token_file
            } else {
                other.token_file
            },
            ca_file: self.ca_file.or(other.ca_file),
            insecure_http: self.insecure_http || other.insecure_http,
            retry: self.retry.or(other.retry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> FarmTable {
        FarmTable::parse(text, Path::new("/etc/croft/croft.toml")).unwrap()
    }

    #[test]
    fn paths_are_meant_from_the_file_and_mistakes_name_it() {
        let table = parse("server = \"https://a\"\ntoken-file = \"token\"\ninsecure-http = true");
        assert_eq!(
            table.token_file.as_deref(),
            Some(Path::new("/etc/croft/token"))
        );
        assert!(table.insecure_http);
        for (wrong, word) in [
            ("sever = \"x\"", "farm.sever"),
            ("server = 1", "farm.server: give a text"),
            ("insecure-http = \"yes\"", "true or false"),
        ] {
            let said = FarmTable::parse(wrong, Path::new("croft.toml"))
                .unwrap_err()
                .to_string();
            assert!(said.contains(word) && said.contains("croft.toml"), "{said}");
        }
    }

    #[test]
    fn a_persons_server_does_not_get_the_machines_token() {
        let machine = parse("server = \"https://a\"\ntoken = \"t\"\nretry = \"5s\"");
        let person = parse("server = \"https://b\"").over(machine.clone());
        assert_eq!(person.server.unwrap().0, "https://b");
        assert_eq!((person.token, person.retry.as_deref()), (None, Some("5s")));
        let person = parse("token = \"mine\"").over(machine);
        assert_eq!(person.server.unwrap().0, "https://a");
        assert_eq!(person.token.unwrap().0, "mine");
    }
}
