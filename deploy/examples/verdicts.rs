//! The benchmark `verdicts` without the rest of the house, so that it compiles in seconds.
//!
//! `cargo run --release -p croft-deploy --example verdicts --features simulation -- [RELEASES] [--further]`

#![expect(clippy::print_stdout, reason = "a table is what it is for")]

use std::process::ExitCode;

use croft_deploy::simulation::report;

fn main() -> ExitCode {
    let mut releases = report::RELEASES;
    let mut further = false;
    for word in std::env::args().skip(1) {
        match word.parse() {
            Ok(count) => releases = count,
            Err(_) if word == "--further" => further = true,
            Err(_) => {
                println!("verdicts [RELEASES] [--further]");
                return ExitCode::from(5);
            }
        }
    }
    let lines = report::table(releases, further);
    let mut reached = true;
    for line in lines {
        match line {
            Ok(line) => {
                println!("{line}");
                reached &= line.reached;
            }
            Err(error) => {
                println!("could not be measured: {error}");
                return ExitCode::from(2);
            }
        }
    }
    if reached {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
