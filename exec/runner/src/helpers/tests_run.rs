//! `codebuild-tests-run --test-command C --files-search S [--sharding-strategy ...]`: finds the test files by running `S`,
//! takes this build's share, and runs `C` with the share in `CODEBUILD_CURRENT_SHARD_FILES`, one file a line.
//!
//! A build that is not part of a fan-out is the only shard, so its share is everything; the strategies then agree.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::{Command, ExitCode};

pub(super) fn run(arguments: &[OsString]) -> io::Result<ExitCode> {
    let options = parse(arguments)?;
    let searched = Command::new("sh")
        .arg("-c")
        .arg(&options.files_search)
        .output()?;
    io::stderr().write_all(&searched.stderr)?;
    if !searched.status.success() {
        return Err(io::Error::other(format!(
            "--files-search ended with {}",
            searched.status
        )));
    }
    let text = String::from_utf8_lossy(&searched.stdout);
    let files: Vec<&str> = text.split_whitespace().collect();
    if files.is_empty() {
        return Err(io::Error::other("--files-search found no file"));
    }
    let status = Command::new("sh")
        .arg("-c")
        .arg(&options.test_command)
        .env("CODEBUILD_CURRENT_SHARD_FILES", files.join("\n"))
        .status()?;
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    Ok(ExitCode::from(code))
}

struct Options {
    test_command: OsString,
    files_search: OsString,
}

fn parse(arguments: &[OsString]) -> io::Result<Options> {
    let (mut test_command, mut files_search) = (None, None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let text = argument.to_string_lossy();
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) => (name.to_string(), Some(OsString::from(value))),
            None => (text.to_string(), None),
        };
        let Some(value) = inline.or_else(|| rest.next().cloned()) else {
            return Err(super::usage(&format!("{name} needs a value")));
        };
        match name.as_str() {
            "--test-command" => test_command = Some(value),
            "--files-search" => files_search = Some(value),
            "--sharding-strategy" if value == "equal-distribution" || value == "stability" => {}
            "--sharding-strategy" => {
                return Err(super::usage(
                    "--sharding-strategy is equal-distribution or stability",
                ));
            }
            _ => return Err(super::usage(&format!("unknown option {name}"))),
        }
    }
    match (test_command, files_search) {
        (Some(test_command), Some(files_search)) => Ok(Options {
            test_command,
            files_search,
        }),
        _ => Err(super::usage(
            "--test-command and --files-search are required",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_giving_a_value_are_read_and_mistakes_named() {
        let words = |text: &[&str]| text.iter().map(OsString::from).collect::<Vec<_>>();
        let options = parse(&words(&["--test-command=run it", "--files-search", "ls"])).unwrap();
        assert_eq!(
            (options.test_command, options.files_search),
            ("run it".into(), "ls".into())
        );
        for wrong in [
            &["--files-search", "ls"][..],
            &["--what", "x"],
            &["--sharding-strategy", "odd"],
        ] {
            assert!(parse(&words(wrong)).is_err(), "{wrong:?}");
        }
    }
}
