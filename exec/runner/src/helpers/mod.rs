//! The programs a build can call, as AWS's build containers have them. Each is this binary under another name.

/// `codebuild-glob-search`.
mod glob_search;
/// `codebuild-hash-files`.
mod hash_files;
/// `codebuild-tests-run`.
mod tests_run;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// Every name a build can call.
pub const NAMES: [&str; 5] = [
    "codebuild-breakpoint",
    "codebuild-glob-search",
    "codebuild-hash-files",
    "codebuild-resume",
    "codebuild-tests-run",
];

/// Runs the helper of that name; `None` when there is none.
#[must_use]
pub fn run(name: &str, arguments: &[OsString]) -> Option<ExitCode> {
    let outcome = match name {
        "codebuild-hash-files" => hash_files::run(arguments),
        "codebuild-glob-search" => glob_search::run(arguments),
        "codebuild-tests-run" => tests_run::run(arguments),
        // As on AWS, both do nothing in a build that was not started for debugging.
        "codebuild-breakpoint" => {
            say("codebuild-breakpoint: this build was not started for debugging, going on")
        }
        "codebuild-resume" => say("codebuild-resume: no breakpoint is waiting"),
        _ => return None,
    };
    Some(outcome.unwrap_or_else(|error| {
        // Without standard error there is nobody to tell.
        drop(writeln!(io::stderr(), "{name}: {error}"));
        ExitCode::FAILURE
    }))
}

fn say(text: &str) -> io::Result<ExitCode> {
    writeln!(io::stderr(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}

fn usage(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
