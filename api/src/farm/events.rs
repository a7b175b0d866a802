//! What happens in a build, as it happens: server-sent events, made of the live output on the bus and of the ledger's changes in the
//! view. What passes is not parsed: the worker wrote lines, and lines leave.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::HeaderName;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use croft_bus::{Build, FollowError, Item, Place};
use croft_keys::AccessRecord;
use croft_ledger::Seq;
use croft_proto::farm::BuildId;
use croft_views::{BuildRow, QueryError, Views};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior, Sleep, interval, sleep};

use super::builds;
use super::call::{Answer, Call, typed};
use super::files;
use super::limits::{COMPLETE_WAIT_MAX, KEEP_ALIVE, REPLAY_AGAIN, REPLAY_TRIES_MAX, TAIL_WAIT};
use super::problem::Problem;
use super::replay::{self, Piece};
use super::state::{Following, State};
use crate::chain::chain;

/// Where a client that comes back was.
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What a stream says when nothing else was to be said for a while.
pub(super) const STILL_HERE: &[u8] = b": still here\n\n";
/// The last that a client hears whose token ended.
pub(super) const TOKEN_GONE: &[u8] = b": the token is not good any more\n\n";
/// The last that a client hears which is to ask another server.
pub(super) const STOPS: &[u8] = b": this server stops: come back\n\n";

/// What stands before each line of a build's events.
const BEFORE_LINE: &[u8] = b"event: build\ndata: ";

/// `GET /v1/builds/{id}/events`
pub(super) async fn follow(mut call: Call) -> Answer {
    let build = call.build()?;
    let record = call.caller.clone().ok_or_else(Problem::unauthorized)?;
    let had = call.header(&LAST_EVENT_ID).map(Had::parse).transpose()?;
    let following = call.state.follow(record.id).ok_or_else(|| {
        Problem::throttled(
            5,
            "this token follows too many builds already: end one first",
        )
    })?;
    let live = Live::new(Arc::clone(&call.state), record, following, *build, had)?;
    let body = stream::unfold(Box::new(live), |mut live| async move {
        let bytes = live.next().await?;
        Some((Ok::<_, Infallible>(bytes), live))
    });
    Ok(streamed(Body::from_stream(body)))
}

/// An answer that is a stream of events.
pub(super) fn streamed(body: Body) -> Response {
    let mut response = typed(StatusCode::OK, "text/event-stream; charset=utf-8", body);
    // Proxies that gather answers would hold back what is there to be seen at once.
    response.headers_mut().insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

/// The last that a client has, as an event said it: `<attempt>.<chunk>`, and the number of the chunk's last event, `.<seq>`, by which
/// the archive goes on when the build is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Had {
    place: Place,
    seq: u64,
}

impl Had {
    fn parse(text: &str) -> Result<Self, Problem> {
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
        let mut parts = text.split('.');
        let attempt = parts.next().and_then(|text| text.parse().ok());
        let chunk = number(parts.next());
        let seq = match parts.next() {
            None => Some(0),
            given => number(given),
        };
        match (attempt, chunk, seq, parts.next()) {
            (Some(attempt), Some(chunk), Some(seq), None) => Ok(Self {
                place: Place { attempt, chunk },
                // What a replay said is the event's number itself.
                seq: chunk.checked_sub(replay::ARCHIVED).unwrap_or(seq),
            }),
            _ => Err(Problem::invalid(
                "Last-Event-ID has to be what an event here said: `<attempt>.<chunk>.<seq>`",
            )),
        }
    }
}

type Changed = BoxFuture<'static, Result<Option<Seq>, QueryError>>;

/// What a client has of an attempt's output. What is lost in its middle is said to be skipped and not sent later: clients show lines as
/// they come, and have shown later ones by then. What is lost at its end comes from the archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sent {
    attempt: u32,
    /// The number of the last event; 0 when none is known.
    seq: u64,
    /// Whether the client was told of which attempt it is.
    is_announced: bool,
    /// Whether it was sent to its end.
    is_whole: bool,
    /// Whether what came last was lost on the way.
    is_lacking: bool,
}

impl Sent {
    /// Goes on with that attempt; of another one nothing was sent yet.
    fn begin(&mut self, attempt: u32) {
        if self.attempt != attempt {
            *self = Self {
                attempt,
                ..Self::default()
            };
        }
        self.is_announced = true;
    }

    fn chunk(&mut self, bytes: &[u8]) {
        self.is_lacking = false;
        if let Some(seq) = replay::last_seq(bytes) {
            self.seq = self.seq.max(seq);
        }
    }
}

/// One client's stream.
struct Live {
    state: Arc<State>,
    record: Arc<AccessRecord>,
    _following: Following,
    build: BuildRow,
    ready: VecDeque<Bytes>,
    output: BoxStream<'static, Result<Item, FollowError>>,
    sent: Sent,
    output_ended: bool,
    changed: Changed,
    tail: Pin<Box<Sleep>>,
    keep_alive: Interval,
    replay: Option<replay::Replay>,
    /// Replays that broke off.
    broken: u32,
    has_ended: bool,
}

impl Live {
    fn new(
        state: Arc<State>,
        record: Arc<AccessRecord>,
        following: Following,
        build: BuildRow,
        had: Option<Had>,
    ) -> Result<Self, Problem> {
        // What a replay said of its place means nothing to the bus.
        let live = had.filter(|had| had.place.chunk < replay::ARCHIVED);
        let from = live.map_or(Place::START, |had| Place {
            chunk: had.place.chunk + 1,
            ..had.place
        });
        let sent = had.map_or_else(Sent::default, |had| Sent {
            attempt: had.place.attempt,
            seq: had.seq,
            ..Sent::default()
        });
        let is_over = build.stage.is_over();
        let output = match is_over {
            true => stream::empty().boxed(),
            false => state.farm.bus.follow(&name(build.id)?, from),
        };
        let mut keep_alive = interval(KEEP_ALIVE);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        keep_alive.reset();
        Ok(Self {
            changed: change(&state.farm.views, build.id, build.last),
            ready: VecDeque::from([state_event(&build)]),
            sent,
            output_ended: is_over,
            tail: Box::pin(sleep(TAIL_WAIT)),
            replay: None,
            broken: 0,
            has_ended: false,
            state,
            record,
            _following: following,
            build,
            output,
            keep_alive,
        })
    }

    /// What is to be sent next; none when all was.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if self.has_ended {
                return None;
            }
            if let Some(replay) = &mut self.replay {
                tokio::select! {
                    biased;
                    () = self.state.draining.cancelled() => self.stop(),
                    piece = replay.next() => match piece {
                        Piece::Events { bytes, last } => {
                            self.sent.seq = self.sent.seq.max(last);
                            return Some(bytes);
                        }
                        Piece::Whole => self.replay = None,
                        Piece::Gone => self.give_up(),
                        Piece::Broken => self.replay_again(),
                    },
                }
                continue;
            }
            if self.build.stage.is_over() && self.output_ended {
                if !self.replay_rest() {
                    self.end();
                }
                continue;
            }
            self.step().await;
        }
    }

    /// Waits for whatever comes first.
    async fn step(&mut self) {
        let is_over = self.build.stage.is_over();
        tokio::select! {
            biased;
            () = self.state.draining.cancelled() => self.stop(),
            item = self.output.next(), if !self.output_ended => self.came(item),
            changed = &mut self.changed, if !is_over => self.changed(changed).await,
            () = &mut self.tail, if is_over => self.output_ended = true,
            _ = self.keep_alive.tick() => {
                if self.state.is_still_good(&self.record) {
                    self.ready.push_back(Bytes::from_static(STILL_HERE));
                } else {
                    self.ready.push_back(Bytes::from_static(TOKEN_GONE));
                    self.has_ended = true;
                }
            }
        }
    }

    /// The client is to ask another server.
    fn stop(&mut self) {
        self.ready.push_back(Bytes::from_static(STOPS));
        self.has_ended = true;
    }

    /// An attempt begins, and how the one before it was lost, as far as the view has that.
    fn begun(&self, attempt: u32) -> Bytes {
        let knows = |build: &BuildRow| build.attempts.iter().any(|it| it.attempt >= attempt);
        let later = if attempt > 1 && !knows(&self.build) {
            builds::find(&self.state, self.build.id).ok().flatten()
        } else {
            None
        };
        let attempts = &later.as_ref().unwrap_or(&self.build).attempts;
        let before = attempts.iter().rfind(|it| it.attempt < attempt);
        match before.and_then(|it| it.lost.as_ref()) {
            Some(lost) => event(
                "attempt",
                &json!({"attempt": attempt, "before": lost.reason}),
            ),
            None => event("attempt", &json!({"attempt": attempt})),
        }
    }

    fn came(&mut self, item: Option<Result<Item, FollowError>>) {
        match item {
            Some(Ok(Item::Began { attempt })) => {
                self.sent.begin(attempt);
                let begun = self.begun(attempt);
                self.ready.push_back(begun);
            }
            // All of it is archived by now, so none of it need be skipped.
            Some(Ok(Item::Skipped { .. })) if files::kept_of(&self.build).is_some() => {
                self.output_ended = true;
            }
            Some(Ok(Item::Skipped { to })) => {
                self.sent.is_lacking = true;
                let skipped = json!({"attempt": self.sent.attempt, "to": to});
                self.ready.push_back(event("skipped", &skipped));
            }
            Some(Ok(Item::Chunk(chunk))) => {
                self.sent.chunk(&chunk.bytes);
                let bytes = chunk_lines(&chunk.bytes, self.sent.attempt, chunk.first);
                self.ready.push_back(bytes);
            }
            Some(Ok(Item::End)) => {
                self.sent.is_whole = !self.sent.is_lacking;
                self.output_ended = true;
            }
            // Whatever the client lacks is archived when the build is over.
            None => self.output_ended = true,
            Some(Err(error)) => {
                tracing::warn!(build = %self.build.id, error = %chain(&error), "live output cannot be followed");
                self.output_ended = true;
            }
        }
    }

    async fn changed(&mut self, changed: Result<Option<Seq>, QueryError>) {
        match changed {
            Ok(Some(_)) => self.look().await,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(error = %chain(&error), "a build's changes cannot be followed");
                self.has_ended = true;
            }
        }
        self.changed = change(&self.state.farm.views, self.build.id, self.build.last);
    }

    /// Something has happened to the build.
    async fn look(&mut self) {
        let Ok(Some(build)) = builds::find(&self.state, self.build.id) else {
            return;
        };
        self.build = build;
        self.ready.push_back(state_event(&self.build));
        if self.build.stage.is_over() {
            self.tail = Box::pin(sleep(TAIL_WAIT));
            // Of a build that no worker ever had nothing comes.
            self.output_ended |= self.build.attempts.is_empty();
            return;
        }
        let attempt = self.build.current_attempt().map(|it| it.attempt);
        if let Some(attempt) =
            attempt.filter(|attempt| self.output_ended && *attempt > self.sent.attempt)
            && let Ok(name) = name(self.build.id)
        {
            self.output = self
                .state
                .farm
                .bus
                .follow(&name, Place { attempt, chunk: 0 });
            self.output_ended = false;
        }
    }

    /// Begins to send what the client has not had of a build that is over, if there is something: all that its log has after the last
    /// event that came live, or all of it when that was of another attempt.
    fn replay_rest(&mut self) -> bool {
        let Some(attempt) = self.build.settled.as_ref().map(|settled| settled.attempt) else {
            return false;
        };
        if self.sent.attempt != attempt {
            self.sent = Sent {
                attempt,
                ..Sent::default()
            };
        }
        if self.sent.is_whole {
            return false;
        }
        self.sent.is_whole = true;
        self.replay =
            replay::Replay::begin(&self.state, &self.build, self.sent.seq, Duration::ZERO);
        if self.replay.is_none() {
            return false;
        }
        if !self.sent.is_announced {
            let begun = self.begun(attempt);
            self.ready.push_back(begun);
        }
        true
    }

    /// Goes on with what could not be read to its end: it may have been a passing trouble.
    fn replay_again(&mut self) {
        self.broken += 1;
        if self.broken >= REPLAY_TRIES_MAX {
            return self.give_up();
        }
        self.replay = replay::Replay::begin(&self.state, &self.build, self.sent.seq, REPLAY_AGAIN);
    }

    /// The rest cannot be sent. The client is told so, and how the build ended all the same: it would only ask again in vain.
    fn give_up(&mut self) {
        self.replay = None;
        let skipped = json!({"attempt": self.sent.attempt});
        self.ready.push_back(event("skipped", &skipped));
    }

    /// The last of all.
    fn end(&mut self) {
        let settled = self.build.settled.as_ref().and_then(|it| it.build.as_ref());
        let summary = settled.and_then(|build| build.get("summary"));
        let end = json!({"build": self.build.build_json(), "summary": summary});
        self.ready.push_back(event("end", &end));
        self.has_ended = true;
    }
}

/// The next change of a build. Kept between others' steps, so that a chunk costs no question.
fn change(views: &Views, build: BuildId, after: Seq) -> Changed {
    let views = views.clone();
    Box::pin(async move { views.wait_change(build, after, COMPLETE_WAIT_MAX).await })
}

/// A build's name on the bus.
pub(super) fn name(build: BuildId) -> Result<Build, Problem> {
    let name = Build::try_from(build.to_string());
    name.map_err(|error| Problem::internal(&error))
}

fn state_event(build: &BuildRow) -> Bytes {
    let state = json!({"status": builds::status_word(build), "build": build.build_json()});
    event("state", &state)
}

/// One event. JSON has no line breaks of its own.
pub(super) fn event(kind: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {kind}\ndata: {data}\n\n"))
}

/// A chunk's lines, an event each. The last one carries the place: who comes back has the chunk whole, or gets it whole.
fn chunk_lines(chunk: &[u8], attempt: u32, number: u64) -> Bytes {
    match replay::last_seq(chunk) {
        Some(seq) => lines(chunk, &format!("{attempt}.{number}.{seq}")),
        None => lines(chunk, &format!("{attempt}.{number}")),
    }
}

/// Lines, an event each. The last one carries the place.
pub(super) fn lines(chunk: &[u8], place: &str) -> Bytes {
    let count = memchr::memchr_iter(b'\n', chunk).count() + 1;
    let mut text = Vec::with_capacity(chunk.len() + count * (BEFORE_LINE.len() + 2) + 40);
    let mut rest = chunk.strip_suffix(b"\n").unwrap_or(chunk);
    loop {
        let (line, after) = match memchr::memchr(b'\n', rest) {
            Some(end) => (&rest[..end], Some(&rest[end + 1..])),
            None => (rest, None),
        };
        if after.is_none() {
            text.extend_from_slice(format!("id: {place}\n").as_bytes());
        }
        text.extend_from_slice(BEFORE_LINE);
        text.extend_from_slice(line);
        text.extend_from_slice(b"\n\n");
        match after {
            Some(after) => rest = after,
            None => return Bytes::from(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_an_event_and_the_last_says_where_it_is() {
        let chunk = b"{\"seq\":1}\n{\"seq\":2}\n";
        let expected =
            "event: build\ndata: {\"seq\":1}\n\nid: 2.7.2\nevent: build\ndata: {\"seq\":2}\n\n";
        assert_eq!(chunk_lines(chunk, 2, 7), expected.as_bytes());
        assert_eq!(chunk_lines(&chunk[..19], 2, 7), expected.as_bytes());
        assert!(chunk_lines(b"?\n", 2, 7).starts_with(b"id: 2.7\n"));
    }

    #[test]
    fn a_place_that_no_event_said_is_refused() {
        let had = |chunk, seq| Had {
            place: Place { attempt: 2, chunk },
            seq,
        };
        assert_eq!(Had::parse("2.7"), Ok(had(7, 0)));
        assert_eq!(Had::parse("2.7.31"), Ok(had(7, 31)));
        let archived = replay::ARCHIVED + 5;
        assert_eq!(Had::parse(&format!("2.{archived}")), Ok(had(archived, 5)));
        for wrong in [
            "", "2", "2.", ".7", "2.7.", "2.7.x", "2.7.1.1", "-1.2", "a.b",
        ] {
            assert!(Had::parse(wrong).is_err(), "{wrong}");
        }
    }
}
