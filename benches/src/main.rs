//! Whole-program measurements of `croft run` against its peers and limits, each pair in the same run, as ratios of medians.
//!
//! `cargo run --release -p croft-benches -- [NAME...]` with `target/release/croft` built before; `CROFT_BIN` names another.
//! What each measures and must reach stands beside it; `cache [ROW...]` is a table of its own. Timings depend on the machine; ratios are what counts.

#![expect(
    clippy::print_stdout,
    reason = "a benchmark's answer is what it prints"
)]

/// How the binary is found and a build started.
mod subject;
/// Taking times.
mod sample;
/// All rows of a benchmark, or one.
mod rows;
/// A build that does nothing, in the sandbox and in a container.
mod noop;
/// A hundred commands.
mod commands;
/// A gibibyte of output.
mod output;
/// The Rust example, cold and cached.
mod cached;
/// The cache against its peers.
mod cache;
/// Blobs over HTTP, against nginx.
mod serve;
/// Durable appends, against the disk and the broker.
mod ledger;
/// Decisions with many builds queued.
mod scheduler;
/// A farm as users have it.
mod farm;
/// Deployments: hosts, and what they cost.
mod deploy;
/// A server's read model, made anew.
mod views;
/// Containers that stand before their build is known.
mod warm;
/// Simulated releases, good and bad.
mod verdicts;

use std::ffi::OsStr;
use std::process::ExitCode;

use sample::Verdict;
use subject::Subject;

/// One benchmark: its name and what runs it.
type Benchmark = (&'static str, fn(&Subject) -> Result<Vec<Verdict>, String>);

const BENCHMARKS: [Benchmark; 9] = [
    ("noop-sandbox", noop::sandbox),
    ("noop-container", noop::container),
    ("commands", commands::hundred),
    ("output", output::gibibyte),
    ("memory", output::ordinary),
    ("cached", cached::rust_example),
    ("serve", serve::against_nginx),
    ("farm", farm::run),
    ("deploy", deploy::run),
];

fn main() -> ExitCode {
    sample::ask_for_the_machine();
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(OsStr::to_str) {
        Some("cache") => return cache::run(&arguments.collect::<Vec<_>>()),
        Some("cache-ours") => return cache::run_ours(&arguments.collect::<Vec<_>>()),
        // Without the binary: it measures a library.
        Some("ledger") => return conclude("ledger", ledger::run()),
        Some("scheduler") => return conclude("scheduler", scheduler::run()),
        Some("views") => return conclude("views", views::run()),
        Some("warm") => return conclude("warm", warm::run()),
        Some("verdicts") => return conclude("verdicts", verdicts::run()),
        _ => {}
    }
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted
        .iter()
        .find(|name| BENCHMARKS.iter().all(|(known, _)| known != name))
    {
        let known: Vec<&str> = BENCHMARKS.iter().map(|(name, _)| *name).collect();
        println!(
            "no benchmark is called {unknown}; there are {}",
            known.join(", ")
        );
        return ExitCode::from(5);
    }
    let subject = match Subject::find() {
        Ok(subject) => subject,
        Err(reason) => {
            println!("{reason}");
            return ExitCode::from(2);
        }
    };
    let mut all_reached = true;
    for (name, run) in BENCHMARKS {
        if !wanted.is_empty() && !wanted.iter().any(|word| word == name) {
            continue;
        }
        all_reached &= show(name, run(&subject));
    }
    exit_code(all_reached)
}

/// Prints what came of a benchmark.
fn show(name: &str, outcome: Result<Vec<Verdict>, String>) -> bool {
    match outcome {
        Ok(verdicts) => {
            for verdict in &verdicts {
                println!("{name:14} {verdict}");
            }
            verdicts.iter().all(|verdict| verdict.reached)
        }
        Err(reason) => {
            println!("{name:14} could not be measured: {reason}");
            false
        }
    }
}

fn conclude(name: &str, outcome: Result<Vec<Verdict>, String>) -> ExitCode {
    exit_code(show(name, outcome))
}

fn exit_code(all_reached: bool) -> ExitCode {
    if all_reached {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
