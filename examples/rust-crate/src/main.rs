//! The command line of `logpick`.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result};
use chrono::{DateTime, FixedOffset};
use clap::Parser;
use logpick::{Condition, Counts, Query, Tally, pick};

/// Picks lines and fields out of logs written as JSON lines.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Keep records whose field matches (FIELD=PATTERN) or does not match (FIELD!=PATTERN); may be repeated
    #[arg(short = 'w', long = "where", value_name = "CONDITION")]
    conditions: Vec<Condition>,
    /// Keep records from this instant on, as in 2026-01-31T08:00:00Z
    #[arg(short, long, value_name = "TIME", value_parser = DateTime::parse_from_rfc3339)]
    since: Option<DateTime<FixedOffset>>,
    /// Print only this field, dots reaching into objects; may be repeated, and columns are then separated by tabs
    #[arg(short, long = "field", value_name = "FIELD")]
    fields: Vec<String>,
    /// Count the records kept by this field's value instead of printing them
    #[arg(short, long, value_name = "FIELD", conflicts_with = "fields")]
    count_by: Option<String>,
    /// The log; standard input when absent
    file: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(counts) => {
            if counts.broken > 0 {
                eprintln!("logpick: passed over {} of {} lines: not a JSON object", counts.broken, counts.read);
            }
            ExitCode::SUCCESS
        }
        // A reader such as `head` that has seen enough is no mistake of ours.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("logpick: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<Counts> {
    let query = Query { conditions: arguments.conditions, since: arguments.since };
    let input: Box<dyn BufRead> = match &arguments.file {
        Some(path) => {
            let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            Box::new(BufReader::new(file))
        }
        None => Box::new(io::stdin().lock()),
    };
    let mut output = BufWriter::new(io::stdout().lock());
    let counts = match &arguments.count_by {
        Some(field) => count(input, &query, field, &mut output)?,
        None => print(input, &query, &arguments.fields, &mut output)?,
    };
    output.flush()?;
    Ok(counts)
}

fn print(input: impl BufRead, query: &Query, fields: &[String], output: &mut impl Write) -> io::Result<Counts> {
    pick(input, query, |record| {
        if fields.is_empty() {
            serde_json::to_writer(&mut *output, record.fields())?;
            writeln!(output)
        } else {
            writeln!(output, "{}", record.columns(fields))
        }
    })
}

fn count(input: impl BufRead, query: &Query, field: &str, output: &mut impl Write) -> io::Result<Counts> {
    let mut tally = Tally::default();
    let counts = pick(input, query, |record| {
        tally.add(record, field);
        Ok(())
    })?;
    for (value, count) in tally.ranked() {
        writeln!(output, "{count}\t{value}")?;
    }
    Ok(counts)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
