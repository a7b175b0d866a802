//! The first step after a user's command: write down variables and directory, NUL-separated, so that no shell's quoting
//! stands between one command and the next. Called by the script around each command; read by the runner.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::protocol::State;

/// Variables a shell makes for itself in every process; carried over they would only grow or mislead.
const OF_THE_SHELL: [&[u8]; 2] = [b"_", b"SHLVL"];

/// Writes the state of this process to the file at `path`, which must exist.
///
/// # Errors
/// When the file cannot be written.
pub fn save(path: &OsStr) -> io::Result<()> {
    let mut bytes = directory().into_os_string().into_vec();
    bytes.push(0);
    for (name, value) in std::env::vars_os() {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b'=');
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
    }
    std::fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)?
        .write_all(&bytes)
}

/// The working directory by the name the shell knows it, when that is still true; links in it stay as the user wrote them.
/// One that is gone keeps its name too: the next command is then told that it cannot start there.
fn directory() -> PathBuf {
    let logical = std::env::var_os("PWD")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let same =
        |a: &std::fs::Metadata, b: &std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    match (logical, std::env::current_dir()) {
        (Some(logical), Ok(physical)) => {
            match (std::fs::metadata(&logical), std::fs::metadata(".")) {
                (Ok(named), Ok(here)) if same(&named, &here) => logical,
                _ => physical,
            }
        }
        (Some(logical), Err(_)) => logical,
        (None, physical) => physical.unwrap_or_else(|_| PathBuf::from("/")),
    }
}

/// The state in a file's bytes; `None` when the command did not come to its end and nothing was written.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<State> {
    let mut fields = bytes.split(|byte| *byte == 0);
    let directory = fields
        .next()
        .filter(|directory| !directory.is_empty())?
        .to_vec();
    let mut environment = Vec::new();
    for field in fields.filter(|field| !field.is_empty()) {
        // A name may not be empty, so the first byte is never the separator.
        let Some(at) = field.iter().skip(1).position(|byte| *byte == b'=') else {
            continue;
        };
        let (name, value) = (&field[..=at], &field[at + 2..]);
        if OF_THE_SHELL.contains(&name) || name.starts_with(b"BASH_FUNC_") {
            continue;
        }
        environment.push((name.to_vec(), value.to_vec()));
    }
    Some(State {
        directory,
        environment,
    })
}

/// True for what a shell accepts as a variable; others pass through no shell.
#[must_use]
pub fn is_shell_name(name: &[u8]) -> bool {
    name.first()
        .is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Bytes as a path or argument.
pub(crate) fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_keep_every_byte_and_functions_stay_behind() {
        let state =
            parse(b"/src\0A=1\n2\0EMPTY=\0EQ=a=b\0BASH_FUNC_f%%=() { :; }\0_=/bin/x\0SHLVL=3\0")
                .unwrap();
        assert_eq!(state.directory, b"/src");
        let expected: Vec<(Vec<u8>, Vec<u8>)> = vec![
            (b"A".to_vec(), b"1\n2".to_vec()),
            (b"EMPTY".to_vec(), Vec::new()),
            (b"EQ".to_vec(), b"a=b".to_vec()),
        ];
        assert_eq!(state.environment, expected);
    }

    #[test]
    fn an_unfinished_command_leaves_no_state() {
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn only_identifiers_are_shell_names() {
        assert!(is_shell_name(b"_A1"));
        assert!(!is_shell_name(b"1A") && !is_shell_name(b"npm.x") && !is_shell_name(b""));
    }
}
