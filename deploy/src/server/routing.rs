//! Telling balancers. Received from the loop, again and again; what differs is changed.

use std::collections::BTreeMap;
use std::path::Path;

use croft_balance::{HaProxy, Script, Seen, Wanted};
use croft_proto::deploy::Router;
use futures_util::future::BoxFuture;

/// How a balancer is after it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balanced {
    /// Its servers, by host. Balancers that do not say have none.
    pub seen: BTreeMap<String, Seen>,
    /// Hosts that it has no server of, and what is wrong. The others were told.
    pub missing: BTreeMap<String, String>,
}

/// Which balancer that is, for people.
pub(super) fn words(router: &Router) -> String {
    match router {
        Router::Haproxy {
            socket, backend, ..
        } => format!("HAProxy at {socket}, backend `{backend}`"),
        Router::Script { path, .. } => format!("the program {path}"),
        Router::None => "none".to_string(),
    }
}

/// Tells balancers.
pub trait Routing: Send + Sync {
    /// Makes a balancer send so much to each host, from 0 to [`crate::WEIGHT_FULL`], and says how it is then.
    fn set<'a>(
        &'a self,
        router: &'a Router,
        weights: &'a BTreeMap<String, u32>,
    ) -> BoxFuture<'a, Result<Balanced, String>>;
}

/// Balancers of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Local;

impl Routing for Local {
    fn set<'a>(
        &'a self,
        router: &'a Router,
        weights: &'a BTreeMap<String, u32>,
    ) -> BoxFuture<'a, Result<Balanced, String>> {
        Box::pin(async move {
            match router {
                Router::Haproxy {
                    host: Some(host), ..
                }
                | Router::Script {
                    host: Some(host), ..
                } => Err(format!(
                    "the balancer on host {host} cannot be told from here: this croft tells those beside a server"
                )),
                Router::Haproxy {
                    socket,
                    backend,
                    servers,
                    host: None,
                } => haproxy(Path::new(socket), backend, servers, weights).await,
                Router::Script { path, host: None } => {
                    let told = Script::new(Path::new(path)).apply(weights).await;
                    told.map_err(|error| said(&error))?;
                    Ok(Balanced::default())
                }
                Router::None => Ok(Balanced::default()),
            }
        })
    }
}

async fn haproxy(
    socket: &Path,
    backend: &str,
    servers: &BTreeMap<String, String>,
    weights: &BTreeMap<String, u32>,
) -> Result<Balanced, String> {
    let named = |host: &String| servers.get(host).unwrap_or(host).clone();
    let wanted: Wanted = weights
        .iter()
        .map(|(host, weight)| (named(host), *weight))
        .collect();
    let balancer = HaProxy::new(socket, backend).map_err(|error| said(&error))?;
    let applied = balancer
        .apply(&wanted)
        .await
        .map_err(|error| said(&error))?;
    let hosts = weights.keys().map(|host| (host, named(host)));
    let mut balanced = Balanced::default();
    for (host, server) in hosts {
        if let Some(seen) = applied.seen.get(&server) {
            balanced.seen.insert(host.clone(), seen.clone());
        } else {
            let known: Vec<&str> = applied.seen.keys().map(String::as_str).collect();
            let wrong = format!(
                "HAProxy's backend `{backend}` has no server `{server}` for host {host}; it has {}",
                known.join(", ")
            );
            balanced.missing.insert(host.clone(), wrong);
        }
    }
    Ok(balanced)
}

/// An error and everything beneath it, in one line.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
