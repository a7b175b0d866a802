//! From a request to an answer: who asks, what it means, and then `fetch` or `upload`. One engine serves all connections
//! of a service; what the protocols share is here, once.

use std::sync::Arc;

use bytes::Bytes;
use croft_keys::Role;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, EXPECT, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::counts::{Count, Counts, Summary};
use super::fetch::{Wanted, fetch};
use super::front::{Entry, Mount, Odd, Op};
use super::gate::{Gate, Grant};
use super::hot::HotSet;
use super::limits::{Limits, REFUSED_BYTES_MAX, UNTAKEN_BYTES_MAX, UNTAKEN_UNIT_BYTES};
use super::pool::{Name, Pool};
use super::pulse::Pulse;
use super::reply::{self, Body, Problem};
use super::service::Options;
use super::upload::store;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) pool: Arc<dyn Pool>,
    pub(super) limits: Limits,
    pub(super) hot: Arc<HotSet>,
    /// Turns at the pool.
    pub(super) reads: Arc<Semaphore>,
    pub(super) uploads: Arc<Semaphore>,
    /// Memory of blobs that were read and are not taken yet.
    pub(super) untaken: Arc<Semaphore>,
    /// Calls of the pool on threads of their own; some outlive the request that wanted them.
    pub(super) calls: TaskTracker,
    pub(super) turned_away: Count,
    gate: Arc<dyn Gate>,
    /// Longest prefix first.
    mounted: Vec<(Mount, Counts)>,
    refused: Count,
}

/// An entry in somebody's scope, asked for on a connection.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) entry: Entry,
    pub(super) scope: Arc<str>,
    pub(super) counts: &'a Counts,
    pub(super) pulse: &'a Pulse,
}

impl Ask<'_> {
    /// What the pool calls it.
    pub(super) fn name(&self) -> Name {
        Name {
            scope: self.scope.to_string(),
            space: self.entry.space,
            key: self.entry.key.clone(),
        }
    }
}

impl Engine {
    pub(super) fn new(options: Options) -> Self {
        let Options {
            pool,
            gate,
            mut mounts,
            limits,
        } = options;
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.rank()));
        let mounted = mounts.into_iter();
        Self {
            pool,
            gate,
            limits,
            hot: Arc::new(HotSet::new(limits.hot_bytes_max)),
            reads: Arc::new(Semaphore::new(limits.reads_max)),
            uploads: Arc::new(Semaphore::new(limits.uploads_max)),
            untaken: Arc::new(Semaphore::new(UNTAKEN_BYTES_MAX / UNTAKEN_UNIT_BYTES)),
            calls: TaskTracker::new(),
            mounted: mounted.map(|mount| (mount, Counts::default())).collect(),
            refused: Count::default(),
            turned_away: Count::default(),
        }
    }

    pub(super) fn summary(&self) -> Summary {
        let (hot_blobs, hot_bytes) = self.hot.size();
        let fronts = self.mounted.iter();
        Summary {
            fronts: fronts
                .map(|(mount, counts)| (mount.front.name(), counts.summary()))
                .collect(),
            refused: self.refused.now(),
            turned_away: self.turned_away.now(),
            hot_blobs,
            hot_bytes,
        }
    }

    /// The answer to one request; problems are answers, too.
    pub(super) async fn answer(&self, request: Request<Incoming>, pulse: &Pulse) -> Response<Body> {
        pulse.beat();
        let (head, mut body) = request.into_parts();
        match self.admitted(&head, &mut body, pulse).await {
            Ok(response) => response,
            Err(problem) => {
                // Who was too slow would be as slow with the rest of its body.
                if problem.status != StatusCode::REQUEST_TIMEOUT {
                    let rest = read_refused(&head.headers, body, pulse);
                    // The answer goes out either way.
                    drop(timeout(self.limits.upload_grace, rest).await);
                }
                problem.into_response(head.uri.path())
            }
        }
    }

    async fn admitted(
        &self,
        head: &Parts,
        body: &mut Incoming,
        pulse: &Pulse,
    ) -> Result<Response<Body>, Problem> {
        let path = head.uri.path();
        if path == "/healthz" {
            return Ok(reply::text(StatusCode::OK, Bytes::from_static(b"ok\n")));
        }
        let grant = self.admit(&head.headers);
        let grant = grant.inspect_err(|_| self.refused.one())?;
        if path == "/stats" {
            return self.stats(&head.method);
        }
        let below = |(mount, counts)| Some((Mount::below(mount, path)?, mount, counts));
        let found = self.mounted.iter().map(|(m, c)| (m, c)).find_map(below);
        let Some((path, mount, counts)) = found else {
            self.refused.one();
            let words = "nothing is served there: look at the address the tool was given";
            return Err(Problem::new(StatusCode::NOT_FOUND, words));
        };
        let done = match permitted(mount.front.route(&head.method, path), &grant) {
            Ok(op) => self.perform(op, grant.scope, counts, body, pulse).await,
            Err(problem) => Err(problem),
        };
        done.inspect_err(|problem| {
            if problem.status.is_server_error() {
                counts.failed.one();
            } else {
                counts.refused.one();
            }
        })
    }

    /// Who asks, and that it is one of the tools this is for.
    fn admit(&self, headers: &HeaderMap) -> Result<Grant, Problem> {
        if headers.contains_key(ORIGIN) {
            // No tool sends it: a web page would act with the rights of whoever looks at it.
            let words = "web pages are not served: use Bazel, ccache or curl";
            return Err(Problem::new(StatusCode::FORBIDDEN, words));
        }
        if !self.gate.serves_host(text_of(headers, &HOST).unwrap_or("")) {
            let words =
                "without tokens only requests to localhost or 127.0.0.1 are served: use that name";
            return Err(Problem::new(StatusCode::FORBIDDEN, words));
        }
        self.gate
            .admit(text_of(headers, &AUTHORIZATION))
            .map_err(Problem::unknown)
    }

    fn stats(&self, method: &Method) -> Result<Response<Body>, Problem> {
        if method != Method::GET {
            let words = "the figures can only be read, with GET";
            return Err(Problem::method(words));
        }
        let text = serde_json::to_string_pretty(&self.summary()).map_err(|error| {
            tracing::warn!(%error, "failed to write the figures");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no figures")
        })?;
        let mut response = reply::text(StatusCode::OK, (text + "\n").into());
        let json = hyper::header::HeaderValue::from_static("application/json");
        response
            .headers_mut()
            .insert(hyper::header::CONTENT_TYPE, json);
        Ok(response)
    }

    async fn perform(
        &self,
        op: Permitted,
        scope: Arc<str>,
        counts: &Counts,
        body: &mut Incoming,
        pulse: &Pulse,
    ) -> Result<Response<Body>, Problem> {
        let ask = |entry| Ask {
            entry,
            scope,
            counts,
            pulse,
        };
        match op {
            Permitted::Fetch(entry, wanted) => fetch(self, ask(entry), wanted).await,
            Permitted::Store(entry) => store(self, ask(entry), body).await,
        }
    }

    /// A turn at the pool, waited for within limits.
    pub(super) async fn turn(
        &self,
        turns: &Arc<Semaphore>,
        ask: &Ask<'_>,
    ) -> Result<OwnedSemaphorePermit, Problem> {
        let _working = ask.pulse.work();
        let turn = Arc::clone(turns).acquire_owned();
        match timeout(self.limits.turn_wait_max, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(Problem::later(
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests at once: ask again in a few seconds, or with fewer at a time",
            )),
        }
    }

    /// What an answer holds until its client has taken it: room in memory when it is whole and there is room, else its turn.
    pub(super) fn until_taken(
        &self,
        turn: OwnedSemaphorePermit,
        whole_bytes: Option<usize>,
    ) -> OwnedSemaphorePermit {
        let units = whole_bytes.map(|bytes| bytes.div_ceil(UNTAKEN_UNIT_BYTES));
        let room = units
            .and_then(|units| u32::try_from(units).ok())
            .and_then(|units| Arc::clone(&self.untaken).try_acquire_many_owned(units).ok());
        room.unwrap_or(turn)
    }

    /// Runs a call of the pool on a thread that may block. It goes on when nobody waits for it any more.
    pub(super) fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Call<T> {
        Call(self.calls.spawn_blocking(call))
    }
}

/// A call of the pool that goes on by itself.
#[derive(Debug)]
pub(super) struct Call<T>(JoinHandle<T>);

impl<T> Call<T> {
    /// What the call returned.
    pub(super) async fn end(self) -> Result<T, Problem> {
        self.0.await.map_err(|error| {
            tracing::error!(%error, "a call of the pool broke");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the cache broke: its log says where (CROFT_LOG=warn)",
            )
        })
    }
}

/// An operation that its asker may ask for.
enum Permitted {
    Fetch(Entry, Wanted),
    Store(Entry),
}

fn permitted(op: Op, grant: &Grant) -> Result<Permitted, Problem> {
    match (op, grant.role) {
        (Op::Fetch(entry), _) => Ok(Permitted::Fetch(entry, Wanted::Bytes)),
        (Op::Look(entry), _) => Ok(Permitted::Fetch(entry, Wanted::Size)),
        (Op::Store(entry), Role::Writer) => Ok(Permitted::Store(entry)),
        (Op::Store(_), Role::Reader) => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "this token may only read: use a writer's, or tell the tool not to upload",
        )),
        (Op::Refuse(Odd::Path(words)), _) => Err(Problem::new(StatusCode::BAD_REQUEST, words)),
        (Op::Refuse(Odd::Removal), _) => Err(Problem::method(
            "nothing is removed by request: old entries go when room is needed (croft cache gc)",
        )),
        (Op::Refuse(Odd::Method), _) => Err(Problem::method("only GET, HEAD and PUT are served")),
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Reads what a refused client still sends, if it is little: closing at once would reset the connection, and the client
/// would see that instead of the reason.
async fn read_refused(headers: &HeaderMap, mut body: Incoming, pulse: &Pulse) {
    let declared = body.size_hint().upper();
    // Who asks first whether to send is told not to by the answer.
    if headers.contains_key(EXPECT) || declared.is_some_and(|bytes| bytes > REFUSED_BYTES_MAX) {
        return;
    }
    let mut read_bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        pulse.beat();
        read_bytes += frame.data_ref().map_or(0, |piece| piece.len() as u64);
        if read_bytes > REFUSED_BYTES_MAX {
            return;
        }
    }
}
