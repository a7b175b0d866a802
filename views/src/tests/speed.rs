use std::time::Instant;

use super::*;

const BUILDS: u64 = 60_000;
const CHUNK: usize = 1024;

fn line(word: &str, bytes: usize) -> String {
    word.repeat(bytes / word.len())
}

/// Submission, claim, outcome of each build, a hundred at once; every third is not over.
fn history() -> Vec<Entry> {
    let mut events = Vec::new();
    for first in (0..BUILDS).step_by(100) {
        let batch = first..first + 100;
        for number in batch.clone() {
            let mut event = submitted(&format!("project-{}", number % 100), number / 100 + 1);
            event["request"]["source"]["buildspec"] =
                line("phases: build: commands: - make\n", 1000).into();
            events.push((format!("build.{}", id(number)), event));
        }
        for number in batch.clone() {
            events.push((format!("build.{}", id(number)), started(1)));
        }
        for number in batch.filter(|number| number % 3 != 0) {
            let mut build = finished("SUCCEEDED", &[]);
            build["build"]["phases"][0]["contexts"][0]["message"] =
                line("exit status 0. ", 1900).into();
            let event = settled(1, "SUCCEEDED", "worker", Some(build));
            events.push((format!("build.{}", id(number)), event));
        }
    }
    numbered(&events)
}

/// `cargo test --release -p croft-views -- --ignored --nocapture replay`
#[test]
#[ignore = "takes the machine for itself"]
fn a_hundred_thousand_events_are_replayed_in_a_second() {
    let entries = history();
    let bytes: usize = entries
        .iter()
        .filter_map(Entry::event)
        .map(Bytes::len)
        .sum();
    let folder = tempfile::tempdir().unwrap();
    let views = Views::open(&folder.path().join("views.db")).unwrap();
    let begun = Instant::now();
    for chunk in entries.chunks(CHUNK) {
        views.apply(chunk).unwrap();
    }
    let seconds = begun.elapsed().as_secs_f64();
    let rate = entries.len() as f64 / seconds;
    eprintln!(
        "{} events of {} bytes on average in {seconds:.2} s: {rate:.0} a second",
        entries.len(),
        bytes / entries.len()
    );
    assert!(rate >= 100_000.0, "{rate:.0} events a second");
}
