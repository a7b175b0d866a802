//! Skipping out loud: `scripts/test` reads the file that `CROFT_TEST_SKIPS` names, and fails in CI when there is a line.

use std::fs::OpenOptions;
use std::io::Write;

/// Says that the running test did not test anything, and why.
pub(crate) fn skip(reason: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    eprintln!("SKIPPED {name}: {reason}");
    if let Some(path) = std::env::var_os("CROFT_TEST_SKIPS") {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        writeln!(file, "{name}: {reason}").unwrap();
    }
}
