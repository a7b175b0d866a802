//! What a build leaves, put into the store as one tree: log, events, artifacts, reports. The outcome names it, and is recorded
//! only afterwards.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use croft_cache::{Put, Store};
use croft_proto::Timestamp;

use crate::chain;

/// A store that is down for longer has lost what the build left: its outcome is recorded and says so.
const PATIENCE: Duration = Duration::from_secs(600);
/// The pause before the next try: it grows to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The digest of the tree that was stored.
///
/// # Errors
/// What the store said last, after ten minutes.
pub(crate) async fn keep(
    kept: &Arc<Store>,
    folder: &Path,
    now: fn() -> Timestamp,
) -> Result<String, String> {
    let begun = tokio::time::Instant::now();
    let mut pause = PAUSE;
    loop {
        let (store, directory) = (Arc::clone(kept), folder.to_path_buf());
        let put = tokio::task::spawn_blocking(move || {
            store.put(&Put {
                directory: &directory,
                now: now(),
            })
        });
        let failed = match put.await {
            Ok(Ok(stored)) => return Ok(stored.tree.id.to_string()),
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
