//! Feeding a read model from the ledger. Started by whoever composes a server, once for each read model.

use std::sync::Arc;
use std::time::Duration;

use croft_ledger::{Entry, Ledger, ReadError, Seq};
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::{FollowError, Views};

/// Entries read at once. They are a few megabytes, and at their largest 64.
const CHUNK: usize = 1024;
/// Bytes of entries folded in one transaction while there is much to fold, unless one chunk has more: nearly every build changes pages
/// of every index, and these are written once for all of a piece.
pub const PIECE_BYTES: usize = 8 << 20;
/// From the beginning of one fold to the next while much comes: a transaction writes the same pages for an entry as for a hundred.
const PACE: Duration = Duration::from_millis(10);
/// Entries that came at once and are much.
const MUCH: usize = 32;
/// What an entry takes beside its event.
const ENTRY_BYTES: usize = 256;

/// Folds the ledger from where the read model is: all there is, then what comes, until `stop` is true or its sender is gone.
///
/// # Errors
/// When the ledger cannot be read any more, or an entry cannot be folded: a server that cannot know what happened must not
/// tell.
///
/// **Cancel.** What was being folded is finished on its thread; nothing is folded twice.
pub async fn follow(
    ledger: Arc<dyn Ledger>,
    views: Views,
    mut stop: watch::Receiver<bool>,
) -> Result<(), FollowError> {
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => Ok(()),
        ended = follow_on(&*ledger, &views) => ended,
    }
}

async fn follow_on(ledger: &dyn Ledger, views: &Views) -> Result<(), FollowError> {
    catch_up(ledger, views).await?;
    let mut chunks = ledger.follow(views.position()).ready_chunks(CHUNK);
    while let Some(chunk) = chunks.next().await {
        let begun = Instant::now();
        let mut entries = Vec::with_capacity(chunk.len());
        let mut ended = None;
        for entry in chunk {
            match entry {
                Ok(entry) => entries.push(entry),
                Err(error) => ended = Some(error),
            }
        }
        let is_much = entries.len() >= MUCH;
        apply(views, entries).await?;
        if let Some(error) = ended {
            return Err(error.into());
        }
        if is_much {
            sleep_until(begun + PACE).await;
        }
    }
    Err(ReadError::Closed.into())
}

/// In large pieces, the next one read while one is folded: following gives each entry by itself, which is for later.
async fn catch_up(ledger: &dyn Ledger, views: &Views) -> Result<(), FollowError> {
    let mut entries = piece(ledger, views.position()).await?;
    while let Some(last) = entries.last() {
        let next = piece(ledger, last.seq);
        let (applied, next) = tokio::join!(apply(views, entries), next);
        applied?;
        entries = next?;
    }
    Ok(())
}

/// What comes next, until there is nothing more or it is large enough.
async fn piece(ledger: &dyn Ledger, after: Seq) -> Result<Vec<Entry>, ReadError> {
    let mut piece = Vec::new();
    let (mut last, mut bytes) = (after, 0);
    while bytes < PIECE_BYTES {
        let chunk = ledger.read(last, CHUNK).await?;
        let Some(entry) = chunk.last() else {
            break;
        };
        last = entry.seq;
        bytes += chunk.iter().map(bytes_of).sum::<usize>();
        piece.extend(chunk);
    }
    Ok(piece)
}

/// What an entry counts for in [`PIECE_BYTES`].
#[must_use]
pub fn bytes_of(entry: &Entry) -> usize {
    ENTRY_BYTES + entry.event().map_or(0, |event| event.len())
}

async fn apply(views: &Views, entries: Vec<Entry>) -> Result<(), FollowError> {
    let views = views.clone();
    let applied = tokio::task::spawn_blocking(move || views.apply(&entries));
    match applied.await {
        Ok(applied) => {
            applied?;
            Ok(())
        }
        Err(error) => Err(FollowError::Lost(error.to_string())),
    }
}
