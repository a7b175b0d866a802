//! A revision from the farm's store: what this host has of it already is copied, only the rest travels, and each piece is checked. Asked for
//! by DownloadBundle.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use croft_agent::{Bundle, BundleError, Site};
use croft_cache::{Earlier, Id, Laid, Lay, Offer, Supply, encode_ids, lay};
use reqwest::{Method, Response};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::calls::Calls;
use crate::farm::client::Failure;

/// A farm that sends nothing for this long has forgotten about it, or is not there any more.
const SILENCE: Duration = Duration::from_secs(60);
/// The pause before what has failed is asked for again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a farm that is away is asked what a revision is made of.
const PATIENCE: Duration = Duration::from_secs(120);

/// A revision of the farm's.
pub(super) struct FromFarm {
    pub(super) calls: Arc<Calls>,
    pub(super) runtime: Handle,
    pub(super) digest: String,
}

impl Bundle for FromFarm {
    fn bring(&self, site: &Site<'_>, is_over: &AtomicBool) -> Result<(), BundleError> {
        let laid = self.fetch(site, is_over).map_err(|error| {
            if is_over.load(Ordering::Relaxed) {
                return BundleError::Stopped;
            }
            BundleError::Unreadable {
                path: format!("{} of the farm", self.digest).into(),
                source: io::Error::other(format!("{error:#}")),
            }
        })?;
        tracing::info!(
            revision = self.digest,
            files = laid.files,
            bytes = laid.size_bytes,
            fetched_chunks = laid.fetched_chunks,
            fetched_bytes = laid.fetched_bytes,
            "a revision has come"
        );
        Ok(())
    }
}

impl FromFarm {
    fn fetch(&self, site: &Site<'_>, is_over: &AtomicBool) -> anyhow::Result<Laid> {
        let path = ["revisions", self.digest.as_str()];
        let asking = async {
            let begun = Instant::now();
            loop {
                let answer = self.calls.bytes(Method::GET, &path, Bytes::new()).await;
                // A server that ends and comes again is no fault of the release.
                let failed = answer.as_ref().err();
                let failed = failed.and_then(|error| error.downcast_ref::<Failure>());
                let may_pass = failed.is_some_and(Failure::is_passing);
                let is_over = is_over.load(Ordering::Relaxed);
                if !may_pass || is_over || begun.elapsed() >= PATIENCE {
                    return answer;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let offer = Offer::decode(&self.runtime.block_on(asking)?)?;
        // What is fetched is what was asked for, whoever answers.
        if offer.tree().id.to_string() != self.digest {
            anyhow::bail!("the farm offers {} instead", offer.tree().id);
        }
        let earlier: Vec<Earlier> = site
            .earlier
            .iter()
            .map(|earlier| Earlier {
                folder: earlier.folder.clone(),
                notes: earlier.notes.clone(),
            })
            .collect();
        let wanted = Lay {
            offer: &offer,
            into: site.into,
            notes: site.notes,
            earlier: &earlier,
        };
        let asking = Asking {
            farm: self,
            is_over,
            has_failed: AtomicBool::new(false),
        };
        Ok(lay(&wanted, &asking)?)
    }
}

/// Asks the farm for chunks.
struct Asking<'a> {
    farm: &'a FromFarm,
    is_over: &'a AtomicBool,
    has_failed: AtomicBool,
}

impl Supply for Asking<'_> {
    fn chunks(&self, wanted: &[Id]) -> io::Result<Box<dyn Read + '_>> {
        let FromFarm {
            calls,
            runtime,
            digest,
        } = self.farm;
        let path = ["revisions", digest.as_str(), "chunks"];
        let asked = Bytes::from(encode_ids(wanted));
        let answer = runtime.block_on(async {
            if self.has_failed.load(Ordering::Relaxed) {
                tokio::time::sleep(PAUSE).await;
            }
            loop {
                let answer = calls.opened(Method::POST, &path, asked.clone()).await;
                // Many hosts fetch at once, or a server begins: that is no failure.
                let is_busy = matches!(&answer, Err(error) if is_busy(error));
                if !is_busy || self.is_over() {
                    return answer;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        self.has_failed.store(answer.is_err(), Ordering::Relaxed);
        Ok(Box::new(Answer {
            answer: answer.map_err(|error| io::Error::other(format!("{error:#}")))?,
            piece: Bytes::new(),
            runtime,
            is_over: self.is_over,
        }))
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// Whether the farm is there and has no turn for this host yet.
fn is_busy(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Failure>();
    matches!(refused, Some(Failure::Refused(problem)) if problem.is_passing())
}

/// An answer's body, as it comes.
struct Answer<'a> {
    answer: Response,
    piece: Bytes,
    runtime: &'a Handle,
    is_over: &'a AtomicBool,
}

impl Read for Answer<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            if self.is_over.load(Ordering::Relaxed) {
                return Err(io::Error::other("it was stopped"));
            }
            let next = self
                .runtime
                .block_on(async { tokio::time::timeout(SILENCE, self.answer.chunk()).await });
            let next = next.map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))?;
            match next.map_err(io::Error::other)? {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let read = into.len().min(self.piece.len());
        self.piece
            .copy_to_slice(into.get_mut(..read).unwrap_or_default());
        Ok(read)
    }
}
