//! `croft.toml`: what a person would otherwise type every time. Read once, before the words are parsed; each value becomes the
//! default of its flag, so that a flag wins over the environment and the environment over the file.
//!
//! Only the machine's and the person's own files are read, never one of a source: a repository must not choose how much its
//! build may do.

use std::path::{Path, PathBuf};

use clap::Command;
use clap::builder::OsStr;

use crate::exit::Wrong;

/// The table that no command is called by.
const FARM: &str = "farm";

mod farm_table;

pub(crate) use farm_table::FarmTable;

/// Options that say what one build is, and have no business in a file for all builds.
const NOT_IN_FILES: [&str; 5] = ["source", "sources", "env", "help", "version"];

/// The command line with the files' values as defaults; the machine's file first, the person's wins.
///
/// # Errors
/// A file that cannot be read or parsed, a table or key that is not an option: with the file's name and what to do.
pub(crate) fn apply(mut command: Command) -> Result<Command, Wrong> {
    for path in files() {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&path, &error)),
        };
        command = apply_text(command, &path, &text)?;
    }
    Ok(command)
}

/// True when there may be something to apply.
pub(crate) fn has_files() -> bool {
    files().iter().any(|path| path.symlink_metadata().is_ok())
}

fn files() -> Vec<PathBuf> {
    if let Some(path) = std::env::var_os("CROFT_CONFIG") {
        return vec![PathBuf::from(path)];
    }
    let person = std::env::var_os("XDG_CONFIG_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from);
    let person = person.unwrap_or_else(|| crate::surroundings::person_home().join(".config"));
    vec![
        PathBuf::from("/etc/croft/croft.toml"),
        person.join("croft/croft.toml"),
    ]
}

/// Which farm the files name, and as whom; the person's file wins over the machine's.
///
/// # Errors
/// A file that cannot be read or parsed, a key that is none: with the file's name.
pub(crate) fn farm_table() -> Result<FarmTable, Wrong> {
    let mut all = FarmTable::default();
    for path in files() {
        match std::fs::read_to_string(&path) {
            Ok(text) => all = FarmTable::parse_file(&text, &path)?.over(all),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&path, &error)),
        }
    }
    Ok(all)
}

/// It may say something that matters: nothing is done without it.
fn unreadable(path: &Path, error: &std::io::Error) -> Wrong {
    let is_forbidden = error.kind() == std::io::ErrorKind::PermissionDenied;
    let do_what = if is_forbidden {
        "; have it and its folder made readable (chmod o+rX), or name another file in CROFT_CONFIG"
    } else {
        ""
    };
    Wrong(format!("{}: {error}{do_what}", path.display()))
}

fn apply_text(mut command: Command, path: &Path, text: &str) -> Result<Command, Wrong> {
    let wrong = |reason: String| Wrong(format!("{}: {reason}", path.display()));
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    for (key, value) in table {
        let toml::Value::Table(options) = value else {
            command = set_one(command, &key, &key, &value).map_err(wrong)?;
            continue;
        };
        if key == FARM {
            // Read by those who ask a farm; its mistakes are told to all.
            FarmTable::of(options, path)?;
            continue;
        }
        if command.find_subcommand(&key).is_none() {
            return Err(wrong(format!("[{key}]: there is no such command")));
        }
        for (option, value) in options {
            // Taken out and put back: the change itself may fail, which the command's own way of changing cannot.
            let mut failed = None;
            command = command.mut_subcommand(&key, |sub| {
                let kept = sub.clone();
                set_one(sub, &option, &format!("{key}.{option}"), &value).unwrap_or_else(|reason| {
                    failed = Some(reason);
                    kept
                })
            });
            failed.map_or(Ok(()), |reason| Err(wrong(reason)))?;
        }
    }
    Ok(command)
}

/// The command with the option of that long name defaulting to the value.
fn set_one(
    command: Command,
    option: &str,
    shown: &str,
    value: &toml::Value,
) -> Result<Command, String> {
    let Some(id) = id_of(&command, option) else {
        return Err(format!(
            "{shown}: there is no such option; they are called as in --help, such as cache-size"
        ));
    };
    let Some(default) = text_of(value) else {
        return Err(format!("{shown}: give a text, a number, true or false"));
    };
    Ok(command.mut_arg(id, |argument| argument.default_value(OsStr::from(default))))
}

/// The option of that long name.
fn id_of(command: &Command, name: &str) -> Option<String> {
    let found = command
        .get_arguments()
        .find(|argument| argument.get_long() == Some(name))?;
    let id = found.get_id().to_string();
    (!NOT_IN_FILES.contains(&id.as_str())).then_some(id)
}

fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;
    use crate::args::{Cli, Command as Words};

    fn parse(file: &str, line: &str) -> Result<Cli, Wrong> {
        let command = apply_text(Cli::command(), Path::new("croft.toml"), file)?;
        Ok(Cli::from_arg_matches(&command.get_matches_from(line.split(' '))).unwrap())
    }

    #[test]
    fn a_file_gives_defaults_and_a_flag_wins() {
        let file = "cache-size = \"5g\"\n[run]\nimage = \"debian:12\"\nprivileged = true\ntimeout = \"2h\"\n";
        let cli = parse(file, "croft run --timeout 1h").unwrap();
        let Words::Run(words) = &cli.command else {
            panic!("run")
        };
        assert_eq!(cli.global.cache_size, "5g");
        assert_eq!(
            (words.image.as_deref(), words.timeout.as_str()),
            (Some("debian:12"), "1h")
        );
        assert!(words.privileged);
    }

    #[test]
    fn mistakes_are_named_with_the_file() {
        for (file, word) in [
            ("cache-sise = 1", "cache-sise"),
            ("[rum]", "[rum]"),
            ("[run]\nenv = \"A=1\"", "run.env"),
            ("[run]\nimage = [1]", "image"),
            ("x = ", "croft.toml"),
        ] {
            let message = parse(file, "croft version").unwrap_err().to_string();
            assert!(
                message.contains(word) && message.contains("croft.toml"),
                "{file}: {message}"
            );
        }
    }
}
