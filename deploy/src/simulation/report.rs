//! The tables in words, line by line as they are measured. Takes how many releases each line is made of; hands lines to the
//! benchmark and to the example `verdicts`.

use std::{fmt, io};

use super::competitors::COMPETITORS;
use super::table::{
    Cell, Row, Tally, bound_upper, clean_cells, detection_rows, further_rows, tally,
};
use super::traffic::{BURST_MS, Falls};

/// Releases of each line that must be reached.
pub const RELEASES: u64 = 10_000;

/// The share of good releases that may be taken back: its bound must be below.
const FALSE_MAX: f64 = 0.001;

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// What was measured.
    pub what: String,
    /// Croft's figures, in words.
    pub croft: String,
    /// Those of the others in the same releases, in words.
    pub others: String,
    /// Croft's figure: seconds at p95, or the bound on false rollbacks in percent.
    pub got: f64,
    /// What it must be at most, in the same unit; nothing where nothing must be reached.
    pub at_most: Option<f64>,
    /// Whether it is good enough.
    pub reached: bool,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: croft {}", self.what, self.croft)?;
        if let Some(at_most) = self.at_most {
            let word = if self.reached { "reached" } else { "MISSED" };
            write!(f, ", must be {at_most}: {word}")?;
        }
        write!(f, "; {}", self.others)
    }
}

/// All lines, each measured when it is asked for. `further` are those that need reach nothing.
pub fn table(releases: u64, further: bool) -> impl Iterator<Item = io::Result<Line>> {
    let rows = detection_rows()
        .into_iter()
        .map(move |row| regression(row, releases));
    let cells = clean_cells()
        .into_iter()
        .map(move |cell| clean(cell, releases, true));
    let more = further_rows()
        .into_iter()
        .filter(move |_| further)
        .map(move |row| regression(row, releases));
    let stranger = stranger_cells()
        .into_iter()
        .filter(move |_| further)
        .map(move |cell| clean(cell, releases, false));
    rows.chain(cells).chain(more).chain(stranger)
}

/// Good releases whose bursts are not as the bursts of the table.
fn stranger_cells() -> Vec<Cell> {
    let bursty = || {
        clean_cells()
            .into_iter()
            .filter(|cell| cell.scenario.errors.burst > 1.0)
    };
    let shared = bursty().map(|cell| cell.with_bursts("shared bursts", Falls::OnAll, BURST_MS));
    let long = bursty().map(|cell| cell.with_bursts("bursts of 20 s", Falls::OnOne, 20_000));
    shared.chain(long).collect()
}

fn threads() -> u64 {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u64::try_from(count).unwrap_or(1)
}

fn regression(row: Row, releases: u64) -> io::Result<Line> {
    let tally = tally(&row.scenario, releases, threads())?;
    let shown = |sorted: &[u64]| {
        let quantile = |of_thousand| {
            let seconds = tally.quantile_seconds(sorted, of_thousand);
            seconds.map_or_else(|| "never".to_owned(), |seconds| seconds.to_string())
        };
        format!("{}/{}", quantile(500), quantile(950))
    };
    let p95 = tally.quantile_seconds(&tally.croft, 950);
    let reached = row
        .p95_seconds
        .is_none_or(|most| p95.is_some_and(|p95| p95 <= most));
    Ok(Line {
        what: row.name.to_owned(),
        croft: format!("p50/p95 {} s", shown(&tally.croft)),
        others: others(&tally, shown),
        got: p95.map_or(f64::INFINITY, |seconds| seconds as f64),
        at_most: row.p95_seconds.map(|most| most as f64),
        reached,
    })
}

fn clean(cell: Cell, releases: u64, must: bool) -> io::Result<Line> {
    let tally = tally(&cell.scenario, releases, threads())?;
    let found = u64::try_from(tally.croft.len()).unwrap_or(u64::MAX);
    let bound = bound_upper(found, releases);
    let reached = !must || bound <= FALSE_MAX;
    let share = |sorted: &[u64]| format!("{:.2}%", sorted.len() as f64 * 100.0 / releases as f64);
    let percent = bound * 100.0;
    let by = by(&tally);
    Ok(Line {
        what: format!(
            "good releases, {} requests/s, {}",
            cell.scenario.rps, cell.errors
        ),
        croft: format!("took back {found} of {releases}{by}, at most {percent:.3}%"),
        others: others(&tally, share),
        got: percent,
        at_most: must.then_some(FALSE_MAX * 100.0),
        reached,
    })
}

/// Who took good releases back.
fn by(tally: &Tally) -> String {
    let each = tally.triggers.iter();
    let each: Vec<String> = each
        .map(|(trigger, times)| format!("{} {times}", trigger.word()))
        .collect();
    if each.is_empty() {
        String::new()
    } else {
        format!(" ({})", each.join(", "))
    }
}

fn others(tally: &Tally, shown: impl Fn(&[u64]) -> String) -> String {
    let each = COMPETITORS.iter().zip(&tally.others);
    let each: Vec<String> = each
        .map(|(name, sorted)| format!("{name} {}", shown(sorted)))
        .collect();
    each.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_measured_and_what_must_be() {
        let line = regression(detection_rows()[0], 20).unwrap();
        let text = line.to_string();
        assert!(text.contains("must be 30: reached"), "{text}");
        assert!(text.contains("Flagger 60s/10 660/660"), "{text}");
        assert!(line.reached && line.got <= 30.0);
    }

    #[test]
    fn so_few_good_releases_prove_nothing_and_the_line_says_so() {
        let line = clean(clean_cells()[0], 20, true).unwrap();
        let text = line.to_string();
        assert!(text.contains("took back 0 of 20"), "{text}");
        assert!(text.contains("MISSED") && line.got > 10.0, "{text}");
    }
}
