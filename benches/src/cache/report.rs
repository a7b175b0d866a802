//! The table. Received from the rows; printed as they end, and written as JSON at the end.

use std::path::Path;

use serde::Serialize;

use super::contest::Contest;

const MEBIBYTE: f64 = 1_048_576.0;

/// What a tool took in a row.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Measure {
    pub(crate) row: &'static str,
    pub(crate) tool: String,
    pub(crate) median_ms: f64,
    pub(crate) min_ms: f64,
    pub(crate) max_ms: f64,
    /// Of the median, the call of the library alone.
    pub(crate) inside_ms: Option<f64>,
    pub(crate) stored_bytes: Option<u64>,
    /// A rate, a peak of memory: what the row is about.
    pub(crate) more: String,
}

/// A ratio and what it must be.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Claim {
    pub(crate) row: &'static str,
    pub(crate) what: String,
    pub(crate) ratio: f64,
    pub(crate) at_least: f64,
    pub(crate) reached: bool,
}

/// Everything a run found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Machine, place, corpus, versions, command lines.
    pub(crate) about: Vec<String>,
    pub(crate) measures: Vec<Measure>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) failures: Vec<String>,
    #[serde(skip)]
    printed: usize,
    #[serde(skip)]
    judged: usize,
}

impl Report {
    /// Says something of the run, at once.
    pub(crate) fn about(&mut self, text: String) {
        println!("{text}");
        self.about.push(text);
    }

    pub(crate) fn failed(&mut self, row: &str, reason: &str) {
        println!("{row}: {reason}");
        self.failures.push(format!("{row}: {reason}"));
    }

    pub(crate) fn add(&mut self, row: &'static str, contest: &Contest) {
        for failure in &contest.failures {
            self.failed(row, failure);
        }
        for player in &contest.players {
            let (min_ms, max_ms) = player.range_ms();
            self.measures.push(Measure {
                row,
                tool: player.name.into(),
                median_ms: player.whole_ms().unwrap_or_default(),
                min_ms,
                max_ms,
                inside_ms: player.inside_ms(),
                stored_bytes: player.stored_bytes(),
                more: String::new(),
            });
        }
    }

    /// How many times as long as ours the fastest of theirs takes.
    pub(crate) fn faster(
        &mut self,
        row: &'static str,
        contest: &Contest,
        (ours, theirs): (&str, &[&str]),
        at_least: f64,
    ) {
        let mine = contest.player(ours).and_then(|player| player.whole_ms());
        let best = contest.best_of(theirs);
        let (Some(mine), Some(best)) = (mine, best) else {
            return self.unjudged(row, &format!("{ours} against {}", theirs.join(", ")));
        };
        let named = if theirs.len() > 1 {
            ", the best of the others"
        } else {
            ""
        };
        let what = format!("{ours} against {}{named}", best.name);
        self.claim(
            row,
            what,
            best.whole_ms().unwrap_or_default() / mine,
            at_least,
        );
    }

    pub(crate) fn unjudged(&mut self, row: &'static str, what: &str) {
        self.failed(row, &format!("cannot be judged without figures: {what}"));
    }

    pub(crate) fn claim(&mut self, row: &'static str, what: String, ratio: f64, at_least: f64) {
        self.claims.push(Claim {
            row,
            what,
            ratio,
            at_least,
            reached: ratio >= at_least,
        });
    }

    pub(crate) fn all_reached(&self) -> bool {
        self.failures.is_empty() && self.claims.iter().all(|claim| claim.reached)
    }

    /// What was added since the last time.
    pub(crate) fn print_new(&mut self) {
        let measures = &self.measures[self.printed..];
        if !measures.is_empty() {
            let head = ["row", "tool", "median", "min - max", "call", "stored", ""];
            let mut lines = vec![head.map(String::from)];
            lines.extend(measures.iter().map(cells));
            print_aligned(&lines);
        }
        for claim in &self.claims[self.judged..] {
            let verdict = if claim.reached { "reached" } else { "MISSED" };
            println!(
                "{}: {}: {:.2}x of at least {}x, {verdict}",
                claim.row, claim.what, claim.ratio, claim.at_least
            );
        }
        println!();
        self.printed = self.measures.len();
        self.judged = self.claims.len();
    }

    pub(crate) fn write_json(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        std::fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))
    }
}

fn cells(measure: &Measure) -> [String; 7] {
    let time = |ms: f64| {
        if ms >= 1000.0 {
            format!("{:.2} s", ms / 1000.0)
        } else {
            format!("{ms:.1} ms")
        }
    };
    let timed = measure.max_ms > 0.0;
    [
        measure.row.into(),
        measure.tool.clone(),
        if timed {
            time(measure.median_ms)
        } else {
            String::new()
        },
        if timed {
            format!("{} - {}", time(measure.min_ms), time(measure.max_ms))
        } else {
            String::new()
        },
        measure.inside_ms.map(time).unwrap_or_default(),
        measure.stored_bytes.map(mebibytes).unwrap_or_default(),
        measure.more.clone(),
    ]
}

/// For people.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", exact(bytes) / MEBIBYTE)
}

/// A count of bytes to calculate with.
#[expect(
    clippy::cast_precision_loss,
    reason = "nothing measured here has 2^53 bytes"
)]
pub(crate) fn exact(bytes: u64) -> f64 {
    bytes as f64
}

/// Mebibytes a second.
pub(crate) fn rate(bytes: u64, ms: f64) -> f64 {
    exact(bytes) / MEBIBYTE / (ms / 1000.0)
}

fn print_aligned(lines: &[[String; 7]]) {
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max();
    let widths: Vec<usize> = (0..7).map(|column| width(column).unwrap_or(0)).collect();
    for line in lines {
        let padded = line.iter().zip(&widths).enumerate();
        let text: Vec<String> = padded
            .map(|(column, (cell, &width))| match column {
                0 | 1 | 6 => format!("{cell:width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        println!("{}", text.join("  ").trim_end());
    }
}
