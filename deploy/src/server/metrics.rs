//! What is measured of deployments, as one server sees them. Registered with the registry that the composition root hands down; fed by the
//! loop with what the decisions note, and once a second with how all of it stands. `docs/metrics.md` has all of it in words.
//!
//! Every server of a farm folds everything and so counts everything, from when it has caught up: whoever has several takes the greatest,
//! not the sum.

/// How much there is of everything.
mod levels;
/// Names as labels.
mod shown;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use croft_proto::deploy::{EventStatus, LifecycleEvent};
use prometheus::{
    Error, HistogramVec, IntCounterVec, Registry, register_histogram_vec_with_registry,
    register_int_counter_vec_with_registry,
};

use crate::step::{Noted, Over};
use crate::verdict::{Cause, Trigger};
use levels::Levels;
pub(super) use levels::{AlarmStanding, BalancerStanding, Bet, Standing};
use shown::Shown;

/// Seconds of a deployment: from one host that has nothing to do to a linear one of days.
const DEPLOYMENTS: &[f64] = &[
    1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0,
    86_400.0, 345_600.0,
];
/// Seconds of a lifecycle event: from none of its scripts being there to AWS's hour.
const EVENTS: &[f64] = &[
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
];
/// Seconds in which a bad release is found, and in which it is gone.
const ROLLBACKS: &[f64] = &[
    0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 90.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
];

/// What a server counts. Clones count together.
#[derive(Clone, Debug)]
pub struct Counts {
    levels: Levels,
    over: IntCounterVec,
    targets: IntCounterVec,
    durations: HistogramVec,
    events: HistogramVec,
    rollbacks: IntCounterVec,
    detections: HistogramVec,
    actions: HistogramVec,
    missing: IntCounterVec,
    shown: Arc<Mutex<Shown>>,
}

impl Counts {
    /// Registered there, once.
    ///
    /// # Errors
    /// When metrics of these names are there already: there is a second server in this process.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register_int_counter_vec_with_registry!(name, help, labels, registry)
        };
        let times = |name: &str, help: &str, labels: &[&str], buckets: &[f64]| {
            let buckets = buckets.to_vec();
            register_histogram_vec_with_registry!(name, help, labels, buckets, registry)
        };
        let counts = Self {
            levels: Levels::new(registry)?,
            over: counters(
                "croft_deployments_total",
                "Deployments that are over, by how they ended.",
                &[
                    "application",
                    "group",
                    "creator",
                    "target",
                    "strategy",
                    "result",
                ],
            )?,
            targets: counters(
                "croft_deployment_targets_total",
                "Targets of deployments that are over, by how it is with them.",
                &["application", "result"],
            )?,
            durations: times(
                "croft_deployment_duration_seconds",
                "Time that deployments took, in parts.",
                &["application", "result", "part"],
                DEPLOYMENTS,
            )?,
            events: times(
                "croft_deployment_event_duration_seconds",
                "Time that lifecycle events of targets took.",
                &["event", "result"],
                EVENTS,
            )?,
            rollbacks: counters(
                "croft_rollback_total",
                "Deployments that another one takes back, by why.",
                &["application", "trigger"],
            )?,
            detections: times(
                "croft_rollback_detection_seconds",
                "Time from when a release first served to the decision to take it back.",
                &["application", "trigger"],
                ROLLBACKS,
            )?,
            actions: times(
                "croft_rollback_action_seconds",
                "Time from the decision to take a release back to that being done.",
                &["application", "part"],
                ROLLBACKS,
            )?,
            missing: counters(
                "croft_analysis_missing_total",
                "How often something that judges a release began to have no value, by why.",
                &["cause"],
            )?,
            shown: Arc::default(),
        };
        // What may never happen is 0 from the start: an alert on what is not there would say nothing.
        for cause in Cause::ALL {
            counts.missing.with_label_values(&[cause.word()]);
        }
        Ok(counts)
    }

    /// Something has happened.
    pub(super) fn count(&self, noted: &Noted) {
        match noted {
            Noted::Over(over) => self.over(over),
            Noted::Event {
                event,
                status,
                took_ms,
            } => self.event(*event, *status, *took_ms),
            Noted::TrafficBack {
                application,
                took_ms,
            } => {
                let mut shown = self.shown();
                let labels = [shown.application(application), "traffic"];
                let actions = self.actions.with_label_values(&labels);
                actions.observe(seconds(*took_ms));
            }
        }
    }

    fn over(&self, over: &Over) {
        let mut shown = self.shown();
        let [application, group] = shown.group(&over.group);
        let labels = [
            application,
            group,
            over.creator,
            over.target,
            over.strategy,
            over.result,
        ];
        self.over.with_label_values(&labels).inc();
        let application = shown.application(&over.group.application);
        let began_ms = over.whole_ms.saturating_sub(over.line_ms);
        for (part, ms) in [
            ("whole", over.whole_ms),
            ("line", over.line_ms),
            ("paused", over.paused_ms.min(began_ms)),
            ("progress", began_ms.saturating_sub(over.paused_ms)),
        ] {
            let labels = [application, over.result, part];
            let durations = self.durations.with_label_values(&labels);
            durations.observe(seconds(ms));
        }
        for (result, count) in [
            ("succeeded", over.targets.succeeded),
            ("failed", over.targets.failed),
            ("in_progress", over.targets.in_progress),
            ("skipped", over.targets.skipped),
        ] {
            let targets = self.targets.with_label_values(&[application, result]);
            targets.inc_by(u64::from(count));
        }
        if let Some(back) = &over.taken_back {
            let labels = [application, back.trigger];
            self.rollbacks.with_label_values(&labels).inc();
            let detections = self.detections.with_label_values(&labels);
            detections.observe(seconds(back.detection_ms));
        }
        if over.is_back {
            let actions = self.actions.with_label_values(&[application, "whole"]);
            actions.observe(seconds(over.whole_ms));
        }
    }

    fn event(&self, event: LifecycleEvent, status: EventStatus, took_ms: u64) {
        let result = match status {
            EventStatus::Succeeded => "succeeded",
            EventStatus::Skipped => "skipped",
            EventStatus::Unknown => "unknown",
            EventStatus::Failed | EventStatus::Pending | EventStatus::InProgress => "failed",
        };
        let events = self.events.with_label_values(&[event.name(), result]);
        events.observe(seconds(took_ms));
    }

    /// Something that judges a release began to have no value.
    pub(super) fn missing(&self, cause: Cause) {
        self.missing.with_label_values(&[cause.word()]).inc();
    }

    /// How all of it stands now.
    pub(super) fn show(&self, standing: &Standing<'_>) {
        let mut shown = self.shown();
        // An application's rollbacks are there before the first: it would be no increase.
        for (name, _) in standing.state.groups() {
            let application = shown.application(&name.application);
            for trigger in Trigger::ALL
                .map(Trigger::word)
                .into_iter()
                .chain(["failure"])
            {
                self.rollbacks.with_label_values(&[application, trigger]);
            }
        }
        self.levels.show(standing, &mut shown);
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}
