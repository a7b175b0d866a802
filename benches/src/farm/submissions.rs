//! Submissions from many clients at once, each with a token, each durable before it is answered. Against the disk's own rate of
//! fsyncs, one after another.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use super::http::text;
use super::load::{Asking, all_asked};
use super::running::Farm;
use crate::sample::{Verdict, median};
use crate::subject::Subject;

const CLIENTS: usize = 64;
const EACH: usize = 100;
const ROUNDS: usize = 3;
const FSYNCS: u32 = 1_000;
/// One and a half times the disk's rate.
const SHARE: f64 = 1.0 / 1.5;

pub(super) fn per_second(subject: &Subject) -> Result<Vec<Verdict>, String> {
    // No worker takes them: what is measured is accepting.
    let farm = Farm::up(subject, &["--pool", "other"])?;
    farm.project("bench", "sandbox", &["true"], "")?;
    let tokens = farm.builders(CLIENTS)?;
    let (mut ours, mut disk) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let mine = submissions(&farm, &tokens)?;
        let theirs = fsyncs(&farm)?;
        if round > 0 {
            ours.push(mine);
            disk.push(theirs);
        }
    }
    Ok(vec![Verdict::times(
        "a submission accepted, 64 clients at once; an fsync of the same disk",
        median(ours),
        median(disk),
        SHARE,
    )])
}

fn submissions(farm: &Farm, tokens: &[String]) -> Result<Duration, String> {
    let body = serde_json::json!({"projectName": "bench"}).to_string();
    let clients: Result<Vec<Asking>, String> = tokens
        .iter()
        .map(|token| Asking::posting(&farm.server, token, "/v1/builds", &body, EACH))
        .collect();
    let count = u32::try_from(CLIENTS * EACH).map_err(text)?;
    Ok(all_asked(clients?)? / count)
}

fn fsyncs(farm: &Farm) -> Result<Duration, String> {
    let mut file = File::create(farm.folder().join("fsync")).map_err(text)?;
    let begun = Instant::now();
    for _ in 0..FSYNCS {
        file.write_all(&[7; 256]).map_err(text)?;
        file.sync_data().map_err(text)?;
    }
    Ok(begun.elapsed() / FSYNCS)
}
