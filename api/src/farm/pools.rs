//! Pools' keys: made at the first need, given to workers that enrol, made anew when a worker is not trusted any more.

use axum::http::StatusCode;
use croft_keys::{MasterKey, PoolKey, PoolPublic, Signer, Wrapped};
use croft_ledger::{Seq, Subject};
use croft_proto::farm::PoolEvent;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::{Answer, Call, changed, short};
use super::limits::READ_WAIT;
use super::problem::Problem;
use super::record::{record, told};
use super::reseal;
use super::state::{Farm, State};
use super::tokens::{admits, is_name};

/// Keys that a worker is given: the newest, and those before it that builds on their way may still need.
const KEYS_GIVEN_MAX: usize = 4;

/// What the key is derived for that signs what is in the store.
const STORE: &str = "store";

/// What a worker is given when it enrols.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Enrolled {
    /// Whose keys these are.
    pub pool: String,
    /// The newest last.
    pub keys: Vec<GivenKey>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GivenKey {
    /// From 1.
    pub generation: u32,
    /// Sealed to the key that the worker made.
    pub sealed_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    public_key: String,
    worker: String,
}

/// `POST /v1/pools/{pool}/enrolments`
pub(super) async fn enrol(mut call: Call) -> Answer {
    let asked: Asked = call.json().await?;
    let pool = call.param("pool").to_string();
    let public: PoolPublic = asked
        .public_key
        .parse()
        .map_err(|error: croft_keys::BadPoolKey| Problem::invalid(format!("publicKey: {error}")))?;
    if !is_name(&asked.worker) {
        return Err(Problem::invalid(
            "worker: its name has printable characters",
        ));
    }
    call.is_about(format!("pool.{} worker.{}", short(&pool), asked.worker));
    let state = &call.state;
    let seq = ensure_key(state, &pool).await?;
    let enrolled = give(&state.farm, &pool, &public).await?;
    let body = json!({
        "pool": enrolled.pool,
        "keys": enrolled.keys,
        "storeKey": store_key(&state.farm, &pool, &public)?,
        "lease": state.farm.settings.lease,
    });
    changed(StatusCode::OK, &body, seq)
}

fn subject(pool: &str) -> Result<Subject, Problem> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !(1..=64).contains(&pool.len()) || !pool.bytes().all(is_plain) {
        return Err(Problem::invalid(format!(
            "the pool `{}`: 1 to 64 of [A-Za-z0-9_-]",
            short(pool)
        )));
    }
    Ok(Subject::of("pool", pool)?)
}

async fn give(farm: &Farm, pool: &str, to: &PoolPublic) -> Result<Enrolled, Problem> {
    let there = told::<PoolEvent>(&*farm.ledger, &subject(pool)?).await?;
    let newest = there.events.iter().rev().take(KEYS_GIVEN_MAX);
    let mut keys = Vec::new();
    for event in newest.rev() {
        let (generation, key) = unwrapped(farm, pool, event)?;
        let sealed = key
            .seal_to(to, &["enrolment", pool, &generation.to_string()])
            .map_err(|error| Problem::invalid(format!("publicKey: {error}")))?;
        keys.push(GivenKey {
            generation,
            sealed_key: sealed.to_string(),
        });
    }
    Ok(Enrolled {
        pool: pool.into(),
        keys,
    })
}

/// The seed of the farm's key for its store, sealed to the worker.
fn store_key(farm: &Farm, pool: &str, to: &PoolPublic) -> Result<String, Problem> {
    let seed = farm.master.signing_seed(STORE);
    let sealed = croft_keys::seal(to, &["enrolment", pool, "store"], seed.expose())
        .map_err(|error| Problem::invalid(format!("publicKey: {error}")))?;
    Ok(sealed.to_string())
}

/// Who signs what is in a farm's store: all its servers and workers as one, so that each believes what another has put there. What
/// is in there is named by its contents' digest; the signature says that a member of the farm has listed it.
#[must_use]
pub fn signer_of_store(master: &MasterKey) -> Signer {
    Signer::of_seed(&master.signing_seed(STORE)).expect("a seed has 32 bytes")
}

/// Why a pool's keys cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("failed to have the keys of pool `{pool}`: {reason}")]
pub struct KeysError {
    /// Whose.
    pub pool: String,
    /// What stands against it.
    pub reason: String,
}

/// A pool's keys by generation, for a worker in the server's own process; the first is made when there is none.
///
/// # Errors
/// When the ledger cannot be read or written, or the master key is not the one they were wrapped under.
pub async fn keys_of_pool(
    farm: &Farm,
    pool: &str,
) -> Result<std::collections::BTreeMap<u32, PoolKey>, KeysError> {
    let failed = |problem: Problem| KeysError {
        pool: pool.into(),
        reason: problem.detail,
    };
    let subject = subject(pool).map_err(failed)?;
    let made = record::<PoolEvent, _>(&*farm.ledger, &subject, |there| match there.is_empty() {
        true => keyed(farm, pool, 1).map(Some),
        false => Ok(None),
    });
    made.await.map_err(failed)?;
    let there = told::<PoolEvent>(&*farm.ledger, &subject)
        .await
        .map_err(failed)?;
    let mut keys = std::collections::BTreeMap::new();
    for event in &there.events {
        let (generation, key) = unwrapped(farm, pool, event).map_err(failed)?;
        keys.insert(generation, key);
    }
    Ok(keys)
}

fn unwrapped(farm: &Farm, pool: &str, event: &PoolEvent) -> Result<(u32, PoolKey), Problem> {
    let PoolEvent::Keyed {
        generation,
        wrapped,
        ..
    } = event;
    let number = generation.to_string();
    let wrapped: Wrapped = wrapped
        .parse()
        .map_err(|error: croft_keys::BadClosed| Problem::internal(&error))?;
    let key = PoolKey::unwrapped(&farm.master, &["pool", pool, &number], &wrapped)
        .map_err(|error| Problem::internal(&error))?;
    Ok((*generation, key))
}

/// Makes a pool's first key, if it has none. Where that is, if it was now.
pub(super) async fn ensure_key(state: &State, pool: &str) -> Result<Option<Seq>, Problem> {
    let made = record::<PoolEvent, _>(&*state.farm.ledger, &subject(pool)?, |there| {
        match there.is_empty() {
            true => keyed(&state.farm, pool, 1).map(Some),
            false => Ok(None),
        }
    })
    .await?;
    known(state, made).await;
    Ok(made)
}

/// New keys for those of the pools with a key that the patterns mean.
pub(super) async fn rotate_all(state: &State, patterns: &[String]) -> Result<Vec<String>, Problem> {
    let newest = state.farm.views.ask(|read| read.newest_pool_keys()).await?;
    let mut rotated = Vec::new();
    for pool in newest.into_iter().map(|key| key.pool) {
        if !admits(patterns, &pool) {
            continue;
        }
        let made = record::<PoolEvent, _>(&*state.farm.ledger, &subject(&pool)?, |there| {
            let last = there
                .last()
                .map_or(0, |PoolEvent::Keyed { generation, .. }| *generation);
            keyed(&state.farm, &pool, last.saturating_add(1)).map(Some)
        })
        .await?;
        if let Some(seq) = made {
            state.farm.views.reached(seq, READ_WAIT).await;
        }
        rotated.push(pool);
    }
    if !rotated.is_empty() {
        reseal::all(state).await;
    }
    Ok(rotated)
}

/// Secrets are sealed to a key as soon as it is there.
async fn known(state: &State, made: Option<Seq>) {
    if let Some(seq) = made {
        state.farm.views.reached(seq, READ_WAIT).await;
        reseal::all(state).await;
    }
}

fn keyed(farm: &Farm, pool: &str, generation: u32) -> Result<PoolEvent, Problem> {
    let key = PoolKey::generate().map_err(|error| Problem::internal(&error))?;
    let wrapped = key
        .wrap(&farm.master, &["pool", pool, &generation.to_string()])
        .map_err(|error| Problem::internal(&error))?;
    Ok(PoolEvent::Keyed {
        generation,
        public: key.public().to_string(),
        wrapped: wrapped.to_string(),
    })
}
