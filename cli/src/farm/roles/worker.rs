//! A worker: what this machine offers, its keys, and the loop. `croft worker` runs it over a broker; `croft up` beside a server.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use croft_api::probe::{self, Probe};
use croft_cache::{Place, Store};
use croft_ledger::Ledger;
use croft_proto::farm::Lease;
use croft_worker::Home;
use croft_worker::farm::{
    Condition, Machine, Metrics, Parts, PoolKeys, Settings, Standing, Vitals, Worker,
};
use croft_worker::runtime::container::{self, Warm};
use croft_worker::runtime::install_runner;
use croft_worker::runtime::sandbox::Sandbox;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ending;
use super::enrolment::{Enrolled, enrolled};
use super::observed::{self, BrokerMetrics};
use super::substrates::{self, Broker};
use super::words::{FarmWords, RoleWords, SlotWords};
use crate::args::Global;
use crate::exit::{Exit, Wrong};
use crate::farm::client::Farm;
use crate::signals::Signals;
use crate::surroundings::{Surroundings, now, person_home};
use crate::{output, sweep};

/// Kinds of containers (images, limits, networks) that are kept ready at once.
const WARM_KINDS: usize = 4;

/// What a worker stands on besides its words.
pub(crate) struct Ground {
    pub(crate) broker: Broker,
    pub(crate) kept: Arc<Store>,
    /// Where that is, when it is not in its home.
    pub(crate) store: Option<Place>,
    pub(crate) keys: PoolKeys,
    pub(crate) lease: Lease,
    /// What its name begins with.
    pub(crate) name: String,
    pub(crate) has_sandbox: bool,
    /// What `/metrics` shows.
    pub(crate) registry: Registry,
}

/// The machine's cache; none, and a word about it, where it cannot be used.
fn cache(surroundings: &Surroundings) -> Option<Arc<Store>> {
    match surroundings.open_cache() {
        Ok(store) => Some(Arc::new(store)),
        Err(error) => {
            let reason = anyhow::Error::from(error);
            output::say(&format!(
                "warning: the cache cannot be used, builds go on without: {reason:#}"
            ));
            None
        }
    }
}

/// A worker of those words, its warm containers, and how it is.
pub(crate) fn worker(
    ground: Ground,
    words: &SlotWords,
    surroundings: &Surroundings,
) -> anyhow::Result<(Worker, Warm, Vitals)> {
    let home = surroundings.home.clone();
    let runner = install_runner(home.path())?;
    let cache = cache(surroundings);
    let disk_free_bytes_min = disk_free(words)?;
    let wrong = |flag: &str, error: croft_bus::NameError| Wrong(format!("{flag}: {error}"));
    let drawn = uuid::Uuid::new_v4().simple().to_string();
    let name = format!("{}-{}", ground.name, &drawn[..8]);
    let settings = Settings {
        name: name.parse().map_err(|error| wrong("--name", error))?,
        pool: words.pool.parse().map_err(|error| wrong("--pool", error))?,
        slots: words.slots.unwrap_or_else(processors).max(1),
        version: env!("CARGO_PKG_VERSION").to_string(),
        lease: ground.lease,
        disk_free_bytes_min,
        region: "us-east-1".to_string(),
    };
    let environment = std::env::vars_os()
        .map(|(name, value)| (name.into_encoded_bytes(), value.into_encoded_bytes()))
        .collect();
    let docker = sweep::docker();
    let warm = warm(&runner, &home, &docker, words);
    let metrics = Metrics::new(&ground.registry)?;
    Metrics::watch_containers(&ground.registry, warm.clone(), docker.clone())?;
    if let Some(cache) = &cache {
        Metrics::watch_cache(&ground.registry, Arc::clone(cache))?;
    }
    let vitals = Vitals::default();
    let lease = std::time::Duration::from_millis(ground.lease.ms());
    let places = Machine {
        sandbox: ground
            .has_sandbox
            .then(|| Sandbox::new(runner.clone(), person_home(), environment).leased(lease)),
        runner,
        home: home.path().to_path_buf(),
        docker,
        allows_privileged: words.privileged,
        pull: container::Pull::Missing,
        network: words.network.clone(),
        lease,
        warm: (words.warm > 0).then(|| warm.clone()),
        engine: container::Seen::default(),
    };
    let own = ground
        .store
        .into_iter()
        .chain(surroundings.cache_place.clone())
        .collect();
    let worker = Worker::new(Parts {
        ledger: ground.broker.ledger,
        bus: ground.broker.bus,
        kept: ground.kept,
        cache,
        own,
        home,
        places: Arc::new(places),
        keys: ground.keys,
        now,
        metrics,
        vitals: vitals.clone(),
        settings,
    });
    Ok((worker, warm, vitals))
}

/// Containers that stand ready, as the words say.
fn warm(runner: &Path, home: &Home, docker: &container::Docker, words: &SlotWords) -> Warm {
    let settings = container::Settings {
        count: words.warm,
        warm_max: words.warm.saturating_mul(WARM_KINDS).max(1),
        ..container::Settings::default()
    };
    Warm::new(runner.to_path_buf(), home.clone(), docker.clone(), settings)
}

fn processors() -> u32 {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(count).unwrap_or(1)
}

/// `croft worker`.
pub(crate) fn run(
    global: &Global,
    words: &RoleWords,
    server: Option<Farm>,
) -> anyhow::Result<Exit> {
    let surroundings = Surroundings::read(global)?;
    super::run(async move {
        let mut signals = Signals::new().context("cannot wait for signals")?;
        sweep::sweep(&surroundings.home).await;
        let limit = drain_limit(&words.farm)?;
        let lease = substrates::lease(&words.farm)?;
        let Enrolled { keys, signer } = match server {
            Some(server) => enrolled(server, words, lease).await?,
            None => {
                output::say(
                    "warning: without --server and a worker's token no secret can be opened and no uploaded source is believed; builds that need one cannot run here",
                );
                Enrolled::default()
            }
        };
        let broker = tokio::select! {
            broker = substrates::nats(&words.nats) => broker?,
            // Nothing has begun.
            () = signals.next() => return Ok(Exit::Succeeded),
        };
        let ground = Ground {
            broker,
            kept: substrates::kept(&words.farm, surroundings.home.path(), signer)?,
            store: substrates::store(&words.farm)?,
            keys,
            lease,
            name: words.name.clone().unwrap_or_else(host),
            has_sandbox: words.sandbox,
            registry: observed::registry()?,
        };
        let ledger = Arc::clone(&ground.broker.ledger);
        let registry = ground.registry.clone();
        let (worker, warm, vitals) = worker(ground, &words.slots, &surroundings)?;
        let beside = Beside::start(words.listen, registry, ledger, vitals).await?;
        output::text(&format!("working for pool {}\n", words.slots.pool))?;
        let (standing, told) = watch::channel(Standing::Working);
        let mut running = std::pin::pin!(beside_warm(worker, warm, told));
        tokio::select! {
            ended = &mut running => ended?,
            () = ending::drain(&mut signals, &standing, limit) => running.await?,
        }
        beside.stop().await;
        Ok(Exit::Succeeded)
    })
}

/// What goes on beside a worker: its probe, and a look at its broker.
struct Beside {
    loops: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Beside {
    async fn start(
        listen: Option<SocketAddr>,
        registry: Registry,
        ledger: Arc<dyn Ledger>,
        vitals: Vitals,
    ) -> anyhow::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut loops = JoinSet::new();
        let metrics = BrokerMetrics::new(&registry)?;
        loops.spawn(observed::watch_broker(metrics, ledger, stopped.clone()));
        if let Some(address) = listen {
            let listener = TcpListener::bind(address).await.with_context(|| {
                format!("cannot listen on {address}; name another address and port with --listen")
            })?;
            let address = listener.local_addr().context("cannot tell the address")?;
            output::text(&format!("metrics on http://{address}/metrics\n"))?;
            let ready = Arc::new(move || readiness(&vitals.now()));
            let probe = Probe { registry, ready };
            loops.spawn(probe::serve(probe, listener, stopped));
        }
        Ok(Self { loops, stop })
    }

    async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.loops.join_next().await.is_some() {}
    }
}

fn readiness(condition: &Condition) -> (bool, serde_json::Value) {
    let is_ready = condition.is_ready();
    let why = serde_json::json!({
        "ready": is_ready,
        "busAnswers": condition.has_bus,
        "ledgerAnswers": condition.has_ledger,
        "unfit": condition.unfit,
        "draining": condition.is_draining,
    });
    (is_ready, why)
}

/// Runs a worker, and keeps containers ready until it has ended.
pub(crate) async fn beside_warm(
    worker: Worker,
    warm: Warm,
    told: watch::Receiver<Standing>,
) -> Result<(), croft_worker::farm::WorkerError> {
    let over = CancellationToken::new();
    let working = async {
        let ended = worker.run(told).await;
        over.cancel();
        ended
    };
    let (ended, ()) = tokio::join!(working, warm.run(over.clone()));
    ended
}

pub(crate) fn host() -> String {
    let host = rustix::system::uname();
    host.nodename().to_string_lossy().into_owned()
}

/// Passes when a worker can be as the words say.
pub(crate) fn check(words: &SlotWords) -> Result<(), Wrong> {
    disk_free(words)?;
    let pool = &words.pool;
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    match (1..=64).contains(&pool.len()) && pool.chars().all(is_word) {
        true => Ok(()),
        false => Err(Wrong(format!(
            "--pool `{pool}`: a pool's name has 1 to 64 letters, digits, - and _"
        ))),
    }
}

fn disk_free(words: &SlotWords) -> Result<u64, Wrong> {
    crate::files::parse_size(&words.disk_free)
        .map_err(|reason| Wrong(format!("--disk-free: {reason}")))
}

pub(crate) fn drain_limit(words: &FarmWords) -> Result<std::time::Duration, Wrong> {
    crate::files::parse_span_ms(&words.drain)
        .map(std::time::Duration::from_millis)
        .map_err(|reason| Wrong(format!("--drain: {reason}")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        words: FarmWords,
    }

    #[test]
    fn a_worker_may_be_told_to_leave_at_once() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("2h", 7_200)] {
            let line = Line::try_parse_from(["croft", "--drain", text]).unwrap();
            let limit = drain_limit(&line.words).unwrap();
            assert_eq!(limit.as_secs(), seconds, "{text}");
        }
    }
}
