//! What is measured of this machine and of the builds it ran. Registered with the registry that the composition root hands down; fed
//! by the loop, by attempts and by their output. `docs/metrics.md` has all of it in words.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use croft_cache::Store;
use croft_proto::farm::{Names, PROJECTS_SHOWN_MAX};
use croft_proto::{Build, CacheMethod, CacheStatus, CacheSummary, PhaseType, Status};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Error, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    register_histogram_vec_with_registry, register_histogram_with_registry,
    register_int_counter_vec_with_registry, register_int_counter_with_registry,
    register_int_gauge_with_registry,
};

use super::fitness::Unfit;
use crate::Outcome;
use crate::runtime::container::{Docker, Warm};

/// Seconds of builds and phases: from a linter's to a night's.
const BUILDS: &[f64] = &[
    0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0,
];
/// Seconds of what comes before commands: a warm start takes milliseconds, a cold image minutes.
const STARTS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0,
];
/// Seconds from a line's coming to the bus having it.
const LAGS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 20.0,
];
/// The one cache that a buildspec has.
const BUILD_CACHE: &str = "build";

/// What a worker counts. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    builds: HistogramVec,
    phases: HistogramVec,
    provisioning: HistogramVec,
    claims: IntCounterVec,
    fenced: IntCounter,
    machine: Machine,
    log_bytes: IntCounter,
    log_lag: Histogram,
    log_dropped: IntCounter,
    cache: Caches,
    projects: Arc<Mutex<Names>>,
}

impl Metrics {
    /// Registered there, once.
    ///
    /// # Errors
    /// When metrics of these names are there already: there is a second worker in this process.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        let times = |name: &str, help: &str, labels: &[&str], buckets: &[f64]| {
            let buckets = buckets.to_vec();
            register_histogram_vec_with_registry!(name, help, labels, buckets, registry)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register_int_counter_vec_with_registry!(name, help, labels, registry)
        };
        let counter =
            |name: &str, help: &str| register_int_counter_with_registry!(name, help, registry);
        let metrics = Self {
            builds: times(
                "croft_build_duration_seconds",
                "From a build's acceptance to its end, of attempts that ended here.",
                &["project", "result"],
                BUILDS,
            )?,
            phases: times(
                "croft_build_phase_duration_seconds",
                "Time of each phase of builds that ended here.",
                &["project", "phase", "result"],
                BUILDS,
            )?,
            provisioning: times(
                "croft_provisioning_seconds",
                "Time of what comes before a build's commands.",
                &["pool", "step"],
                STARTS,
            )?,
            claims: counters(
                "croft_claims_total",
                "Hints that this worker took, by whether the build became its own.",
                &["result"],
            )?,
            fenced: counter(
                "croft_jobs_fenced_total",
                "Ends of attempts here that counted for nothing: another attempt had taken over.",
            )?,
            machine: Machine::new(registry)?,
            log_bytes: counter(
                "croft_log_bytes_total",
                "Bytes of live output that the bus has.",
            )?,
            log_lag: register_histogram_with_registry!(
                "croft_log_lag_seconds",
                "From the oldest line of a piece of live output to the bus having it.",
                LAGS.to_vec(),
                registry
            )?,
            log_dropped: counter(
                "croft_log_dropped_total",
                "Pieces of live output that did not reach the bus; the log has them.",
            )?,
            cache: Caches::new(registry)?,
            projects: Arc::new(Mutex::new(Names::at_most(PROJECTS_SHOWN_MAX))),
        };
        metrics.begin();
        Ok(metrics)
    }

    /// What may never happen is 0 from the start: an alert on what is not there would say nothing.
    fn begin(&self) {
        for result in ["ours", "none"] {
            self.claims.with_label_values(&[result]);
        }
        self.machine.leaks.with_label_values(&["folder"]);
        for result in ["hit", "partial", "miss", "skipped", "error"] {
            self.cache
                .requests
                .with_label_values(&[BUILD_CACHE, result]);
        }
        for direction in ["restored", "stored"] {
            self.cache
                .bytes
                .with_label_values(&[BUILD_CACHE, direction]);
        }
        for method in ["mounted", "copied"] {
            self.cache
                .restores
                .with_label_values(&[BUILD_CACHE, method]);
        }
        self.cache.saves.with_label_values(&[BUILD_CACHE]);
    }

    /// Shows what a pool of warm containers and its engine have done, whenever somebody looks.
    ///
    /// # Errors
    /// When that is shown already.
    pub fn watch_containers(registry: &Registry, warm: Warm, docker: Docker) -> Result<(), Error> {
        registry.register(Box::new(Containers::new(warm, docker)?))
    }

    /// Shows what a cache had to let go, whenever somebody looks.
    ///
    /// # Errors
    /// When that is shown already.
    pub fn watch_cache(registry: &Registry, cache: Arc<Store>) -> Result<(), Error> {
        let name = "croft_cache_evictions_total";
        let evicted = IntCounter::new(
            name,
            "Entries that this worker removed from the cache for want of room.",
        )?;
        let looking = Mutex::default();
        registry.register(Box::new(Evictions {
            cache,
            evicted,
            looking,
        }))
    }

    pub(super) fn claimed(&self, is_ours: bool) {
        let result = if is_ours { "ours" } else { "none" };
        self.claims.with_label_values(&[result]).inc();
    }

    pub(super) fn fenced(&self) {
        self.fenced.inc();
    }

    pub(super) fn leaked(&self) {
        self.machine.leaks.with_label_values(&["folder"]).inc();
    }

    pub(super) fn standing(&self, running: usize, is_draining: bool) {
        self.machine
            .running
            .set(i64::try_from(running).unwrap_or(i64::MAX));
        self.machine.draining.set(i64::from(is_draining));
    }

    pub(super) fn fitness(&self, unfit: Option<&Unfit>, faults: u32, free_bytes: Option<u64>) {
        self.machine.fit.set(i64::from(unfit.is_none()));
        self.machine.failures.set(i64::from(faults));
        if let Some(free) = free_bytes {
            self.machine
                .disk_free
                .set(i64::try_from(free).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn sent(&self, bytes: usize, lag: Duration) {
        self.log_bytes.inc_by(bytes as u64);
        self.log_lag.observe(lag.as_secs_f64());
    }

    pub(super) fn dropped(&self) {
        self.log_dropped.inc();
    }

    /// The time that a build's sources took to get here.
    pub(super) fn brought(&self, pool: &str, took: Duration) {
        let labels = [pool, "source"];
        self.provisioning
            .with_label_values(&labels)
            .observe(took.as_secs_f64());
    }

    /// An attempt has an outcome.
    pub(super) fn ended(&self, project: &str, pool: &str, outcome: &Outcome) {
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        let project = projects.shown(project);
        self.phases_of(project, pool, &outcome.build);
        if let Some(restored) = &outcome.summary.cache_restored {
            self.restored(pool, restored);
        }
        if let Some(saved) = &outcome.summary.cache_saved {
            let bytes = self.cache.bytes.with_label_values(&[BUILD_CACHE, "stored"]);
            bytes.inc_by(saved.stored_bytes);
            let saves = self.cache.saves.with_label_values(&[BUILD_CACHE]);
            saves.observe(seconds(saved.duration_ms));
        }
    }

    fn phases_of(&self, project: &str, pool: &str, build: &Build) {
        let result = word(build.build_status);
        if let Some(end) = build.end_time {
            let builds = self.builds.with_label_values(&[project, result]);
            builds.observe(seconds(end.millis_since(build.start_time)));
        }
        for phase in &build.phases {
            let (Some(ms), Some(status)) = (phase.millis(), phase.phase_status) else {
                continue;
            };
            let labels = [project, phase.phase_type.name(), word(status)];
            self.phases.with_label_values(&labels).observe(seconds(ms));
            if phase.phase_type == PhaseType::Provisioning {
                let places = self.provisioning.with_label_values(&[pool, "place"]);
                places.observe(seconds(ms));
            }
        }
    }

    fn restored(&self, pool: &str, cache: &CacheSummary) {
        let result = match cache.status {
            CacheStatus::Hit => "hit",
            CacheStatus::Fallback => "partial",
            CacheStatus::Miss => "miss",
            CacheStatus::Unusable => "error",
            CacheStatus::Saved | CacheStatus::Unchanged | CacheStatus::Skipped => "skipped",
        };
        self.cache
            .requests
            .with_label_values(&[BUILD_CACHE, result])
            .inc();
        let Some(method) = cache.method else {
            return;
        };
        let method = match method {
            CacheMethod::Mounted => "mounted",
            CacheMethod::Copied => "copied",
        };
        let took = seconds(cache.duration_ms);
        self.cache
            .restores
            .with_label_values(&[BUILD_CACHE, method])
            .observe(took);
        self.provisioning
            .with_label_values(&[pool, "cache_restore"])
            .observe(took);
        let bytes = self
            .cache
            .bytes
            .with_label_values(&[BUILD_CACHE, "restored"]);
        bytes.inc_by(cache.size_bytes);
    }
}

/// Of builds' caches.
#[derive(Clone, Debug)]
struct Caches {
    requests: IntCounterVec,
    bytes: IntCounterVec,
    restores: HistogramVec,
    saves: HistogramVec,
}

impl Caches {
    fn new(registry: &Registry) -> Result<Self, Error> {
        let times = |name: &str, help: &str, labels: &[&str]| {
            let buckets = STARTS.to_vec();
            register_histogram_vec_with_registry!(name, help, labels, buckets, registry)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register_int_counter_vec_with_registry!(name, help, labels, registry)
        };
        Ok(Self {
            requests: counters(
                "croft_cache_requests_total",
                "Caches that builds asked for.",
                &["cache", "result"],
            )?,
            bytes: counters(
                "croft_cache_bytes_total",
                "Bytes of caches' contents that builds were given, or that were newly stored.",
                &["cache", "direction"],
            )?,
            restores: times(
                "croft_cache_restore_seconds",
                "Time to bring a cache's contents in.",
                &["cache", "method"],
            )?,
            saves: times(
                "croft_cache_save_seconds",
                "Time to store a cache's contents.",
                &["cache"],
            )?,
        })
    }
}

/// Of this machine.
#[derive(Clone, Debug)]
struct Machine {
    running: IntGauge,
    fit: IntGauge,
    draining: IntGauge,
    disk_free: IntGauge,
    failures: IntGauge,
    leaks: IntCounterVec,
}

impl Machine {
    fn new(registry: &Registry) -> Result<Self, Error> {
        let level =
            |name: &str, help: &str| register_int_gauge_with_registry!(name, help, registry);
        Ok(Self {
            running: level("croft_worker_builds", "Builds that run here.")?,
            fit: level("croft_worker_fit", "1 when this machine may take builds.")?,
            draining: level(
                "croft_worker_draining",
                "1 when it was told to take no more.",
            )?,
            disk_free: level(
                "croft_worker_disk_free_bytes",
                "Free on the disk of Croft's state.",
            )?,
            failures: level(
                "croft_worker_consecutive_failures",
                "Builds in a row that the machine failed.",
            )?,
            leaks: register_int_counter_vec_with_registry!(
                "croft_sandbox_leaks_total",
                "What could not be removed after a build and waits for a sweep.",
                &["kind"],
                registry
            )?,
        })
    }
}

/// What containers have done: read from where it is counted anyway.
struct Containers {
    warm: Warm,
    docker: Docker,
    starts: IntCounterVec,
    pulls: IntCounterVec,
    leaks: IntCounter,
    ready: IntGauge,
    networks: IntCounterVec,
    /// Held by who looks, so that two do not count the same.
    looking: Mutex<()>,
}

impl Containers {
    fn new(warm: Warm, docker: Docker) -> Result<Self, Error> {
        let counters = |name: &str, help: &str, label: &str| {
            IntCounterVec::new(Opts::new(name, help), &[label])
        };
        Ok(Self {
            warm,
            docker,
            starts: counters(
                "croft_container_starts_total",
                "Containers for builds: found warm, started cold; and what became of those kept ready.",
                "outcome",
            )?,
            pulls: counters(
                "croft_image_pulls_total",
                "Images that were asked of a registry.",
                "result",
            )?,
            leaks: IntCounter::new(
                "croft_container_leaks_total",
                "Containers, or their folders, that could not be removed and wait for a sweep.",
            )?,
            ready: IntGauge::new(
                "croft_containers_ready",
                "Containers that stand ready for a build.",
            )?,
            networks: counters(
                "croft_container_networks_total",
                "Networks that were made for containers to join one after the other, how often one was joined, and those that \
                 went because a build had used them.",
                "event",
            )?,
            looking: Mutex::default(),
        })
    }

    fn all(&self) -> [&dyn Collector; 5] {
        [
            &self.starts,
            &self.pulls,
            &self.leaks,
            &self.ready,
            &self.networks,
        ]
    }
}

impl Collector for Containers {
    fn desc(&self) -> Vec<&Desc> {
        self.all().iter().flat_map(|of| of.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let (counts, pulls) = (self.warm.counts(), self.docker.pulls());
        for (outcome, count) in [
            ("warm", counts.warm_hits),
            ("cold", counts.cold_starts),
            ("kept_ready", counts.started),
            ("not_kept_ready", counts.not_started),
            ("died", counts.died),
            ("unused", counts.unused),
            ("not_furnished", counts.not_furnished),
        ] {
            up_to(&self.starts.with_label_values(&[outcome]), count);
        }
        up_to(&self.pulls.with_label_values(&["pulled"]), pulls.succeeded);
        up_to(&self.pulls.with_label_values(&["failed"]), pulls.failed);
        up_to(&self.leaks, counts.not_removed);
        self.ready
            .set(i64::try_from(counts.ready).unwrap_or(i64::MAX));
        for (event, count) in [
            ("made", counts.networks_made),
            ("joined", counts.networks_joined),
            ("used", counts.networks_used),
        ] {
            up_to(&self.networks.with_label_values(&[event]), count);
        }
        self.all().iter().flat_map(|of| of.collect()).collect()
    }
}

/// What a cache had to let go.
struct Evictions {
    cache: Arc<Store>,
    evicted: IntCounter,
    /// As for [`Containers`].
    looking: Mutex<()>,
}

impl Collector for Evictions {
    fn desc(&self) -> Vec<&Desc> {
        self.evicted.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        up_to(&self.evicted, self.cache.evicted());
        self.evicted.collect()
    }
}

/// Brings a counter up to what was counted elsewhere.
fn up_to(counter: &IntCounter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}

const fn word(status: Status) -> &'static str {
    match status {
        Status::InProgress => "in_progress",
        Status::Succeeded => "succeeded",
        Status::Failed => "failed",
        Status::Fault => "fault",
        Status::TimedOut => "timed_out",
        Status::Stopped => "stopped",
    }
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}
