//! How answers are printed: tables for people, JSON and YAML for programs, names for shells. The one place that writes to
//! standard output besides the renderings.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::args::Format;
use crate::exit::Exit;
use crate::render::Style;

/// Rows that can be printed in every format.
pub(crate) trait Rows: Serialize {
    /// Column titles; those after the first `usize` only when there is room.
    fn titles() -> (Vec<&'static str>, usize);
    /// One row's cells, as many as there are titles.
    fn cells(&self) -> Vec<String>;
    /// What a script would use it by.
    fn name(&self) -> String;
}

/// Prints the rows.
pub(crate) fn rows<R: Rows>(rows: &[R], format: Format) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Table | Format::Wide => {
            let (titles, narrow) = R::titles();
            let shown = if format == Format::Wide {
                titles.len()
            } else {
                narrow
            };
            let mut table = Table::new();
            table
                .load_style(presets::NOTHING)
                .set_content_arrangement(ContentArrangement::Disabled);
            table.set_header(titles.into_iter().take(shown));
            for row in rows {
                table.add_row(row.cells().into_iter().take(shown));
            }
            for line in table.lines() {
                writeln!(out, "{}", line.trim_end())?;
            }
        }
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(rows)?)?,
        Format::Yaml => write!(out, "{}", yaml(&rows)?)?,
        Format::Name => rows
            .iter()
            .try_for_each(|row| writeln!(out, "{}", row.name()))?,
        Format::Ndjson => {
            for row in rows {
                writeln!(out, "{}", serde_json::to_string(row)?)?;
            }
        }
    }
    Ok(())
}

/// Prints one row: to tools as itself, and not as a list of one.
pub(crate) fn one<R: Rows>(row: &R, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json | Format::Yaml | Format::Ndjson => value(row, format),
        Format::Table | Format::Wide | Format::Name => rows(std::slice::from_ref(row), format),
    }
}

/// Prints a value as JSON, or as YAML.
pub(crate) fn value<T: Serialize>(value: &T, format: Format) -> anyhow::Result<()> {
    let text = match format {
        Format::Yaml => yaml(value)?,
        Format::Ndjson => serde_json::to_string(value)? + "\n",
        Format::Json | Format::Table | Format::Wide | Format::Name => {
            serde_json::to_string_pretty(value)? + "\n"
        }
    };
    self::text(&text)
}

fn yaml<T: Serialize>(value: &T) -> anyhow::Result<String> {
    let mut text = serde_saphyr::to_string(value)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// Writes text as it is.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

#[derive(Debug, Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
    target: String,
}

impl Rows for Version {
    fn titles() -> (Vec<&'static str>, usize) {
        (vec!["NAME", "VERSION", "TARGET"], 2)
    }

    fn cells(&self) -> Vec<String> {
        vec![self.name.into(), self.version.into(), self.target.clone()]
    }

    fn name(&self) -> String {
        self.version.into()
    }
}

/// `croft version`.
pub(crate) fn version(format: Format) -> anyhow::Result<Exit> {
    let version = Version {
        name: "croft",
        version: env!("CARGO_PKG_VERSION"),
        target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
    };
    match format {
        Format::Table => text(&format!("croft {}\n", version.version))?,
        Format::Wide | Format::Json | Format::Yaml | Format::Name | Format::Ndjson => {
            rows(&[version], format)?
        }
    }
    Ok(Exit::Succeeded)
}

/// Whether only the reader of standard output was gone: `croft lint | head` has what it wanted.
pub(crate) fn reader_went_away(error: &anyhow::Error) -> bool {
    let is_pipe = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error
        .chain()
        .any(|cause| cause.downcast_ref().is_some_and(is_pipe))
}

/// Tells a person what went wrong, as one chain.
pub(crate) fn complain(error: &anyhow::Error) {
    say(&format!("{error:#}"));
}

/// Says something to whoever started this program. Where standard error cannot be written, as on a full disk, nobody hears it, and nothing
/// else happens.
pub(crate) fn say(text: &str) {
    let line = format!("croft: {text}\n");
    io::stderr().write_all(line.as_bytes()).unwrap_or_default();
}

/// Colours on that stream: only for a terminal, and not with `NO_COLOR`.
pub(crate) fn style(stream: &impl IsTerminal) -> Style {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    Style {
        color: stream.is_terminal() && !unwanted && !dumb,
    }
}
