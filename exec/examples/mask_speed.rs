//! How fast the masker is: `cargo run --release -p croft-exec --example mask_speed`.
//!
//! Passes 1 GiB in blocks of 64 KiB through a masker and prints MB/s for several kinds of text, beside a plain search for a
//! line's end over the same bytes, which is about what memory allows.

#![expect(
    clippy::print_stdout,
    reason = "printing is what a measuring tool does"
)]

use std::hint::black_box;
use std::time::Instant;

use croft_exec::mask::Masker;

const BLOCK_BYTES: usize = 64 * 1024;
const TOTAL_BYTES: usize = 1 << 30;

fn secrets(count: usize) -> Vec<String> {
    let plain = [
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a".to_owned(),
        "correct horse \"battery\" staple".to_owned(),
        "postgres://build:hunter2!@db.internal:5432/app".to_owned(),
        "xoxb-2048-4096-QmFzZTY0IGlzIG5vdCBhIHNlY3JldA".to_owned(),
    ];
    plain
        .into_iter()
        .chain((0..).map(|number| format!("{number:x}-generated-token-{number}")))
        .take(count)
        .collect()
}

/// A private key as tools write it: lines of 64 characters that have nothing in common.
fn private_key() -> String {
    let mut state = 1_u64;
    let mut lines = String::from("-----BEGIN PRIVATE KEY-----\n");
    for _ in 0..28 {
        for _ in 0..4 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            lines += &format!("{state:016x}");
        }
        lines.push('\n');
    }
    lines + "-----END PRIVATE KEY-----\n"
}

fn block(pattern: &str) -> Vec<u8> {
    pattern.bytes().cycle().take(BLOCK_BYTES).collect()
}

fn rate(total: usize, mut each: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..total / BLOCK_BYTES {
        each();
    }
    #[expect(clippy::cast_precision_loss, reason = "for people's eyes")]
    let megabytes = total as f64 / 1e6;
    megabytes / start.elapsed().as_secs_f64()
}

fn measure(name: &str, count: usize, text: &str, total: usize) {
    measure_with(secrets(count), name, text, total);
}

fn measure_with(secrets: Vec<String>, name: &str, text: &str, total: usize) {
    let count = secrets.len();
    let mut masker = Masker::new(secrets);
    let block = block(text);
    let mut passed = 0;
    let speed = rate(total, || {
        passed += black_box(masker.mask(black_box(&block))).len()
    });
    println!("{name:<44} {count:>4} secrets {speed:>9.0} MB/s");
}

fn main() {
    let log = "   Compiling serde_json v1.0.140 (/root/.cargo/registry) -- warning: unused variable `x` [123/456]\n";
    let plain = block(log);
    let floor = rate(TOTAL_BYTES, || {
        black_box(memchr::memchr(0, black_box(&plain)));
    });
    println!(
        "{:<44} {:>4}         {floor:>9.0} MB/s",
        "floor: search for one byte", ""
    );
    for count in [0, 1, 5, 14, 20, 30, 50, 80, 500] {
        measure("build log, nothing to mask", count, log, TOTAL_BYTES);
    }
    measure_with(
        vec![private_key()],
        "build log, the secret is a private key",
        log,
        TOTAL_BYTES,
    );
    measure("the letter y", 5, "y\n", TOTAL_BYTES);
    measure(
        "links that begin like a secret",
        5,
        "see postgres://localhost:5432/app for more of the same, and so on\n",
        TOTAL_BYTES / 8,
    );
    measure(
        "a secret on each line",
        5,
        "the key is ghp_16C7e42F292c6912E7710c838347Ae178B4a, do not tell\n",
        TOTAL_BYTES / 8,
    );
    measure(
        "nothing but a secret",
        5,
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        TOTAL_BYTES / 8,
    );
    measure(
        "a line of dashes, one secret begins so",
        5,
        "----------------------------------------\n",
        TOTAL_BYTES / 8,
    );
}
