//! The line that says which words a command takes, beside what is wrong with those that were typed. The parser makes one of the words that
//! it has found, variables of the environment among them, so that options stand there which nobody typed; here it is the command's own.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error};

/// Has the error show the usage of the command that was meant.
pub(crate) fn whole(error: &mut Error, mut words: Command, arguments: &[OsString]) {
    if error.get(ContextKind::Usage).is_none() {
        return;
    }
    words.build();
    let mut command = words;
    for argument in arguments.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(meant) = command.find_subcommand(argument).cloned() {
            command = meant;
        }
    }
    let usage = command.render_usage();
    error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
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
        let mut error = parsed.unwrap_err();
        whole(&mut error, command, &arguments);
        error.to_string()
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
