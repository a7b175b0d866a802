//! Taking times: pairs of programs in turn, medians, ratios, verdicts.

use std::fmt;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What was measured against what, and whether it is good enough.
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) ours: String,
    pub(crate) theirs: String,
    pub(crate) ratio: f64,
    pub(crate) at_most: f64,
    pub(crate) reached: bool,
}

impl Verdict {
    /// Ours may take at most `at_most` times what the peer takes.
    pub(crate) fn times(what: &str, ours: Duration, theirs: Duration, at_most: f64) -> Self {
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        let shown = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1000.0);
        Self {
            what: what.into(),
            ours: shown(ours),
            theirs: shown(theirs),
            ratio,
            at_most,
            reached: ratio <= at_most,
        }
    }

    /// A figure against a fixed limit in the same unit.
    pub(crate) fn limit(what: &str, ours: f64, limit: f64, unit: &str) -> Self {
        Self {
            what: what.into(),
            ours: format!("{ours:.2} {unit}"),
            theirs: format!("{limit} {unit}"),
            ratio: ours / limit,
            at_most: 1.0,
            reached: ours <= limit,
        }
    }

    /// What could not be measured is not reached.
    pub(crate) fn unmeasured(what: &str, reason: &str) -> Self {
        Self {
            what: format!("{what} could not be measured ({reason})"),
            ours: "nothing".into(),
            theirs: "nothing".into(),
            ratio: f64::INFINITY,
            at_most: 1.0,
            reached: false,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.reached { "reached" } else { "MISSED" };
        let Self {
            what,
            ours,
            theirs,
            ratio,
            at_most,
            ..
        } = self;
        write!(
            f,
            "{what}: croft {ours}, against {theirs}: {ratio:.2}x of at most {at_most:.2}x, {verdict}"
        )
    }
}

/// A busy neighbour in another session otherwise takes half of the machine, however nice it is.
pub(crate) fn ask_for_the_machine() {
    // Not everybody may; the figures are then a little noisier.
    std::fs::write("/proc/self/autogroup", "-15").unwrap_or_default();
}

/// The middle value.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Medians of two programs that take turns, after one run of each that does not count.
pub(crate) fn in_turn(
    rounds: usize,
    mut ours: impl FnMut() -> Result<Duration, String>,
    mut theirs: impl FnMut() -> Result<Duration, String>,
) -> Result<(Duration, Duration), String> {
    ours()?;
    theirs()?;
    let mut pair = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        pair.0.push(ours()?);
        pair.1.push(theirs()?);
    }
    Ok((median(pair.0), median(pair.1)))
}

/// From start to end, everything printed thrown away.
pub(crate) fn whole(command: &mut Command) -> Result<Duration, String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let start = Instant::now();
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let time = start.elapsed();
    if output.status.success() {
        return Ok(time);
    }
    Err(format!(
        "{command:?}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// From start until `marker` was printed at a line's end.
pub(crate) fn until_printed(command: &mut Command, marker: &str) -> Result<Duration, String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let mut out = child.stdout.take().ok_or("no output")?;
    let (mut seen, mut buffer) = (String::new(), [0; 4096]);
    let wanted = format!("{marker}\n");
    // The command itself is shown before it runs; its output is a line that is not that one.
    let printed = |seen: &str| {
        seen.lines()
            .any(|line| line.ends_with(marker) && !line.contains('$'))
            && seen.contains(&wanted)
    };
    while !printed(&seen) {
        match out.read(&mut buffer) {
            Ok(0) | Err(_) => return Err(format!("{command:?} never printed {marker}: {seen}")),
            Ok(count) => seen.push_str(&String::from_utf8_lossy(&buffer[..count])),
        }
    }
    let time = start.elapsed();
    std::io::copy(&mut out, &mut std::io::sink()).map_err(|error| error.to_string())?;
    child.wait().map_err(|error| error.to_string())?;
    Ok(time)
}

/// The largest resident memory of the program in bytes, and how long it took.
pub(crate) fn peak_memory(command: &mut Command) -> Result<(u64, Duration), String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let path = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        // The kernel keeps the high-water mark; the last look before the end counts.
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| {
            line.trim()
                .trim_end_matches(" kB")
                .trim()
                .parse::<u64>()
                .ok()
        });
        peak = peak.max(kib.unwrap_or(0) << 10);
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok((peak, start.elapsed())),
            Some(status) => return Err(format!("{command:?}: {status}")),
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}
