//! How fast the writer is: `cargo run --release -p croft-exec --example write_speed -- FILE`.
//!
//! Passes 1 GiB in blocks of 64 KiB, five secrets set, through a writer that records to FILE, and prints the time beside
//! that of writing the same blocks to the same file without it. FILE is removed.

#![expect(
    clippy::print_stdout,
    reason = "printing is what a measuring tool does"
)]

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use croft_exec::output::{Chunk, Options, Sink, Writer};
use croft_proto::{Event, Timestamp};

const BLOCK_BYTES: usize = 64 * 1024;
const BLOCKS: usize = (1 << 30) / BLOCK_BYTES;

struct Nobody;

impl Sink for Nobody {
    fn event(&mut self, _event: &Event) {}

    fn output(&mut self, _chunk: &Chunk<'_>) {}
}

fn plainly(path: &Path, block: &[u8]) -> io::Result<Duration> {
    let mut file = File::create(path)?;
    let start = Instant::now();
    for _ in 0..BLOCKS {
        file.write_all(block)?;
    }
    Ok(start.elapsed())
}

fn through_a_writer(path: &Path, block: &[u8]) -> io::Result<Duration> {
    let secrets = (0..5)
        .map(|number| format!("{number}-s3cr3t/value+{number}"))
        .collect();
    let clock = Box::new(Timestamp::default);
    let writer = Writer::create(Options {
        log_path: path.to_owned(),
        sink: Box::new(Nobody),
        clock,
        secrets,
    })
    .map_err(io::Error::other)?;
    let start = Instant::now();
    for _ in 0..BLOCKS {
        writer.output(block);
    }
    writer.finish();
    Ok(start.elapsed())
}

fn main() -> io::Result<()> {
    let path = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .ok_or_else(|| io::Error::other("usage: write_speed FILE"))?;
    let line = "   Compiling serde_json v1.0.140 -- warning: unused variable `x` [123/456]\n";
    let block: Vec<u8> = line.bytes().cycle().take(BLOCK_BYTES).collect();
    for round in 1..=3 {
        let plain = plainly(&path, &block)?;
        std::fs::remove_file(&path)?;
        let writer = through_a_writer(&path, &block)?;
        std::fs::remove_file(&path)?;
        let ratio = writer.as_secs_f64() / plain.as_secs_f64();
        println!("round {round}: plain {plain:.3?}, writer {writer:.3?}, {ratio:.2} times");
    }
    Ok(())
}
