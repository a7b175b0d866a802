//! Picks lines and fields out of logs written as JSON lines.
//!
//! A [`Query`] says which records to keep; [`pick`] reads lines and hands each record kept to the caller.

mod query;
mod record;

pub use query::{Condition, ParseConditionError, Query};
pub use record::{Counts, Record, Tally, lookup};

use std::io::{self, BufRead};

/// Reads `input` line by line and gives every record that `query` keeps to `each`.
///
/// Empty lines are skipped. A line that is no JSON object is counted and passed over: one broken line must not hide the
/// rest of a log.
///
/// # Errors
/// What reading `input` or `each` reports.
pub fn pick<R, F>(input: R, query: &Query, mut each: F) -> io::Result<Counts>
where
    R: BufRead,
    F: FnMut(&Record) -> io::Result<()>,
{
    let mut counts = Counts::default();
    for line in input.split(b'\n') {
        let line = line?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        counts.read += 1;
        match Record::parse(&line) {
            Some(record) if query.keeps(&record) => {
                counts.kept += 1;
                each(&record)?;
            }
            Some(_) => {}
            None => counts.broken += 1,
        }
    }
    Ok(counts)
}
