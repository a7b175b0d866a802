//! One JSON event a line, for tools. Output becomes events of type `output`; `docs/output.md` has the fields.

use std::io::Write;

use croft_exec::output::{Chunk, Sink};
use croft_proto::{Event, EventKind};

use super::out::Out;

/// Writes each event and each piece of output as a line of JSON.
#[derive(Debug)]
pub struct Ndjson<W> {
    out: Out<W>,
}

impl<W: Write + Send> Ndjson<W> {
    /// A rendering to `writer`, flushed after each line.
    pub const fn new(writer: W) -> Self {
        Self {
            out: Out::new(writer),
        }
    }

    fn line(&mut self, event: &Event) {
        match serde_json::to_string(event) {
            Ok(json) => self.out.text(&(json + "\n")),
            // An event is plain data; should one not be writable, the others still are.
            Err(error) => {
                tracing::error!(seq = event.seq, %error, "an event cannot be written as JSON")
            }
        }
        self.out.flush();
    }
}

impl<W: Write + Send> Sink for Ndjson<W> {
    fn event(&mut self, event: &Event) {
        self.line(event);
    }

    fn output(&mut self, chunk: &Chunk<'_>) {
        let text = String::from_utf8_lossy(chunk.bytes).into_owned();
        self.line(&Event {
            seq: chunk.seq,
            time: chunk.time,
            kind: EventKind::Output {
                phase: chunk.phase,
                text,
            },
        });
    }
}

#[cfg(test)]
mod tests;
