//! Output while it is printed: how long from a command's `echo` to a follower's socket, and how many bytes a second arrive whole.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::http::text;
use super::running::Farm;
use super::start::p99;
use crate::sample::Verdict;
use crate::subject::Subject;

const LINES: usize = 200;
const P99_MS_MAX: f64 = 100.0;
const MEBIBYTES: usize = 200;
const MIB_PER_SECOND_MIN: f64 = 50.0;

pub(super) fn output(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let farm = Farm::up(subject, &[])?;
    let lines = format!("for i in $(seq {LINES}); do echo t=$(date +%s%N); sleep 0.02; done");
    farm.project("lines", "sandbox", &[&lines], "")?;
    let flood = format!(
        "yes 0123456789012345678901234567890123456789012345678901234567890 | head -c {}",
        MEBIBYTES << 20
    );
    farm.project("flood", "sandbox", &[&flood], "")?;
    let late = latencies(&farm)?;
    let rate = flooded(&farm)?;
    Ok(vec![
        Verdict::limit(
            "a line printed to a follower, p99",
            p99(late).as_secs_f64() * 1e3,
            P99_MS_MAX,
            "ms",
        ),
        // Seconds for as much as must arrive in one.
        Verdict::limit(
            "seconds for 50 MiB of output at a follower",
            MIB_PER_SECOND_MIN / rate,
            1.0,
            "s",
        ),
    ])
}

fn start(farm: &Farm, project: &str) -> Result<super::http::Client, String> {
    let mut client = farm.client()?;
    let body = serde_json::json!({"projectName": project}).to_string();
    let started = client.granted("POST", "/v1/builds", &body)?;
    let id = started["build"]["id"].as_str().ok_or("no id")?.to_string();
    client.follow(&format!("/v1/builds/{id}/events"))?;
    Ok(client)
}

fn latencies(farm: &Farm) -> Result<Vec<Duration>, String> {
    let mut client = start(farm, "lines")?;
    let (mut times, mut chunk) = (Vec::new(), Vec::new());
    loop {
        chunk.clear();
        if !client.chunk(&mut chunk)? {
            break;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(text)?;
        let seen = String::from_utf8_lossy(&chunk);
        for part in seen.split("\"t=").skip(1) {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            if let Ok(nanos) = digits.parse::<u64>() {
                times.push(now.saturating_sub(Duration::from_nanos(nanos)));
            }
        }
    }
    if times.len() < LINES / 2 {
        return Err(format!("only {} lines came", times.len()));
    }
    Ok(times)
}

fn flooded(farm: &Farm) -> Result<f64, String> {
    let mut client = start(farm, "flood")?;
    let (mut bytes, mut chunk, mut first, mut last) = (0_usize, Vec::new(), None, Instant::now());
    loop {
        chunk.clear();
        if !client.chunk(&mut chunk)? {
            break;
        }
        let came = count(&chunk);
        if came > 0 {
            first.get_or_insert_with(Instant::now);
            last = Instant::now();
        }
        bytes += came;
        if contains(&chunk, b"event: skipped") {
            return Err("output was skipped".into());
        }
    }
    if bytes < (MEBIBYTES << 20) * 60 / 62 {
        return Err(format!("only {bytes} digits of output came"));
    }
    let took = last.duration_since(first.ok_or("no output")?);
    Ok(MEBIBYTES as f64 / took.as_secs_f64())
}

/// Bytes of the flood: its digits, each line's end beside.
fn count(chunk: &[u8]) -> usize {
    let marker = b"\"text\":\"";
    let mut total = 0;
    let mut rest = chunk;
    while let Some(at) = rest
        .windows(marker.len())
        .position(|window| window == marker)
    {
        rest = &rest[at + marker.len()..];
        let end = rest
            .iter()
            .position(|byte| *byte == b'"')
            .unwrap_or(rest.len());
        total += rest[..end]
            .iter()
            .filter(|byte| byte.is_ascii_digit())
            .count();
        rest = &rest[end..];
    }
    total
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
