//! `croft lint`: what is wrong with a buildspec or an AppSpec, and what may not do what was meant.

use std::path::{Path, PathBuf};

use croft_proto::{Diagnostic, Level};
use croft_spec::appspec;

use crate::args::{Format, LintWords};
use crate::exit::{Exit, Wrong};
use crate::output::{self, Rows};

impl Rows for Diagnostic {
    fn titles() -> (Vec<&'static str>, usize) {
        (vec!["PLACE", "LEVEL", "CODE", "MESSAGE", "HELP"], 4)
    }

    fn cells(&self) -> Vec<String> {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        let help = self.help.clone().unwrap_or_default();
        vec![
            self.name(),
            level.into(),
            self.code.clone(),
            self.message.clone(),
            help,
        ]
    }

    fn name(&self) -> String {
        format!(
            "{}:{}:{}",
            self.place.file, self.place.line, self.place.column
        )
    }
}

/// What is looked for in a folder: where builds and deployments look.
const BUILDSPECS: [&str; 1] = ["buildspec.yml"];
const APPSPECS: [&str; 2] = ["appspec.yml", "appspec.yaml"];

pub(crate) fn lint(words: &LintWords) -> anyhow::Result<Exit> {
    let mut exit = Exit::Succeeded;
    let mut all = Vec::new();
    for file in files(words)? {
        let name = file.display().to_string();
        let bytes = std::fs::read(&file).map_err(|error| Wrong(format!("{name}: {error}")))?;
        let found = if appspec::is_appspec(&name, &bytes) {
            appspec::lint(&name, &bytes)
        } else {
            croft_spec::lint(&name, &bytes)
        };
        if words.output == Format::Table {
            let source = String::from_utf8_lossy(&bytes);
            let color = output::style(&std::io::stdout()).color;
            output::text(&croft_spec::render(&found, &source, color))?;
            output::text(&verdict(&name, &found))?;
        }
        let fails = |found: &Diagnostic| found.level == Level::Error || words.strict;
        if found.iter().any(fails) {
            exit = Exit::Usage;
        }
        all.extend(found);
    }
    if words.output != Format::Table {
        output::rows(&all, words.output)?;
    }
    Ok(exit)
}

/// The file that is named, or those of the folder that is, or that one is in.
fn files(words: &LintWords) -> Result<Vec<PathBuf>, Wrong> {
    let folder = match &words.file {
        Some(file) if !file.is_dir() => return Ok(vec![file.clone()]),
        Some(folder) => folder.as_path(),
        None => Path::new(""),
    };
    let of = |names: &[&str]| {
        let mut paths = names.iter().map(|name| folder.join(name));
        paths.find(|path| path.is_file())
    };
    let found: Vec<PathBuf> = [of(&BUILDSPECS), of(&APPSPECS)]
        .into_iter()
        .flatten()
        .collect();
    if found.is_empty() {
        let folder = words.file.as_deref().unwrap_or(Path::new("."));
        return Err(Wrong(format!(
            "{}: there is neither a buildspec.yml nor an appspec.yml in the folder; name the file",
            folder.display()
        )));
    }
    Ok(found)
}

fn verdict(name: &str, found: &[Diagnostic]) -> String {
    let errors = found
        .iter()
        .filter(|found| found.level == Level::Error)
        .count();
    match (errors, found.len() - errors) {
        (0, 0) => format!("{name}: no mistakes, no traps\n"),
        (errors, warnings) => format!("{name}: {errors} error(s), {warnings} warning(s)\n"),
    }
}
