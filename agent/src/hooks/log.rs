//! What is said in an event: into the deployment's `scripts.log`, on to whoever looks on, and the end of it into the diagnostics.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use croft_proto::Timestamp;
use croft_proto::deploy::{DeploymentId, LifecycleEvent};

use crate::watch::{Said, Stream, Watch};

/// AWS's limit of `logTail`.
const TAIL_BYTES_MAX: usize = 4 << 10;
/// What one deployment may write: a script in an endless loop must not fill a disk. AWS's log files are as large.
const LOG_BYTES_MAX: u64 = 64 << 20;

/// The log of one event.
pub(crate) struct ScriptLog<'a> {
    file: File,
    bytes_left: u64,
    tail: VecDeque<String>,
    tail_bytes: usize,
    watch: &'a dyn Watch,
    clock: fn() -> Timestamp,
}

impl<'a> ScriptLog<'a> {
    /// Goes on with the log at `path`.
    pub(crate) fn open(
        path: &Path,
        watch: &'a dyn Watch,
        clock: fn() -> Timestamp,
    ) -> io::Result<Self> {
        let file = File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let written = file.metadata()?.len();
        Ok(Self {
            file,
            bytes_left: LOG_BYTES_MAX.saturating_sub(written),
            tail: VecDeque::new(),
            tail_bytes: 0,
            watch,
            clock,
        })
    }

    pub(crate) fn event(&mut self, event: LifecycleEvent) {
        self.watch.said(&Said::Event(event));
        self.write(&format!("LifecycleEvent - {event}"));
    }

    pub(super) fn script(&mut self, location: &str, from: &DeploymentId) {
        self.watch.said(&Said::Script { location, from });
        self.write(&format!("Script - {location}"));
        // The tail is the failing script's: those before it have worked.
        self.tail.clear();
        self.tail_bytes = 0;
    }

    pub(crate) fn line(&mut self, stream: Stream, text: &str) {
        self.watch.said(&Said::Line { stream, text });
        let shown = format!("{}{text}", stream.prefix());
        self.write(&shown);
        self.tail_bytes += shown.len() + 1;
        self.tail.push_back(shown);
        while self.tail_bytes > TAIL_BYTES_MAX {
            let Some(first) = self.tail.pop_front() else {
                return;
            };
            self.tail_bytes -= first.len() + 1;
        }
    }

    pub(crate) fn note(&mut self, text: &str) {
        self.watch.said(&Said::Note(text));
        self.write(text);
    }

    /// The last lines that were printed, at most 4 KiB.
    pub(crate) fn tail(&self) -> String {
        let mut text = String::new();
        for line in &self.tail {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// A log that cannot be written stops no deployment.
    fn write(&mut self, text: &str) {
        if self.bytes_left == 0 {
            return;
        }
        let millis = i64::try_from((self.clock)().millis()).unwrap_or_default();
        let time = DateTime::<Utc>::from_timestamp_millis(millis).unwrap_or_default();
        let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut line = format!("{time} {text}\n");
        self.bytes_left = self.bytes_left.saturating_sub(line.len() as u64);
        if self.bytes_left == 0 {
            line = format!("{time} the log is full, and nothing more is kept\n");
        }
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            tracing::warn!(%error, "cannot write a deployment's log");
        }
    }
}

impl std::fmt::Debug for ScriptLog<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScriptLog")
            .field("bytes_left", &self.bytes_left)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Unwatched;

    #[test]
    fn the_tail_is_whole_lines_of_the_last_script_and_no_longer_than_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scripts.log");
        let clock = || Timestamp::from_millis(1_700_000_000_123);
        let mut log = ScriptLog::open(&path, &Unwatched, clock).unwrap();
        log.line(Stream::Stdout, "of the first");
        log.script("scripts/second", &DeploymentId::drawn([0; 9]));
        for number in 0..1000 {
            log.line(Stream::Stderr, &format!("line {number}"));
        }
        let tail = log.tail();
        assert!(tail.len() <= TAIL_BYTES_MAX, "{}", tail.len());
        assert!(tail.starts_with("[stderr]line "), "{tail}");
        assert!(tail.ends_with("[stderr]line 999\n"), "{tail}");
        assert!(!tail.contains("first"), "{tail}");
        let written = std::fs::read_to_string(path).unwrap();
        assert!(
            written.starts_with("2023-11-14T22:13:20.123Z [stdout]of the first\n"),
            "{written}"
        );
        assert!(written.contains(" Script - scripts/second\n"), "{written}");
    }
}
