//! Feeding a read model from the ledger. Started by whoever composes a server, once for each read model.

use std::sync::Arc;

use croft_ledger::{Entry, Ledger, ReadError};
use futures_util::StreamExt as _;
use tokio::sync::watch;

use crate::{FollowError, Views};

/// Entries folded in one transaction while there is much to fold. They are a few megabytes, and at their largest 64.
const CHUNK: usize = 1024;

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
        let mut entries = Vec::with_capacity(chunk.len());
        let mut ended = None;
        for entry in chunk {
            match entry {
                Ok(entry) => entries.push(entry),
                Err(error) => ended = Some(error),
            }
        }
        apply(views, entries).await?;
        if let Some(error) = ended {
            return Err(error.into());
        }
    }
    Err(ReadError::Closed.into())
}

/// In large pieces, the next one read while one is folded: following gives each entry by itself, which is for later.
async fn catch_up(ledger: &dyn Ledger, views: &Views) -> Result<(), FollowError> {
    let mut entries = ledger.read(views.position(), CHUNK).await?;
    while let Some(last) = entries.last() {
        let next = ledger.read(last.seq, CHUNK);
        let (applied, next) = tokio::join!(apply(views, entries), next);
        applied?;
        entries = next?;
    }
    Ok(())
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
