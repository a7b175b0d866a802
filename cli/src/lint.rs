//! `croft lint`: what is wrong with a buildspec or an AppSpec, and what may not do what was meant.

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

pub(crate) fn lint(words: &LintWords) -> anyhow::Result<Exit> {
    let name = words.file.display().to_string();
    let bytes = std::fs::read(&words.file).map_err(|error| Wrong(format!("{name}: {error}")))?;
    let found = if appspec::is_appspec(&name, &bytes) {
        appspec::lint(&name, &bytes)
    } else {
        croft_spec::lint(&name, &bytes)
    };
    if words.output == Format::Table {
        let source = String::from_utf8_lossy(&bytes);
        let shown = croft_spec::render(&found, &source, output::style(&std::io::stdout()).color);
        output::text(&shown)?;
        output::text(&verdict(&name, &found))?;
    } else {
        output::rows(&found, words.output)?;
    }
    let fails = |found: &Diagnostic| found.level == Level::Error || words.strict;
    Ok(if found.iter().any(fails) {
        Exit::Usage
    } else {
        Exit::Succeeded
    })
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
