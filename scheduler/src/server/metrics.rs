//! What is measured of the queue, of dispatch, of builds and of workers, as one server sees them. Registered with the registry that
//! the composition root hands down; fed by the loop with what the decisions note. `docs/metrics.md` has all of it in words.
//!
//! Every server of a farm folds everything and so counts everything: whoever has several takes the greatest, not the sum.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use croft_proto::Status;
use croft_proto::farm::{LossReason, Names, POOLS_SHOWN_MAX, PROJECTS_SHOWN_MAX, SettledBy};
use prometheus::{
    Error, GaugeVec, HistogramVec, IntCounterVec, Registry, register_gauge_vec_with_registry,
    register_histogram_vec_with_registry, register_int_counter_vec_with_registry,
};

use super::seen::WorkerSeen;
use crate::Verdict;
use crate::farm::Farm;
use crate::pool::WORKER_GONE_MS;
use crate::step::{Measured, Noted};

/// Seconds that builds wait: from those that a worker stands ready for to those of a night's backlog.
const WAITS: &[f64] = &[
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0,
];
/// Seconds from a hint to a claim: one round trip and one append, or another hint.
const DISPATCHES: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// What a server counts. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    levels: Gauges,
    waits: HistogramVec,
    dispatches: HistogramVec,
    published: IntCounterVec,
    redelivered: IntCounterVec,
    dead: IntCounterVec,
    renewals: IntCounterVec,
    builds: IntCounterVec,
    attempts: IntCounterVec,
    names: Arc<Mutex<Shown>>,
}

/// How much there is of everything.
#[derive(Clone, Debug)]
struct Gauges {
    depth: Levels,
    reasons: Levels,
    oldest: Levels,
    running: Levels,
    workers: Levels,
    slots: Levels,
    heartbeats: Levels,
}

impl Gauges {
    fn new(registry: &Registry) -> Result<Self, Error> {
        let levels = |name: &str, help: &str, labels: &[&str]| {
            let gauge = register_gauge_vec_with_registry!(name, help, labels, registry);
            gauge.map(Levels::new)
        };
        Ok(Self {
            depth: levels(
                "croft_queue_depth",
                "Builds that wait, by where they are.",
                &["pool", "state"],
            )?,
            reasons: levels(
                "croft_queue_wait_reason",
                "Builds that wait, by why.",
                &["pool", "reason"],
            )?,
            oldest: levels(
                "croft_queue_oldest_age_seconds",
                "How long the build has waited that has waited longest.",
                &["pool"],
            )?,
            running: levels(
                "croft_builds_running",
                "Builds that a worker has claimed.",
                &["project"],
            )?,
            workers: levels(
                "croft_workers",
                "Workers, by what they last said.",
                &["pool", "state"],
            )?,
            slots: levels(
                "croft_worker_slots",
                "Builds that workers could run at once, by whether one is there.",
                &["pool", "state"],
            )?,
            heartbeats: levels(
                "croft_worker_heartbeat_age_seconds",
                "Since the most silent worker was heard.",
                &["pool"],
            )?,
        })
    }
}

#[derive(Debug)]
struct Shown {
    projects: Names,
    pools: Names,
}

impl Metrics {
    /// Registered there, once.
    ///
    /// # Errors
    /// When metrics of these names are there already: there is a second server in this process.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register_int_counter_vec_with_registry!(name, help, labels, registry)
        };
        let times = |name: &str, help: &str, buckets: &[f64]| {
            let buckets = buckets.to_vec();
            register_histogram_vec_with_registry!(name, help, &["pool"], buckets, registry)
        };
        let metrics = Self {
            levels: Gauges::new(registry)?,
            waits: times(
                "croft_queue_wait_seconds",
                "Time a build waited for its claim.",
                WAITS,
            )?,
            dispatches: times(
                "croft_dispatch_duration_seconds",
                "Time from a build's hint to its claim.",
                DISPATCHES,
            )?,
            published: counters(
                "croft_jobs_published_total",
                "Hints of builds to run that this server sent.",
                &["pool"],
            )?,
            redelivered: counters(
                "croft_jobs_redelivered_total",
                "Builds that were offered again, by why.",
                &["reason"],
            )?,
            dead: counters(
                "croft_jobs_deadlettered_total",
                "Builds that were given up without an outcome, by why.",
                &["reason"],
            )?,
            renewals: counters(
                "croft_lease_renewals_total",
                "Answers to workers that renewed an attempt.",
                &["verdict"],
            )?,
            builds: counters(
                "croft_builds_total",
                "Builds that are over, by how they ended.",
                &["project", "result"],
            )?,
            attempts: counters(
                "croft_build_attempts_total",
                "Attempts that began, by whether it was the first one.",
                &["project", "reason"],
            )?,
            names: Arc::new(Mutex::new(Shown {
                projects: Names::at_most(PROJECTS_SHOWN_MAX),
                pools: Names::at_most(POOLS_SHOWN_MAX),
            })),
        };
        metrics.begin();
        Ok(metrics)
    }

    /// What may never happen is 0 from the start: an alert on what is not there would say nothing.
    fn begin(&self) {
        for reason in ["lease_expired", "given_back", "unclaimed"] {
            self.redelivered.with_label_values(&[reason]);
        }
        for reason in ["attempts", "queue_timeout"] {
            self.dead.with_label_values(&[reason]);
        }
        for verdict in ["go", "stop", "lost"] {
            self.renewals.with_label_values(&[verdict]);
        }
    }

    /// A hint was sent.
    pub(super) fn published(&self, pool: &str) {
        let mut names = self.names();
        let pool = names.pools.shown(pool);
        self.published.with_label_values(&[pool]).inc();
    }

    /// A worker was answered.
    pub(super) fn answered(&self, verdict: Verdict) {
        let word = match verdict {
            Verdict::Go => "go",
            Verdict::Stop => "stop",
            Verdict::Lost => "lost",
        };
        self.renewals.with_label_values(&[word]).inc();
    }

    /// Something has happened.
    pub(super) fn count(&self, noted: &Noted, farm: &Farm) {
        let mut names = self.names();
        match noted {
            Noted::Claimed {
                project,
                pool,
                attempt,
                waited_ms,
                offered_ms,
                ..
            } => {
                let project = names.projects.shown(farm.project_name(*project));
                let reason = if *attempt == 1 {
                    "first"
                } else {
                    "redelivered"
                };
                self.attempts.with_label_values(&[project, reason]).inc();
                let pool = names.pools.shown(farm.pool_name(*pool));
                let waits = self.waits.with_label_values(&[pool]);
                waits.observe(seconds(*waited_ms));
                if let Some(ms) = offered_ms {
                    let dispatches = self.dispatches.with_label_values(&[pool]);
                    dispatches.observe(seconds(*ms));
                }
            }
            Noted::Lost { reason, .. } => self.redelivered(match reason {
                LossReason::Unheard { .. } => "lease_expired",
                LossReason::GivenBack { .. } => "given_back",
            }),
            Noted::OfferedAgain => self.redelivered("unclaimed"),
            Noted::Ended {
                project,
                status,
                by,
                ..
            } => {
                let project = names.projects.shown(farm.project_name(*project));
                self.builds
                    .with_label_values(&[project, result(*status)])
                    .inc();
                match by {
                    SettledBy::Worker | SettledBy::Stop => {}
                    SettledBy::QueueTimeout => {
                        self.dead.with_label_values(&["queue_timeout"]).inc()
                    }
                    SettledBy::Quarantine => self.dead.with_label_values(&["attempts"]).inc(),
                }
            }
        }
    }

    fn redelivered(&self, reason: &str) {
        self.redelivered.with_label_values(&[reason]).inc();
    }

    /// How much there is of everything now.
    pub(super) fn show(&self, measured: &Measured, workers: &[WorkerSeen], farm: &Farm) {
        let mut names = self.names();
        let (mut depth, mut reasons, mut oldest) =
            (Rows::default(), Rows::default(), Rows::default());
        for (number, pool) in &measured.pools {
            let name = names.pools.shown(farm.pool_name(*number));
            let inside = pool.no_worker + pool.line;
            for (state, count) in [
                ("ready", inside),
                ("blocked", pool.limit),
                ("offered", pool.offered),
            ] {
                depth.add(&[name, state], whole(count));
            }
            let why = [
                ("no_worker", pool.no_worker),
                ("limit", pool.limit),
                ("line", pool.line),
                ("offered", pool.offered),
            ];
            for (reason, count) in why {
                reasons.add(&[name, reason], whole(count));
            }
            oldest.most(&[name], seconds(pool.oldest_ms));
        }
        let mut running = Rows::default();
        for (project, count) in &measured.running {
            let name = names.projects.shown(farm.project_name(*project));
            running.add(&[name], whole(*count));
        }
        self.levels.depth.show(depth);
        self.levels.reasons.show(reasons);
        self.levels.oldest.show(oldest);
        self.levels.running.show(running);
        self.show_workers(workers, &mut names.pools);
    }

    fn show_workers(&self, workers: &[WorkerSeen], pools: &mut Names) {
        let (mut counts, mut slots, mut ages) = (Rows::default(), Rows::default(), Rows::default());
        for worker in workers {
            let pool = pools.shown(&worker.pool);
            for state in ["idle", "busy", "full", "lost"] {
                let is_it = state == state_of(worker);
                counts.add(&[pool, state], whole(u64::from(is_it)));
            }
            let is_there = worker.silent_ms <= WORKER_GONE_MS;
            let (free, all) = (u64::from(worker.slots_free), u64::from(worker.slots));
            if is_there {
                slots.add(&[pool, "free"], whole(free));
                slots.add(&[pool, "taken"], whole(all.saturating_sub(free)));
            }
            ages.most(&[pool], seconds(worker.silent_ms));
        }
        self.levels.workers.show(counts);
        self.levels.slots.show(slots);
        self.levels.heartbeats.show(ages);
    }

    fn names(&self) -> MutexGuard<'_, Shown> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn state_of(worker: &WorkerSeen) -> &'static str {
    if worker.silent_ms > WORKER_GONE_MS {
        "lost"
    } else if worker.slots_free == 0 {
        "full"
    } else if worker.slots_free < worker.slots {
        "busy"
    } else {
        "idle"
    }
}

/// The label of a build's end.
const fn result(status: Status) -> &'static str {
    match status {
        Status::InProgress => "in_progress",
        Status::Succeeded => "succeeded",
        Status::Failed => "failed",
        Status::Fault => "fault",
        Status::TimedOut => "timed_out",
        Status::Stopped => "stopped",
    }
}

/// Values by labels, made anew each time.
#[derive(Debug, Default)]
struct Rows(BTreeMap<Vec<String>, f64>);

impl Rows {
    fn of(&mut self, labels: &[&str]) -> &mut f64 {
        let labels = labels.iter().map(ToString::to_string).collect();
        self.0.entry(labels).or_default()
    }

    fn add(&mut self, labels: &[&str], value: f64) {
        *self.of(labels) += value;
    }

    fn most(&mut self, labels: &[&str], value: f64) {
        let row = self.of(labels);
        *row = row.max(value);
    }
}

/// A gauge whose rows come and go. One that has gone is 0 from then on: left out, it would seem to go on for whoever draws it. There
/// are no more of them than names are shown.
#[derive(Clone, Debug)]
struct Levels {
    gauge: GaugeVec,
    shown: Arc<Mutex<BTreeSet<Vec<String>>>>,
}

impl Levels {
    fn new(gauge: GaugeVec) -> Self {
        Self {
            gauge,
            shown: Arc::default(),
        }
    }

    fn show(&self, rows: Rows) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in shown.iter().filter(|labels| !rows.0.contains_key(*labels)) {
            self.gauge.with_label_values(gone).set(0.0);
        }
        for (labels, value) in rows.0 {
            self.gauge.with_label_values(&labels).set(value);
            shown.insert(labels);
        }
    }
}

fn whole(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use croft_proto::farm::BuildId;

    fn text(registry: &Registry) -> String {
        prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap()
    }

    #[test]
    fn what_is_given_up_is_counted_and_what_never_happened_is_there_at_0() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        let begun = text(&registry);
        assert!(begun.contains("croft_jobs_deadlettered_total{reason=\"queue_timeout\"} 0"));
        let mut farm = Farm::default();
        let project = farm.number_of("web");
        let build = BuildId::derived([1; 16]);
        metrics.count(
            &Noted::Ended {
                build,
                project,
                status: Status::TimedOut,
                by: SettledBy::QueueTimeout,
            },
            &farm,
        );
        let reason = LossReason::Unheard { silent_ms: 1 };
        metrics.count(&Noted::Lost { build, reason }, &farm);
        let shown = text(&registry);
        for line in [
            "croft_builds_total{project=\"web\",result=\"timed_out\"} 1",
            "croft_jobs_deadlettered_total{reason=\"queue_timeout\"} 1",
            "croft_jobs_redelivered_total{reason=\"lease_expired\"} 1",
            "croft_jobs_redelivered_total{reason=\"given_back\"} 0",
        ] {
            assert!(shown.contains(line), "{line} in {shown}");
        }
    }

    #[test]
    fn a_level_that_is_gone_is_0_and_a_second_server_in_a_process_is_refused() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        let mut farm = Farm::default();
        let project = farm.number_of("web");
        let mut measured = Measured::default();
        measured.running.insert(project, 3);
        metrics.show(&measured, &[], &farm);
        assert!(text(&registry).contains("croft_builds_running{project=\"web\"} 3"));
        metrics.show(&Measured::default(), &[], &farm);
        assert!(text(&registry).contains("croft_builds_running{project=\"web\"} 0"));
        assert!(Metrics::new(&registry).is_err());
    }
}
