//! What a build left: its log and its artifacts, files of one tree in the store. Sent piece by piece, each checked by the store before it
//! leaves; a running build's log is what the bus still has of it.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::{ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE};
use bytes::Bytes;
use croft_bus::{Item, Place};
use croft_cache::{Id, Node, Packs, Store, StoredFile};
use croft_proto::Timestamp;
use croft_views::BuildRow;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::call::{Answer, Call, json as answer_json, short, typed};
use super::events::name;
use super::limits::{LIVE_LOG_BYTES_MAX, LIVE_LOG_WAIT, PIECES_WAITING_MAX};
use super::problem::Problem;
use super::range::{self, Wanted};
use super::state::{State, is_inside};
use crate::chain::chain;

/// Where artifacts are in what is kept of a build.
pub(super) const ARTIFACTS: &str = "artifacts";

/// Most files in a list: what a page of a browser can show, and a few megabytes.
const FILES_MAX: usize = 10_000;

/// `GET /v1/builds/{id}/log`
pub(super) async fn log(mut call: Call) -> Answer {
    let build = call.build()?;
    if let Some(kept) = kept_of(&build) {
        let file = send(&call, kept.clone(), PathBuf::from("build.log")).await?;
        if let Some(file) = file {
            return file.answer("text/plain; charset=utf-8");
        }
        in_store(&call.state, kept).await?;
    }
    let text = match build.stage.is_over() {
        true => String::new(),
        false => live_log(&call.state, &build).await?,
    };
    let mut response = typed(
        StatusCode::OK,
        "text/plain; charset=utf-8",
        Body::from(text),
    );
    if !build.stage.is_over() {
        let running = HeaderValue::from_static("partial");
        response.headers_mut().insert("croft-log", running);
    }
    Ok(response)
}

/// What the bus still has of a running build's output.
async fn live_log(state: &State, build: &BuildRow) -> Result<String, Problem> {
    let mut output = state.farm.bus.follow(&name(build.id)?, Place::START);
    let mut text = String::new();
    while let Ok(Some(Ok(item))) = timeout(LIVE_LOG_WAIT, output.next()).await {
        match item {
            Item::Began { .. } => text.clear(),
            Item::Skipped { .. } => text.push_str("[what came before is not kept live]\n"),
            Item::Chunk(chunk) => append_output(&chunk.bytes, &mut text),
            Item::End => break,
        }
        if text.len() > LIVE_LOG_BYTES_MAX {
            break;
        }
    }
    Ok(text)
}

/// The output among a chunk's events.
fn append_output(chunk: &[u8], text: &mut String) {
    for line in chunk.split(|byte| *byte == b'\n') {
        let Ok(event) = serde_json::from_slice::<Value>(line) else {
            continue;
        };
        if event["type"] == "output" {
            text.push_str(event["text"].as_str().unwrap_or_default());
        }
    }
}

/// `GET /v1/builds/{id}/artifacts`
pub(super) async fn artifacts(mut call: Call) -> Answer {
    let build = call.build()?;
    let Some(kept) = kept_of(&build) else {
        return answer_json(
            StatusCode::OK,
            &json!({"artifacts": [], "truncated": false}),
        );
    };
    let (store, now) = (call.state.kept(), call.state.farm.clock.now());
    let _turn = turn(&call.state).await?;
    let listed = call
        .state
        .tasks
        .spawn_blocking(move || list(&store, &kept, now))
        .await;
    let listed = listed.map_err(|error| Problem::internal(&error))??;
    let (files, is_truncated) = listed.ok_or_else(not_in_store)?;
    answer_json(
        StatusCode::OK,
        &json!({"artifacts": files, "truncated": is_truncated}),
    )
}

fn list(
    store: &Store,
    kept: &Kept,
    now: Timestamp,
) -> Result<Option<(Vec<Value>, bool)>, croft_cache::Error> {
    let Some(tree) = store.tree(&kept.tree, now)? else {
        return Ok(None);
    };
    let list = store.files(&tree, &kept.packs)?;
    let mut files = Vec::new();
    for entry in list.entries() {
        let Ok(path) = entry.path.strip_prefix(ARTIFACTS) else {
            continue;
        };
        let size_bytes = match &entry.node {
            Node::File { size_bytes, .. } => Some(*size_bytes),
            Node::HardLink(_) => None,
            Node::Directory | Node::Symlink(_) => continue,
        };
        if files.len() >= FILES_MAX {
            return Ok(Some((files, true)));
        }
        files.push(json!({
            "path": path.to_string_lossy(),
            "sizeBytes": size_bytes,
            "executable": entry.mode & 0o100 != 0,
        }));
    }
    Ok(Some((files, false)))
}

/// Passes when what a build left is where its record says.
async fn in_store(state: &State, kept: Kept) -> Result<(), Problem> {
    let (store, now) = (state.kept(), state.farm.clock.now());
    let _turn = turn(state).await?;
    let looked = state
        .tasks
        .spawn_blocking(move || store.tree(&kept.tree, now))
        .await;
    let tree = looked.map_err(|error| Problem::internal(&error))??;
    tree.map(drop).ok_or_else(not_in_store)
}

fn not_in_store() -> Problem {
    Problem::not_found(
        "what the build left (log, artifacts) is not in the store any more: it was removed there, or the farm was restored without it",
    )
}

/// `GET /v1/builds/{id}/artifacts/{path}`
pub(super) async fn artifact(mut call: Call) -> Answer {
    let build = call.build()?;
    let asked = call.param("path").to_string();
    let none = || Problem::not_found(format!("the build left no file `{}`", short(&asked)));
    if !is_inside(Path::new(&asked)) {
        return Err(none());
    }
    let kept = kept_of(&build).ok_or_else(none)?;
    let path = Path::new(ARTIFACTS).join(&asked);
    let Some(file) = send(&call, kept.clone(), path).await? else {
        in_store(&call.state, kept).await?;
        return Err(none());
    };
    let mut response = file.answer("application/octet-stream")?;
    // What a build made is nothing a browser should show as if it were ours.
    let attachment = HeaderValue::from_static("attachment");
    response
        .headers_mut()
        .insert(CONTENT_DISPOSITION, attachment);
    Ok(response)
}

/// A file on its way: as much of it as was asked for.
struct Sent {
    size_bytes: u64,
    wanted: Wanted,
    body: Body,
}

impl Sent {
    fn answer(self, content_type: &'static str) -> Answer {
        let (status, length, range) = match self.wanted {
            Wanted::Nothing => return Err(Problem::no_such_range(self.size_bytes)),
            Wanted::All => (StatusCode::OK, self.size_bytes, None),
            Wanted::Part(part) => {
                let (first, last) = (part.start, part.end - 1);
                let range = format!("bytes {first}-{last}/{}", self.size_bytes);
                (StatusCode::PARTIAL_CONTENT, part.end - first, Some(range))
            }
        };
        let mut response = typed(status, content_type, self.body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, length.into());
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(range) = range {
            let range = HeaderValue::try_from(range).map_err(|error| Problem::internal(&error))?;
            headers.insert(CONTENT_RANGE, range);
        }
        Ok(response)
    }
}

/// The tree that is kept of a finished build, and where it may be.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) tree: Id,
    packs: Packs,
}

/// What is kept of a finished build.
pub(super) fn kept_of(build: &BuildRow) -> Option<Kept> {
    let finished = build.settled.as_ref()?.build.as_ref()?;
    let word = |name| finished.pointer(name).and_then(Value::as_str);
    Some(Kept {
        tree: Id::parse(word("/kept/tree")?)?,
        packs: word("/kept/packs")
            .and_then(|packs| packs.parse().ok())
            .unwrap_or_default(),
    })
}

/// A file of what is kept of a build. Blocks.
pub(super) fn open(
    store: &Store,
    kept: &Kept,
    path: &Path,
    now: Timestamp,
) -> Result<Option<StoredFile>, croft_cache::Error> {
    match store.tree(&kept.tree, now)? {
        Some(tree) => store.open_file(&tree, &kept.packs, path),
        None => Ok(None),
    }
}

async fn turn(state: &State) -> Result<tokio::sync::OwnedSemaphorePermit, Problem> {
    let turn = Arc::clone(&state.files).acquire_owned().await;
    turn.map_err(|error| Problem::internal(&error))
}

/// A file and its bytes on their way; none when there is no such file.
async fn send(call: &Call, kept: Kept, path: PathBuf) -> Result<Option<Sent>, Problem> {
    let (state, asked) = (&call.state, range::header(&call.headers));
    let turn = turn(state).await?;
    let (found, is_found) = oneshot::channel();
    let (pieces, mut sent) = mpsc::channel::<io::Result<Bytes>>(PIECES_WAITING_MAX);
    let (store, now) = (state.kept(), state.farm.clock.now());
    state.tasks.spawn_blocking(move || {
        let _turn = turn;
        let file = match open(&store, &kept, &path, now) {
            Ok(Some(file)) => file,
            other => return drop(found.send(other.map(|_none| None))),
        };
        let size_bytes = file.size_bytes();
        let wanted = range::wanted(asked.as_deref(), size_bytes);
        let part = match &wanted {
            Wanted::All => 0..size_bytes,
            Wanted::Part(part) => part.clone(),
            Wanted::Nothing => 0..0,
        };
        // Who has gone needs no file.
        if found.send(Ok(Some((size_bytes, wanted)))).is_err() {
            return;
        }
        let read = file.read_range(part, |bytes| {
            match pieces.blocking_send(Ok(Bytes::copy_from_slice(bytes))) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_gone) => ControlFlow::Break(()),
            }
        });
        if let Err(error) = read {
            tracing::warn!(tree = %kept.tree, error = %chain(&error), "a kept file cannot be read to its end");
            // The connection breaks: what was sent is not all there was.
            drop(pieces.blocking_send(Err(io::Error::other("the file cannot be read to its end"))));
        }
    });
    let found = is_found
        .await
        .map_err(|error| Problem::internal(&error))??;
    let body = stream::poll_fn(move |context| sent.poll_recv(context));
    Ok(found.map(|(size_bytes, wanted)| Sent {
        size_bytes,
        wanted,
        body: Body::from_stream(body),
    }))
}
