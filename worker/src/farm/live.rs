//! A build's output on the bus, and beside its log: every event and every piece of output as a line of JSON, as
//! `croft run -o ndjson` prints them. Called by the one writer of the build; sent by a task of its own, so that the build waits for a
//! slow bus only when a megabyte is waiting.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use croft_bus::{Build, Bus, CHUNK_BYTES_MAX, Chunk as BusChunk};
use croft_exec::output::{Chunk, Pace, Sink};
use croft_proto::{Event, EventKind};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::metrics::Metrics;
use crate::chain;

/// What may wait for the bus before commands wait for it: a sixteenth of a second at the fifty megabytes a second that a
/// follower is promised, and some.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// A piece of output in one line: escaped it is mostly little longer, and at worst six times as long.
const PIECE_BYTES_MAX: usize = 10 << 10;
/// Output that waited for so long goes on without: followers are told that some is missing, the log has it.
const PACE_MAX: Duration = Duration::from_secs(20);

/// What waits to be sent.
#[derive(Debug, Default)]
struct Waiting {
    /// Whole lines.
    lines: BytesMut,
    /// When the oldest of them came.
    since: Option<Instant>,
    is_finished: bool,
    /// Nothing is sent any more: the bus was too slow for too long.
    is_given_up: bool,
}

/// Between the writer and the sending task.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    waiting: Mutex<Waiting>,
    room: Condvar,
    came: Notify,
}

impl Lines {
    /// For the writer: commands' output waits while too much is waiting here.
    pub(crate) fn pace(self: &Arc<Self>) -> Pace {
        let lines = Arc::clone(self);
        Box::new(move || {
            let waiting = lines.lock();
            let has_no_room = |waiting: &mut Waiting| {
                waiting.lines.len() >= WAITING_BYTES_MAX && !waiting.is_given_up
            };
            let (mut waiting, waited) = lines
                .room
                .wait_timeout_while(waiting, PACE_MAX, has_no_room)
                .unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() {
                waiting.is_given_up = true;
                waiting.lines.clear();
            }
        })
    }

    /// Nothing more comes.
    pub(crate) fn finish(&self) {
        self.lock().is_finished = true;
        self.came.notify_one();
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if !waiting.is_given_up {
            waiting.lines.extend_from_slice(line);
            waiting.since.get_or_insert_with(Instant::now);
        }
        drop(waiting);
        self.came.notify_one();
    }

    /// The next chunk, of whole lines, and when its oldest came; waits for it. None after the last.
    async fn next(&self) -> Option<(Bytes, Instant)> {
        loop {
            {
                let mut waiting = self.lock();
                let cut = end_of_lines(&waiting.lines);
                if cut > 0 {
                    let chunk = waiting.lines.split_to(cut).freeze();
                    let now = Instant::now();
                    let since = waiting.since.take().unwrap_or(now);
                    if !waiting.lines.is_empty() {
                        waiting.since = Some(now);
                    }
                    drop(waiting);
                    self.room.notify_all();
                    return Some((chunk, since));
                }
                if waiting.is_finished {
                    return None;
                }
            }
            self.came.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the last line that fits into a chunk ends.
fn end_of_lines(lines: &[u8]) -> usize {
    let fits = &lines[..lines.len().min(CHUNK_BYTES_MAX)];
    fits.iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1)
}

/// Sends what comes until the writer has finished, then the end.
pub(crate) async fn send(
    lines: Arc<Lines>,
    bus: Arc<dyn Bus>,
    build: Build,
    attempt: u32,
    metrics: Metrics,
) {
    let mut first = 0;
    while let Some((bytes, since)) = lines.next().await {
        let length = bytes.len();
        match bus.put(&build, attempt, BusChunk { first, bytes }).await {
            Ok(()) => metrics.sent(length, since.elapsed()),
            // One that is lost leaves a gap, which followers are told of.
            Err(error) => {
                metrics.dropped();
                tracing::debug!(%build, error = %chain(&error), "output did not reach the bus");
            }
        }
        first += 1;
    }
    if lines.lock().is_given_up {
        metrics.dropped();
    }
    if let Err(error) = bus.end(&build, attempt, first).await {
        tracing::debug!(%build, error = %chain(&error), "the end of output did not reach the bus");
    }
}

/// Shows a build to those who follow it, and keeps what it shows.
pub(crate) struct Live {
    lines: Arc<Lines>,
    file: Option<BufWriter<File>>,
    line: Vec<u8>,
}

impl Live {
    pub(crate) fn new(lines: Arc<Lines>, file: File) -> Self {
        Self {
            lines,
            file: Some(BufWriter::new(file)),
            line: Vec::new(),
        }
    }

    fn show(&mut self, event: &Event) {
        self.line.clear();
        if serde_json::to_writer(&mut self.line, event).is_err() {
            return;
        }
        self.line.push(b'\n');
        // A disk that is full does not end a build.
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(&self.line)
        {
            tracing::warn!(%error, "the record of a build's events ends here");
            self.file = None;
        }
        if self.line.len() <= CHUNK_BYTES_MAX {
            self.lines.push(&self.line);
            return;
        }
        let mut event = event.clone();
        shorten(&mut event.kind);
        self.line.clear();
        if serde_json::to_writer(&mut self.line, &event).is_ok()
            && self.line.len() < CHUNK_BYTES_MAX
        {
            self.line.push(b'\n');
            self.lines.push(&self.line);
        }
    }
}

/// Followers do without what is too long for a chunk; the record has it.
fn shorten(kind: &mut EventKind) {
    match kind {
        EventKind::ReportReady { report } => super::settle::without_cases(report),
        EventKind::BuildCompleted { summary, .. } => {
            summary
                .reports
                .iter_mut()
                .for_each(super::settle::without_cases);
        }
        EventKind::CommandStarted { command, .. } => cut(command),
        EventKind::Notice { message, .. } => cut(message),
        EventKind::BuildStarted { .. }
        | EventKind::PhaseStarted { .. }
        | EventKind::PhaseCompleted { .. }
        | EventKind::CommandCompleted { .. }
        | EventKind::Output { .. }
        | EventKind::CacheRestored { .. }
        | EventKind::CacheSaved { .. }
        | EventKind::Retrying { .. } => {}
    }
}

fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(PIECE_BYTES_MAX));
}

impl Sink for Live {
    fn event(&mut self, event: &Event) {
        self.show(event);
    }

    fn output(&mut self, chunk: &Chunk<'_>) {
        let text = String::from_utf8_lossy(chunk.bytes);
        let mut rest: &str = &text;
        while !rest.is_empty() {
            let end = rest.floor_char_boundary(PIECE_BYTES_MAX);
            let (piece, after) = rest.split_at(end);
            self.show(&Event {
                seq: chunk.seq,
                time: chunk.time,
                kind: EventKind::Output {
                    phase: chunk.phase,
                    text: piece.to_string(),
                },
            });
            rest = after;
        }
    }

    fn finish(&mut self) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.flush()
        {
            tracing::warn!(%error, "the record of a build's events is not whole");
        }
        self.lines.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_end_where_lines_do_and_hold_as_many_as_fit() {
        assert_eq!(end_of_lines(b""), 0);
        assert_eq!(end_of_lines(b"abc"), 0);
        assert_eq!(end_of_lines(b"a\nbc"), 2);
        let long = [
            vec![b'a'; CHUNK_BYTES_MAX - 1],
            vec![b'\n'],
            b"b\n".to_vec(),
        ]
        .concat();
        assert_eq!(end_of_lines(&long), CHUNK_BYTES_MAX);
    }

    #[test]
    fn a_piece_of_nothing_but_control_characters_still_fits_a_chunk() {
        let text = "\u{1}".repeat(PIECE_BYTES_MAX);
        let json = serde_json::to_vec(&text).unwrap();
        assert!(json.len() + 1_000 < CHUNK_BYTES_MAX, "{}", json.len());
    }
}
