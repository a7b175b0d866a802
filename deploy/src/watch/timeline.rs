//! Which hosts had the new revision and which the old one, at any moment of a deployment. Made from what is folded, so that whoever looks
//! later, or on another server, sees the same.
//!
//! Of containers each is an instance of its own, called as its balancer calls it (`web-1-blue`): the sides share their hosts, and each has a
//! port for itself, which is what tells their series apart.

use std::collections::HashMap;

use croft_proto::Timestamp;
use croft_proto::deploy::{Colour, ContainerPorts, PlannedTarget, Side, Step};

use crate::state::Deployment;
use crate::traffic::server;
use crate::verdict::Hosts;

/// On which side a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arm {
    /// It has the new revision, and may serve.
    Canary,
    /// It serves with the old one.
    Baseline,
    /// It is being changed, or has no traffic by intent.
    Neither,
}

/// From when on a host is where.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The old revision serves until then.
    old_until: Option<Timestamp>,
    /// The new one serves from then on.
    new_from: Option<Timestamp>,
}

/// The hosts of one deployment over time.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    hosts: HashMap<String, Place>,
    /// When hosts came to the new revision, in order.
    news: Vec<Timestamp>,
    /// How many are to come to it, or have: one that failed does not.
    awaited: usize,
    /// Hosts that serve with the old one, but for those that left it at these moments, in order.
    olds: usize,
    lefts: Vec<Timestamp>,
    /// The new side's share, where sides replace each other.
    shifts: Option<Vec<(Timestamp, f64)>>,
    by_value: HashMap<String, String>,
    /// Where containers serve: the same on all hosts.
    ports: Option<ContainerPorts>,
}

/// What the watch calls a target.
pub(super) fn instance(deployment: &Deployment, planned: &PlannedTarget) -> String {
    let plan = deployment.plan.as_ref();
    server(
        &planned.host,
        plan.and_then(|plan| plan.colour(planned.side)),
    )
}

/// Whether traffic goes back to what was never taken down: all of that serves from the moment on in which it has it.
fn is_back(deployment: &Deployment) -> bool {
    let plan = deployment.plan.as_ref();
    let first = plan.and_then(|plan| plan.steps.first());
    matches!(first, Some(Step::Shift { .. }))
}

impl Timeline {
    pub(crate) fn of(deployment: &Deployment, hosts: &Hosts) -> Self {
        let plan = deployment.plan.as_ref();
        let has_sides = deployment.has_sides();
        let traffic_from = deployment.shifts.first().map(|(at, _)| *at);
        let mut places = HashMap::new();
        let (mut news, mut lefts, mut olds) = (Vec::new(), Vec::new(), 0_usize);
        let mut awaited = 0;
        for target in &deployment.targets {
            let place = match target.planned.side {
                Side::New => Place {
                    old_until: if has_sides {
                        Some(Timestamp::default())
                    } else {
                        target.begun_at
                    },
                    new_from: if is_back(deployment) {
                        traffic_from
                    } else {
                        target
                            .done_at
                            .filter(|_| !target.is_failed)
                            .and_then(|done| {
                                if has_sides {
                                    traffic_from.map(|from| from.max(done))
                                } else {
                                    Some(done)
                                }
                            })
                    },
                },
                Side::Old => Place {
                    old_until: target.begun_at,
                    new_from: None,
                },
            };
            if !has_sides || target.planned.side == Side::Old {
                olds += 1;
                lefts.extend(place.old_until);
            }
            news.extend(place.new_from);
            awaited += usize::from(target.planned.side == Side::New && !target.is_failed);
            places.insert(instance(deployment, &target.planned), place);
        }
        news.sort_unstable();
        lefts.sort_unstable();
        let shifts = deployment.shifts.iter();
        let shifts = shifts.map(|(at, percent)| (*at, f64::from(*percent) / 100.0));
        Self {
            hosts: places,
            news,
            awaited,
            olds,
            lefts,
            shifts: has_sides.then(|| shifts.collect()),
            by_value: hosts
                .map
                .iter()
                .map(|(host, value)| (value.clone(), host.clone()))
                .collect(),
            ports: plan.and_then(|plan| plan.containers).map(|of| of.ports),
        }
    }

    /// Whether its instances are containers.
    pub(crate) const fn is_of_containers(&self) -> bool {
        self.ports.is_some()
    }

    /// The host, or its container, that a label's value means; none when it is none of the deployment's.
    pub(crate) fn host<'t>(&'t self, value: &'t str) -> Option<&'t str> {
        if let Some(ports) = self.ports {
            return self.container(value, ports);
        }
        if let Some(host) = self.by_value.get(value) {
            return Some(host);
        }
        if self.hosts.contains_key(value) {
            return Some(value);
        }
        let (host, _port) = value.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        self.hosts.contains_key(host).then_some(host)
    }

    /// The container: named as a whole, or by its host and its port.
    fn container(&self, value: &str, ports: ContainerPorts) -> Option<&str> {
        let known = |name: &str| {
            self.hosts
                .get_key_value(name)
                .map(|(name, _)| name.as_str())
        };
        let named = |value: &str| self.by_value.get(value).map(String::as_str);
        if let Some(found) = known(named(value).unwrap_or(value)) {
            return Some(found);
        }
        let (host, port) = value.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        let colour = Colour::BOTH
            .into_iter()
            .find(|colour| ports.of(*colour) == port)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = named(value).or_else(|| named(host)).unwrap_or(host);
        known(&server(host, Some(colour)))
    }

    pub(crate) fn arm(&self, host: &str, at: Timestamp) -> Arm {
        let Some(place) = self.hosts.get(host) else {
            return Arm::Neither;
        };
        if place.new_from.is_some_and(|from| at >= from) {
            return Arm::Canary;
        }
        match place.old_until {
            Some(until) if at >= until => Arm::Neither,
            Some(_) | None => Arm::Baseline,
        }
    }

    /// When the new revision first serves somewhere.
    pub(crate) fn canary_from(&self) -> Option<Timestamp> {
        self.news.first().copied()
    }

    /// When the last of all hosts that were to come to the new revision had done so.
    pub(crate) fn all_from(&self) -> Option<Timestamp> {
        let last = self.news.last().copied();
        last.filter(|_| self.news.len() == self.awaited)
    }

    /// How many hosts are on each side.
    pub(crate) fn sides(&self, at: Timestamp) -> (usize, usize) {
        let by = |moments: &[Timestamp]| moments.partition_point(|moment| *moment <= at);
        (by(&self.news), self.olds.saturating_sub(by(&self.lefts)))
    }

    /// The share of the traffic that the new revision is meant to have; none when there is nothing to share it with.
    pub(crate) fn weight(&self, at: Timestamp) -> Option<f64> {
        let (new, old) = self.sides(at);
        if new == 0 || old == 0 {
            return None;
        }
        let weight = match &self.shifts {
            Some(shifts) => {
                let last = shifts.iter().rev().find(|(from, _)| *from <= at);
                last.map_or(0.0, |(_, weight)| *weight)
            }
            None => new as f64 / (new + old) as f64,
        };
        (weight < 1.0).then_some(weight.max(0.001))
    }
}
