//! A worker's enrolment: it asks a server for what only members of the farm may have, when it starts and whenever it meets a key of its
//! pool that it does not have. In a server's own process the farm itself is asked.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::Context;
use croft_keys::{PoolKey, Sealed, Signer};
use croft_proto::farm::Lease;
use croft_worker::farm::{KeySource, PoolKeys};

use super::words::RoleWords;
use super::worker::host;
use crate::exit::Wrong;
use crate::farm::client::{Call, Farm};

/// The keys by generation, or why not.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<BTreeMap<u32, PoolKey>, String>> + Send + 'a>>;

/// What a worker has of its farm.
#[derive(Default)]
pub(crate) struct Enrolled {
    pub(crate) keys: PoolKeys,
    /// Signs in the farm's name what is put into its store.
    pub(crate) signer: Option<Signer>,
}

/// The answer to an enrolment.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Enrolment {
    keys: Vec<SealedKey>,
    /// None of a server that is older.
    store_key: Option<Sealed>,
    lease: Lease,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct SealedKey {
    generation: u32,
    sealed_key: Sealed,
}

/// A server that can be asked again.
#[derive(Debug)]
struct Door {
    server: Farm,
    pool: String,
    worker: String,
    lease: Lease,
}

/// Asks a server for the first time; it is asked again for keys that are made later.
pub(crate) async fn enrolled(
    server: Farm,
    words: &RoleWords,
    lease: Lease,
) -> anyhow::Result<Enrolled> {
    let door = Door {
        server,
        pool: words.slots.pool.clone(),
        worker: words.name.clone().unwrap_or_else(host),
        lease,
    };
    let (own, enrolment) = door.enrol().await?;
    let signer = enrolment
        .store_key
        .as_ref()
        .map(|sealed| store_signer(&own, &door.pool, sealed))
        .transpose()?;
    let known = opened(&own, &door.pool, enrolment.keys)?;
    Ok(Enrolled {
        keys: PoolKeys::new(known, Some(Arc::new(door))),
        signer,
    })
}

impl Door {
    /// The answer, sealed to a key that is made for this one answer.
    async fn enrol(&self) -> anyhow::Result<(PoolKey, Enrolment)> {
        let own = PoolKey::generate().context("cannot make a key")?;
        let path = ["v1", "pools", &self.pool, "enrolments"];
        let asked = serde_json::json!({"publicKey": own.public(), "worker": self.worker});
        let call = Call::new(reqwest::Method::POST, &path).json(&asked);
        let answer = self.server.bytes(&call).await;
        let answer = answer.context("cannot enrol this worker")?;
        let enrolment: Enrolment =
            serde_json::from_slice(&answer).context("cannot understand the server's answer")?;
        if enrolment.lease != self.lease {
            return Err(Wrong(format!(
                "--lease: this farm's is {} ms; all of a farm must have the same",
                enrolment.lease.ms()
            ))
            .into());
        }
        Ok((own, enrolment))
    }
}

impl KeySource for Door {
    fn keys(&self) -> Answer<'_> {
        Box::pin(async {
            let asked = async {
                let (own, enrolment) = self.enrol().await?;
                opened(&own, &self.pool, enrolment.keys)
            };
            asked
                .await
                .map_err(|error: anyhow::Error| format!("{error:#}"))
        })
    }
}

fn store_signer(own: &PoolKey, pool: &str, sealed: &Sealed) -> anyhow::Result<Signer> {
    let seed = croft_keys::open(own, &["enrolment", pool, "store"], sealed)
        .context("cannot open the key of the farm's store")?;
    Signer::of_seed(&seed).context("the key of the farm's store is none")
}

fn opened(
    own: &PoolKey,
    pool: &str,
    keys: Vec<SealedKey>,
) -> anyhow::Result<BTreeMap<u32, PoolKey>> {
    let mut opened = BTreeMap::new();
    for key in keys {
        let generation = key.generation.to_string();
        let context = ["enrolment", pool, &generation];
        let key_of_pool = PoolKey::opened(own, &context, &key.sealed_key)
            .with_context(|| format!("cannot open key {generation} of pool {pool}"))?;
        opened.insert(key.generation, key_of_pool);
    }
    Ok(opened)
}

/// The farm in this very process.
#[derive(Debug)]
struct Within {
    farm: croft_api::farm::Farm,
    pool: String,
}

/// A pool's keys where the server is in the same process.
pub(crate) async fn within(farm: &croft_api::farm::Farm, pool: &str) -> anyhow::Result<PoolKeys> {
    let within = Within {
        farm: farm.clone(),
        pool: pool.to_string(),
    };
    let known = croft_api::farm::keys_of_pool(farm, pool)
        .await
        .context("builds could have no secrets")?;
    Ok(PoolKeys::new(known, Some(Arc::new(within))))
}

impl KeySource for Within {
    fn keys(&self) -> Answer<'_> {
        Box::pin(async {
            let keys = croft_api::farm::keys_of_pool(&self.farm, &self.pool).await;
            keys.map_err(|error| format!("{:#}", anyhow::Error::from(error)))
        })
    }
}
