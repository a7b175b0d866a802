//! Where traffic should go: a weight for each host of a group, made anew from the state whenever it is asked. Handed to whoever
//! tells the balancer, which forgets what it is told and so is told again.
//!
//! A host whose revision is not its group's has none, whatever the balancer believes: a host that was away comes back closed.

use croft_proto::deploy::{
    Colour, Creator, DeploymentStatus, EventStatus, LifecycleEvent, RevisionHealth, Side, Standing,
};

use crate::intent::GroupName;
use crate::state::{Deployment, Group, State, Target};

/// A balancer's full weight: HAProxy's largest.
pub const WEIGHT_FULL: u32 = 256;

/// What a host, or a container of it, should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weight {
    /// The host.
    pub host: String,
    /// Which of its containers, where sides replace each other.
    pub side: Side,
    /// That container's colour; none when it is the host itself.
    pub colour: Option<Colour>,
    /// From 0 to [`WEIGHT_FULL`]. Two sides have theirs so that all of one together and all of the other are in the ratio wanted.
    pub weight: u32,
}

impl Weight {
    /// What a balancer calls it, unless its settings say otherwise.
    #[must_use]
    pub fn server(&self) -> String {
        server(&self.host, self.colour)
    }
}

/// What a balancer calls a host, or a container of it: each of the two has a name of its own, or one would be taken for the other.
pub(crate) fn server(host: &str, colour: Option<Colour>) -> String {
    match colour {
        None => host.to_string(),
        Some(colour) => format!("{host}-{colour}"),
    }
}

/// The host of what a balancer calls a container of it (`web-1-blue`); the name itself when it is none's.
#[must_use]
pub fn host_of(server: &str) -> &str {
    let mut colours = Colour::BOTH.iter();
    let host = colours.find_map(|colour| server.strip_suffix(colour.name())?.strip_suffix('-'));
    host.unwrap_or(server)
}

/// How many of those that get traffic must be well before those that had it lose it: what a balancer sees down gets nothing, whatever its
/// weight, and then nobody would serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A release may wait.
    All,
    /// What goes back may not.
    One,
}

/// What a group's balancer is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    /// The group.
    pub group: GroupName,
    /// Of the deployment that says so: one that has told a balancer of a later one does not tell it this.
    pub generation: u64,
    /// How many that get traffic must be well before others lose theirs; none where there are no two sides.
    pub needs: Option<Needs>,
    /// By host.
    pub weights: Vec<Weight>,
}

/// What a group's balancer should be told now; none when nobody is told, or nothing was deployed.
#[must_use]
pub fn weights(state: &State, name: &GroupName) -> Option<Weights> {
    let group = state.group(name)?;
    group.settings.as_ref()?.router()?;
    let planned = |id: &Option<_>| {
        let deployment = state.deployment(id.as_ref()?)?;
        deployment.plan.is_some().then_some(deployment)
    };
    // One that has just begun, and whose plan is the next entry, moves nothing yet.
    let latest = planned(&group.active).or_else(|| planned(&group.ended));
    let (needs, mut weights) = match latest {
        Some(latest) if latest.has_sides() => (Some(needs(latest)), of_sides(latest)),
        latest => (None, of_hosts(group, latest)),
    };
    // One that was revoked is closed, whatever it has; a balancer that has no server of it any more is not asked for one.
    for weight in &mut weights {
        let is_farms = state
            .host(&weight.host)
            .is_some_and(|host| host.is_enrolled);
        if !is_farms {
            weight.weight = 0;
        }
    }
    (!weights.is_empty()).then(|| Weights {
        group: name.clone(),
        generation: group.generation,
        needs,
        weights,
    })
}

fn needs(deployment: &Deployment) -> Needs {
    let is_back = deployment.accepted.creator == Creator::Rollback;
    if is_back || deployment.end.is_some() {
        Needs::One
    } else {
        Needs::All
    }
}

/// The new side has its part, unless the deployment is over badly: then the old side has all. Of one that takes back the old side is what it
/// takes back, which never gets traffic again, however it ends.
fn of_sides(deployment: &Deployment) -> Vec<Weight> {
    let end = deployment.end.as_ref();
    let is_bad = end.is_some_and(|end| end.status != DeploymentStatus::Succeeded);
    let is_over_badly = is_bad && deployment.accepted.creator != Creator::Rollback;
    let serves = |target: &&Target| !target.is_failed;
    let of = |side| {
        let targets = deployment.targets.iter();
        targets.filter(move |target| target.planned.side == side)
    };
    let (new, old) = (
        crate::plan::count(of(Side::New).filter(serves).count()),
        crate::plan::count(of(Side::Old).count()),
    );
    let percent = match (is_over_badly, old) {
        (true, 1..) => 0,
        (true | false, _) => deployment.traffic_percent.min(100),
    };
    let (for_new, for_old) = ratio(percent, new, old);
    let plan = deployment.plan.as_ref();
    let colour = |side| plan.and_then(|plan| plan.colour(side));
    let weight = |target: &Target, weight| Weight {
        host: target.planned.host.clone(),
        side: target.planned.side,
        colour: colour(target.planned.side),
        weight,
    };
    let new =
        of(Side::New).map(|target| weight(target, if target.is_failed { 0 } else { for_new }));
    let old = of(Side::Old).map(|target| weight(target, for_old));
    let mut weights: Vec<Weight> = new.chain(old).collect();
    weights.extend(idle(deployment));
    weights
}

/// Containers that are no targets, of hosts that are: what is left of earlier deployments there serves nobody.
fn idle(deployment: &Deployment) -> Vec<Weight> {
    let Some(plan) = deployment.plan.as_ref() else {
        return Vec::new();
    };
    let turned = |side| match side {
        Side::New => Side::Old,
        Side::Old => Side::New,
    };
    let targets = deployment.targets.iter().map(|target| &target.planned);
    let alone = targets.filter(|planned| {
        deployment
            .target(turned(planned.side), &planned.host)
            .is_none()
    });
    alone
        .filter_map(|planned| {
            let side = turned(planned.side);
            Some(Weight {
                host: planned.host.clone(),
                side,
                colour: Some(plan.colour(side)?),
                weight: 0,
            })
        })
        .collect()
}

/// The weights of one host of each side, so that the sides' sums are as wanted.
fn ratio(percent: u32, new: u32, old: u32) -> (u32, u32) {
    let for_new = u64::from(percent) * u64::from(old.max(1));
    let for_old = u64::from(100 - percent) * u64::from(new.max(1));
    let most = for_new.max(for_old).max(1);
    let scaled = |part: u64| {
        let weight = (part * u64::from(WEIGHT_FULL)).div_ceil(most);
        u32::try_from(weight).unwrap_or(WEIGHT_FULL)
    };
    (scaled(for_new), scaled(for_old))
}

/// Hosts that are changed in place: open or closed.
fn of_hosts(group: &Group, latest: Option<&Deployment>) -> Vec<Weight> {
    let weight = |host: &str, is_open| Weight {
        host: host.to_string(),
        side: Side::New,
        colour: None,
        weight: if is_open { WEIGHT_FULL } else { 0 },
    };
    let changed = |host: &str| {
        let latest = latest?;
        let target = latest.at(latest.target(Side::New, host)?);
        let own = is_open(target).or_else(|| leaves(group, latest, target).then_some(false));
        // A deployment that is over has said how its hosts stand, once its group says so too: its end and their standings are several
        // entries of one batch. One that is not over knows better.
        let is_on_its_way = latest.end.is_none() || group.active.as_ref() == Some(&latest.id);
        own.filter(|_| is_on_its_way || target.running.is_some())
    };
    let standing = group.hosts.iter();
    let mut weights: Vec<Weight> = standing
        .map(|(host, standing)| {
            let is_open = changed(host).unwrap_or_else(|| serves(*standing));
            weight(host, is_open)
        })
        .collect();
    let fresh = latest.into_iter().flat_map(|latest| &latest.targets);
    weights.extend(fresh.filter_map(|target| {
        let host = &target.planned.host;
        let is_known = group.hosts.contains_key(host);
        // What nobody has deployed to yet stays as the balancer has it.
        let is_open = is_open(target).filter(|_| !is_known)?;
        Some(weight(host, is_open))
    }));
    weights
}

/// Whether a host that nothing changes has traffic.
pub(crate) const fn serves(standing: Standing) -> bool {
    match standing.revision {
        RevisionHealth::Current | RevisionHealth::Unknown => standing.is_healthy,
        RevisionHealth::Old => false,
    }
}

/// Whether a target must lose its traffic although it has run nothing yet: it has the revision that is taken back, or may have, and it may not
/// be heard for as long as its balancer reaches it.
pub(crate) fn leaves(group: &Group, deployment: &Deployment, target: &Target) -> bool {
    let plan = deployment.plan.as_ref();
    let standing = group.hosts.get(&target.planned.host);
    let is_current = standing.is_some_and(|standing| standing.revision == RevisionHealth::Current);
    plan.is_some_and(|plan| plan.moves_traffic)
        && deployment.accepted.creator == Creator::Rollback
        && target.planned.side == Side::New
        && target.is_attempted
        && !is_current
}

/// Whether a target has traffic, by what it has run; none when it has run nothing that says so.
fn is_open(target: &Target) -> Option<bool> {
    let is_blocking = target
        .running
        .is_some_and(|running| running.event == LifecycleEvent::BlockTraffic);
    if is_blocking {
        return Some(false);
    }
    let is_allowing = target
        .running
        .is_some_and(|running| running.event == LifecycleEvent::AllowTraffic);
    if is_allowing {
        return Some(true);
    }
    let events = target.ended.iter().rev();
    let mut said = events.filter_map(|(event, status)| match (event, status) {
        (LifecycleEvent::AllowTraffic, EventStatus::Succeeded) => Some(true),
        (LifecycleEvent::BlockTraffic | LifecycleEvent::AllowTraffic, _) => Some(false),
        _ => None,
    });
    said.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_together_are_in_the_ratio_wanted() {
        for (percent, new, old) in [
            (10, 1, 9),
            (10, 3, 3),
            (50, 2, 8),
            (1, 10, 10),
            (99, 10, 10),
        ] {
            let (for_new, for_old) = ratio(percent, new, old);
            assert!(for_new <= WEIGHT_FULL && for_old <= WEIGHT_FULL);
            let (all_new, all_old) = (f64::from(for_new * new), f64::from(for_old * old));
            let got = all_new / (all_new + all_old) * 100.0;
            let off = (got - f64::from(percent)).abs();
            assert!(off < 1.0, "{percent} of {new}:{old} is {got}");
        }
        assert_eq!(ratio(0, 3, 5).0, 0);
        assert_eq!(ratio(100, 3, 5).1, 0);
    }
}
