//! The inner process: prepares, runs the rows, reports. Received from `outside`, whose folder and namespaces it works in.

use std::process::{Command, ExitCode, Stdio};

use super::options::{Options, RowName};
use super::place::Place;
use super::report::Report;
use super::rows::{self, Setting};
use super::tool::Tool;
use super::{corpus, limited};

pub(crate) fn run(options: &Options) -> ExitCode {
    let mut report = Report::default();
    let ran = run_rows(options, &mut report);
    if let Err(reason) = &ran {
        println!("{reason}");
    }
    if let Some(path) = &options.json
        && let Err(reason) = report.write_json(path)
    {
        println!("{reason}");
        return ExitCode::from(2);
    }
    if ran.is_err() {
        ExitCode::from(2)
    } else if report.all_reached() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_rows(options: &Options, report: &mut Report) -> Result<(), String> {
    let folder = options.inside.as_deref().ok_or("no folder to work in")?;
    let wanted = options.wanted();
    let smoke_only = wanted == [RowName::Smoke];
    let place = Place::prepare(folder, options)?;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    report.about(format!(
        "{} {}, {cores} cores, in {}; {} rounds",
        std::env::consts::OS,
        said_by("uname", "-r"),
        place.kind,
        if smoke_only { 1 } else { options.rounds },
    ));
    let tools = present(report, smoke_only);
    let ordinary = Setting::new(options, &place, &tools, corpus::ORDINARY);
    let small = Setting::new(options, &place, &tools, corpus::SMALL);
    for row in wanted {
        let setting = if row == RowName::Smoke {
            &small
        } else {
            &ordinary
        };
        rows::run(row, setting, report);
        report.print_new();
    }
    Ok(())
}

/// The tools that are there, each said with its version and command lines.
fn present(report: &mut Report, smoke_only: bool) -> Vec<Tool> {
    let mut tools = Vec::new();
    for tool in Tool::ALL {
        match tool.version() {
            Ok(version) => {
                report.about(format!("{}: {version}", tool.name()));
                for line in tool.explained() {
                    report.about(format!("    {line}"));
                }
                tools.push(tool);
            }
            Err(reason) if smoke_only => report.about(format!("{}: {reason}", tool.name())),
            Err(reason) => report.failed(tool.name(), &reason),
        }
    }
    println!();
    tools
}

fn said_by(program: &str, argument: &str) -> String {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null());
    let said = limited::run(&mut command, std::time::Duration::from_secs(10));
    said.map_or_else(|_| "unknown".into(), |ran| ran.printed.trim().to_string())
}
