//! What can be asked for on the command line. Received from `outside`; handed to `inside` and every row.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// The cache against its peers; each row in one run, in turn, as medians.
#[derive(Clone, Debug, Parser)]
#[command(name = "croft-benches cache")]
pub(crate) struct Options {
    /// Rows to run; without any, all but `smoke`.
    #[arg(value_enum)]
    pub(crate) rows: Vec<RowName>,
    /// A folder to save in place of the corpus made here; it is copied.
    #[arg(long, value_name = "DIR")]
    pub(crate) corpus: Option<PathBuf>,
    /// Build output to make the corpus with, in place of this project's own.
    #[arg(long, value_name = "DIR")]
    pub(crate) build_output: Option<PathBuf>,
    /// Work in the folder for temporary files, and not in memory.
    #[arg(long)]
    pub(crate) on_disk: bool,
    /// Rounds that count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Write the figures there too.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// The S3 server; without it garage from PATH, then the tests' moto.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) garage: Option<PathBuf>,
    /// Measure memory with 10 GiB too. Takes 25 GiB of disk.
    #[arg(long)]
    pub(crate) large: bool,
    /// Seconds that one command may take.
    #[arg(long, default_value_t = 900)]
    limit_s: u64,
    /// The folder of the run. Set by the outer process.
    #[arg(long, hide = true)]
    pub(crate) inside: Option<PathBuf>,
    /// Mounts are possible and private. Set by the outer process.
    #[arg(long, hide = true)]
    pub(crate) may_mount: bool,
}

impl Options {
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.limit_s)
    }

    /// The rows to run, in the table's order.
    pub(crate) fn wanted(&self) -> Vec<RowName> {
        let all = RowName::value_variants().iter().copied();
        all.filter(|row| {
            if self.rows.is_empty() {
                *row != RowName::Smoke
            } else {
                self.rows.contains(row)
            }
        })
        .collect()
    }
}

impl RowName {
    /// As on the command line.
    pub(crate) fn shown(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_string())
    }
}

/// The rows, in the table's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowName {
    /// Make the corpus and say what it is.
    Corpus,
    /// Into an empty store.
    FirstSave,
    /// Again after a small change, found by walking.
    IncrementalWalk,
    /// The same change, known from the upper layer of an overlay.
    IncrementalUpper,
    /// From asking for a tree that this machine has to a folder that can be written.
    RestoreMounted,
    /// All bytes, from a store in the page cache.
    ColdRestore,
    /// Against what the server itself can do.
    S3,
    /// Peak of a save and of a restore.
    Memory,
    /// Twenty versions of this repository with its build output.
    Revisions,
    /// A small corpus through saving and restoring, checked byte by byte.
    Smoke,
}
