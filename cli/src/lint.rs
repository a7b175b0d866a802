//! `croft lint`: what is wrong with a buildspec or an AppSpec, and what may not do what was meant.

use std::path::{Path, PathBuf};

use croft_agent::Files;
use croft_proto::{Diagnostic, Level};
use croft_spec::appspec::{self, Around};

use crate::args::{Format, LintWords};
use crate::exit::{Exit, Wrong};
use crate::files;
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
        let refused = |error| Wrong(format!("{name}: {}", files::why(&error)));
        let bytes = std::fs::read(&file).map_err(refused)?;
        let found = if appspec::is_appspec(&name, &bytes) {
            appspec_in_its_folder(&file, &bytes)
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

/// What is wrong with an AppSpec; one that has the name that hosts look for is in the folder of its revision, and what it names is
/// looked for there.
fn appspec_in_its_folder(file: &Path, bytes: &[u8]) -> Vec<Diagnostic> {
    let shown = file.display().to_string();
    let is_at_the_root = APPSPECS
        .iter()
        .any(|name| file.file_name() == Some(name.as_ref()));
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let files = match Files::open(folder) {
        Ok(files) if is_at_the_root => files,
        _ => return appspec::lint(&shown, bytes),
    };
    // Whatever it is called, a build may make what is not there.
    let is_built = BUILDSPECS.iter().any(|name| folder.join(name).is_file())
        || misnamed(folder, BUILDSPECS[0]).is_some();
    let around = if is_built {
        Around::Source
    } else {
        Around::Revision
    };
    appspec::lint_in(&shown, bytes, &files, around)
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
    if found.is_empty()
        && let Some(found) = misnamed(folder, BUILDSPECS[0])
    {
        let found = found.display();
        return Err(Wrong(format!(
            "{found}: builds read {} unless their project names another file: rename it; to look at it as it is, `croft lint {found}`",
            BUILDSPECS[0]
        )));
    }
    if found.is_empty()
        && let Some(found) = misnamed(folder, APPSPECS[0])
    {
        return Err(Wrong(format!(
            "{}: hosts read {} and no such name: rename it",
            found.display(),
            APPSPECS[0]
        )));
    }
    if found.is_empty() {
        let folder = words.file.as_deref().unwrap_or(Path::new("."));
        return Err(Wrong(format!(
            "{}: there is neither a buildspec.yml nor an appspec.yml in the folder; name the file",
            folder.display()
        )));
    }
    Ok(found)
}

/// A file of the folder that may be meant by the name that is looked for, and has another one.
pub(crate) fn misnamed(folder: &Path, wanted: &str) -> Option<PathBuf> {
    let listed = match folder == Path::new("") {
        true => Path::new("."),
        false => folder,
    };
    let entries = std::fs::read_dir(listed).ok()?.flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    croft_spec::misnamed(wanted, &names).map(|name| folder.join(name))
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
