//! What every role shows of itself beside what its rooms count: which croft it is, how its broker is, and what the process takes.
//! Makes the one registry that the rooms register with; [`watch_broker`] is a loop of each role's.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use croft_ledger::Ledger;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntGauge, Opts, Registry};
use tokio::sync::watch;

/// A broker's servers are asked for their settings so often; those change with a restart.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// A registry that shows which croft this is, and what its process takes.
pub(crate) fn registry() -> anyhow::Result<Registry> {
    let registry = Registry::new();
    let version = Opts::new("croft_build_info", "Always 1; which croft this is.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    let info = IntGauge::with_opts(version).context("cannot make a metric")?;
    info.set(1);
    let process = Process::new().context("cannot make a metric")?;
    let all: [Box<dyn Collector>; 2] = [Box::new(info), Box::new(process)];
    for one in all {
        registry.register(one).context("cannot register a metric")?;
    }
    Ok(registry)
}

/// How the broker is.
#[derive(Clone, Debug)]
pub(crate) struct BrokerMetrics {
    durable: IntGauge,
    problems: IntGauge,
}

impl BrokerMetrics {
    pub(crate) fn new(registry: &Registry) -> anyhow::Result<Self> {
        let level = |name: &str, help: &str| {
            prometheus::register_int_gauge_with_registry!(name, help, registry)
        };
        let metrics = Self {
            durable: level(
                "croft_broker_durable",
                "Whether what the ledger acknowledges survives a loss of power: 1 yes, 0 no, -1 not known.",
            )?,
            problems: level(
                "croft_broker_problems",
                "What is wrong with the ledger's broker, in number; the log and croft doctor say what.",
            )?,
        };
        metrics.durable.set(-1);
        Ok(metrics)
    }

    fn show(&self, health: &croft_ledger::Health) {
        self.durable.set(match health.durable {
            Some(true) => 1,
            Some(false) => 0,
            None => -1,
        });
        self.problems
            .set(i64::try_from(health.wrong.len()).unwrap_or(i64::MAX));
    }
}

/// Looks how the broker is until `stop` is true or its sender is gone; says what has begun to be wrong.
pub(crate) async fn watch_broker(
    metrics: BrokerMetrics,
    ledger: Arc<dyn Ledger>,
    mut stop: watch::Receiver<bool>,
) {
    let mut known = Vec::new();
    loop {
        let health = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            health = ledger.health() => health,
        };
        metrics.show(&health);
        for wrong in health.wrong.iter().filter(|wrong| !known.contains(*wrong)) {
            tracing::warn!(backend = health.backend, "{wrong}");
        }
        known = health.wrong;
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// What the process takes, under the names that every Prometheus client has for it.
struct Process {
    resident_bytes: IntGauge,
    open_files: IntGauge,
    threads: IntGauge,
    cpu_seconds: Counter,
}

impl Process {
    fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            resident_bytes: IntGauge::new(
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
            )?,
            open_files: IntGauge::new("process_open_fds", "Number of open file descriptors.")?,
            threads: IntGauge::new("process_threads", "Number of threads.")?,
            cpu_seconds: Counter::new(
                "process_cpu_seconds_total",
                "Total user and system CPU time spent in seconds.",
            )?,
        })
    }

    fn look(&self) -> std::io::Result<()> {
        let statm = std::fs::read_to_string("/proc/self/statm")?;
        let field =
            |text: &str, place: usize| text.split(' ').nth(place)?.trim().parse::<i64>().ok();
        let page = i64::try_from(rustix::param::page_size()).unwrap_or(i64::MAX);
        if let Some(pages) = field(&statm, 1) {
            self.resident_bytes.set(pages.saturating_mul(page));
        }
        let files = std::fs::read_dir("/proc/self/fd")?.count();
        self.open_files
            .set(i64::try_from(files).unwrap_or(i64::MAX));
        let threads = std::fs::read_dir("/proc/self/task")?.count();
        self.threads.set(i64::try_from(threads).unwrap_or(i64::MAX));
        let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        if let Ok(spent) = Duration::try_from(spent) {
            let more = spent.as_secs_f64() - self.cpu_seconds.get();
            self.cpu_seconds.inc_by(more.max(0.0));
        }
        Ok(())
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        let all: [&dyn Collector; 4] = [
            &self.resident_bytes,
            &self.open_files,
            &self.threads,
            &self.cpu_seconds,
        ];
        all.iter().flat_map(|of| of.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Without /proc the last look stands.
        self.look().unwrap_or_default();
        let all: [&dyn Collector; 4] = [
            &self.resident_bytes,
            &self.open_files,
            &self.threads,
            &self.cpu_seconds,
        ];
        all.iter().flat_map(|of| of.collect()).collect()
    }
}
