//! What people ask for: a deployment, its stop, the end of a wait, and going back. Received from the API; what is answered is appended,
//! and only then is the caller told.
//!
//! A fold may be behind the ledger. Then the append conflicts; whoever asked lets the fold catch up and asks once more.

use std::collections::BTreeMap;

use croft_ledger::Seq;
use croft_proto::Timestamp;
use croft_proto::deploy::{
    Accepted, AutoRollbackEvent, Busy, Creator, DeploymentEvent, DeploymentId, DeploymentStatus,
    ErrorCode, Finding, GroupEvent, LifecycleEvent, StartDeployment, Step,
};

use crate::finish::{Cause, derived, end, going_back, named};
use crate::intent::{GroupName, Intent, Row};
use crate::state::{Deployment, Good, Group, State};

/// Deployments of a group that may wait: more of them are a storm, or a farm that has stood still.
const WAITING_MAX: usize = 50;

/// Most bytes of what was asked for: an event's 64 KiB less room for its own words.
const ASKED_BYTES_MAX: usize = 56 << 10;
/// Most bytes of a finding's evidence, beside an error's text in one event.
const EVIDENCE_BYTES_MAX: usize = 16 << 10;

/// Why something that was asked for is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// AWS's `DeploymentGroupDoesNotExistException`.
    #[error("there is no deployment group `{0}/{1}`")]
    NoGroup(String, String),
    /// AWS's `ApplicationDoesNotExistException`.
    #[error("there is no application `{0}`")]
    NoApplication(String),
    /// It is there already, and cannot become another one.
    #[error("{0}")]
    Exists(String),
    /// Something needs it as it is.
    #[error("{0}")]
    InUse(String),
    /// AWS's `DeploymentLimitExceededException`.
    #[error(
        "the group already has an active deployment `{0}`; it may queue or supersede: `croft deploy --busy QUEUE`, or x-croft.busy"
    )]
    Busy(DeploymentId),
    /// Too many wait.
    #[error("{WAITING_MAX} deployments of the group wait already")]
    TooMany,
    /// What is asked for is older than what was asked for before.
    #[error("order {order} is not above {newest}, the newest that was asked for of this group")]
    Older {
        /// Of this one.
        order: u64,
        /// The highest.
        newest: u64,
    },
    /// AWS's `DeploymentConfigDoesNotExistException`.
    #[error("there is no deployment configuration `{0}`")]
    NoConfig(String),
    /// AWS's `InstanceDoesNotExistException`.
    #[error("there is no host `{0}`")]
    NoHost(String),
    /// Settings that cannot be.
    #[error("{}", .0.join("\n"))]
    Wrong(Vec<String>),
    /// AWS's `DeploymentDoesNotExistException`, or `DeploymentAlreadyCompletedException`.
    #[error("{}", over(id, ended.as_ref()))]
    Over {
        /// Which.
        id: DeploymentId,
        /// How it ended and when, where that is known.
        ended: Option<(DeploymentStatus, Timestamp)>,
    },
    /// AWS's `DeploymentIsNotInReadyStateException`.
    #[error("the deployment `{id}` does not wait to be told to go on: {doing}")]
    NotWaiting {
        /// Which.
        id: DeploymentId,
        /// What it does now.
        doing: String,
    },
    /// AWS's `DeploymentAlreadyStartedException`: what takes the group back is on its way.
    #[error(
        "the deployment `{0}` takes the group back already; `croft deployment watch {0}` follows it"
    )]
    GoesBack(DeploymentId),
    /// There is nothing to go back to.
    #[error(
        "there is nothing to go back to: no earlier deployment of the group with another revision went well; deploy the revision that is wanted"
    )]
    NothingGood,
}

/// Accepts a deployment, or not. Its id is drawn by the caller.
///
/// # Errors
/// The rule that stands against it.
pub fn admit(
    state: &State,
    id: &DeploymentId,
    asked: StartDeployment,
    by: &str,
) -> Result<Vec<Intent>, Refusal> {
    asked.check().map_err(Refusal::Wrong)?;
    let size_bytes = serde_json::to_vec(&asked).map_or(usize::MAX, |json| json.len());
    if size_bytes > ASKED_BYTES_MAX {
        let wrong = format!("{size_bytes} bytes of settings: at most {ASKED_BYTES_MAX}");
        return Err(Refusal::Wrong(vec![wrong]));
    }
    let name = GroupName {
        application: asked.application_name.clone(),
        group: asked.deployment_group_name.clone(),
    };
    let none = || Refusal::NoGroup(name.application.clone(), name.group.clone());
    let group = state.group(&name).ok_or_else(none)?;
    let settings = group.settings.as_ref().ok_or_else(none)?;
    if let Some(config) = &asked.deployment_config_name
        && state.config(config).is_none()
    {
        return Err(Refusal::NoConfig(config.clone()));
    }
    let own = asked.own();
    if let (Some(order), Some(newest)) = (own.order, group.order_max)
        && order <= newest
    {
        return Err(Refusal::Older { order, newest });
    }
    let of_group = settings.own.as_ref().map(|own| own.busy);
    let busy = own.busy.or(of_group).unwrap_or_default();
    let supersedes = match busy {
        Busy::Refuse => match group.active.as_ref().or(group.queue.front()) {
            Some(active) => return Err(Refusal::Busy(active.clone())),
            None => Vec::new(),
        },
        Busy::Queue => Vec::new(),
        Busy::Supersede => superseded(state, group),
    };
    if group.queue.len() - supersedes.len() >= WAITING_MAX {
        return Err(Refusal::TooMany);
    }
    let order = own.order;
    let accepted = Accepted {
        asked,
        creator: Creator::User,
        parent: None,
        by: by.to_string(),
        only: Vec::new(),
    };
    accepted_as(state, &name, id, accepted, order, supersedes).ok_or_else(none)
}

/// Those that wait and that somebody asked for: what takes back is never put aside.
fn superseded(state: &State, group: &Group) -> Vec<DeploymentId> {
    let waiting = group.queue.iter();
    waiting
        .filter(|id| {
            let deployment = state.deployment(id);
            deployment.is_some_and(|one| one.accepted.creator == Creator::User)
        })
        .cloned()
        .collect()
}

/// Events that put a deployment into its group's line.
pub(crate) fn accepted_as(
    state: &State,
    name: &GroupName,
    id: &DeploymentId,
    accepted: Accepted,
    order: Option<u64>,
    supersedes: Vec<DeploymentId>,
) -> Option<Vec<Intent>> {
    let group = state.group(name)?;
    let accepted = DeploymentEvent::Accepted(Box::new(accepted));
    let mut intents = Row::deployment(id, Seq::ZERO).says(accepted.into()).intents;
    // Their ends come before the group lets go of them: whoever remembers what was, sees them.
    for older in &supersedes {
        let deployment = state.deployment(older)?;
        let ended = DeploymentEvent::Ended {
            status: DeploymentStatus::Stopped,
            error: Some(Box::new(croft_proto::deploy::DeploymentInfoError {
                code: ErrorCode::ManualStop,
                message: format!("{id} is newer, and took its place before it began"),
                first_failure: None,
            })),
            finding: None,
            rollback: None,
            rollback_message: None,
            superseded_by: Some(id.clone()),
            watch: None,
        };
        let row = Row::deployment(older, deployment.last).says(ended.into());
        intents.extend(row.intents);
    }
    let waits = GroupEvent::Accepted {
        deployment: id.clone(),
        order,
        supersedes,
    };
    let row = Row::after(name.subject().ok()?, group.last).says(waits.into());
    intents.extend(row.intents);
    Some(intents)
}

fn over(id: &DeploymentId, ended: Option<&(DeploymentStatus, Timestamp)>) -> String {
    let Some((status, at)) = ended else {
        return format!("there is no deployment `{id}` that is not over");
    };
    let millis = i64::try_from(at.millis()).unwrap_or(i64::MAX);
    let at = chrono::DateTime::from_timestamp_millis(millis);
    let at = at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    format!(
        "the deployment `{id}` is over: {} since {}",
        status.name(),
        at.unwrap_or_default()
    )
}

fn unfinished<'s>(state: &'s State, id: &DeploymentId) -> Result<&'s Deployment, Refusal> {
    let deployment = state.deployment(id);
    let end = deployment.and_then(|deployment| deployment.end.as_ref());
    deployment
        .filter(|_| end.is_none())
        .ok_or_else(|| Refusal::Over {
            id: id.clone(),
            ended: end.map(|end| (end.status, end.at)),
        })
}

/// Whether a deployment that is stopped is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// If its group wants that of deployments that are stopped.
    AsTheGroupSays,
    /// It is.
    GoBack,
}

/// Stops a deployment. Scripts that run are not killed: each host ends the event that it is in.
///
/// # Errors
/// When it is over already.
pub fn stop(
    state: &State,
    id: &DeploymentId,
    then: Then,
    by: &str,
) -> Result<Vec<Intent>, Refusal> {
    let deployment = unfinished(state, id)?;
    let cause = Cause {
        status: DeploymentStatus::Stopped,
        code: Some(ErrorCode::ManualStop),
        message: format!("{by} stopped it"),
        finding: None,
        event: Some(AutoRollbackEvent::DeploymentStopOnRequest),
        is_forced: then == Then::GoBack,
    };
    end(state, deployment, cause).ok_or_else(|| Refusal::Over {
        id: id.clone(),
        ended: None,
    })
}

/// What those say now who watch a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watchers {
    /// It may go on, or nobody watches it.
    LetGo,
    /// They hold it: no host is begun, and no traffic moves.
    Hold,
}

/// Ends a wait: traffic may move, what is watched is well, or the old side need not be kept warm any longer.
///
/// # Errors
/// When it does not wait for that: a word that is said in advance would let through what nobody has seen yet.
pub fn go_on(
    state: &State,
    id: &DeploymentId,
    watchers: Watchers,
    by: &str,
) -> Result<Vec<Intent>, Refusal> {
    let deployment = unfinished(state, id)?;
    if let Some(doing) = doing(deployment, watchers) {
        let id = id.clone();
        return Err(Refusal::NotWaiting { id, doing });
    }
    let continued = DeploymentEvent::Continued {
        by: by.to_string(),
        step: deployment.step,
    };
    let row = Row::deployment(id, deployment.last).says(continued.into());
    Ok(row.intents)
}

/// Whether a deployment is in the step that somebody means. What is asked for twice must not let through the step after it.
///
/// # Errors
/// When it is in another one, or over.
pub(crate) fn is_in(state: &State, id: &DeploymentId, step: u32) -> Result<(), Refusal> {
    let deployment = unfinished(state, id)?;
    let steps = deployment.plan.as_ref().map_or(0, |plan| plan.steps.len());
    if deployment.plan.is_none() || deployment.step == step {
        return Ok(());
    }
    let doing = format!(
        "step {} was meant, and it is in step {} of {steps}",
        u64::from(step) + 1,
        u64::from(deployment.step) + 1
    );
    let id = id.clone();
    Err(Refusal::NotWaiting { id, doing })
}

/// What a deployment does that does not wait to be told to go on; none when it does.
fn doing(deployment: &Deployment, watchers: Watchers) -> Option<String> {
    let Some(step) = deployment.current() else {
        return Some("it waits for its turn in its group".to_string());
    };
    if deployment.is_continued {
        return Some("somebody has told it so already".to_string());
    }
    match (step, watchers) {
        (Step::Ready { .. } | Step::Watch { .. } | Step::Bake { .. }, _)
        | (Step::Run { .. } | Step::Shift { .. }, Watchers::Hold) => None,
        (Step::Run { .. }, Watchers::LetGo) => Some(runs(deployment)),
        (Step::Shift { percent, .. }, Watchers::LetGo) => Some(format!(
            "its traffic moves step by step, and the new revision gets {percent} of 100"
        )),
    }
}

/// What runs on which of its hosts.
fn runs(deployment: &Deployment) -> String {
    let mut running: BTreeMap<LifecycleEvent, Vec<&str>> = BTreeMap::new();
    for number in &deployment.running {
        let target = deployment.at(*number);
        if let Some(run) = target.running {
            let hosts = running.entry(run.event).or_default();
            hosts.push(&target.planned.host);
        }
    }
    if running.is_empty() {
        return format!("{} of its hosts are to begin", deployment.pending.len());
    }
    let running = running.into_iter();
    let running: Vec<String> = running
        .map(|(event, hosts)| format!("{event} runs on {}", named(&hosts)))
        .collect();
    running.join(", ")
}

/// Takes a group back: what is on its way is stopped and taken back. Else what went well last is deployed, when another revision has ended
/// since and may be on hosts; and what went well before it otherwise, as after an update of hosts to it that failed.
///
/// # Errors
/// When there is nothing to go back to, or the group is on its way back.
pub fn roll_back(state: &State, name: &GroupName, by: &str) -> Result<Vec<Intent>, Refusal> {
    let none = || Refusal::NoGroup(name.application.clone(), name.group.clone());
    let group = state.group(name).ok_or_else(none)?;
    if let Some(active) = &group.active {
        let deployment = state.deployment(active);
        let creator = deployment.map(|deployment| deployment.accepted.creator);
        return match creator == Some(Creator::Rollback) {
            true => Err(Refusal::GoesBack(active.clone())),
            false => stop(state, active, Then::GoBack, by),
        };
    }
    let last = group.good.back().ok_or(Refusal::NothingGood)?;
    let earlier = |digest: &str| {
        let mut good = group.good.iter().rev();
        good.find(|good| good.asked.revision.digest != digest)
            .ok_or(Refusal::NothingGood)
    };
    let ended = group.ended.as_ref().filter(|id| **id != last.deployment);
    let (from, to) = match ended {
        // It brought hosts what went well last, of somebody's will or by itself: only what is before that is another one.
        Some(ended) if is_again(state, ended, last) => {
            (ended, earlier(&last.asked.revision.digest)?)
        }
        Some(ended) => (ended, last),
        None => (&last.deployment, earlier(&last.asked.revision.digest)?),
    };
    let seed = format!("{from}:{}", group.generation);
    let id = derived("croft deploy 2026 going back by hand", &seed);
    let mut accepted = going_back(&to.asked, from, by);
    // It is a release like another: watched, and paced over all hosts.
    (accepted.creator, accepted.parent) = (Creator::User, None);
    accepted_as(state, name, &id, accepted, None, Vec::new()).ok_or_else(none)
}

/// Whether a deployment that is over was of the revision that went well last. What took another one back does not count: to have that on all
/// hosts is what it was for.
fn is_again(state: &State, ended: &DeploymentId, last: &Good) -> bool {
    state.deployment(ended).is_some_and(|ended| {
        let accepted = &ended.accepted;
        accepted.creator != Creator::Rollback
            && accepted.asked.revision.digest == last.asked.revision.digest
    })
}

/// Keeps what the detectors knew before it began; once.
pub(crate) fn noted(deployment: &Deployment, notes: Vec<String>) -> Option<Vec<Intent>> {
    if deployment.notes.is_some() || deployment.end.is_some() {
        return None;
    }
    let noted = DeploymentEvent::Noted { notes };
    let row = Row::deployment(&deployment.id, deployment.last).says(noted.into());
    Some(row.intents)
}

/// Ends a deployment for what was found.
pub(crate) fn found(
    state: &State,
    deployment: &Deployment,
    mut finding: Box<Finding>,
) -> Option<Vec<Intent>> {
    if finding.evidence.to_string().len() > EVIDENCE_BYTES_MAX {
        // The decision must not fail for its reasons being long.
        finding.evidence = serde_json::json!("it was longer than an event can hold");
    }
    let cause = Cause {
        status: DeploymentStatus::Stopped,
        code: Some(ErrorCode::AlarmActive),
        message: format!("{}: {}", finding.by, finding.message),
        finding: Some(finding),
        event: Some(AutoRollbackEvent::DeploymentStopOnAlarm),
        is_forced: false,
    };
    end(state, deployment, cause)
}
