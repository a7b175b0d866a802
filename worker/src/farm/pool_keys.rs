//! The pool's keys on this worker. Given some at the start; asked for one of them whenever a secret is opened. A key that is not
//! known was made since, when a worker's token was revoked: then whoever gives keys is asked again, for all slots at once.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use croft_bus::Pool;
use croft_keys::PoolKey;
use croft_ledger::{Body, Ledger, Seq, Subject};
use croft_proto::farm::PoolEvent;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::chain;

/// From one question to the next: every one is an entry in the audit chain, and a worker whose token was revoked goes on asking.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// For the answer: a server that starts again is there by then, and a build that waits longer is better off elsewhere.
const ANSWER: Duration = Duration::from_secs(20);
/// How often it is looked whether the pool has a new key, so that few builds have to wait for the answer.
const LOOK: Duration = Duration::from_secs(5);
/// A pool's keys are a handful.
const ENTRIES_AT_ONCE: usize = 64;

/// Whoever gives a pool's keys: a server, or the farm itself where that is in the same process.
pub trait KeySource: std::fmt::Debug + Send + Sync {
    /// The keys there are now, by generation.
    ///
    /// **Errors.** Why they cannot be had, for a person.
    ///
    /// **Cancel.** Safe.
    fn keys(&self) -> BoxFuture<'_, Result<BTreeMap<u32, PoolKey>, String>>;
}

/// Why there is no such key. Never the fault of whoever's build it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoKey {
    #[error(
        "this worker does not have that key and has nobody to ask for it: start it with --server and a worker's token"
    )]
    NobodyToAsk,
    #[error("this worker was not given that key; is its token for this pool still good?")]
    NotGiven,
    #[error("this worker does not have that key and cannot ask for it: {reason}")]
    Unanswered { reason: String },
}

/// The pool's keys by generation. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct PoolKeys(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: RwLock<BTreeMap<u32, Arc<PoolKey>>>,
    source: Option<Arc<dyn KeySource>>,
    /// Held while somebody asks: the others wait for the same answer.
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    /// When it was asked last.
    began: Option<Instant>,
    /// When the last question that was seen to its end had begun, and why it had no answer.
    ended: Option<(Instant, Option<String>)>,
}

impl PoolKeys {
    /// These keys, and who is asked for others; without a source, none are ever added.
    #[must_use]
    pub fn new(known: BTreeMap<u32, PoolKey>, source: Option<Arc<dyn KeySource>>) -> Self {
        let keys = Self(Arc::new(Inner {
            source,
            ..Inner::default()
        }));
        keys.add(known);
        keys
    }

    fn add(&self, new: BTreeMap<u32, PoolKey>) {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(new.into_iter().map(|(number, key)| (number, Arc::new(key))));
    }

    fn known(&self, generation: u32) -> Option<Arc<PoolKey>> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&generation).map(Arc::clone)
    }

    fn newest(&self) -> u32 {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        known.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// The key of that generation; asks for it when it is not known. Takes as long as [`ASK_EVERY`] and twice [`ANSWER`] at most.
    ///
    /// # Cancel
    /// Safe; whoever waits besides asks then.
    pub(crate) async fn key(&self, generation: u32) -> Result<Arc<PoolKey>, NoKey> {
        if let Some(key) = self.known(generation) {
            return Ok(key);
        }
        let source = self.0.source.as_ref().ok_or(NoKey::NobodyToAsk)?;
        let wanted = Instant::now();
        let mut asked = self.0.asked.lock().await;
        if let Some(key) = self.known(generation) {
            return Ok(key);
        }
        let is_answered = |ended: &(Instant, _)| ended.0 >= wanted;
        if asked.ended.as_ref().is_none_or(|ended| !is_answered(ended)) {
            self.ask(source.as_ref(), &mut asked).await;
        }
        self.known(generation).ok_or_else(|| {
            let why_not = asked
                .ended
                .as_ref()
                .and_then(|(_, why_not)| why_not.clone());
            match why_not {
                Some(reason) => NoKey::Unanswered { reason },
                None => NoKey::NotGiven,
            }
        })
    }

    async fn ask(&self, source: &dyn KeySource, asked: &mut Asked) {
        if let Some(began) = asked.began {
            sleep_until(began + ASK_EVERY).await;
        }
        let now = Instant::now();
        asked.began = Some(now);
        let why_not = match timeout(ANSWER, source.keys()).await {
            Ok(Ok(keys)) => {
                self.add(keys);
                None
            }
            Ok(Err(reason)) => Some(reason),
            Err(_elapsed) => Some(format!("no answer within {} s", ANSWER.as_secs())),
        };
        if let Some(reason) = &why_not {
            tracing::warn!(reason, "the pool's keys cannot be had now");
        }
        asked.ended = Some((now, why_not));
    }

    /// Looks for new keys of the pool in the ledger, and asks for each when it appears there. What is not given then is asked for
    /// again when a build needs it.
    ///
    /// # Cancel
    /// Safe.
    pub(crate) async fn follow(&self, ledger: &dyn Ledger, pool: &Pool) -> Infallible {
        let subject = Subject::of("pool", pool.as_str());
        let (Ok(subject), Some(_)) = (subject, &self.0.source) else {
            return std::future::pending().await;
        };
        let mut after = Seq::ZERO;
        loop {
            let read = ledger.read_subject(&subject, after, ENTRIES_AT_ONCE).await;
            for entry in read.unwrap_or_default() {
                after = entry.seq;
                let Some(generation) = generation(&entry.body) else {
                    continue;
                };
                if generation > self.newest()
                    && let Err(error) = self.key(generation).await
                {
                    tracing::warn!(%pool, generation, error = %chain(&error), "the pool has a new key");
                }
            }
            sleep(LOOK).await;
        }
    }
}

fn generation(body: &Body) -> Option<u32> {
    let Body::Event(event) = body else {
        return None;
    };
    // One of a newer croft is met again by whoever opens what is sealed to it.
    let PoolEvent::Keyed { generation, .. } = serde_json::from_slice(event).ok()?;
    Some(generation)
}

#[cfg(test)]
pub(crate) mod tests;
