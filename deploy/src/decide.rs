//! What is next for one deployment: hosts to begin, the next step, or its end. Asked after every entry about it and once a second; the
//! answer is appended at the sequence up to which the deployment is folded, so of several servers one is heard.

/// Which hosts begin.
mod begin;

pub(crate) use begin::{Ending, may_begin, may_begin_after};

use std::collections::BTreeSet;

use croft_ledger::Expected;
use croft_proto::Timestamp;
use croft_proto::deploy::{
    ActionOnTimeout, AutoRollbackEvent, DeploymentEvent, DeploymentStatus, DeploymentType,
    ErrorCode, EventStatus, GroupEvent, HostEvent, LifecycleEvent, Pace, Plan, Step, TargetEvent,
    parts,
};

use crate::finish::{Cause, end};
use crate::health::is_met;
use crate::intent::{Intent, Recorded, Row, host_subject, target_subject};
use crate::plan::{plan, refused};
use crate::state::{Deployment, State};

/// AWS's longest time of a deployment in place.
const IN_PLACE_MS_MAX: u64 = 8 * 3_600_000;
/// AWS's longest time of one that replaces hosts.
const BLUE_GREEN_MS_MAX: u64 = 109 * 3_600_000;
/// A balancer that cannot be told for so long ends the deployment: as long as AWS waits for hosts to become healthy behind one.
pub(crate) const SHIFT_MS_MAX: u64 = 3_600_000;

/// What only this server knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard<'s> {
    /// Whether somebody who watches the deployment has lately said that it may go on.
    pub(crate) may_go_on: bool,
    /// Whether the balancer has been told of the current step.
    pub(crate) is_routed: bool,
    /// How long nobody has said so, in the current step.
    pub(crate) held_ms: u64,
    /// The same since the deployment began.
    pub(crate) held_all_ms: u64,
    /// Hosts that it does not hear.
    pub(crate) silent: &'s BTreeSet<String>,
}

/// What is appended next; nothing when it has to wait.
pub(crate) fn next(
    state: &State,
    deployment: &Deployment,
    heard: Heard<'_>,
    now: Timestamp,
) -> Option<Vec<Intent>> {
    let plan = deployment.plan.as_ref()?;
    if deployment.end.is_some() {
        return None;
    }
    let since_ms = now.millis_since(deployment.step_since);
    // What is watched goes on only while somebody sees it: blind, traffic and hosts stay where they are.
    let may_go_on = heard.may_go_on
        || !plan.is_watched
        || deployment.is_continued
        || deployment.is_past_return();
    if may_go_on && is_too_long(deployment, plan, heard, now) {
        return end(state, deployment, too_long(deployment, plan));
    }
    match deployment.current()? {
        Step::Run { pace, .. } => {
            let silent = may_go_on.then_some(heard.silent);
            run(state, deployment, plan, *pace, silent)
        }
        Step::Watch { wait_ms } | Step::Bake { wait_ms } => {
            // Time in which nobody saw anything is no time of watching.
            let is_over = since_ms >= wait_ms + heard.held_ms || deployment.is_continued;
            (is_over && may_go_on).then(|| go_on(state, deployment, plan))?
        }
        Step::Shift { wait_ms, .. } => {
            // Another server may reach the balancer, and would long have gone on.
            if !heard.is_routed && may_go_on && since_ms >= wait_ms + SHIFT_MS_MAX {
                let message = "the balancer could not be told for an hour".to_string();
                return end(
                    state,
                    deployment,
                    failed(ErrorCode::HookExecutionFailure, message),
                );
            }
            let is_over = since_ms >= *wait_ms && heard.is_routed;
            (is_over && may_go_on).then(|| go_on(state, deployment, plan))?
        }
        Step::Ready {
            wait_ms,
            on_timeout,
        } => {
            let is_waited = since_ms >= *wait_ms;
            match (deployment.is_continued, is_waited, on_timeout) {
                (true, _, _) | (false, true, ActionOnTimeout::ContinueDeployment) => {
                    may_go_on.then(|| go_on(state, deployment, plan))?
                }
                (false, true, ActionOnTimeout::StopDeployment) => end(
                    state,
                    deployment,
                    Cause {
                        status: DeploymentStatus::Stopped,
                        code: Some(ErrorCode::Timeout),
                        message: "nobody said in time that traffic may move".to_string(),
                        finding: None,
                        event: Some(AutoRollbackEvent::DeploymentStopOnRequest),
                        is_forced: false,
                    },
                ),
                (false, false, _) => None,
            }
        }
    }
}

/// Time in which it was held does not count: whoever could not see must not end it.
fn is_too_long(deployment: &Deployment, plan: &Plan, heard: Heard<'_>, now: Timestamp) -> bool {
    let most = match plan.deployment_type {
        DeploymentType::InPlace => IN_PLACE_MS_MAX,
        DeploymentType::BlueGreen => BLUE_GREEN_MS_MAX,
    };
    deployment
        .began
        .is_some_and(|began| now.millis_since(began) >= most + heard.held_all_ms)
}

/// A server that died has forgotten how long it was held. So where nothing speaks against the release but the clock, what is watched is
/// not taken back: the time may have been the monitor's.
fn too_long(deployment: &Deployment, plan: &Plan) -> Cause {
    let cause = failed(
        ErrorCode::Timeout,
        "it did not come to an end in its time".to_string(),
    );
    let is_blameless = plan.is_watched && deployment.first_failure.is_none();
    Cause {
        event: cause.event.filter(|_| !is_blameless),
        ..cause
    }
}

fn failed(code: ErrorCode, message: String) -> Cause {
    Cause {
        status: DeploymentStatus::Failed,
        code: Some(code),
        message,
        finding: None,
        event: Some(AutoRollbackEvent::DeploymentFailure),
        is_forced: false,
    }
}

/// The next step, or a good end.
fn go_on(state: &State, deployment: &Deployment, plan: &Plan) -> Option<Vec<Intent>> {
    let step = deployment.step + 1;
    if step as usize >= plan.steps.len() {
        return end(state, deployment, Cause::well());
    }
    let stepped = DeploymentEvent::Stepped { step };
    let row = Row::deployment(&deployment.id, deployment.last).says(stepped.into());
    Some(row.intents)
}

/// `silent` is none while the deployment is held: nobody begins then.
fn run(
    state: &State,
    deployment: &Deployment,
    plan: &Plan,
    pace: Pace,
    silent: Option<&BTreeSet<String>>,
) -> Option<Vec<Intent>> {
    let begun = silent.and_then(|silent| begin::some(state, deployment, plan, silent));
    if begun.is_some() || !deployment.running.is_empty() {
        return begun;
    }
    let is_enough = match pace {
        Pace::Healthy { zone } => {
            if !deployment.pending.is_empty() {
                // Some have not begun: either others have them, or there is no room for one more failure.
                if begin::may_any(deployment, plan) {
                    return None;
                }
                false
            } else {
                let is_last = !later_paced(deployment, plan);
                zone.is_none_or(|(rule, _)| is_met(rule, &deployment.zone))
                    && (!is_last || is_met(plan.rule, &deployment.tally))
            }
        }
        _ if !deployment.pending.is_empty() => return None,
        Pace::Enough => {
            let good = deployment.targets.iter().filter(|target| {
                target.planned.side == croft_proto::deploy::Side::New && !target.is_failed
            });
            good.count() >= plan.rule.minimum.max(1) as usize
        }
        Pace::Every => deployment.step_failed == 0,
        Pace::Whichever => true,
    };
    if is_enough {
        return go_on(state, deployment, plan);
    }
    let code = match pace {
        Pace::Healthy { .. } | Pace::Enough => ErrorCode::HealthConstraints,
        Pace::Every | Pace::Whichever => ErrorCode::HookExecutionFailure,
    };
    end(state, deployment, failed(code, too_few(deployment, plan)))
}

fn too_few(deployment: &Deployment, plan: &Plan) -> String {
    let tally = &deployment.tally;
    // Of all steps: those of a later one are not even pending.
    let targets = deployment.targets.iter();
    let left = targets.filter(|target| !target.is_attempted).count();
    let must = match plan.rule.minimum {
        0 => "one at least must go well".to_string(),
        minimum => format!("{minimum} must stay healthy"),
    };
    format!(
        "{} of {} hosts went well, {} failed, {} were not begun; {must}",
        tally.succeeded.all(),
        deployment.targets.len(),
        tally.failed.all(),
        left,
    )
}

/// Whether health paces a later step.
fn later_paced(deployment: &Deployment, plan: &Plan) -> bool {
    let later = plan.steps.iter().skip(deployment.step as usize + 1);
    later.into_iter().any(|step| {
        matches!(
            step,
            Step::Run {
                pace: Pace::Healthy { .. },
                ..
            }
        )
    })
}

/// What is appended so that the next deployment of a group begins.
pub(crate) fn start(
    state: &State,
    deployment: &Deployment,
    silent: &BTreeSet<String>,
) -> Option<Vec<Intent>> {
    let group = state.group(&deployment.group())?;
    let (plan, targets) = match plan(state, deployment, silent) {
        Ok(made) => made,
        Err(why) => return end(state, deployment, failed(why.code, why.message)),
    };
    let mut row = Row::after(deployment.group().subject().ok()?, group.last);
    row.push(
        GroupEvent::Began {
            deployment: deployment.id.clone(),
            generation: plan.generation,
        }
        .into(),
    );
    let mut intents = row.intents;
    let mut row = Row::deployment(&deployment.id, deployment.last);
    row.push(DeploymentEvent::Planned(Box::new(plan)).into());
    for targets in parts(targets) {
        row.push(DeploymentEvent::Targets { targets }.into());
    }
    intents.extend(row.intents);
    if intents.len() > croft_ledger::BATCH_MAX {
        let why = refused(
            ErrorCode::OverMaxInstances,
            "the hosts' names do not fit one batch of the ledger",
        );
        return end(state, deployment, failed(why.code, why.message));
    }
    Some(intents)
}

/// What is appended when a target's event is over; its host is given back when that was its last.
pub(crate) fn event_over(
    state: &State,
    deployment: &Deployment,
    number: u32,
    event: LifecycleEvent,
    ended: TargetEvent,
) -> Option<Vec<Intent>> {
    let target = deployment.at(number);
    let (side, host) = (target.planned.side, &target.planned.host);
    let status = match &ended {
        TargetEvent::Ended { status, .. } => *status,
        TargetEvent::Started { .. } => EventStatus::InProgress,
    };
    let is_last = status != EventStatus::InProgress
        && (deployment.end.is_some()
            || !deployment.goes_on(event, status)
            || deployment.after(event).is_none());
    let mut intents = vec![Intent {
        subject: target_subject(&deployment.id, side, host).ok()?,
        expected: Expected::Last(target.last),
        event: Recorded::from(ended),
    }];
    if is_last {
        intents.extend(given_back(state, deployment, host));
    }
    Some(intents)
}

/// A host that a deployment has and needs no more.
pub(crate) fn given_back(state: &State, deployment: &Deployment, host: &str) -> Option<Intent> {
    let known = state.host(host)?;
    if known.taken.as_ref() != Some(&deployment.id) {
        return None;
    }
    Some(Intent {
        subject: host_subject(host).ok()?,
        expected: Expected::Last(known.last),
        event: HostEvent::GivenBack {
            deployment: deployment.id.clone(),
        }
        .into(),
    })
}
