//! A gibibyte of output in blocks of 64 KiB with five secrets to mask, against the same command into `tee`; and how much
//! memory Croft takes meanwhile, and in an ordinary build.

use std::io::Write;
use std::process::Command;

use crate::sample::{Verdict, in_turn, peak_memory, whole};
use crate::subject::Subject;

const ROUNDS: usize = 5;
const BLOCK_BYTES: usize = 64 << 10;
/// The file is printed so often that a gibibyte comes together.
const FILE_BYTES: usize = 64 << 20;
const REPEATS: usize = (1 << 30) / FILE_BYTES;
const MEBIBYTE: f64 = 1_048_576.0;

pub(crate) fn gibibyte(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let script = format!(
        "i=0; while [ $i -lt {REPEATS} ]; do dd if=big bs={BLOCK_BYTES} status=none; i=$((i+1)); done"
    );
    let source = subject.source("output", &[&format!("|\n        {script}")])?;
    write_lines(&source.join("big")).map_err(|error| error.to_string())?;
    let secrets = subject.folder("secrets.json");
    let values: serde_json::Map<_, _> = (1..=5)
        .map(|n| {
            (
                format!("s{n}"),
                format!("S3cret-value/{n}+with=chars").into(),
            )
        })
        .collect();
    std::fs::write(&secrets, serde_json::Value::Object(values).to_string())
        .map_err(|error| error.to_string())?;
    let ours = || {
        let mut command = subject.run(&source);
        command.arg("--secret-file").arg(&secrets);
        command
    };
    let theirs = || {
        let file = subject.folder("tee.log");
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("({script}) | tee {} > /dev/null", file.display()))
            .current_dir(&source);
        command
    };
    // Each run writes into memory that was freed before it, on both sides: pages that nobody had used cost more than the work.
    let (time, peer) = in_turn(
        ROUNDS,
        || {
            forget(&subject.folder("home/builds"))?;
            whole(&mut ours())
        },
        || {
            forget(&subject.folder("tee.log"))?;
            whole(&mut theirs())
        },
    )?;
    let (peak, _) = peak_memory(&mut ours())?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "memory of a program stays below 2^53 bytes"
    )]
    let peak = peak as f64 / MEBIBYTE;
    Ok(vec![
        Verdict::times(
            "1 GiB of output, masked and recorded, against tee",
            time,
            peer,
            2.0,
        ),
        Verdict::limit("resident memory meanwhile", peak, 60.0, "MiB"),
    ])
}

/// What the last run wrote.
fn forget(path: &std::path::Path) -> Result<(), String> {
    let removed = if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Log lines of different lengths, none of them a secret.
fn write_lines(path: &std::path::Path) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut written = 0;
    let mut number = 0_u32;
    while written < FILE_BYTES {
        let line = format!(
            "[{number:08}] compiling module_{} with -O2 -Wall {}\n",
            number % 977,
            "x".repeat(number as usize % 60)
        );
        file.write_all(line.as_bytes())?;
        written += line.len();
        number += 1;
    }
    file.flush()
}

pub(crate) fn ordinary(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let source = subject.repository.join("examples/c-library");
    let (peak, _) = peak_memory(&mut subject.run(&source))?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "memory of a program stays below 2^53 bytes"
    )]
    let peak = peak as f64 / MEBIBYTE;
    Ok(vec![Verdict::limit(
        "resident memory in an ordinary build (examples/c-library)",
        peak,
        30.0,
        "MiB",
    )])
}
