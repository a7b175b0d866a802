//! What scripts print, until the farm has it: bounded, so that a farm that is slow or away costs a host nothing. Filled by events as they
//! run, emptied by whoever sends it. When it is full the oldest goes, and the next piece says how much that was.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use croft_proto::Timestamp;
use croft_proto::deploy::{
    DeploymentId, HostCommand, HostOutput, OUTPUT_BYTES_MAX, OutputLine, OutputStream, PrintedUntil,
};
use tokio::sync::Notify;

use crate::watch::{Said, Stream, Watch};

/// What waits at most, of all events of a host: three pieces, which four calls a second carry in less than an event waits at its end, so that
/// the last lines of a script that prints too much are seen.
const WAITING_BYTES_MAX: usize = 128 << 10;
/// What a line costs beyond its bytes in JSON.
const OVERHEAD_BYTES: usize = 64;
/// What a piece has beside its lines.
const HEAD_BYTES_MAX: usize = 1 << 10;
/// A longer line is cut: escaped, it is at most six times as long, and fits a piece. Scripts' own lines are no longer.
const TEXT_BYTES_MAX: usize = 8 << 10;
/// The same of a script's name.
const NAME_BYTES_MAX: usize = 1 << 9;
/// Deployments whose bytes are counted: far more than a host has at once.
const COUNTED_MAX: usize = 64;
const _: () =
    assert!(6 * (TEXT_BYTES_MAX + NAME_BYTES_MAX) + 2 * HEAD_BYTES_MAX <= OUTPUT_BYTES_MAX);

/// What waits to be sent.
#[derive(Debug, Default)]
pub struct Spool {
    waiting: Mutex<Waiting>,
    /// Something came, or is to go sooner.
    came: Notify,
    /// Something went.
    went: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    of: BTreeMap<u64, Event>,
    /// What was taken or left out of each deployment, whichever event it was of: whoever lacks some sees it by the next piece.
    counted: VecDeque<(DeploymentId, Count)>,
    bytes: usize,
    /// The event that was named last.
    last: u64,
    /// The one whose turn it was.
    turn: u64,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    begun_ms: u64,
    bytes: u64,
}

/// What one event has printed.
#[derive(Debug)]
struct Event {
    /// The next piece, without its lines.
    head: HostOutput,
    /// Bytes that were left out and not counted yet.
    uncounted: u64,
    lines: VecDeque<Line>,
    bytes: usize,
    /// A piece of it has been taken, and nobody has said yet what became of it.
    is_on_its_way: bool,
    /// Somebody waits for the last of it.
    is_hurried: bool,
    is_over: bool,
}

#[derive(Debug)]
struct Line {
    line: OutputLine,
    script: Arc<str>,
    /// In JSON, and what it costs to keep.
    size_bytes: usize,
}

/// A piece that was taken: whoever has it says what became of it.
#[derive(Debug)]
pub struct Piece {
    event: u64,
    /// The piece.
    pub output: HostOutput,
}

impl Spool {
    /// Who looks on while the command's event runs.
    pub fn watch(self: &Arc<Self>, command: &HostCommand, begun: Timestamp) -> Spooling {
        let head = HostOutput {
            deployment_id: command.deployment_id.clone(),
            generation: command.generation,
            event: command.event,
            begun_ms: begun.millis(),
            from: 0,
            left_out: 0,
            lines: Vec::new(),
        };
        let mut waiting = self.lock();
        waiting.last += 1;
        let id = waiting.last;
        waiting.count(&head);
        waiting.of.insert(id, Event::new(head));
        drop(waiting);
        Spooling {
            spool: Arc::clone(self),
            event: id,
            script: Mutex::new(Arc::from("")),
        }
    }

    /// Waits until there is something to be sent.
    pub async fn filled(&self) {
        while !self.lock().of.values().any(Event::is_filled) {
            self.came.notified().await;
        }
    }

    /// Waits until somebody waits for what is to be sent.
    pub async fn hurried(&self) {
        while !self.is_hurried() {
            self.came.notified().await;
        }
    }

    fn is_hurried(&self) -> bool {
        let waiting = self.lock();
        let mut filled = waiting.of.values().filter(|event| event.is_filled());
        filled.any(|event| event.is_hurried)
    }

    /// The next piece, of each event in turn; none when nothing waits.
    pub fn take(&self) -> Option<Piece> {
        let mut waiting = self.lock();
        let turn = waiting.turn;
        let after = waiting.of.range(turn + 1..);
        let mut all = after.chain(waiting.of.range(..=turn));
        let next = all
            .find(|(_, event)| event.is_filled())
            .map(|(id, _)| *id)?;
        waiting.turn = next;
        let event = waiting.of.get_mut(&next)?;
        let before = event.bytes;
        let mut output = event.take();
        let left_out = std::mem::take(&mut event.uncounted);
        waiting.bytes -= before - event.bytes;
        let count = waiting.count(&output);
        output.begun_ms = count.begun_ms;
        output.from = count.bytes + left_out;
        count.bytes = output.from + output.bytes();
        Some(Piece {
            event: next,
            output,
        })
    }

    /// The farm has the piece.
    pub fn sent(&self, piece: &Piece) {
        self.settle(piece, |_| {});
    }

    /// The farm will not have it.
    pub fn left_out(&self, piece: &Piece) {
        let output = &piece.output;
        self.settle(piece, |event| {
            event.head.left_out += output.left_out + output.bytes();
        });
    }

    fn settle(&self, piece: &Piece, note: impl FnOnce(&mut Event)) {
        let mut waiting = self.lock();
        if let Some(event) = waiting.of.get_mut(&piece.event) {
            event.is_on_its_way = false;
            note(event);
        }
        waiting.forget(piece.event);
        drop(waiting);
        self.went.notify_waiters();
    }

    fn push(&self, id: u64, line: Line) {
        let mut waiting = self.lock();
        waiting.bytes += line.size_bytes;
        if let Some(event) = waiting.of.get_mut(&id) {
            event.bytes += line.size_bytes;
            event.lines.push_back(line);
        }
        while waiting.bytes > WAITING_BYTES_MAX && waiting.drop_oldest() {}
        drop(waiting);
        self.came.notify_one();
    }

    /// Until nothing of an event waits or is on its way.
    async fn emptied(&self, id: u64) {
        loop {
            let mut went = std::pin::pin!(self.went.notified());
            // What goes from here on is noticed.
            went.as_mut().enable();
            if self.lock().of.get(&id).is_none_or(Event::is_empty) {
                return;
            }
            went.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Lets go of the oldest line of whoever has most: who prints little keeps what it has. False when there is none.
    fn drop_oldest(&mut self) -> bool {
        let largest = self.of.values_mut().max_by_key(|event| event.bytes);
        let Some(event) = largest else {
            return false;
        };
        let Some(line) = event.lines.pop_front() else {
            return false;
        };
        event.bytes -= line.size_bytes;
        event.uncounted += line.line.bytes();
        event.head.left_out += line.line.bytes();
        self.bytes -= line.size_bytes;
        true
    }

    /// An event that is over, and of which nothing waits, leaves nothing behind.
    fn forget(&mut self, id: u64) {
        let is_gone = |event: &Event| event.is_over && event.is_empty();
        if self.of.get(&id).is_some_and(is_gone)
            && let Some(event) = self.of.remove(&id)
        {
            self.count(&event.head).bytes += event.uncounted;
        }
    }

    /// What was counted of a piece's deployment.
    fn count(&mut self, head: &HostOutput) -> &mut Count {
        let id = &head.deployment_id;
        let known = self.counted.iter().position(|(known, _)| known == id);
        let at = known.unwrap_or_else(|| {
            if self.counted.len() >= COUNTED_MAX {
                self.counted.pop_front();
            }
            let begun_ms = head.begun_ms;
            let count = Count { begun_ms, bytes: 0 };
            self.counted.push_back((id.clone(), count));
            self.counted.len() - 1
        });
        &mut self.counted[at].1
    }
}

impl Event {
    const fn new(head: HostOutput) -> Self {
        Self {
            head,
            uncounted: 0,
            lines: VecDeque::new(),
            bytes: 0,
            is_on_its_way: false,
            is_hurried: false,
            is_over: false,
        }
    }

    fn is_filled(&self) -> bool {
        !self.lines.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.lines.is_empty() && !self.is_on_its_way
    }

    /// As many lines as fit.
    fn take(&mut self) -> HostOutput {
        let mut output = self.head.clone();
        let mut left = OUTPUT_BYTES_MAX - HEAD_BYTES_MAX;
        let mut script: Option<Arc<str>> = None;
        while let Some(line) = self.lines.front()
            && line.size_bytes <= left
            && let Some(Line {
                mut line,
                script: of,
                size_bytes,
            }) = self.lines.pop_front()
        {
            left -= size_bytes;
            self.bytes -= size_bytes;
            if script.as_ref() != Some(&of) {
                line.script = Some(of.to_string()).filter(|name| !name.is_empty());
                script = Some(of);
            }
            output.lines.push(line);
        }
        self.head.left_out = 0;
        self.is_on_its_way = true;
        output
    }
}

/// One event that prints. Dropped, the event is over.
#[derive(Debug)]
pub struct Spooling {
    spool: Arc<Spool>,
    event: u64,
    script: Mutex<Arc<str>>,
}

impl Spooling {
    /// Waits until all of it was sent, but no longer than that.
    pub async fn handed_over(&self, limit: Duration) {
        if let Some(event) = self.spool.lock().of.get_mut(&self.event) {
            event.is_hurried = true;
        }
        self.spool.came.notify_one();
        let emptied = tokio::time::timeout(limit, self.spool.emptied(self.event));
        if emptied.await.is_err() {
            tracing::debug!("an event ends before the farm has all that it printed");
        }
    }

    /// What the host has printed in the deployment, if not all that this event has printed is on the farm: so that whoever follows knows
    /// what is missing, should it never come.
    #[must_use]
    pub fn unsent(&self) -> Option<PrintedUntil> {
        let mut waiting = self.spool.lock();
        let event = waiting.of.get(&self.event)?;
        if event.is_empty() && event.uncounted == 0 && event.head.left_out == 0 {
            return None;
        }
        let lines = event.lines.iter().map(|line| line.line.bytes());
        let unsent = event.uncounted + lines.sum::<u64>();
        let head = event.head.clone();
        let count = waiting.count(&head);
        Some(PrintedUntil {
            begun_ms: count.begun_ms,
            bytes: count.bytes + unsent,
        })
    }

    fn script(&self) -> MutexGuard<'_, Arc<str>> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, stream: OutputStream, text: &str) {
        let script = Arc::clone(&self.script());
        let mut line = OutputLine {
            script: Some(script.to_string()),
            stream,
            text: text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_string(),
        };
        let size_bytes = json_bytes(&line) + OVERHEAD_BYTES;
        // It is said again only where it changes.
        line.script = None;
        self.spool.push(
            self.event,
            Line {
                line,
                script,
                size_bytes,
            },
        );
    }
}

impl Watch for Spooling {
    fn said(&self, said: &Said<'_>) {
        match said {
            Said::Event(_) => {}
            Said::Script { location, .. } => {
                let end = location.floor_char_boundary(NAME_BYTES_MAX);
                *self.script() = Arc::from(&location[..end]);
            }
            Said::Line { stream, text } => {
                let stream = match stream {
                    Stream::Stdout => OutputStream::Stdout,
                    Stream::Stderr => OutputStream::Stderr,
                };
                self.line(stream, text);
            }
            Said::Note(text) => self.line(OutputStream::Agent, text),
        }
    }
}

impl Drop for Spooling {
    fn drop(&mut self) {
        let mut waiting = self.spool.lock();
        if let Some(event) = waiting.of.get_mut(&self.event) {
            event.is_over = true;
        }
        waiting.forget(self.event);
    }
}

/// How long a line is in JSON.
fn json_bytes(line: &OutputLine) -> usize {
    struct Counted(usize);
    impl Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counted = Counted(0);
    let written = serde_json::to_writer(&mut counted, line);
    written.expect("texts are JSON, and counting does not fail");
    counted.0
}

#[cfg(test)]
mod tests;
