//! Answering with an entry: from the hot set when its name is its content and it is there, else from the pool, verified
//! piece by piece. Called by the engine for GET and HEAD.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{Response, StatusCode};
use ring::digest::{SHA256, digest};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::Instant;

use super::engine::{Ask, Engine};
use super::front::Kind;
use super::hot::HotName;
use super::limits::{
    HOT_BLOB_BYTES_MAX, READ_PIECES_WAITING_MAX, RESULT_BYTES_MAX, RESULT_LOOK_MAX,
};
use super::pool::{Found, Name, PIECE_BYTES_MAX, Pieces, Pool, Trouble};
use super::reply::{self, Body, Cut, Problem, Turn};
use super::result::{self, Digest};
use super::upload::hex;
use crate::chain::chain;

/// The SHA-256 of nothing. Tools ask for it without anybody having stored it.
pub(super) const EMPTY: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// What of an entry is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Bytes,
    Size,
}

/// The entry's bytes or size, or that it is not there.
pub(super) async fn fetch(
    engine: &Engine,
    ask: Ask<'_>,
    wanted: Wanted,
) -> Result<Response<Body>, Problem> {
    ask.counts.gets.one();
    let hot = match ask.entry.kind {
        Kind::Content(sha256) => Some(HotName {
            scope: Arc::clone(&ask.scope),
            sha256,
        }),
        Kind::Result { .. } | Kind::Pointer => None,
    };
    if let Some(name) = &hot {
        let bytes = if name.sha256 == EMPTY {
            Some(Bytes::new())
        } else {
            engine.hot.get(name, Instant::now())
        };
        if let Some(bytes) = bytes {
            ask.counts.hot_hits.one();
            return Ok(answer(&ask, wanted, Begun::Whole(bytes), None, engine));
        }
    }
    from_pool(engine, ask, wanted, hot).await
}

async fn from_pool(
    engine: &Engine,
    ask: Ask<'_>,
    wanted: Wanted,
    hot: Option<HotName>,
) -> Result<Response<Body>, Problem> {
    let turn = engine.turn(&engine.reads, &ask).await?;
    let (pool, name, kind) = (Arc::clone(&engine.pool), ask.name(), ask.entry.kind);
    let begun = {
        let _working = ask.pulse.work();
        // The turn goes with the thread: it ends no sooner when the client hangs up.
        let begun = engine.call(move || (begin(&*pool, &name, kind, wanted), turn));
        begun.end().await?
    };
    match begun {
        (Ok(None), _) => {
            ask.counts.misses.one();
            Ok(reply::miss())
        }
        (Ok(Some(begun)), turn) => {
            if let (Some(name), Begun::Hot(bytes)) = (hot, &begun) {
                engine.hot.keep(name, bytes.clone(), Instant::now());
            }
            let whole_bytes = match &begun {
                Begun::Size(_) => Some(0),
                Begun::Whole(bytes) | Begun::Hot(bytes) => Some(bytes.len()),
                Begun::Long(..) => None,
            };
            let turn = engine.until_taken(turn, whole_bytes);
            Ok(answer(&ask, wanted, begun, Some(turn), engine))
        }
        (Err(Trouble::Damaged(reason)), _) => {
            tracing::warn!(entry = %ask.entry.key, space = ask.entry.space, %reason, "a damaged entry counts as a miss");
            ask.counts.misses.one();
            Ok(reply::miss())
        }
        (Err(trouble), _) => Err(unanswered(&trouble)),
    }
}

fn unanswered(trouble: &Trouble) -> Problem {
    tracing::warn!(error = %chain(trouble), "failed to read an entry");
    Problem::later(
        StatusCode::SERVICE_UNAVAILABLE,
        "the cache's storage does not answer: build without it, or ask again later",
    )
}

/// An entry with as much of it as was read before the answer began. Damage seen until then is a miss and no torn answer.
enum Begun {
    /// Only its size was wanted.
    Size(u64),
    /// All of it.
    Whole(Bytes),
    /// All of it, worth keeping: its own hash was checked.
    Hot(Bytes),
    /// Its beginning, and the pieces to come.
    Long(u64, Bytes, Pieces),
}

fn begin(
    pool: &dyn Pool,
    name: &Name,
    kind: Kind,
    wanted: Wanted,
) -> Result<Option<Begun>, Trouble> {
    if let Kind::Result { blobs } = kind {
        return begin_result(pool, name, blobs, wanted);
    }
    if wanted == Wanted::Size {
        return Ok(pool.size_bytes(name)?.map(Begun::Size));
    }
    let Some(mut found) = pool.find(name)? else {
        return Ok(None);
    };
    let size_bytes = found.size_bytes;
    if let Kind::Content(expected) = kind
        && size_bytes <= HOT_BLOB_BYTES_MAX
    {
        return gather(found, Some(&expected)).map(|bytes| Some(Begun::Hot(bytes)));
    }
    let first = found.read.next().transpose()?.unwrap_or_default();
    let first_bytes = first.len() as u64;
    if first_bytes > size_bytes || (first_bytes < size_bytes && first_bytes == 0) {
        return Err(another_length(size_bytes));
    }
    Ok(Some(if first_bytes == size_bytes {
        Begun::Whole(first)
    } else {
        Begun::Long(size_bytes, first, found.read)
    }))
}

/// A result of which everything it names is there: with another one, a client would skip its action and then lack its outputs.
fn begin_result(
    pool: &dyn Pool,
    name: &Name,
    blobs: &'static str,
    wanted: Wanted,
) -> Result<Option<Begun>, Trouble> {
    let Some(found) = pool.find(name)? else {
        return Ok(None);
    };
    if found.size_bytes > RESULT_BYTES_MAX {
        return Err(Trouble::Damaged("it is larger than any result".into()));
    }
    let bytes = gather(found, None)?;
    let blob = |digest: &Digest| Name {
        scope: name.scope.clone(),
        space: blobs,
        key: hex(digest),
    };
    let is_whole = result::is_whole(pool, &blob, &bytes, Instant::now() + RESULT_LOOK_MAX)?;
    Ok(is_whole.then(|| match wanted {
        Wanted::Size => Begun::Size(bytes.len() as u64),
        Wanted::Bytes => Begun::Whole(bytes),
    }))
}

/// All bytes in one piece of memory of exactly their size, checked against the hash that names them, if one does.
pub(super) fn gather(found: Found, expected: Option<&Digest>) -> Result<Bytes, Trouble> {
    let size_bytes = usize::try_from(found.size_bytes).unwrap_or(usize::MAX);
    let mut all = Vec::with_capacity(size_bytes);
    for piece in found.read {
        let piece = piece?;
        if all.len() + piece.len() > size_bytes {
            return Err(another_length(found.size_bytes));
        }
        all.extend_from_slice(&piece);
    }
    if all.len() != size_bytes {
        return Err(another_length(found.size_bytes));
    }
    if expected.is_some_and(|expected| digest(&SHA256, &all).as_ref() != expected) {
        let reason = "its SHA-256 is not the one that names it";
        return Err(Trouble::Damaged(reason.into()));
    }
    Ok(all.into())
}

fn another_length(size_bytes: u64) -> Trouble {
    Trouble::Damaged(format!("it does not have the {size_bytes} bytes it should"))
}

fn answer(
    ask: &Ask<'_>,
    wanted: Wanted,
    begun: Begun,
    turn: Option<OwnedSemaphorePermit>,
    engine: &Engine,
) -> Response<Body> {
    ask.counts.hits.one();
    let turn = turn.map(Arc::new);
    let (size_bytes, body) = match begun {
        Begun::Size(size_bytes) => return reply::size(size_bytes),
        Begun::Whole(bytes) | Begun::Hot(bytes) => {
            if wanted == Wanted::Size {
                return reply::size(bytes.len() as u64);
            }
            let size_bytes = bytes.len() as u64;
            (size_bytes, Body::of(holding(bytes, turn.as_ref())))
        }
        Begun::Long(size_bytes, first, pieces) => {
            let (give, rest) = mpsc::channel(READ_PIECES_WAITING_MAX);
            let first = holding(first, turn.as_ref());
            // Tracked by the engine; ends by itself when the client has gone and `rest` is dropped.
            drop(engine.call(move || {
                read_on(pieces, &give, turn.as_ref());
            }));
            let body = Body::Pieces {
                first: Some(first),
                rest,
                left_bytes: size_bytes,
            };
            (size_bytes, body)
        }
    };
    ask.counts.bytes_out.more(size_bytes);
    reply::entry(body)
}

/// The bytes with the turn they were read in; what is hot anyway needed none.
fn holding(bytes: Bytes, turn: Option<&Turn>) -> Bytes {
    match turn {
        Some(turn) => reply::held(bytes, turn),
        None => bytes,
    }
}

/// Hands on every piece until there are no more, or nobody who takes them.
fn read_on(pieces: Pieces, give: &Sender<Result<Bytes, Cut>>, turn: Option<&Turn>) {
    for piece in pieces {
        let piece = piece.map(|piece| holding(piece, turn));
        let piece = piece.map_err(|trouble| {
            tracing::warn!(error = %chain(&trouble), "an answer was cut off");
            Cut
        });
        debug_assert!(piece.as_ref().map_or(0, Bytes::len) <= PIECE_BYTES_MAX);
        let is_last = piece.is_err();
        if give.blocking_send(piece).is_err() || is_last {
            return;
        }
    }
}
