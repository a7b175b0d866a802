//! Words that a command does not take: said with the usage of the command that was meant, and in a user's words instead of the parser's.
//! The parser makes the usage one of the words that it has found, variables of the environment among them, so that options stand there
//! which nobody typed; here it is the command's own.

use std::error::Error as _;
use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use crate::exit::Wrong;

/// The error with the usage of the command that was meant, and with values told as values.
pub(crate) fn whole(mut error: Error, words: Command, arguments: &[OsString]) -> Error {
    if let Some(said) = below_nothing(&error, arguments).or_else(|| value(&error)) {
        let mut command = meant(words, arguments);
        return command.error(error.kind(), said);
    }
    if error.get(ContextKind::Usage).is_none() {
        return error;
    }
    let mut command = meant(words, arguments);
    let usage = command.render_usage();
    error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    error
}

/// The command that the arguments name.
fn meant(mut words: Command, arguments: &[OsString]) -> Command {
    words.build();
    let mut command = words;
    for argument in arguments.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(meant) = command.find_subcommand(argument).cloned() {
            command = meant;
        }
    }
    command
}

/// `--timeout -5m` is read as two options. Nothing here counts below 0.
fn below_nothing(error: &Error, arguments: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let begins = |word: &str, with: &str| {
        let rest = word.strip_prefix(with);
        rest.is_some_and(|rest| {
            rest.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        })
    };
    if error.kind() != ErrorKind::UnknownArgument || !begins(unknown, "-") {
        return None;
    }
    let mut pairs = arguments.windows(2).filter_map(|pair| {
        let (option, value) = (pair[0].to_str()?, pair[1].to_str()?);
        (option.starts_with('-') && value.starts_with(unknown.as_str())).then_some((option, value))
    });
    let (option, value) = pairs.next()?;
    Some(format!("{option} {value}: it cannot be less than 0"))
}

/// A value that cannot be, told by what is allowed.
fn value(error: &Error) -> Option<String> {
    if error.kind() != ErrorKind::ValueValidation {
        return None;
    }
    let (Some(ContextValue::String(argument)), Some(ContextValue::String(value)), Some(source)) = (
        error.get(ContextKind::InvalidArg),
        error.get(ContextKind::InvalidValue),
        error.source(),
    ) else {
        return None;
    };
    let why = allowed(&source.to_string());
    Some(format!("{argument}: `{value}` cannot be: {why}"))
}

/// What the parsers of numbers and addresses say, told as what is allowed. What is said by a parser of ours is in order.
fn allowed(why: &str) -> String {
    if let Some((_, range)) = why.split_once(" is not in ") {
        let (least, most) = range.split_once("..").unwrap_or((range, ""));
        return match most.strip_prefix('=') {
            Some(most) if most.len() < HUGE_DIGITS => {
                format!("a whole number from {least} to {most}")
            }
            Some(_) | None => format!("a whole number from {least} on"),
        };
    }
    match why {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "write a whole number".to_string()
        }
        "number too large to fit in target type" => "the number is too large".to_string(),
        "number too small to fit in target type" => "the number is too small".to_string(),
        "invalid socket address syntax" => {
            "write an address and a port up to 65535, such as 127.0.0.1:9470".to_string()
        }
        why => why.to_string(),
    }
}

/// Digits of a limit that is only that of the machine's numbers.
const HUGE_DIGITS: usize = 10;

/// What may be said with nothing.
const MAY_BE_EMPTY: [&str; 1] = ["description"];

/// Passes when no argument that was typed is empty: a variable of the shell that was not set makes one so.
pub(crate) fn refuse_empty(words: &Command, found: &ArgMatches) -> Result<(), Wrong> {
    for id in found.ids() {
        let argument = words.get_arguments().find(|known| known.get_id() == id);
        let Some(argument) = argument.filter(|_| !MAY_BE_EMPTY.contains(&id.as_str())) else {
            continue;
        };
        let is_typed = found.value_source(id.as_str()) == Some(ValueSource::CommandLine);
        let values = found.get_raw(id.as_str());
        let is_empty = values.is_some_and(|mut values| values.any(OsStr::is_empty));
        if is_typed && is_empty {
            let name = match argument.get_long() {
                Some(long) => format!("--{long}"),
                None => argument.to_string(),
            };
            return Err(Wrong(format!(
                "{name}: it is empty; write a value, or leave it out where it is not needed"
            )));
        }
    }
    match found.subcommand() {
        Some((name, found)) => {
            let words = words.find_subcommand(name);
            words.map_or(Ok(()), |words| refuse_empty(words, found))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Cli;

    fn said(words: &str) -> String {
        let arguments: Vec<OsString> = words.split(' ').map(OsString::from).collect();
        // As a variable of the environment would.
        let command = Cli::command().mut_arg("home", |home| home.default_value("/x"));
        let parsed = command.clone().try_get_matches_from(&arguments);
        whole(parsed.unwrap_err(), command, &arguments).to_string()
    }

    #[test]
    fn values_that_cannot_be_are_told_by_what_is_allowed() {
        for (words, part) in [
            (
                "croft run --timeout -5m",
                "--timeout -5m: it cannot be less than 0",
            ),
            (
                "croft run --pids 0 --image x",
                "--pids <N>: `0` cannot be: a whole number from 1 on",
            ),
            (
                "croft submit --priority 9",
                "--priority <N>: `9` cannot be: a whole number from 0 to 4",
            ),
            (
                "croft submit --priority x",
                "--priority <N>: `x` cannot be: write a whole number",
            ),
            (
                "croft up --listen foo",
                "`foo` cannot be: write an address and a port",
            ),
            (
                "croft up --slots 0",
                "`0` cannot be: a whole number from 1 to",
            ),
        ] {
            let said = said(words);
            assert!(said.contains(part), "{words}: {said}");
            assert!(said.contains("Usage: croft"), "{said}");
        }
    }

    #[test]
    fn nothing_is_no_value() {
        let empty = |words: &[&str]| {
            let command = Cli::command();
            let found = command.clone().try_get_matches_from(words).unwrap();
            let refused = refuse_empty(&command, &found);
            refused
                .err()
                .map(|wrong| wrong.to_string())
                .unwrap_or_default()
        };
        assert!(empty(&["croft", "run", "--image", ""]).starts_with("--image: it is empty"));
        assert!(empty(&["croft", "run", ""]).starts_with("[DIR|GIT_URL[@REV]]: it is empty"));
        assert!(empty(&["croft", "app", "get", ""]).contains("it is empty"));
        assert_eq!(empty(&["croft", "run", "--image", "x", "."]), "");
        assert_eq!(
            empty(&["croft", "deploy", "a", "b", "--description", ""]),
            ""
        );
    }

    #[test]
    fn a_mistake_is_said_with_the_words_that_its_command_takes() {
        for (words, usage) in [
            (
                "croft app apply",
                "Usage: croft app apply [OPTIONS] [FILE|-]",
            ),
            (
                "croft app apply -f a b",
                "Usage: croft app apply [OPTIONS] [FILE|-]",
            ),
            (
                "croft cache rm --all x",
                "Usage: croft cache rm [OPTIONS] [PROJECT]",
            ),
            (
                "croft deploy shop",
                "Usage: croft deploy [OPTIONS] <APP> <GROUP>",
            ),
            (
                "croft token create x",
                "Usage: croft token create [OPTIONS] --role <ROLE> <NAME>",
            ),
            ("croft nothing", "Usage: croft [OPTIONS] <COMMAND>"),
        ] {
            let said = said(words);
            assert!(said.contains(usage), "{words}: {said}");
            assert!(!said.contains("--home"), "{said}");
        }
    }
}
