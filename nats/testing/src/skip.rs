//! Tests that need what is not installed are skipped, visibly.

use std::io::Write as _;

/// Says that the running test did not test anything; `scripts/test` reads the file, and fails in CI when there is a line.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {reason}", thread.name().unwrap_or("a test"));
    eprintln!("SKIPPED {line}");
    if let Some(path) = std::env::var_os("CROFT_TEST_SKIPS") {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.append(true).create(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}
