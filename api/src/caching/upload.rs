//! Taking an entry in: from a connection, through a bounded channel, to the pool's thread, which checks every byte before
//! the last one is believed. Called by the engine for PUT. Whatever goes wrong on the way leaves nothing stored.

use std::io::{self, Read};
use std::mem;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use ring::digest::{Context, SHA256};
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::engine::{Ask, Engine};
use super::front::Kind;
use super::limits::{
    RESULT_BYTES_MAX, UPLOAD_BYTES_PER_SECOND_MIN, UPLOAD_MAX, UPLOAD_PIECES_WAITING_MAX,
};
use super::pool::Trouble;
use super::reply::{self, Body, Problem};
use super::result::{Digest, Malformed, Named};
use crate::chain::chain;
use crate::pace::{Allowance, Pace, TooSlow};

/// Stores the body under the entry's name.
pub(super) async fn store(
    engine: &Engine,
    ask: Ask<'_>,
    body: &mut Incoming,
) -> Result<Response<Body>, Problem> {
    let bytes_max = match ask.entry.kind {
        Kind::Result { .. } => engine.limits.body_bytes_max.min(RESULT_BYTES_MAX),
        Kind::Content(_) | Kind::Pointer => engine.limits.body_bytes_max,
    };
    if body.size_hint().lower() > bytes_max {
        return Err(refusal(&Wrong::TooLarge, bytes_max, ask.entry.kind));
    }
    let turn = engine.turn(&engine.uploads, &ask).await?;
    let (give, take) = mpsc::channel(UPLOAD_PIECES_WAITING_MAX);
    let (pool, name, kind) = (Arc::clone(&engine.pool), ask.name(), ask.entry.kind);
    let put = engine.call(move || {
        let mut intake = Intake::new(take, kind);
        let put = pool.put(&name, &mut intake);
        drop(turn);
        (put, intake.end)
    });
    pour(body, give, bytes_max, engine, &ask).await;
    let (put, end) = {
        let _working = ask.pulse.work();
        put.end().await?
    };
    match (put, end) {
        (Ok(size_bytes), End::Checked) => {
            ask.counts.puts.one();
            ask.counts.bytes_in.more(size_bytes);
            Ok(reply::stored())
        }
        (Ok(_), _) => {
            tracing::error!(entry = %ask.entry.key, "the pool stored a body without reading its end");
            Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the cache broke while it stored this",
            ))
        }
        (Err(_), End::Wrong(wrong)) => Err(refusal(&wrong, bytes_max, ask.entry.kind)),
        (Err(trouble), _) => Err(failure(&trouble)),
    }
}

/// What goes from the connection to the thread. A channel that closes without [`Piece::End`] is a client that hung up.
#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    TooLarge,
    TooSlow,
    End,
}

/// Hands the whole body on, or as much as there is of it.
async fn pour(
    body: &mut Incoming,
    give: Sender<Piece>,
    bytes_max: u64,
    engine: &Engine,
    ask: &Ask<'_>,
) {
    let mut poured_bytes = 0;
    let mut pace = Pace::new(Allowance {
        grace: engine.limits.upload_grace,
        bytes_per_second_min: UPLOAD_BYTES_PER_SECOND_MIN,
        wait_max: UPLOAD_MAX,
    });
    loop {
        let frame = pace.within(poured_bytes, body.frame()).await;
        let piece = match frame {
            Err(TooSlow) => Piece::TooSlow,
            Ok(None) => Piece::End,
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "a client hung up while it sent an entry");
                return;
            }
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) => {
                    poured_bytes += bytes.len() as u64;
                    if poured_bytes > bytes_max {
                        Piece::TooLarge
                    } else {
                        Piece::Bytes(bytes)
                    }
                }
                // Trailers say nothing that is wanted here.
                Err(_) => continue,
            },
        };
        ask.pulse.beat();
        let is_last = !matches!(piece, Piece::Bytes(_));
        let _working = ask.pulse.work();
        // Nobody takes it once the pool has given up; its answer says why.
        if give.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

/// The body as the pool reads it. Its end is only reached when everything was right.
struct Intake {
    take: Receiver<Piece>,
    current: Bytes,
    check: Check,
    end: End,
}

/// How far an intake has come.
#[derive(Debug)]
enum End {
    /// There may be more.
    Open,
    /// All was read, and it is right.
    Checked,
    Wrong(Wrong),
}

/// What a client did wrong.
#[derive(Debug)]
enum Wrong {
    TooLarge,
    TooSlow,
    HungUp,
    Digest { is: String, should: String },
    NoResult(Malformed),
}

/// What is found out of a body while it passes.
enum Check {
    /// Nothing: any body is right.
    None,
    /// Whether it is the content that names it.
    Digest(Box<Context>, Digest),
    /// Whether it is an action's result. The channel's other end sees to it that no body is longer than one may be.
    Result(Vec<u8>),
}

impl Check {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Content(sha256) => Self::Digest(Box::new(Context::new(&SHA256)), sha256),
            Kind::Result { .. } => Self::Result(Vec::new()),
            Kind::Pointer => Self::None,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Digest(context, _) => context.update(bytes),
            Self::Result(all) => all.extend_from_slice(bytes),
        }
    }

    fn end(self) -> End {
        match self {
            Self::None => End::Checked,
            Self::Digest(context, should) => {
                let is = context.finish();
                if is.as_ref() == should {
                    return End::Checked;
                }
                End::Wrong(Wrong::Digest {
                    is: hex(is.as_ref()),
                    should: hex(&should),
                })
            }
            Self::Result(all) => match Named::of_result(&all) {
                Ok(_) => End::Checked,
                Err(malformed) => End::Wrong(Wrong::NoResult(malformed)),
            },
        }
    }
}

impl Intake {
    fn new(take: Receiver<Piece>, kind: Kind) -> Self {
        Self {
            take,
            current: Bytes::new(),
            check: Check::of(kind),
            end: End::Open,
        }
    }
}

impl Read for Intake {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && matches!(self.end, End::Open) {
            match self.take.blocking_recv() {
                Some(Piece::Bytes(bytes)) => {
                    self.check.take(&bytes);
                    self.current = bytes;
                }
                Some(Piece::End) => self.end = mem::replace(&mut self.check, Check::None).end(),
                Some(Piece::TooSlow) => self.end = End::Wrong(Wrong::TooSlow),
                Some(Piece::TooLarge) => self.end = End::Wrong(Wrong::TooLarge),
                None => self.end = End::Wrong(Wrong::HungUp),
            }
        }
        if let End::Wrong(_) = self.end {
            let reason = "the upload is not what it should be";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let length = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn refusal(wrong: &Wrong, bytes_max: u64, kind: Kind) -> Problem {
    let is_result = matches!(kind, Kind::Result { .. });
    match wrong {
        Wrong::TooLarge if is_result && bytes_max == RESULT_BYTES_MAX => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format_args!(
                "the entry is larger than {bytes_max} bytes, which no action's result is: give the action fewer outputs, or leave its result out with the tag no-remote-cache"
            ),
        ),
        Wrong::TooLarge => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format_args!(
                "the entry is larger than {bytes_max} bytes, so it was not stored: raise --body-bytes-max, or keep it out of the cache"
            ),
        ),
        Wrong::TooSlow => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            format_args!(
                "the body came at less than {UPLOAD_BYTES_PER_SECOND_MIN} bytes a second or took longer than {} minutes, so nothing was stored: build without uploads over this line",
                UPLOAD_MAX.as_secs() / 60
            ),
        ),
        Wrong::NoResult(malformed) => Problem::new(
            StatusCode::BAD_REQUEST,
            format_args!(
                "the body is no ActionResult of Bazel's remote execution API ({malformed}), so it was not stored: other bytes belong below /cas/, and other tools' below paths of their own"
            ),
        ),
        Wrong::HungUp => Problem::new(
            StatusCode::BAD_REQUEST,
            "the body ended too early, so nothing was stored: send it again",
        ),
        Wrong::Digest { is, should } => Problem::new(
            StatusCode::BAD_REQUEST,
            format_args!(
                "the body's SHA-256 is {is} and not {should}, so nothing was stored: the file changed while it was sent, or the line damages bytes"
            ),
        ),
    }
}

fn failure(trouble: &Trouble) -> Problem {
    tracing::warn!(error = %chain(trouble), "failed to store an entry");
    match trouble {
        Trouble::Full => Problem::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "the cache is full: make room with croft cache gc, or raise --cache-size",
        ),
        Trouble::Damaged(_) | Trouble::Body(_) | Trouble::Storage(_) => Problem::later(
            StatusCode::SERVICE_UNAVAILABLE,
            "the cache's storage does not take it: build without, or ask again later",
        ),
    }
}
