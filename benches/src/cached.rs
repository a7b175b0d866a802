//! The Rust example twice: with an empty cache, then with what that run saved. State on disk, as a user has it.

use crate::sample::{Verdict, median, whole};
use crate::subject::Subject;

const ROUNDS: usize = 3;

pub(crate) fn rust_example(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let source = subject.repository.join("examples/rust-crate");
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let home =
            tempfile::TempDir::with_prefix("croft-bench-").map_err(|error| error.to_string())?;
        let run = || whole(subject.run(&source).env("CROFT_HOME", home.path()));
        cold.push(run()?);
        warm.push(run()?);
    }
    let (cold, warm) = (median(cold), median(warm));
    Ok(vec![Verdict::times(
        "second run of examples/rust-crate, against its first",
        warm,
        cold,
        0.2,
    )])
}
