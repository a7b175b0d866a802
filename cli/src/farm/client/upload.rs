//! A folder's tree on its way to the server: only the chunks that are lacking there. Receives a tree of the local store; when it
//! returns, the server has the tree, or the reason is told.

use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use croft_cache::{Export, Id, Offer, Store, TreeRef, decode_ids};
use reqwest::Method;
use tokio::sync::mpsc;

use super::call::{Call, Failure, Farm};
use crate::render::size;

/// Batches that are read ahead while one is sent: the disk and the line work at once, in 12 MiB of memory.
const BATCHES_AHEAD: usize = 2;
/// A server that goes on to lack chunks loses them; three rounds also bridge a collection that came in between.
const ROUNDS_MAX: usize = 3;
const OCTETS: &str = "application/octet-stream";

/// What a folder is to be on the server: who may send which is not the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A build's source.
    Source,
    /// A deployment's revision.
    Revision,
}

impl Purpose {
    /// The routes' first word.
    const fn word(self) -> &'static str {
        match self {
            Self::Source => "sources",
            Self::Revision => "revisions",
        }
    }
}

/// What an upload came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Uploaded {
    /// Chunks that were sent.
    pub(super) chunks: u64,
    /// Bytes that were sent, compressed.
    pub(super) bytes: u64,
    /// Bytes of all the tree's chunks.
    pub(super) tree_bytes: u64,
}

impl Uploaded {
    /// Says what was sent of it.
    pub(super) fn tell(&self, folder: &Path) {
        eprintln!("croft: {}", self.told(folder));
    }

    fn told(&self, folder: &Path) -> String {
        let (folder, whole) = (shown(folder), size(self.tree_bytes));
        match self.chunks {
            0 => format!("the farm has all of {folder} already ({whole})"),
            _ => format!(
                "uploaded {folder}: {whole}, of which {} were sent, compressed",
                size(self.bytes)
            ),
        }
    }
}

/// A folder as a person knows it.
fn shown(folder: &Path) -> String {
    match folder == Path::new(".") {
        true => "this folder".to_string(),
        false => folder.display().to_string(),
    }
}

/// Sends what the server lacks of the tree, and makes the tree visible there.
pub(super) async fn upload(
    farm: &Farm,
    store: &Store,
    tree: &TreeRef,
    purpose: Purpose,
) -> anyhow::Result<Uploaded> {
    let offer = store
        .offer(tree)
        .context("cannot tell what the source is made of")?;
    let encoded = Bytes::from(offer.encode());
    let mut uploaded = Uploaded {
        tree_bytes: offer.size_bytes(),
        ..Uploaded::default()
    };
    for _ in 0..ROUNDS_MAX {
        let call = Call::new(Method::POST, &["v1", purpose.word(), "wanting"]);
        let answer = farm.bytes(&call.body(OCTETS, encoded.clone())).await?;
        let wanted = decode_ids(&answer).context("cannot read which chunks the server lacks")?;
        send(farm, store, &offer, &wanted, (purpose, &mut uploaded)).await?;
        if is_adopted(farm, &encoded, purpose).await? {
            return Ok(uploaded);
        }
    }
    anyhow::bail!("the server goes on to lack what was sent to it; is its storage full?")
}

/// False when chunks are lacking all the same.
async fn is_adopted(farm: &Farm, offer: &Bytes, purpose: Purpose) -> Result<bool, Failure> {
    let call = Call::new(Method::POST, &["v1", purpose.word(), "trees"]);
    match farm.bytes(&call.body(OCTETS, offer.clone())).await {
        // Instead of an answer about the tree it may be the ids of what is missing.
        Ok(answer) => Ok(decode_ids(&answer).is_err()),
        Err(Failure::Refused(problem)) if problem.status == 409 => Ok(false),
        Err(failure) => Err(failure),
    }
}

async fn send(
    farm: &Farm,
    store: &Store,
    offer: &Offer,
    wanted: &[Id],
    (purpose, uploaded): (Purpose, &mut Uploaded),
) -> anyhow::Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let export = store.export(offer, wanted)?;
    let (batches, mut ready) = mpsc::channel(BATCHES_AHEAD);
    let reading = tokio::task::spawn_blocking(move || read_ahead(export, &batches));
    while let Some(batch) = ready.recv().await {
        let batch: Bytes = batch.context("cannot read the source out of the local store")?;
        let bytes = batch.len() as u64;
        let call = Call::new(Method::POST, &["v1", purpose.word(), "chunks"]);
        farm.bytes(&call.body(OCTETS, batch)).await?;
        uploaded.bytes += bytes;
    }
    reading.await.context("reading the source ended badly")?;
    uploaded.chunks += wanted.len() as u64;
    Ok(())
}

/// Ends with the export, or when nobody takes batches any more.
fn read_ahead(export: Export, batches: &mpsc::Sender<Result<Bytes, croft_cache::Error>>) {
    for batch in export {
        if batches.blocking_send(batch).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_told_by_its_folder_and_sizes() {
        let uploaded = Uploaded {
            chunks: 3,
            bytes: 1 << 20,
            tree_bytes: 5 << 20,
        };
        let told = uploaded.told(Path::new("web"));
        assert!(
            told.starts_with("uploaded web: ") && told.ends_with(" were sent, compressed"),
            "{told}"
        );
        let told = Uploaded::default().told(Path::new("."));
        assert!(
            told.starts_with("the farm has all of this folder"),
            "{told}"
        );
    }
}
