//! A server on loopback that answers as it is told and remembers what it was asked.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::super::call::Farm;

/// A question as it came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    /// With the query, as it was sent.
    pub(super) path: String,
    pub(super) headers: hyper::HeaderMap,
    pub(super) body: Bytes,
}

/// What becomes of a stream when its pieces have been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It ends as it should.
    End,
    /// The connection breaks.
    Cut,
    /// Nothing more comes.
    Stay,
}

/// An answer.
pub(super) enum Reply {
    Json(u16, Value),
    Bytes(u16, Vec<u8>),
    RetryAfter(u16, &'static str),
    Stream(Vec<String>, Then),
    /// The connection breaks before an answer.
    HangUp,
}

type Script = Arc<dyn Fn(&Asked, usize) -> Reply + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, io::Error>;

pub(super) struct Stub {
    pub(super) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    tasks: JoinSet<()>,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Stub {
    /// Answers by the script, which is told the question and how many came before it.
    pub(super) async fn start(
        script: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::new(script), Arc::clone(&asked)));
        Self {
            address,
            asked,
            tasks,
        }
    }

    pub(super) fn farm(&self) -> Farm {
        super::farm_at(&self.address, Duration::from_secs(20))
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn accept(listener: TcpListener, script: Script, asked: Arc<Mutex<Vec<Asked>>>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (script, asked) = (Arc::clone(&script), Arc::clone(&asked));
        connections.spawn(async move {
            let service =
                service_fn(move |request| answer(request, Arc::clone(&script), Arc::clone(&asked)));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // That some of them break is what this is for.
            connection.await.unwrap_or_default();
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    script: Script,
    all: Arc<Mutex<Vec<Asked>>>,
) -> Result<Response<Body>, io::Error> {
    let (head, body) = request.into_parts();
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: head.headers,
        body: body.collect().await.map_err(io::Error::other)?.to_bytes(),
    };
    let before = {
        let mut all = all.lock().unwrap();
        all.push(asked.clone());
        all.len() - 1
    };
    let whole = |bytes: Vec<u8>| -> Body {
        let never = |never: Infallible| match never {};
        Full::new(Bytes::from(bytes)).map_err(never).boxed_unsync()
    };
    let (status, body) = match script(&asked, before) {
        Reply::Json(status, json) => (status, whole(json.to_string().into_bytes())),
        Reply::Bytes(status, bytes) => (status, whole(bytes)),
        Reply::RetryAfter(status, seconds) => {
            let response = Response::builder()
                .status(status)
                .header("retry-after", seconds);
            return Ok(response.body(whole(Vec::new())).unwrap());
        }
        Reply::Stream(pieces, then) => (200, streamed(pieces, then)),
        Reply::HangUp => return Err(io::ErrorKind::ConnectionReset.into()),
    };
    Ok(Response::builder().status(status).body(body).unwrap())
}

fn streamed(pieces: Vec<String>, then: Then) -> Body {
    let pieces = pieces
        .into_iter()
        .map(|piece| Ok(Frame::data(Bytes::from(piece))));
    // What was given is on its way before the end is: hyper flushes when it has to wait.
    let pieces = stream::iter(pieces).then(|piece| async {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        piece
    });
    let last = stream::once(async move {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        match then {
            Then::End => Ok(Frame::data(Bytes::new())),
            Then::Cut => Err(io::ErrorKind::ConnectionReset.into()),
            Then::Stay => std::future::pending().await,
        }
    });
    BodyExt::boxed_unsync(StreamBody::new(pieces.chain(last)))
}
