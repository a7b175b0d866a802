//! What happened in a build that is over: its `events.ndjson`, read from the store and sent as events. Begun by the stream of events
//! when a build is over and its client has not had all of it live.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use croft_cache::Store;
use croft_proto::Timestamp;
use croft_views::BuildRow;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::events::lines;
use super::files::{self, Kept};
use super::limits::PIECES_WAITING_MAX;
use super::state::State;
use crate::chain::chain;

/// Places from here on are of a replay: this and the number of the build's event. No live chunk has such a number.
pub(super) const ARCHIVED: u64 = 1 << 40;

/// Bytes of events sent together.
const GROUP_BYTES: usize = 64 << 10;

/// A replay on its way.
#[derive(Debug)]
pub(super) struct Replay {
    pieces: mpsc::Receiver<Piece>,
}

/// What comes of a replay.
#[derive(Debug)]
pub(super) enum Piece {
    /// Lines, and the number of the last of them.
    Events { bytes: Bytes, last: u64 },
    /// That was all.
    Whole,
    /// What was kept is not there any more.
    Gone,
    /// It cannot be read on.
    Broken,
}

impl Replay {
    /// The replay of a build's events after the one of that number, which is the last that the client has of the attempt; none when
    /// nothing was kept. It begins after that pause.
    pub(super) fn begin(
        state: &Arc<State>,
        build: &BuildRow,
        seen: u64,
        pause: Duration,
    ) -> Option<Self> {
        let kept = files::kept_of(build)?;
        let attempt = build.settled.as_ref()?.attempt;
        let (sender, pieces) = mpsc::channel(PIECES_WAITING_MAX);
        let (store, now, id) = (state.kept(), state.farm.clock.now(), build.id);
        let (turns, tasks) = (Arc::clone(&state.files), state.tasks.clone());
        let reading = move || {
            let read = read_out(&store, &kept, now, Groups::new(attempt, seen), &sender);
            if let Err(error) = read {
                tracing::warn!(build = %id, error = %chain(&error), "a build's events cannot be read");
            }
        };
        state.tasks.spawn(async move {
            sleep(pause).await;
            // Closed it never is.
            let Ok(turn) = turns.acquire_owned().await else {
                return;
            };
            let read = tasks.spawn_blocking(reading).await;
            drop(turn);
            if let Err(error) = read {
                tracing::warn!(%error, "a replay broke off");
            }
        });
        Some(Self { pieces })
    }

    /// What comes next. Whoever reads says so when all was read; one that ends without a word broke off.
    pub(super) async fn next(&mut self) -> Piece {
        self.pieces.recv().await.unwrap_or(Piece::Broken)
    }
}

/// Sends a kept tree's events until all are sent or the client has gone. Blocks.
fn read_out(
    store: &Store,
    kept: &Kept,
    now: Timestamp,
    mut groups: Groups,
    sender: &mpsc::Sender<Piece>,
) -> Result<(), croft_cache::Error> {
    let file = files::open(store, kept, Path::new("events.ndjson"), now)?;
    // Who has gone needs nothing.
    let send = |piece| match sender.blocking_send(piece) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_gone) => ControlFlow::Break(()),
    };
    let Some(file) = file else {
        drop(sender.blocking_send(Piece::Gone));
        return Ok(());
    };
    file.read(|bytes| groups.take(bytes).into_iter().try_for_each(send))?;
    for piece in groups.rest().into_iter().chain([Piece::Whole]) {
        drop(sender.blocking_send(piece));
    }
    Ok(())
}

/// Bytes to whole lines, many together.
struct Groups {
    attempt: u32,
    /// The client has events up to this one.
    seen: u64,
    waiting: Vec<u8>,
}

impl Groups {
    const fn new(attempt: u32, seen: u64) -> Self {
        Self {
            attempt,
            seen,
            waiting: Vec::new(),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Option<Piece> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() < GROUP_BYTES {
            return None;
        }
        let end = memchr::memrchr(b'\n', &self.waiting)? + 1;
        let rest = self.waiting.split_off(end);
        let whole = std::mem::replace(&mut self.waiting, rest);
        self.group(&whole)
    }

    fn rest(&mut self) -> Option<Piece> {
        let whole = std::mem::take(&mut self.waiting);
        self.group(&whole)
    }

    fn group(&self, mut whole: &[u8]) -> Option<Piece> {
        while self.seen > 0 && !whole.is_empty() {
            let end = memchr::memchr(b'\n', whole).map_or(whole.len(), |end| end + 1);
            if seq(&whole[..end]).is_none_or(|seq| seq > self.seen) {
                break;
            }
            whole = &whole[end..];
        }
        let text = whole.strip_suffix(b"\n").unwrap_or(whole);
        if text.is_empty() {
            return None;
        }
        let last = last_seq(text).unwrap_or_default();
        let place = format!("{}.{}", self.attempt, ARCHIVED + last);
        Some(Piece::Events {
            bytes: lines(whole, &place),
            last,
        })
    }
}

/// The number of the last of some events.
pub(super) fn last_seq(lines: &[u8]) -> Option<u64> {
    let text = lines.strip_suffix(b"\n").unwrap_or(lines);
    seq(memchr::memrchr(b'\n', text).map_or(text, |end| &text[end + 1..]))
}

/// The number of an event, which comes first in its line.
fn seq(line: &[u8]) -> Option<u64> {
    let digits = line.strip_prefix(b"{\"seq\":")?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_wherever_the_pieces_end_and_only_those_not_seen() {
        let text: String = (1..=5000)
            .map(|seq| format!("{{\"seq\":{seq},\"type\":\"output\",\"text\":\"0123456789\"}}\n"))
            .collect();
        for (piece, seen) in [(7, 0), (1000, 4321), (100_000, 0), (1 << 20, 4999)] {
            let mut groups = Groups::new(2, seen);
            let mut sent = Vec::new();
            for bytes in text.as_bytes().chunks(piece) {
                sent.extend(groups.take(bytes));
            }
            sent.extend(groups.rest());
            let sent: Vec<Bytes> = sent
                .into_iter()
                .map(|piece| match piece {
                    Piece::Events { bytes, .. } => bytes,
                    other @ (Piece::Whole | Piece::Gone | Piece::Broken) => panic!("{other:?}"),
                })
                .collect();
            let sent = String::from_utf8(sent.concat()).unwrap();
            let lines: Vec<&str> = sent
                .lines()
                .filter_map(|line| line.strip_prefix("data: "))
                .collect();
            let expected: Vec<&str> = text.lines().skip(usize::try_from(seen).unwrap()).collect();
            assert_eq!(lines, expected, "{piece} {seen}");
            assert!(sent.contains(&format!("id: 2.{}\n", ARCHIVED + 5000)));
        }
    }
}
