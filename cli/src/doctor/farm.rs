//! What a farm's role would stand on, looked at from here: its broker, and the store of sources, logs and artifacts. Nothing is made
//! there: what a server would make at its first start is said to be missing.

use std::time::Duration;

use croft_ledger::{JetStream, Ledger as _};
use croft_nats::chain;

use super::Check;
use crate::farm::roles::substrates;
use crate::farm::roles::words::NatsWords;
use crate::surroundings::Surroundings;

/// A broker that has not answered by then is broken for a person who waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// The broker, where one is named.
pub(super) fn broker(words: &NatsWords) -> anyhow::Result<Vec<Check>> {
    if words.servers.is_empty() {
        return Ok(Vec::new());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let looked = runtime.block_on(async { tokio::time::timeout(PATIENCE, look(words)).await });
    Ok(looked.unwrap_or_else(|_late| {
        vec![Check::broken(
            "broker",
            "no answer within ten seconds",
            "see whether the servers that --nats names run and can be reached",
        )]
    }))
}

async fn look(words: &NatsWords) -> Vec<Check> {
    let broken = |error: anyhow::Error| {
        vec![Check::broken(
            "broker",
            format!("{error:#}"),
            "see whether the servers that --nats names run, and the credentials",
        )]
    };
    let broker = match substrates::broker(words) {
        Ok(broker) => broker,
        Err(error) => return broken(error),
    };
    let client = match broker.connect().await {
        Ok(client) => client,
        Err(error) => return broken(error.into()),
    };
    let mut config = croft_ledger::Config::new(String::new());
    config.broker = broker.clone();
    config.replicas = words.replicas;
    let context = croft_nats::context(&client, broker.timeout);
    if let Err(error) = context.get_stream(&config.stream).await {
        let version = client.server_info().version;
        return vec![Check::missing(
            "broker",
            format!(
                "nats-server {version}; no ledger there yet: {}",
                chain(&error)
            ),
            "croft server makes it at its first start",
        )];
    }
    match JetStream::open(client, config).await {
        Ok(ledger) => judged(&ledger.health().await),
        Err(error) => broken(error.into()),
    }
}

fn judged(health: &croft_ledger::Health) -> Vec<Check> {
    let broker = match health.wrong.is_empty() {
        true => Check::ok("broker", health.backend.clone()),
        false => Check::broken("broker", health.backend.clone(), health.wrong.join("; ")),
    };
    let durable = match health.durable {
        Some(true) => Check::ok("durability", "what is acknowledged is on disk"),
        Some(false) => Check::broken(
            "durability",
            "a loss of power loses what was acknowledged",
            "set `sync_interval: always` in the servers' `jetstream { ... }`",
        ),
        None => Check::missing(
            "durability",
            "not known",
            "name the monitoring address of each server with --nats-monitoring",
        ),
    };
    vec![broker, durable]
}

/// The store of a farm, where one is named; else the one in this machine's state, if there is one.
pub(super) fn store(place: Option<&str>, surroundings: &Surroundings) -> Option<Check> {
    let shown = place.unwrap_or("in the state").to_string();
    let home = surroundings.home.path();
    if place.is_none() && !home.join("store").exists() {
        return None;
    }
    let opened = substrates::kept_at(place, home);
    Some(match opened.and_then(|store| Ok(store.usage()?)) {
        Ok(_) => Check::ok("store", shown),
        Err(error) => Check::broken(
            "store",
            format!("{shown}: {error:#}"),
            "see whether it is there, and the variables with its credentials",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_broker_that_does_not_wait_for_its_disk_is_broken_and_one_nobody_knows_of_is_not() {
        let health = |durable| croft_ledger::Health {
            backend: "jetstream".into(),
            durable,
            wrong: Vec::new(),
        };
        let verdicts = |durable| {
            judged(&health(durable))
                .into_iter()
                .map(|check| check.verdict)
                .collect::<Vec<_>>()
        };
        assert_eq!(verdicts(Some(true)), [Verdict::Ok, Verdict::Ok]);
        assert_eq!(verdicts(Some(false)), [Verdict::Ok, Verdict::Broken]);
        assert_eq!(verdicts(None), [Verdict::Ok, Verdict::Missing]);
    }
}
