//! Answers as they go out: bytes of an entry, whole or piece by piece, and problems in words. Made by `engine`, `fetch` and
//! `upload`; sent by hyper.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::header::{
    ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::Receiver;

use super::limits::RETRY_AFTER_SECONDS;

/// A turn at the pool, shared by all pieces of an answer: it ends with the last of them.
pub(super) type Turn = Arc<OwnedSemaphorePermit>;

/// The same bytes, which keep the turn until they are gone from memory. An answer's body is dropped when it has handed its
/// last bytes over, and those may wait a long time until a slow client takes them.
pub(super) fn held(bytes: Bytes, turn: &Turn) -> Bytes {
    struct Held {
        bytes: Bytes,
        _turn: Turn,
    }
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    Bytes::from_owner(Held {
        bytes,
        _turn: Arc::clone(turn),
    })
}

/// What an answer carries. Its length is always known.
#[derive(Debug)]
pub(super) enum Body {
    /// All of it in memory.
    Whole {
        /// None once it was handed over.
        bytes: Option<Bytes>,
    },
    /// Read while it is sent.
    Pieces {
        first: Option<Bytes>,
        rest: Receiver<Result<Bytes, Cut>>,
        left_bytes: u64,
    },
}

/// The storage failed in the middle of an entry: the connection closes before the promised length, which every client
/// notices.
#[derive(Debug, thiserror::Error)]
#[error("the storage failed in the middle of an entry")]
pub(super) struct Cut;

impl Body {
    pub(super) fn of(bytes: Bytes) -> Self {
        Self::Whole {
            bytes: (!bytes.is_empty()).then_some(bytes),
        }
    }

    pub(super) fn empty() -> Self {
        Self::of(Bytes::new())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Whole { bytes } => Poll::Ready(bytes.take().map(Frame::data).map(Ok)),
            Self::Pieces {
                first,
                rest,
                left_bytes,
            } => {
                let piece = match first.take() {
                    Some(first) => Ok(first),
                    None if *left_bytes == 0 => return Poll::Ready(None),
                    None => match std::task::ready!(rest.poll_recv(context)) {
                        Some(piece) => piece,
                        None => Err(Cut),
                    },
                };
                Poll::Ready(Some(piece.and_then(|piece| {
                    let length = piece.len() as u64;
                    *left_bytes = left_bytes.checked_sub(length).ok_or(Cut)?;
                    Ok(Frame::data(piece))
                })))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole { bytes } => bytes.is_none(),
            Self::Pieces { left_bytes, .. } => *left_bytes == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Whole { bytes } => bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            Self::Pieces { left_bytes, .. } => *left_bytes,
        })
    }
}

/// An entry's bytes.
pub(super) fn entry(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// That an entry is there, and its size.
pub(super) fn size(size_bytes: u64) -> Response<Body> {
    let mut response = entry(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size_bytes));
    response
}

/// That nothing is there: ordinary, so in few words.
pub(super) fn miss() -> Response<Body> {
    text(
        StatusCode::NOT_FOUND,
        Bytes::from_static(b"not in the cache\n"),
    )
}

/// That an entry was stored.
pub(super) fn stored() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::CREATED;
    response
}

/// A line of text.
pub(super) fn text(status: StatusCode, line: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::of(line));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Why a request is not done as it was asked.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    words: String,
    header: Option<(HeaderName, &'static str)>,
}

impl Problem {
    /// **Shape.** `words` say what is wrong and what to do, without a full stop.
    pub(super) fn new(status: StatusCode, words: impl fmt::Display) -> Self {
        Self {
            status,
            words: words.to_string(),
            header: None,
        }
    }

    /// It helps to ask again a little later.
    pub(super) fn later(status: StatusCode, words: impl fmt::Display) -> Self {
        Self {
            header: Some((RETRY_AFTER, RETRY_AFTER_SECONDS)),
            ..Self::new(status, words)
        }
    }

    /// It helps to come with a token.
    pub(super) fn unknown(words: impl fmt::Display) -> Self {
        Self {
            header: Some((WWW_AUTHENTICATE, "Basic realm=\"croft\", Bearer")),
            ..Self::new(StatusCode::UNAUTHORIZED, words)
        }
    }

    /// Other methods would do.
    pub(super) fn method(words: impl fmt::Display) -> Self {
        Self {
            header: Some((ALLOW, "GET, HEAD, PUT")),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, words)
        }
    }

    /// The answer for a request to that path.
    pub(super) fn into_response(self, path: &str) -> Response<Body> {
        // Whoever sends rubbish need not get all of it back.
        let path: String = path.chars().take(200).collect();
        let line = format!("croft: {path}: {}\n", self.words);
        let mut response = text(self.status, line.into());
        if let Some((name, value)) = self.header {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::sync::{Semaphore, mpsc};

    use super::*;

    #[tokio::test]
    async fn a_turn_ends_with_the_last_bytes_and_not_with_the_body() {
        let turns = Arc::new(Semaphore::new(1));
        let turn = Arc::new(Arc::clone(&turns).try_acquire_owned().unwrap());
        let (give, rest) = mpsc::channel(1);
        give.try_send(Ok(held("rest".into(), &turn))).unwrap();
        let mut body = Body::Pieces {
            first: Some(held("first".into(), &turn)),
            rest,
            left_bytes: 9,
        };
        drop((turn, give));
        let first = body.frame().await.unwrap().unwrap();
        let rest = body.frame().await.unwrap().unwrap();
        drop((body, first));
        assert_eq!(turns.available_permits(), 0);
        assert_eq!(rest.into_data().unwrap(), "rest");
        assert_eq!(turns.available_permits(), 1);
    }
}
