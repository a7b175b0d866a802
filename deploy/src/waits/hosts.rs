//! What is waited for on hosts: those that are not heard one by one, the others by what they run.

use std::collections::BTreeMap;

use croft_proto::Timestamp;
use croft_proto::deploy::{DeploymentId, EventStatus, LifecycleEvent, Wait, WaitKind};

use super::{Knows, Silence, later};
use crate::finish::named;
use crate::state::{Deployment, Running, State, Target};
use crate::step::{END_MS_MAX, START_MS_MAX, WITHDRAWN_MS, is_the_balancers};

/// A host that is there begins an event within moments: after so long it is told of.
const BEGINS_MS: u64 = 10_000;
/// What is said of one that is not heard.
const NOT_HEARD: &str = "is not heard: its agent does not run, or cannot reach the farm";
/// Hosts that are told of one by one; of more their number says enough.
const SINGLE_MAX: usize = 10;

pub(super) fn waits(state: &State, deployment: &Deployment, knows: &Knows<'_>) -> Vec<Wait> {
    let mut silent = Vec::new();
    let mut running: BTreeMap<LifecycleEvent, (Vec<&str>, Timestamp)> = BTreeMap::new();
    let mut taken: BTreeMap<&DeploymentId, Vec<&str>> = BTreeMap::new();
    for (number, target) in (0_u32..).zip(&deployment.targets) {
        let host = target.planned.host.as_str();
        if let Some(wait) = silent_one(state, deployment, target, knows) {
            silent.push(wait);
        } else if let Some(run) = target.running {
            let (hosts, since) = running.entry(run.event).or_insert((Vec::new(), run.since));
            hosts.push(host);
            *since = run.since.min(*since);
        } else if deployment.pending.contains(&number)
            && let Some(other) = state.host(host).and_then(|host| host.taken.as_ref())
        {
            taken.entry(other).or_default().push(host);
        }
    }
    let running = running.into_iter().map(|(event, (hosts, since))| {
        let message = match is_the_balancers(event) {
            true => format!("the balancer to end {event} of {}", named(&hosts)),
            false => format!("{event} on {}", named(&hosts)),
        };
        Wait::new(WaitKind::Event, message)
            .about(hosts)
            .since(since)
    });
    let taken = taken.into_iter().map(|(other, hosts)| {
        let message = format!("{other}, which changes {} now", named(&hosts));
        Wait::new(WaitKind::OtherDeployment, message).about(hosts)
    });
    few(silent)
        .into_iter()
        .chain(taken)
        .chain(running)
        .collect()
}

/// A host that is not heard; none when it is, or when nothing is known of that.
fn silent_one(
    state: &State,
    deployment: &Deployment,
    target: &Target,
    knows: &Knows<'_>,
) -> Option<Wait> {
    let host = &target.planned.host;
    let silence = (knows.silence)(host);
    let known = state.host(host);
    let is_revoked = known.is_none_or(|known| !known.is_enrolled);
    let ours = |running: &Running| !is_the_balancers(running.event);
    if let Some(running) = target.running.filter(ours) {
        let absence = match is_revoked {
            true => Absence::Revoked,
            false => Absence::Silence(silence),
        };
        return silent_in(deployment, target, running, absence, knows);
    }
    let Silence::Since(last) = silence else {
        return None;
    };
    let is_to_come = !target.is_attempted && deployment.end.is_none();
    let last_of_all = match is_to_come {
        true => "; it is begun last",
        false if deployment.end.is_some() => return None,
        false => "",
    };
    let message = format!("{host} {NOT_HEARD}{last_of_all}");
    let wait = Wait::new(WaitKind::Host, message).about([host]);
    Some(wait.since(last))
}

/// How a host is not there.
#[derive(Clone, Copy)]
enum Absence {
    /// It is none of the farm's any more.
    Revoked,
    /// It is not heard, or is.
    Silence(Silence),
}

/// The same of one that has an event to run.
fn silent_in(
    deployment: &Deployment,
    target: &Target,
    running: Running,
    absence: Absence,
    knows: &Knows<'_>,
) -> Option<Wait> {
    let (host, event) = (&target.planned.host, running.event);
    let about = |message: String| Wait::new(WaitKind::Host, message).about([host]);
    if running.is_started {
        let (words, last) = match absence {
            Absence::Revoked => ("has been revoked", Some(running.since)),
            Absence::Silence(Silence::Since(last)) => {
                (NOT_HEARD, last.map(|last| last.max(running.since)))
            }
            Absence::Silence(Silence::None | Silence::Unknown) => return None,
        };
        let message = format!("{host} runs {event}, and {words}");
        let until = later(running.since.max(knows.hears_since), END_MS_MAX);
        let wait = about(message).since(last).until(until);
        return Some(wait.then(then(deployment, event)));
    }
    let turn = running.since.max(knows.hears_since);
    if knows.now.millis_since(turn) < BEGINS_MS {
        return None;
    }
    let (most, turn) = match &deployment.end {
        None => (START_MS_MAX, turn),
        Some(end) => (WITHDRAWN_MS, turn.max(end.at)),
    };
    let (words, since) = match absence {
        Absence::Revoked => ("has been revoked", turn),
        Absence::Silence(Silence::Since(last)) => (NOT_HEARD, last.unwrap_or(turn)),
        Absence::Silence(Silence::None) => ("has not begun it, although its agent asks", turn),
        Absence::Silence(Silence::Unknown) => ("has not begun it", turn),
    };
    let wait = about(format!("{host} is to run {event}, and {words}"));
    let wait = wait.since(since).until(later(turn, most));
    Some(wait.then(then(deployment, event)))
}

/// What follows when nothing was heard of an event for as long as it may take.
fn then(deployment: &Deployment, event: LifecycleEvent) -> &'static str {
    match deployment.goes_on(event, EventStatus::Unknown) && deployment.after(event).is_some() {
        true => "the event has failed then, which is ignored, and the next one is waited for",
        false => "the event has failed then, and the host with it",
    }
}

/// Each by itself while they are few.
fn few(mut silent: Vec<Wait>) -> Vec<Wait> {
    if silent.len() <= SINGLE_MAX {
        return silent;
    }
    let more = silent.split_off(SINGLE_MAX);
    let names: Vec<&str> = more
        .iter()
        .flat_map(|wait| &wait.names)
        .map(String::as_str)
        .collect();
    let since = more.iter().filter_map(|wait| wait.since).min();
    let message = format!("{} are not heard either", named(&names));
    silent.push(Wait::new(WaitKind::Host, message).about(names).since(since));
    silent
}
