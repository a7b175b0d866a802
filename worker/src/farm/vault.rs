//! The values of a build's secrets: read from the ledger when the build asks for one, opened here with the pool's key, and
//! nowhere kept. Says who is to mend what cannot be had: a value that opens nowhere is its owner's to set again, one that this
//! worker has no key for may be opened by others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use croft_keys::{Sealed, open};
use croft_ledger::{Body, Ledger, Seq, Subject};
use croft_proto::farm::{SealedFor, SecretEvent};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};

use super::pool_keys::PoolKeys;
use crate::{NoValue, Vault, chain};

/// Entries read at once: values that were set and sealed anew.
const ENTRIES_AT_ONCE: usize = 64;
/// So long a value may take to be sealed for a pool that is new: servers compare secrets and pools every 30 s, and seal in a moment.
const SEALED_WITHIN: Duration = Duration::from_secs(35);
/// How often it is looked whether it was, meanwhile.
const LOOK: Duration = Duration::from_secs(1);

/// Whether a value was not had for a reason that lies beyond this machine: a key that it was not given, a ledger that does not
/// answer. Others may have it; and of this machine it says nothing, which may run builds without secrets as well as any. Clones are
/// the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unserved(Arc<AtomicBool>);

impl Unserved {
    pub(crate) fn happened(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn note(&self, why: &NoValue) {
        if matches!(why, NoValue::Machine(_)) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// The secrets that builds of one project may have, in one pool.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) keys: PoolKeys,
    pub(crate) pool: String,
    pub(crate) project: String,
    pub(crate) unserved: Unserved,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("pool", &self.pool)
            .field("project", &self.project)
            .finish_non_exhaustive()
    }
}

/// A secret as it stands.
#[derive(Debug, Default)]
struct Standing {
    version: u32,
    projects: Vec<String>,
    sealed: Vec<SealedFor>,
    is_there: bool,
}

impl Standing {
    fn fold(&mut self, event: SecretEvent) {
        match event {
            SecretEvent::Set {
                version,
                projects,
                sealed,
                ..
            } => {
                *self = Self {
                    version,
                    projects,
                    sealed,
                    is_there: true,
                };
            }
            SecretEvent::Resealed { version, sealed } if version == self.version => {
                self.sealed = sealed;
            }
            SecretEvent::Resealed { .. } => {}
            SecretEvent::Removed => self.is_there = false,
        }
    }
}

impl Vault for Opened {
    fn value(&self, name: &str) -> BoxFuture<'_, Result<Option<String>, NoValue>> {
        let name = name.to_string();
        async move {
            let value = self.look_up(&name).await;
            value.inspect_err(|why| self.unserved.note(why))
        }
        .boxed()
    }
}

impl Opened {
    /// Waits for a value that is not sealed for the pool yet. Dropped when the build is stopped or its lease is gone.
    async fn look_up(&self, name: &str) -> Result<Option<String>, NoValue> {
        let Ok(subject) = Subject::of("secret", name) else {
            return Ok(None);
        };
        let until = Instant::now() + SEALED_WITHIN;
        let (mut standing, mut after) = (Standing::default(), Seq::ZERO);
        loop {
            after = self.read(&subject, name, after, &mut standing).await?;
            if !standing.is_there || !may_have(&standing.projects, &self.project) {
                return Ok(None);
            }
            let to_pool = standing.sealed.iter();
            let ours = to_pool
                .filter(|sealed| sealed.pool == self.pool)
                .max_by_key(|sealed| sealed.generation);
            if let Some(ours) = ours {
                return self.open(name, standing.version, ours).await.map(Some);
            }
            if Instant::now() >= until {
                return Err(self.unsealed(name));
            }
            sleep(LOOK).await;
        }
    }

    fn unsealed(&self, name: &str) -> NoValue {
        NoValue::User(format!(
            "secret {name:?} is not sealed for pool `{}`, and was not within {} s: a pool has a key once one of its workers was \
             started with --server and a worker's token; when one was, the servers' logs say why they do not seal",
            self.pool,
            SEALED_WITHIN.as_secs()
        ))
    }

    /// Folds what was written since; the last entry there is.
    async fn read(
        &self,
        subject: &Subject,
        name: &str,
        mut after: Seq,
        standing: &mut Standing,
    ) -> Result<Seq, NoValue> {
        loop {
            let read = self.ledger.read_subject(subject, after, ENTRIES_AT_ONCE);
            let entries = read.await.map_err(|error| {
                NoValue::Machine(format!(
                    "secret {name:?} cannot be read now: {}",
                    chain(&error)
                ))
            })?;
            for entry in &entries {
                after = entry.seq;
                let Body::Event(event) = &entry.body else {
                    continue;
                };
                let event = serde_json::from_slice(event).map_err(|error| {
                    NoValue::Machine(format!(
                        "secret {name:?} was written by a newer croft than this worker: {error}"
                    ))
                })?;
                standing.fold(event);
            }
            if entries.len() < ENTRIES_AT_ONCE {
                return Ok(after);
            }
        }
    }

    async fn open(&self, name: &str, version: u32, ours: &SealedFor) -> Result<String, NoValue> {
        // No other worker would open it either.
        let useless = |why: String| {
            NoValue::User(format!(
                "secret {name:?} {why}; set it again with `croft secret set {name}`"
            ))
        };
        let sealed: Sealed = ours
            .sealed
            .parse()
            .map_err(|error: croft_keys::BadClosed| useless(format!("is damaged: {error}")))?;
        let key = self.keys.key(ours.generation).await.map_err(|error| {
            NoValue::Machine(format!(
                "secret {name:?} is sealed to key {} of pool `{}`: {error}",
                ours.generation, self.pool
            ))
        })?;
        let version = version.to_string();
        let secret = open(&key, &["secret", name, &version, &self.pool], &sealed)
            .map_err(|error| useless(format!("does not open: {}", chain(&error))))?;
        String::from_utf8(secret.expose().to_vec()).map_err(|_bytes: std::string::FromUtf8Error| {
            NoValue::User(format!(
                "secret {name:?} is no text; only text can become a variable"
            ))
        })
    }
}

/// Names, or beginnings that end with `*`; none is everybody.
fn may_have(patterns: &[String], project: &str) -> bool {
    patterns.is_empty()
        || patterns
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(beginning) => project.starts_with(beginning),
                None => pattern == project,
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_for_the_projects_it_names() {
        let patterns = ["web".to_string(), "api-*".to_string()];
        assert!(may_have(&[], "anything"));
        assert!(may_have(&patterns, "web") && may_have(&patterns, "api-v2"));
        assert!(!may_have(&patterns, "web2") && !may_have(&patterns, "ap"));
    }
}
