//! The one writer. Receives events from the engine and bytes from the runtime, on any thread; gives them, masked, numbered and
//! in one order, to the log file and to a [`Sink`].

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use croft_proto::{Build, Event, EventKind, NoticeLevel, PhaseType, Report, Summary, Timestamp};

use super::characters::Unfinished;
use super::log::Log;
use super::tail::Tail;
use super::{Chunk, Sink, hide, words};
use crate::mask::Masker;

/// Output that may be the beginning of a secret is held for so long after the last byte. The reader of a command's output
/// keeps this time and calls [`Writer::idle`].
pub const HOLD_MS_MAX: u64 = 50;

/// Output is passed on in chunks of at most so many bytes: what a pipe holds.
pub const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// Lines kept of the command that runs.
pub const LAST_LINES_MAX: usize = 20;

/// Tells the time.
pub type Clock = Box<dyn Fn() -> Timestamp + Send>;

/// What a writer is made of.
pub struct Options {
    /// Where the log is written; its folder exists.
    pub log_path: PathBuf,
    /// Who shows the build.
    pub sink: Box<dyn Sink>,
    /// Tells the time.
    pub clock: Clock,
    /// Values to be masked; more can be added.
    pub secrets: Vec<String>,
}

/// Why a writer could not be made.
#[derive(Debug, thiserror::Error)]
#[error("create the build log {}", path.display())]
pub struct Error {
    /// Where the log should have been.
    pub path: PathBuf,
    /// What the system says.
    #[source]
    pub source: io::Error,
}

/// The one writer of a build.
pub struct Writer {
    inner: Mutex<Inner>,
    pace: Option<Pace>,
}

/// Waits until more output can be taken.
pub type Pace = Box<dyn Fn() + Send + Sync>;

struct Inner {
    masker: Masker,
    /// What the masker gave when it was flushed; kept for its memory.
    flushed: Vec<u8>,
    lane: Lane,
}

impl Writer {
    /// A writer whose log file was created, or emptied.
    ///
    /// # Errors
    /// The log file cannot be created; its path's owner can mend that.
    pub fn create(options: Options) -> Result<Self, Error> {
        let Options {
            log_path,
            sink,
            clock,
            secrets,
        } = options;
        let log = Log::create(&log_path).map_err(|source| Error {
            path: log_path.clone(),
            source,
        })?;
        let lane = Lane {
            log,
            log_path,
            sink,
            clock,
            seq: 0,
            phase: PhaseType::Submitted,
            command: String::new(),
            tail: Tail::new(LAST_LINES_MAX),
            unfinished: Unfinished::default(),
            joined: Vec::new(),
        };
        Ok(Self {
            inner: Mutex::new(Inner {
                masker: Masker::new(secrets),
                flushed: Vec::new(),
                lane,
            }),
            pace: None,
        })
    }

    /// Lets whoever hands over commands' output wait first: where it goes may be slower than where it comes from. The engine's
    /// own events never wait.
    #[must_use]
    pub fn paced_by(mut self, pace: Pace) -> Self {
        self.pace = Some(pace);
        self
    }

    /// Says that something happened. Output that was held goes first; texts are masked.
    pub fn emit(&self, mut kind: EventKind) {
        let mut inner = self.lock();
        if let EventKind::Output { text, .. } = &kind {
            return inner.output(text.as_bytes());
        }
        inner.flush();
        hide::event(&inner.masker, &mut kind);
        inner.lane.event(kind);
    }

    /// Takes what commands wrote, in pieces of any size.
    pub fn output(&self, bytes: &[u8]) {
        // Without the lock: events go on.
        if let Some(pace) = &self.pace {
            pace();
        }
        self.lock().output(bytes);
    }

    /// True when some output is held; the reader then calls [`Writer::idle`] after [`HOLD_MS_MAX`] without data.
    #[must_use]
    pub fn holds(&self) -> bool {
        let inner = self.lock();
        inner.masker.hold() > 0 || !inner.lane.unfinished.is_empty()
    }

    /// Passes on what is held: no data came for [`HOLD_MS_MAX`].
    pub fn idle(&self) {
        let mut inner = self.lock();
        inner.flush();
        inner.lane.flush_log();
        inner.lane.tick();
    }

    /// Lets the rendering show that time passes.
    pub fn tick(&self) {
        self.lock().lane.tick();
    }

    /// Masks this value too, from now on.
    pub fn add_secret(&self, value: &str) {
        self.lock().masker.add(value);
    }

    /// Masks a report as its event is masked, for what is kept of it.
    pub fn mask_report(&self, report: &mut Report) {
        hide::report(&self.lock().masker, report);
    }

    /// Masks a build and its summary as their event is masked, for what is kept of them.
    pub fn mask_outcome(&self, build: &mut Build, summary: &mut Summary) {
        let inner = self.lock();
        hide::build(&inner.masker, build);
        hide::summary(&inner.masker, summary);
    }

    /// The last lines of the command that runs or ran last, masked: at most `count` and at most [`LAST_LINES_MAX`].
    ///
    /// What is held for masking is passed on first, so that no line is missing.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let mut inner = self.lock();
        inner.flush();
        inner.lane.tail.lines(count)
    }

    /// Ends the output: what is held is passed on, the log is handed to the system, the rendering told.
    pub fn finish(&self) {
        let mut inner = self.lock();
        inner.flush();
        inner.lane.flush_log();
        inner.lane.sink.finish();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked in a rendering must not take the build's log with it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("log_path", &self.log_path)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn output(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(CHUNK_BYTES_MAX) {
            self.lane.text(self.masker.mask(piece));
        }
    }

    /// Passes on all that is held.
    fn flush(&mut self) {
        self.flushed.clear();
        self.masker.flush(&mut self.flushed);
        self.lane.text(&self.flushed);
        let unfinished = self.lane.unfinished.take();
        self.lane.chunk(&unfinished);
    }
}

/// What lies behind the masker.
struct Lane {
    log: Log,
    log_path: PathBuf,
    sink: Box<dyn Sink>,
    clock: Clock,
    /// The number given last.
    seq: u64,
    phase: PhaseType,
    /// The text of the command started last.
    command: String,
    tail: Tail,
    unfinished: Unfinished,
    /// An unfinished character and what came after it; kept for its memory.
    joined: Vec<u8>,
}

impl Lane {
    /// Passes on masked output, as far as its characters are whole.
    fn text(&mut self, bytes: &[u8]) {
        let mut joined = std::mem::take(&mut self.joined);
        let complete = self.unfinished.complete(bytes, &mut joined);
        self.chunk(complete);
        self.joined = joined;
    }

    /// Records, numbers and forwards these bytes.
    fn chunk(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let written = self.log.output(bytes);
        self.report(written);
        self.tail.push(bytes);
        let (seq, time) = (self.number(), (self.clock)());
        self.sink.output(&Chunk {
            seq,
            time,
            phase: self.phase,
            bytes,
        });
    }

    /// Records, numbers and forwards this event.
    fn event(&mut self, kind: EventKind) {
        let time = (self.clock)();
        let recorded = self.record(time, &kind);
        self.report(recorded);
        if let EventKind::PhaseStarted { phase, .. } = &kind {
            self.phase = *phase;
        }
        if let EventKind::CommandStarted { command, .. } = &kind {
            self.command.clone_from(command);
            self.tail.clear();
        }
        let event = Event {
            seq: self.number(),
            time,
            kind,
        };
        self.sink.event(&event);
    }

    fn record(&mut self, time: Timestamp, kind: &EventKind) -> io::Result<()> {
        if matches!(kind, EventKind::CommandCompleted { .. }) {
            self.log.gap()?;
        }
        self.log.lines(time, &words::lines(kind, &self.command))?;
        self.log.flush()
    }

    fn flush_log(&mut self) {
        let flushed = self.log.flush();
        self.report(flushed);
    }

    /// Turns the log's first failure into a warning; there is no second one.
    fn report(&mut self, result: io::Result<()>) {
        let Err(error) = result else { return };
        let path = self.log_path.display();
        let message = format!("the build goes on, but its log {path} ends here: {error}");
        tracing::warn!(path = %path, %error, "the build log cannot be written");
        let kind = EventKind::Notice {
            level: NoticeLevel::Warning,
            message,
        };
        let event = Event {
            seq: self.number(),
            time: (self.clock)(),
            kind,
        };
        self.sink.event(&event);
    }

    fn tick(&mut self) {
        let now = (self.clock)();
        self.sink.tick(now);
    }

    const fn number(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }
}

#[cfg(test)]
mod tests;
