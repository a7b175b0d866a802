//! How much there is of everything: made anew each second from what is folded and from what this server has heard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use croft_proto::deploy::{DeploymentId, DeploymentStatus, RevisionHealth};
use prometheus::{Error, GaugeVec, Registry, register_gauge_vec_with_registry};

use super::shown::Shown;
use crate::intent::GroupName;
use crate::state::{Deployment, Group, State};

/// How all of it stands.
pub(in super::super) struct Standing<'s> {
    pub(in super::super) state: &'s State,
    /// Hosts of the farm that this server has lately heard.
    pub(in super::super) hosts_heard: usize,
    /// Why deployments are held.
    pub(in super::super) held: &'s BTreeMap<DeploymentId, BTreeSet<&'static str>>,
    pub(in super::super) bets: Vec<Bet>,
    pub(in super::super) alarms: Vec<AlarmStanding>,
    pub(in super::super) balancers: Vec<BalancerStanding>,
}

/// The bet against a release over one metric.
pub(in super::super) struct Bet {
    pub(in super::super) group: GroupName,
    pub(in super::super) metric: String,
    pub(in super::super) wealth: f64,
    pub(in super::super) decides_at: f64,
}

/// An alarm.
pub(in super::super) struct AlarmStanding {
    pub(in super::super) name: String,
    /// `alarm`, a definition of a group's own, or `alert`, a rule of Prometheus.
    pub(in super::super) kind: &'static str,
    /// Whether it fires; none when that is not known.
    pub(in super::super) fires: Option<bool>,
}

/// A group's balancer.
pub(in super::super) struct BalancerStanding {
    pub(in super::super) group: GroupName,
    pub(in super::super) is_reached: bool,
    /// What else is wrong with it: servers that it lacks, or that are in maintenance.
    pub(in super::super) problems: usize,
}

/// All gauges.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    active: Level,
    weights: Level,
    held: Level,
    halted: Level,
    group_hosts: Level,
    hosts: Level,
    wealth: Level,
    limits: Level,
    alarms: Level,
    reached: Level,
    problems: Level,
}

impl Levels {
    pub(super) fn new(registry: &Registry) -> Result<Self, Error> {
        let level = |name: &str, help: &str, labels: &[&str]| {
            let gauge = register_gauge_vec_with_registry!(name, help, labels, registry);
            gauge.map(Level::new)
        };
        let group = ["application", "group"];
        let of_group = |more: &'static str| ["application", "group", more];
        Ok(Self {
            active: level(
                "croft_deployments_active",
                "Deployments that are not over, by where they are.",
                &of_group("state"),
            )?,
            weights: level(
                "croft_deployment_weight",
                "Share of the traffic, 0 to 1, that each side of a deployment on its way is meant to have.",
                &of_group("side"),
            )?,
            held: level(
                "croft_deployment_held",
                "1 while whoever judges a release does not let it go on, by why.",
                &of_group("reason"),
            )?,
            halted: level(
                "croft_group_halted",
                "1 when a group's last deployment was a rollback that failed.",
                &group,
            )?,
            group_hosts: level(
                "croft_group_hosts",
                "Hosts that a group has deployed to, by what they have.",
                &of_group("revision"),
            )?,
            hosts: level(
                "croft_hosts",
                "Hosts of the farm: all, those that this server heard within a minute, those that a deployment changes.",
                &["state"],
            )?,
            wealth: level(
                "croft_analysis_wealth",
                "What a stake of 1 against a release has become.",
                &of_group("metric"),
            )?,
            limits: level(
                "croft_analysis_wealth_limit",
                "What it must become for the release to be taken back.",
                &of_group("metric"),
            )?,
            alarms: level(
                "croft_alarm_state",
                "Whether an alarm that deployments mind fires: 1 yes, 0 no, -1 not known.",
                &["alarm", "kind"],
            )?,
            reached: level(
                "croft_balancer_reachable",
                "Whether a group's balancer did as this server told it the last time.",
                &group,
            )?,
            problems: level(
                "croft_balancer_problems",
                "Servers that a group's balancer lacks or has in maintenance, in number; the log says which.",
                &group,
            )?,
        })
    }

    pub(super) fn show(&self, standing: &Standing<'_>, shown: &mut Shown) {
        self.show_groups(standing, shown);
        self.show_hosts(standing);
        let (mut wealth, mut limits) = (Rows::default(), Rows::default());
        for bet in &standing.bets {
            let [application, group] = shown.group(&bet.group);
            let labels = [application, group, shown.metric(&bet.metric)];
            wealth.most(&labels, bet.wealth);
            limits.most(&labels, bet.decides_at);
        }
        self.wealth.show(wealth);
        self.limits.show(limits);
        let mut alarms = Rows::default();
        for alarm in &standing.alarms {
            let fires = alarm.fires.map_or(-1.0, |fires| f64::from(u8::from(fires)));
            alarms.most(&[shown.alarm(&alarm.name), alarm.kind], fires);
        }
        self.alarms.show(alarms);
        let (mut reached, mut problems) = (Rows::default(), Rows::default());
        for balancer in &standing.balancers {
            let labels = shown.group(&balancer.group);
            reached.least(&labels, f64::from(u8::from(balancer.is_reached)));
            problems.add(&labels, count(balancer.problems));
        }
        self.reached.show_only(reached);
        self.problems.show(problems);
    }

    fn show_groups(&self, standing: &Standing<'_>, shown: &mut Shown) {
        let (mut active, mut weights, mut held) =
            (Rows::default(), Rows::default(), Rows::default());
        let (mut halted, mut hosts) = (Rows::default(), Rows::default());
        for (name, group) in standing.state.groups() {
            let [application, named] = shown.group(name);
            let deployment = group.active.as_ref();
            let deployment = deployment.and_then(|id| standing.state.deployment(id));
            let state = deployment.map(state_of);
            for word in ["running", "ready", "baking"] {
                let is_it = u64::from(state == Some(word));
                active.add(&[application, named, word], is_it);
            }
            active.add(&[application, named, "waiting"], count(group.queue.len()));
            if let Some(deployment) = deployment.filter(|one| one.has_sides()) {
                let new = f64::from(deployment.traffic_percent.min(100)) / 100.0;
                weights.most(&[application, named, "new"], new);
                weights.most(&[application, named, "old"], 1.0 - new);
            }
            let reasons = deployment.and_then(|one| standing.held.get(&one.id));
            for reason in reasons.into_iter().flatten() {
                held.add(&[application, named, reason], 1);
            }
            let is_halted = is_halted(standing.state, group);
            halted.add(&[application, named], u64::from(is_halted));
            for (word, count) in revisions(group) {
                hosts.add(&[application, named, word], count);
            }
        }
        self.active.show(active);
        self.weights.show(weights);
        self.held.show(held);
        self.halted.show(halted);
        self.group_hosts.show(hosts);
    }

    fn show_hosts(&self, standing: &Standing<'_>) {
        let (mut enrolled, mut taken) = (0, 0);
        for (_, host) in standing.state.hosts().filter(|(_, host)| host.is_enrolled) {
            enrolled += 1;
            taken += u64::from(host.taken.is_some());
        }
        let mut hosts = Rows::default();
        hosts.add(&["enrolled"], enrolled);
        hosts.add(&["taken"], taken);
        hosts.add(&["heard"], count(standing.hosts_heard));
        self.hosts.show(hosts);
    }
}

/// A word for where one that has begun is.
fn state_of(deployment: &Deployment) -> &'static str {
    match deployment.status() {
        DeploymentStatus::Ready => "ready",
        DeploymentStatus::Baking => "baking",
        DeploymentStatus::Created
        | DeploymentStatus::Queued
        | DeploymentStatus::InProgress
        | DeploymentStatus::Succeeded
        | DeploymentStatus::Failed
        | DeploymentStatus::Stopped
        | DeploymentStatus::Halted => "running",
    }
}

/// Whether somebody has to look: its last deployment took one back, and failed.
fn is_halted(state: &State, group: &Group) -> bool {
    let last = group.ended.as_ref().and_then(|id| state.deployment(id));
    let end = last.and_then(|last| last.end.as_ref());
    group.active.is_none() && end.is_some_and(|end| end.status == DeploymentStatus::Halted)
}

fn revisions(group: &Group) -> [(&'static str, u64); 3] {
    let of = |wanted: RevisionHealth| {
        let standings = group.hosts.values();
        count(standings.filter(|one| one.revision == wanted).count())
    };
    [
        ("current", of(RevisionHealth::Current)),
        ("old", of(RevisionHealth::Old)),
        ("unknown", of(RevisionHealth::Unknown)),
    ]
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Values by labels, made anew each time.
#[derive(Debug, Default)]
struct Rows(BTreeMap<Vec<String>, f64>);

impl Level {
    /// The same where 0 would be a word of its own: what is gone is not shown.
    fn show_only(&self, rows: Rows) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.retain(|labels| {
            let is_there = rows.0.contains_key(labels);
            if !is_there {
                // One that is not there any more is what is wanted.
                self.gauge.remove_label_values(labels).unwrap_or_default();
            }
            is_there
        });
        drop(shown);
        self.show(rows);
    }
}

impl Rows {
    fn of(&mut self, labels: &[&str], first: f64) -> &mut f64 {
        let labels = labels.iter().map(ToString::to_string).collect();
        self.0.entry(labels).or_insert(first)
    }

    fn add(&mut self, labels: &[&str], count: u64) {
        *self.of(labels, 0.0) += f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// The least of those that share their labels.
    fn least(&mut self, labels: &[&str], value: f64) {
        let row = self.of(labels, value);
        *row = row.min(value);
    }

    /// The greatest of those that share their labels.
    fn most(&mut self, labels: &[&str], value: f64) {
        let row = self.of(labels, value);
        *row = row.max(value);
    }
}

/// A gauge whose rows come and go. One that has gone is 0 from then on: left out, it would seem to go on for whoever draws it. There
/// are no more of them than names are shown.
#[derive(Clone, Debug)]
struct Level {
    gauge: GaugeVec,
    shown: Arc<Mutex<BTreeSet<Vec<String>>>>,
}

impl Level {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balancer_that_a_group_has_no_more_is_not_one_that_is_out_of_reach() {
        let registry = Registry::new();
        let levels = Levels::new(&registry).unwrap();
        let shown = || {
            let all = registry.gather();
            let family = all
                .iter()
                .find(|family| family.name() == "croft_balancer_reachable");
            family.map_or_else(Vec::new, |family| {
                let metrics = family.get_metric().iter();
                metrics
                    .map(|metric| metric.get_gauge().get_value())
                    .collect()
            })
        };
        let rows = |reached: &[f64]| {
            let mut rows = Rows::default();
            for value in reached {
                rows.least(&["other", "other"], *value);
            }
            rows
        };
        // Of those that share a name, one that is out of reach is seen.
        levels.reached.show_only(rows(&[1.0, 0.0, 1.0]));
        assert_eq!(shown(), [0.0]);
        levels.reached.show_only(rows(&[1.0]));
        assert_eq!(shown(), [1.0]);
        levels.reached.show_only(rows(&[]));
        assert!(shown().is_empty());
    }
}
