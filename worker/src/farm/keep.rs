//! What a build leaves, put into the store as one tree: log, events, artifacts, reports. The outcome names it, and is recorded
//! only afterwards.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use croft_cache::{Put, Store, Stored};
use croft_proto::Timestamp;
use serde::Serialize;

use crate::chain;

/// What is larger may well have much in common with what other builds left, and is worth looking for that.
const ALONE_BYTES_MAX: u64 = 4 << 20;
/// The same of its files: a look at each of them has its price, too.
const ALONE_FILES_MAX: usize = 1_000;

/// A store that is down for longer has lost what the build left: its outcome is recorded and says so.
const PATIENCE: Duration = Duration::from_secs(600);
/// The pause before the next try: it grows to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Where what a build leaves is, as its record says it.
///
/// **Shape.** `tree` is the digest; `packs`, as [`croft_cache::Packs`] writes them, spare readers a look at all that is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Kept {
    tree: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    packs: String,
}

/// The tree that was stored.
///
/// # Errors
/// What the store said last, after ten minutes.
pub(crate) async fn keep(
    kept: &Arc<Store>,
    folder: &Path,
    now: fn() -> Timestamp,
) -> Result<Kept, String> {
    let begun = tokio::time::Instant::now();
    let mut pause = PAUSE;
    loop {
        let (store, directory) = (Arc::clone(kept), folder.to_path_buf());
        let put = tokio::task::spawn_blocking(move || put(&store, &directory, now()));
        let failed = match put.await {
            Ok(Ok(stored)) => {
                return Ok(Kept {
                    tree: stored.tree.id.to_string(),
                    packs: stored.packs.to_string(),
                });
            }
            Ok(Err(error)) => chain(&error),
            Err(gone) => gone.to_string(),
        };
        if begun.elapsed() >= PATIENCE {
            return Err(failed);
        }
        tracing::warn!(%failed, "what a build leaves is not stored yet");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn put(store: &Store, directory: &Path, now: Timestamp) -> Result<Stored, croft_cache::Error> {
    let asked = Put { directory, now };
    let mut left = (ALONE_BYTES_MAX, ALONE_FILES_MAX);
    match is_small(directory, &mut left) {
        true => store.put_alone(&asked),
        false => store.put(&asked).map(|stored| Stored {
            // They are not all that holds it.
            packs: croft_cache::Packs::default(),
            ..stored
        }),
    }
}

/// Whether a folder has no more than that left of bytes and files; what cannot be read does not count.
fn is_small(directory: &Path, left: &mut (u64, usize)) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        let Ok(found) = entry.metadata() else {
            continue;
        };
        let size_bytes = if found.is_file() { found.len() } else { 0 };
        match (left.0.checked_sub(size_bytes), left.1.checked_sub(1)) {
            (Some(bytes), Some(files)) => *left = (bytes, files),
            (_, _) => return false,
        }
        if found.is_dir() && !is_small(&entry.path(), left) {
            return false;
        }
    }
    true
}
