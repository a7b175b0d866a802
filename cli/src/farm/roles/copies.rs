//! The file of a server's read model: opened where it stands, begun with a kept copy where it does not, and copied now and then.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use croft_archive::{SnapshotKey, Snapshots};
use croft_keys::MasterKey;
use croft_views::Views;
use tokio::sync::watch;

use super::server::Ground;
use super::substrates::Archive;

/// Where a read model is, and its copies.
pub(super) struct Copies {
    snapshots: Snapshots,
    path: PathBuf,
}

impl Copies {
    /// Of that home's read model of what is on that ground.
    pub(super) fn of(ground: &Ground, key: &MasterKey, home: &Path) -> Self {
        let key = SnapshotKey::of(key.signing_seed("copies of the read model").expose());
        let ledger = Arc::clone(&ground.broker.ledger);
        Self {
            snapshots: Snapshots::new(ledger, ground.archive.depot.clone(), key),
            path: home.join("views.db"),
        }
    }

    /// The read model; where there is none to go on with, one that begins with the newest copy.
    pub(super) async fn open(&self) -> anyhow::Result<Views> {
        if !Views::stands(&self.path) {
            self.bring().await;
        }
        Views::open(&self.path).context("cannot open the read model")
    }

    /// Without one all is folded, which takes longer and comes to the same.
    async fn bring(&self) {
        let brought = self.path.with_extension("brought");
        match self.snapshots.bring(&brought).await {
            Ok(None) => {}
            Ok(Some(_)) => {
                if let Err(error) = Views::replace(&self.path, &brought) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "a copy of the read model is not used");
                }
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "no copy of the read model was found; all of the ledger is folded"
            ),
        }
    }

    /// The loop that keeps copies; none when none are wanted.
    pub(super) fn keeping(
        self,
        archive: &Archive,
        views: Views,
        stop: watch::Receiver<bool>,
    ) -> Option<impl Future<Output = anyhow::Result<()>> + Send + use<>> {
        let pace = (archive.every, archive.apart?);
        let scratch = self.path.with_extension("copy");
        Some(async move {
            self.snapshots.run(views, scratch, pace, stop).await;
            Ok(())
        })
    }
}
