//! A program on a terminal, as a person would run it.

use std::ffi::OsStr;
use std::process::Command;

use super::{Farm, Ran, skip};

/// Runs a command with a terminal of its own as its input and output; `None`, and said so, without the program for that.
pub(crate) fn in_terminal(farm: &Farm, command: Command) -> Option<Ran> {
    if Command::new("script").arg("--version").output().is_err() {
        skip("there is no `script` (Debian's bsdutils)");
        return None;
    }
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<String> = words.map(quoted).collect();
    let mut terminal = Command::new("script");
    terminal
        .args([
            "--quiet",
            "--return",
            "--command",
            &line.join(" "),
            "/dev/null",
        ])
        .env_clear();
    terminal.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    terminal
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .current_dir(command.get_current_dir()?);
    Some(farm.end(terminal))
}

fn quoted(word: &OsStr) -> String {
    format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''"))
}
