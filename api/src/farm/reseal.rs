//! Secrets for every pool there is: sealed to a pool's key when it gets its first or another one. Decided by comparing what there is,
//! so that whoever stopped in between leaves nothing undone.

use std::sync::Arc;

use croft_keys::Wrapped;
use croft_ledger::Subject;
use croft_proto::farm::{SealedFor, SecretEvent};
use croft_views::{PoolKeyRow, SecretRow};
use tokio::time::sleep;

use super::limits::RESEAL_EVERY;
use super::problem::Problem;
use super::record::record;
use super::secrets::{last_version, sealed_for};
use super::state::State;

/// The keys that a secret is not sealed to, and should be: each pool's newest.
pub(super) fn lacking<'k>(sealed: &[SealedFor], newest: &'k [PoolKeyRow]) -> Vec<&'k PoolKeyRow> {
    let has = |key: &PoolKeyRow| {
        let mut sealed = sealed.iter();
        sealed.any(|sealed| sealed.pool == key.pool && sealed.generation >= key.generation)
    };
    newest.iter().filter(|key| !has(key)).collect()
}

/// Compares from time to time, beside when something changes here: another server may have stopped in between.
pub(super) async fn keep_sealed(state: Arc<State>) {
    loop {
        all(&state).await;
        sleep(RESEAL_EVERY).await;
    }
}

/// Seals every secret to every pool's newest key. What cannot be done now is done later.
pub(super) async fn all(state: &State) {
    if let Err(problem) = sealed(state).await {
        tracing::warn!(why = %problem.detail, "secrets wait to be sealed to pools' keys");
    }
}

async fn sealed(state: &State) -> Result<(), Problem> {
    let views = &state.farm.views;
    let newest = views.ask(|read| read.newest_pool_keys()).await?;
    let mut after: Option<String> = None;
    let mut failed = None;
    loop {
        let from = after.take();
        let page = views
            .ask(move |read| read.secrets(from.as_deref(), croft_views::ROWS_MAX))
            .await?;
        for secret in &page.rows {
            if lacking(&secret.sealed, &newest).is_empty() {
                continue;
            }
            // One that cannot be must not keep those after it from being sealed.
            if let Err(problem) = one(state, secret, &newest).await {
                tracing::warn!(secret = %secret.name, why = %problem.detail, "a secret is not sealed to every pool's key");
                failed.get_or_insert(problem);
            }
        }
        after = page.next;
        if after.is_none() {
            return failed.map_or(Ok(()), Err);
        }
    }
}

/// Seals a secret to the keys it lacks, as the ledger has it by then.
async fn one(state: &State, secret: &SecretRow, newest: &[PoolKeyRow]) -> Result<(), Problem> {
    let name = secret.name.as_str();
    let subject = Subject::of("secret", name)?;
    record::<SecretEvent, _>(&*state.farm.ledger, &subject, |there| {
        let Some((wrapped, mut sealed)) = current(there) else {
            return Ok(None);
        };
        let wanted = lacking(&sealed, newest);
        if wanted.is_empty() {
            return Ok(None);
        }
        let version = last_version(there);
        let number = version.to_string();
        let wrapped: Wrapped = wrapped
            .parse()
            .map_err(|error: croft_keys::BadClosed| Problem::internal(&error))?;
        let value = state
            .farm
            .master
            .unwrapped(&["secret", name, &number], &wrapped)
            .map_err(|error| Problem::internal(&error))?;
        for key in wanted {
            sealed.retain(|sealed| sealed.pool != key.pool);
            sealed.push(sealed_for(name, &number, key, value.expose())?);
        }
        Ok(Some(SecretEvent::Resealed { version, sealed }))
    })
    .await?;
    Ok(())
}

/// A secret's wrapped value and what it is sealed to now; none when it was removed.
fn current(events: &[SecretEvent]) -> Option<(String, Vec<SealedFor>)> {
    let mut now = None;
    for event in events {
        match event {
            SecretEvent::Set {
                wrapped, sealed, ..
            } => now = Some((wrapped.clone(), sealed.clone())),
            SecretEvent::Resealed { sealed, .. } => {
                if let Some((_, before)) = &mut now {
                    before.clone_from(sealed);
                }
            }
            SecretEvent::Removed => now = None,
        }
    }
    now
}

#[cfg(test)]
mod tests {
    use croft_proto::Timestamp;

    use super::*;

    fn key(pool: &str, generation: u32) -> PoolKeyRow {
        PoolKeyRow {
            pool: pool.into(),
            generation,
            public: String::new(),
            wrapped: String::new(),
            at: Timestamp::from_millis(0),
        }
    }

    fn to(pool: &str, generation: u32) -> SealedFor {
        SealedFor {
            pool: pool.into(),
            generation,
            sealed: String::new(),
        }
    }

    #[test]
    fn a_secret_lacks_new_pools_and_new_keys_and_nothing_else() {
        let newest = [key("a", 1), key("b", 2), key("c", 1)];
        let of = |sealed: &[SealedFor]| -> Vec<String> {
            let keys = lacking(sealed, &newest);
            keys.into_iter().map(|key| key.pool.clone()).collect()
        };
        assert_eq!(of(&[]), ["a", "b", "c"]);
        assert_eq!(of(&[to("a", 1), to("b", 1)]), ["b", "c"]);
        assert_eq!(
            of(&[to("a", 1), to("b", 2), to("c", 1), to("gone", 9)]),
            [""; 0]
        );
        // The view may be behind: what is sealed to a newer key is not sealed to an older one again.
        assert_eq!(of(&[to("a", 2), to("b", 3), to("c", 1)]), [""; 0]);
    }
}
