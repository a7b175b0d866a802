//! A revision from the farm's store: only the chunks that this host lacks travel, and each is checked. Asked for by DownloadBundle.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use croft_agent::{Bundle, BundleError};
use croft_cache::{Adoption, Id, Offer, ReceiveLimits, Store, encode_ids};
use reqwest::Method;
use tokio::runtime::Handle;

use super::calls::Calls;
use crate::surroundings::now;

/// Bytes of chunks that are asked for at once: they are in memory on their way.
const PART_BYTES_MAX: u64 = 2 << 20;
/// Chunks asked for at once: their list has to fit into a request.
const PART_CHUNKS_MAX: usize = 2_000;
/// A revision that still lacks something after so many rounds is being collected as fast as it is fetched.
const ROUNDS_MAX: usize = 3;

/// A revision of the farm's.
pub(super) struct FromFarm {
    pub(super) calls: Arc<Calls>,
    pub(super) store: Store,
    pub(super) runtime: Handle,
    pub(super) digest: String,
}

impl Bundle for FromFarm {
    fn bring(&self, into: &Path, is_over: &AtomicBool) -> Result<(), BundleError> {
        self.fetch(is_over)
            .and_then(|tree| Ok(self.store.get(&tree, into)?))
            .map(drop)
            .map_err(|error| {
                if is_over.load(Ordering::Relaxed) {
                    return BundleError::Stopped;
                }
                BundleError::Unreadable {
                    path: format!("{} of the farm", self.digest).into(),
                    source: io::Error::other(format!("{error:#}")),
                }
            })
    }
}

impl FromFarm {
    /// The tree, whole in this host's own store.
    fn fetch(&self, is_over: &AtomicBool) -> anyhow::Result<croft_cache::TreeRef> {
        let path = ["revisions", self.digest.as_str()];
        let offer = self
            .runtime
            .block_on(self.calls.bytes(Method::GET, &path, Bytes::new()))?;
        let offer = Offer::decode(&offer)?;
        // What is fetched is what was asked for, whoever answers.
        if offer.tree().id.to_string() != self.digest {
            anyhow::bail!("the farm offers {} instead", offer.tree().id);
        }
        let mut lacking = self.store.wanting(&offer.ids())?;
        for _ in 0..ROUNDS_MAX {
            for part in parts(&offer, &lacking) {
                if is_over.load(Ordering::Relaxed) {
                    anyhow::bail!("it was stopped");
                }
                self.receive(&part)?;
            }
            match self.store.adopt(&offer, now())? {
                Adoption::Visible { .. } => return Ok(offer.tree().clone()),
                Adoption::Missing(missing) => lacking = missing,
            }
        }
        anyhow::bail!("some of it is missing, again and again")
    }

    fn receive(&self, part: &[Id]) -> anyhow::Result<()> {
        let path = ["revisions", self.digest.as_str(), "chunks"];
        let asked = Bytes::from(encode_ids(part));
        let frames = self
            .runtime
            .block_on(self.calls.bytes(Method::POST, &path, asked))?;
        let limits = ReceiveLimits {
            bytes_max: u64::MAX,
            chunks_max: part.len() as u64,
        };
        self.store.receive(&mut frames.as_ref(), &limits, &now)?;
        Ok(())
    }
}

/// What is lacking, in parts of which each fits into memory.
fn parts(offer: &Offer, lacking: &[Id]) -> Vec<Vec<Id>> {
    let size = |id: &Id| {
        let chunk = offer.find(id);
        chunk.map_or(0, |chunk| u64::from(chunk.size_bytes))
    };
    let mut parts = vec![Vec::new()];
    let mut part_bytes = 0;
    for id in lacking {
        let bytes = size(id);
        let last = parts.last().map_or(0, Vec::len);
        if last > 0 && (part_bytes + bytes > PART_BYTES_MAX || last >= PART_CHUNKS_MAX) {
            parts.push(Vec::new());
            part_bytes = 0;
        }
        part_bytes += bytes;
        if let Some(part) = parts.last_mut() {
            part.push(*id);
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}
