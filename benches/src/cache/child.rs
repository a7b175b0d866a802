//! Croft's side, in a process of its own like each peer's: `croft-benches cache-ours VERB ...`. Received from `main`; does
//! one thing once and prints what it took as JSON, which `contest` reads.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::ours::{self, Done, Upper};
use super::place::Overlay;

/// What a child prints.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Printed {
    /// Milliseconds from before the store was opened until the call returned.
    pub(crate) ms: f64,
    /// The largest resident memory of the process.
    pub(crate) peak_bytes: u64,
    pub(crate) files: u64,
    pub(crate) size_bytes: u64,
    pub(crate) stored_bytes: u64,
    /// For a live tree: where it is, and which.
    pub(crate) live: Option<(PathBuf, String)>,
}

impl Printed {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))
    }

    fn done(done: &Done) -> Self {
        Self {
            ms: milliseconds(done.took),
            files: done.files,
            size_bytes: done.size_bytes,
            stored_bytes: done.stored_bytes,
            ..Self::default()
        }
    }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

pub(crate) fn run_ours(arguments: &[OsString]) -> ExitCode {
    let printed = act(arguments).and_then(|mut printed| {
        printed.peak_bytes = peak_bytes()?;
        serde_json::to_string(&printed).map_err(|error| error.to_string())
    });
    match printed {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn act(arguments: &[OsString]) -> Result<Printed, String> {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let done = match words[..] {
        ["save", store, tree, key] => ours::save(Path::new(store), Path::new(tree), key)?,
        ["restore", store, into, key] => ours::restore(Path::new(store), Path::new(into), key)?,
        ["save-upper", store, merged, layer, tree, key] => {
            let upper = Upper {
                merged: Path::new(merged),
                layer: Path::new(layer),
                tree,
            };
            ours::save_upper(Path::new(store), &upper, key)?
        }
        ["live", store, key] => return live(Path::new(store), key),
        ["mounted", store, folder, key] => {
            return mounted(Path::new(store), Path::new(folder), key);
        }
        ["save-s3", place, near, tree, key] => {
            ours::save_remote(place, Path::new(near), Path::new(tree), key)?
        }
        ["restore-s3", place, near, into, key] => {
            ours::restore_remote(place, Path::new(near), Path::new(into), key)?
        }
        _ => return Err(format!("cache-ours does not know {words:?}")),
    };
    Ok(Printed::done(&done))
}

fn live(store: &Path, key: &str) -> Result<Printed, String> {
    let start = Instant::now();
    let ready = ours::materialise(store, key)?;
    Ok(Printed {
        ms: milliseconds(start.elapsed()),
        live: Some((ready.folder, ready.tree)),
        ..Printed::default()
    })
}

/// From asking the store for a key until a file was written into the mounted tree.
fn mounted(store: &Path, folder: &Path, key: &str) -> Result<Printed, String> {
    let start = Instant::now();
    let ready = ours::materialise(store, key)?;
    let overlay = Overlay::mount(&ready.folder, folder)?;
    std::fs::write(overlay.merged.join("written-at-once"), "x")
        .map_err(|error| error.to_string())?;
    let took = start.elapsed();
    drop(overlay);
    drop(ready.held);
    Ok(Printed {
        ms: milliseconds(took),
        ..Printed::default()
    })
}

/// The high-water mark that the kernel keeps.
fn peak_bytes() -> Result<u64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| {
        line.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<u64>()
            .ok()
    });
    kib.map(|kib| kib << 10)
        .ok_or_else(|| "the kernel does not say how much memory was used".into())
}
