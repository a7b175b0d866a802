//! A server: the scheduler's loop, the read model's, and the API's front, side by side over one ledger. `croft server` runs it over a
//! broker; `croft up` with a worker beside it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use croft_api::farm::{Door, Farm, MetricsAccess, Settings};
use croft_archive::Whole;
use croft_cache::Store;
use croft_ledger::{Clock, Ledger, Seq};
use croft_proto::farm::Lease;
use croft_scheduler::{Metrics, Parts, Server};
use croft_views::Views;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::alerts::Monitor;
use super::copies::Copies;
use super::master;
use super::observed::{self, BrokerMetrics};
use super::open_files;
use super::prometheus::Prometheus;
use super::substrates::{self, Broker};
use super::words::{DoorWords, ServerWords};
use crate::args::Global;
use crate::exit::{Exit, Wrong};
use crate::output;
use crate::signals::Signals;
use crate::surroundings::Surroundings;

/// What a server's loops stand on.
pub(crate) struct Ground {
    pub(crate) broker: Broker,
    pub(crate) kept: Arc<Store>,
    pub(crate) archive: substrates::Archive,
    pub(crate) lease: Lease,
    pub(crate) name: String,
    /// What `/metrics` shows.
    pub(crate) registry: prometheus::Registry,
}

/// A server that runs.
pub(crate) struct Running {
    /// What its front stands on.
    pub(crate) farm: Farm,
    /// Where it is reached.
    pub(crate) url: String,
    loops: JoinSet<anyhow::Result<()>>,
    /// Ends the front first, and then the rest.
    front: watch::Sender<bool>,
    rest: watch::Sender<bool>,
}

/// Where a server listens, before it is one: what cannot be had there keeps a farm from being begun.
pub(crate) struct Front {
    listener: TcpListener,
    scheme: &'static str,
    tls: Door,
    metrics: MetricsAccess,
}

impl Front {
    pub(crate) async fn open(door: &DoorWords) -> anyhow::Result<Self> {
        let metrics = metrics_access(door)?;
        // Read for what cannot be in them; those who ask there read them again.
        let prometheus = door.prometheus.as_deref();
        drop(Monitor::of(door.alertmanager.as_deref(), prometheus)?);
        drop(Prometheus::of(prometheus)?);
        let (scheme, tls) = match (&door.tls_cert, &door.tls_key) {
            (Some(chain), Some(key)) => ("https", tls_door(chain, key)?),
            _ => ("http", Door::plain()),
        };
        let listener = TcpListener::bind(door.listen).await.with_context(|| {
            format!(
                "cannot listen on {}; name another address and port with --listen",
                door.listen
            )
        })?;
        if scheme == "http" && !door.listen.ip().is_loopback() {
            output::say(
                "tokens are taken over plain HTTP from other machines: give --tls-cert and --tls-key, or have a proxy with TLS before it",
            );
        }
        Ok(Self {
            listener,
            scheme,
            tls,
            metrics,
        })
    }

    pub(crate) fn url(&self) -> anyhow::Result<String> {
        let address = self.listener.local_addr();
        let address = address.context("cannot tell the address")?;
        Ok(format!("{}://{address}", self.scheme))
    }
}

impl Running {
    /// Starts the loops, and answers.
    pub(crate) async fn start(
        ground: Ground,
        at: Front,
        door: &DoorWords,
        home: &Path,
        key: croft_keys::MasterKey,
    ) -> anyhow::Result<Self> {
        let url = at.url()?;
        let Front {
            listener,
            tls,
            metrics,
            ..
        } = at;
        let (front, front_stop) = watch::channel(false);
        let (rest, rest_stop) = watch::channel(false);
        let (server, handle) = Server::new(Parts {
            ledger: Arc::clone(&ground.broker.ledger),
            bus: Arc::clone(&ground.broker.bus),
            lease: ground.lease,
            clock: Clock::system(),
            metrics: Metrics::new(&ground.registry)?,
        });
        let (deployer, deploy) = croft_deploy::server::Server::new(deploying(&ground, door)?);
        let broker_metrics = BrokerMetrics::new(&ground.registry)?;
        let copies = Copies::of(&ground, &key, home);
        let views = copies.open().await?;
        let farm = Farm {
            handle,
            deploy,
            views: views.clone(),
            ledger: Arc::clone(&ground.broker.ledger),
            bus: Arc::clone(&ground.broker.bus),
            kept: ground.kept,
            master: Arc::new(key),
            clock: Clock::system(),
            registry: ground.registry,
            settings: Settings {
                lease: ground.lease,
                metrics,
                connections_max: open_files::connections(),
                ..Settings::of(ground.name)
            },
        };
        let mut loops = JoinSet::new();
        let stop = rest_stop.clone();
        loops.spawn(async move { server.run(stop).await.context("the scheduler ended") });
        let stop = rest_stop.clone();
        loops.spawn(async move { deployer.run(stop).await.context("deployments ended") });
        let (ledger, stop) = (Arc::clone(&ground.broker.ledger), rest_stop.clone());
        loops.spawn(async move {
            observed::watch_broker(broker_metrics, ledger, stop).await;
            Ok(())
        });
        if let Some(keeping) = copies.keeping(&ground.archive, views.clone(), rest_stop.clone()) {
            loops.spawn(keeping);
        }
        let ledger = Arc::clone(&ground.broker.ledger);
        past(&mut loops, ground.archive, ledger, views, &rest_stop);
        let served = croft_api::farm::serve(farm.clone(), listener, tls, front_stop);
        loops.spawn(async move { served.await.context("the API ended") });
        Ok(Self {
            farm,
            url,
            loops,
            front,
            rest,
        })
    }

    /// Waits until a loop ends that should not have.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        match self.loops.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => anyhow::Error::from(error).context("a loop of the server ended"),
            Some(Ok(Ok(()))) | None => anyhow::anyhow!("a loop of the server ended by itself"),
        }
    }

    /// Lets requests come to their end, then ends the loops.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.front.send_replace(true);
        let served = self.loops.join_next().await;
        self.rest.send_replace(true);
        let mut first = Ok(());
        for ended in served
            .into_iter()
            .chain(self.loops.join_all_results().await)
        {
            let ended = ended.map_err(anyhow::Error::from).and_then(|ended| ended);
            first = first.and(ended);
        }
        first
    }
}

/// What follows the ledger with its past: the read model, which has purged builds too when it is made anew; and what makes finished
/// builds past.
fn past(
    loops: &mut JoinSet<anyhow::Result<()>>,
    archive: substrates::Archive,
    ledger: Arc<dyn Ledger>,
    views: Views,
    stop: &watch::Receiver<bool>,
) {
    if let Some(retention) = archive.retention(Arc::clone(&ledger), views.clone()) {
        let stop = stop.clone();
        loops.spawn(async move {
            retention.run(stop).await;
            Ok(())
        });
    }
    let (whole, stop) = (Arc::new(Whole::new(ledger, archive.depot)), stop.clone());
    loops.spawn(async move {
        let followed = croft_views::follow(whole, views, stop).await;
        followed.context("the read model ended")
    });
}

/// What those who deploy stand on; one address of Prometheus is asked for alarms and for metrics.
fn deploying(ground: &Ground, door: &DoorWords) -> anyhow::Result<croft_deploy::server::Parts> {
    Ok(croft_deploy::server::Parts {
        ledger: Arc::clone(&ground.broker.ledger),
        bus: Arc::clone(&ground.broker.bus),
        nonce: u64::from_be_bytes(croft_keys::random_bytes()?),
        clock: Clock::system(),
        routing: Arc::new(croft_deploy::server::Local),
        alerts: Monitor::of(door.alertmanager.as_deref(), door.prometheus.as_deref())?
            .map(|monitor| Arc::new(monitor) as Arc<dyn croft_deploy::server::Alerts>),
        metrics: Prometheus::of(door.prometheus.as_deref())?
            .map(|source| Arc::new(source) as Arc<dyn croft_deploy::metrics::Metrics>),
        counts: croft_deploy::server::Counts::new(&ground.registry)?,
    })
}

/// The rest of a set's ends.
trait JoinAllResults {
    async fn join_all_results(&mut self)
    -> Vec<Result<anyhow::Result<()>, tokio::task::JoinError>>;
}

impl JoinAllResults for JoinSet<anyhow::Result<()>> {
    async fn join_all_results(
        &mut self,
    ) -> Vec<Result<anyhow::Result<()>, tokio::task::JoinError>> {
        let mut all = Vec::new();
        while let Some(ended) = self.join_next().await {
            all.push(ended);
        }
        all
    }
}

/// The door of a certificate and its key, both in PEM.
fn tls_door(chain: &Path, key: &Path) -> anyhow::Result<Door> {
    let wrong = |flag: &str, path: &Path, reason: String| {
        Wrong(format!("{flag} {}: {reason}", path.display()))
    };
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong("--tls-cert", chain, error.to_string()))?;
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| wrong("--tls-key", key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("cannot choose versions of TLS")?
        .with_no_client_auth()
        .with_single_cert(certificates, secret)
        .map_err(|error| wrong("--tls-cert", chain, error.to_string()))?;
    Ok(Door::tls(Arc::new(config)))
}

fn metrics_access(door: &DoorWords) -> Result<MetricsAccess, Wrong> {
    if !door.open_metrics {
        return Ok(MetricsAccess::Viewers);
    }
    if !door.listen.ip().is_loopback() {
        return Err(Wrong(format!(
            "--open-metrics with --listen {}: everybody may read them only where nobody but this machine can reach them; give Prometheus a viewer's token instead",
            door.listen
        )));
    }
    Ok(MetricsAccess::Everybody)
}

/// `croft server`.
pub(crate) fn server(global: &Global, words: &ServerWords) -> anyhow::Result<Exit> {
    let surroundings = Surroundings::read(global)?;
    let home = surroundings.home.path().to_path_buf();
    super::run(async move {
        let mut signals = Signals::new().context("cannot wait for signals")?;
        let broker = tokio::select! {
            broker = substrates::nats(&words.nats) => broker?,
            // Nothing has begun.
            () = signals.next() => return Ok(Exit::Succeeded),
        };
        let last = broker.ledger.last().await;
        let has_past = last.context("cannot read the ledger")? > Seq::ZERO;
        let front = Front::open(&words.door).await?;
        let archive = substrates::Archive::of(&words.farm, &words.keep, &home)?;
        let lease = substrates::lease(&words.farm)?;
        let path = master::path(words.door.master_key_file.as_deref());
        let key = master::read_or_create(&path, &home, has_past)?;
        master::claim(&key, &path, &*broker.ledger).await?;
        let signer = croft_api::farm::signer_of_store(&key);
        let ground = Ground {
            broker,
            kept: substrates::kept(&words.farm, &home, Some(signer))?,
            archive,
            lease,
            name: name(words.name.as_deref(), &home)?,
            registry: observed::registry()?,
        };
        say_health(&ground.broker).await;
        let mut running = Running::start(ground, front, &words.door, &home, key).await?;
        if let Some(token) = croft_api::farm::first_token(&running.farm).await? {
            output::text(&format!("admin token, shown once: {token}\n"))?;
        }
        output::text(&format!("listening on {}\n", running.url))?;
        tokio::select! {
            () = signals.next() => {
                output::say("ending; requests may go on for a while");
                running.stop().await?;
                Ok(Exit::Succeeded)
            }
            error = running.failed() => Err(error),
        }
    })
}

async fn say_health(broker: &Broker) {
    for wrong in broker.ledger.health().await.wrong {
        output::say(&format!("warning: {wrong}"));
    }
}

/// Where a name that was drawn is kept, within the home.
pub(crate) const NAME_FILE: &str = "server-name";

/// A server's name in the audit log: as given, or drawn once and kept.
pub(crate) fn name(given: Option<&str>, home: &Path) -> anyhow::Result<String> {
    if let Some(given) = given {
        return Ok(given.to_string());
    }
    let path = home.join(NAME_FILE);
    if let Ok(known) = std::fs::read_to_string(&path) {
        return Ok(known.trim().to_string());
    }
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    let drawn = uuid::Uuid::new_v4().simple().to_string();
    let name = format!("{host}-{}", &drawn[..8]);
    std::fs::write(&path, &name).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(name)
}
