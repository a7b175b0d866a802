//! What a deployment waits for, in words for people. Made from what is folded and from what a server knows beside it: who is not heard, what
//! its balancer says, what those who watch say. Decides nothing.

/// Hosts, and what they run or have not begun.
mod hosts;

use croft_proto::Timestamp;
use croft_proto::deploy::{ActionOnTimeout, Plan, Step, Wait, WaitKind};

use crate::decide::{Ending, SHIFT_MS_MAX, may_begin, may_begin_after};
use crate::finish::named;
use crate::health::Begin;
use crate::state::{Deployment, State};

/// What is known of a host's silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It asks one of the farm's servers.
    None,
    /// This server has not listened for long enough.
    Unknown,
    /// It is not heard, and was last then; none when it never was since this server listens.
    Since(Option<Timestamp>),
}

/// What a server knows of a deployment beside what is folded.
pub(crate) struct Knows<'s> {
    pub(crate) now: Timestamp,
    /// Whether a host is heard.
    pub(crate) silence: &'s dyn Fn(&str) -> Silence,
    /// From when on this server can hear.
    pub(crate) hears_since: Timestamp,
    /// What is wrong with its balancer.
    pub(crate) balancer: Vec<Wait>,
    /// What those say who watch it.
    pub(crate) watchers: Vec<Wait>,
    /// Whether they hold it.
    pub(crate) is_held: bool,
    /// For how long they have held its step.
    pub(crate) held_ms: u64,
    /// Whether its balancer has been told of its step.
    pub(crate) is_routed: bool,
}

/// All of it, the most urgent first; empty when nothing of the deployment goes on.
pub(crate) fn waits(state: &State, deployment: &Deployment, knows: Knows<'_>) -> Vec<Wait> {
    let Some(plan) = &deployment.plan else {
        return turn(state, deployment).into_iter().collect();
    };
    let mut waits = hosts::waits(state, deployment, &knows);
    if deployment.end.is_none() {
        waits.extend(step(deployment, plan, &knows));
        waits.extend(health(deployment, plan).filter(|_| !knows.is_held));
        if plan.moves_traffic {
            waits.extend(knows.balancer);
        }
        waits.extend(knows.watchers);
    }
    waits.sort_by_key(|wait| wait.kind);
    waits
}

/// One that has not begun.
fn turn(state: &State, deployment: &Deployment) -> Option<Wait> {
    if deployment.end.is_some() {
        return None;
    }
    let group = state.group(&deployment.group())?;
    let ahead = group.queue.iter().take_while(|id| **id != deployment.id);
    let ahead: Vec<&str> = group
        .active
        .iter()
        .chain(ahead)
        .map(|id| id.as_str())
        .collect();
    let first = ahead.first()?;
    let message = match ahead.len() {
        1 => format!("its turn: {first} of its group is not over"),
        more => format!(
            "its turn: {first} of its group and {} more come first",
            more - 1
        ),
    };
    let wait = Wait::new(WaitKind::Turn, message).about(ahead.iter().copied());
    Some(wait.since(deployment.created))
}

/// Time, the balancer or somebody, as the step says.
fn step(deployment: &Deployment, plan: &Plan, knows: &Knows<'_>) -> Option<Wait> {
    let id = &deployment.id;
    match deployment.current()? {
        Step::Run { .. } => None,
        Step::Ready {
            wait_ms,
            on_timeout,
        } => {
            let goes_on = *on_timeout == ActionOnTimeout::ContinueDeployment;
            if deployment.is_continued || goes_on {
                return None;
            }
            let wait = Wait::new(WaitKind::Approval, "somebody to say that traffic may move");
            let until = later(deployment.step_since, *wait_ms);
            Some(wait.since(deployment.step_since).until(until).then(format!(
                "croft deployment continue {id} says so; else it is stopped then"
            )))
        }
        Step::Shift { percent, wait_ms } => {
            if !knows.is_routed {
                let wait = Wait::new(
                    WaitKind::Balancer,
                    format!(
                        "the balancer to give the new revision {percent} of 100 of the traffic"
                    ),
                );
                let until = later(deployment.step_since, wait_ms + SHIFT_MS_MAX);
                return Some(
                    wait.since(deployment.step_since)
                        .until(until)
                        .then("the deployment fails then"),
                );
            }
            let is_last = *wait_ms == 0;
            let message =
                format!("the new revision is watched with {percent} of 100 of the traffic");
            (!is_last).then(|| time(deployment, (message, *wait_ms), knows))
        }
        Step::Watch { wait_ms } => {
            let message = "what has the new revision is watched before the others follow";
            (!deployment.is_continued).then(|| time(deployment, (message.into(), *wait_ms), knows))
        }
        Step::Bake { wait_ms } => {
            let message = match plan.has_sides() {
                true => {
                    "the bake: the new revision has all traffic and is watched, and the old side is kept"
                }
                false => "the bake: all hosts are done, and are watched",
            };
            (!deployment.is_continued).then(|| time(deployment, (message.into(), *wait_ms), knows))
        }
    }
}

/// Time that is over at a moment, or stands still while those who watch hold it.
fn time(deployment: &Deployment, (message, wait_ms): (String, u64), knows: &Knows<'_>) -> Wait {
    let wait = Wait::new(WaitKind::Time, message).since(deployment.step_since);
    let whole_ms = wait_ms + knows.held_ms;
    if !knows.is_held {
        return wait.until(later(deployment.step_since, whole_ms));
    }
    let passed_ms = knows.now.millis_since(deployment.step_since);
    // To the second: what stands still must not seem to move.
    let remaining_ms = whole_ms.saturating_sub(passed_ms).div_ceil(1_000) * 1_000;
    Wait {
        remaining_ms: Some(remaining_ms),
        ..wait
    }
}

/// Hosts that may not begin before others are over.
fn health(deployment: &Deployment, plan: &Plan) -> Option<Wait> {
    if may_begin(deployment, plan)? != Begin::Later {
        return None;
    }
    let (rule, tally) = (plan.rule, &deployment.tally);
    let running = deployment.running.iter();
    let hosts: Vec<&str> = running
        .map(|number| deployment.at(*number).planned.host.as_str())
        .collect();
    let message = format!(
        "{} to begin: {} of {} hosts must stay healthy and {} are, {} of at most {} are being changed",
        count(deployment.pending.len()),
        rule.minimum,
        plan.fleet.total,
        tally.healthy(),
        tally.in_progress.all(),
        rule.at_once_max,
    );
    let wait = Wait::new(WaitKind::HealthyHosts, message).about(hosts.iter().copied());
    Some(wait.then(next(deployment, plan, &hosts)))
}

/// When the next host begins, or that none does.
fn next(deployment: &Deployment, plan: &Plan, hosts: &[&str]) -> String {
    let running: Vec<u32> = deployment.running.iter().copied().collect();
    let after = |numbers: &[u32], ending| may_begin_after(deployment, plan, numbers, ending);
    let is_enough = |number: &u32, ending| after(&[*number], ending) == Some(Begin::Now);
    let names = named(hosts);
    let one = match hosts.len() {
        1 => names.clone(),
        _ => format!("one of {names}"),
    };
    if after(&running, Ending::Well) != Some(Begin::Now) {
        return format!(
            "no further host may begin, however it ends on {names}: too few are healthy, and the deployment fails then"
        );
    }
    if running
        .iter()
        .all(|number| is_enough(number, Ending::Failed))
    {
        return format!("the next begins when {one} is done, well or not");
    }
    let who = match running.iter().all(|number| is_enough(number, Ending::Well)) {
        true => format!("{one} has gone well"),
        false => format!("enough of {names} have gone well"),
    };
    let else_ = match (after(&running, Ending::Failed), hosts.len()) {
        (Some(Begin::Never), 1) => "; if it fails no other may, and the deployment fails",
        (Some(Begin::Never), _) => "; if all of them fail no other may, and the deployment fails",
        (_, _) => "",
    };
    format!("the next begins when {who}{else_}")
}

fn count(hosts: usize) -> String {
    match hosts {
        1 => "1 host".into(),
        hosts => format!("{hosts} hosts"),
    }
}

/// So much later.
fn later(at: Timestamp, ms: u64) -> Timestamp {
    Timestamp::from_millis(at.millis().saturating_add(ms))
}
