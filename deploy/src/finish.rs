//! How a deployment ends: what becomes of its group and hosts, whether it is taken back, and what people are told. All of it is one
//! append, so that nobody ever sees a deployment that is over and a group that does not know.
//!
//! Taking back is a deployment of its own, of the revision that went well last, and goes the way of every deployment. What takes back is
//! never itself taken back: when it fails it is `Halted`, and says what stands where.

/// What people are told.
mod words;

use croft_proto::deploy::{
    Accepted, AutoRollbackEvent, Colour, Creator, DeploymentEvent, DeploymentId,
    DeploymentInfoError, DeploymentStatus, ErrorCode, EventStatus, Finding, GroupEvent,
    LifecycleEvent, RevisionHealth, Side, Standing, StartDeployment, parts,
};

use crate::intent::{Intent, Row};
use crate::state::{Deployment, Group, State, Target};

pub use words::failure;
use words::halted;
pub(crate) use words::named;

/// Why a deployment ends.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) status: DeploymentStatus,
    pub(crate) code: Option<ErrorCode>,
    pub(crate) message: String,
    pub(crate) finding: Option<Box<Finding>>,
    /// What a group may want taken back.
    pub(crate) event: Option<AutoRollbackEvent>,
    /// Whether it is taken back whatever the group wants.
    pub(crate) is_forced: bool,
}

impl Cause {
    /// It went well.
    pub(crate) const fn well() -> Self {
        Self {
            status: DeploymentStatus::Succeeded,
            code: None,
            message: String::new(),
            finding: None,
            event: None,
            is_forced: false,
        }
    }
}

/// The id of what takes a deployment back: derived, so that whichever servers start it start the same one.
#[must_use]
pub fn rollback_id(of: &DeploymentId) -> DeploymentId {
    derived("croft deploy 2026 rollback", of.as_str())
}

pub(crate) fn derived(context: &str, from: &str) -> DeploymentId {
    let key = blake3::derive_key(context, from.as_bytes());
    let (bytes, _) = key.split_first_chunk().expect("a key has 32 bytes");
    DeploymentId::drawn(*bytes)
}

/// What is appended at the end.
pub(crate) fn end(state: &State, deployment: &Deployment, cause: Cause) -> Option<Vec<Intent>> {
    let name = deployment.group();
    let group = state.group(&name)?;
    let (cause, only_forward) = match deployment.is_past_return() {
        true => forward(cause),
        false => (cause, None),
    };
    let back = taken_back(group, deployment, &cause);
    let is_rollback = deployment.accepted.creator == Creator::Rollback;
    // A rollback that somebody stopped is no failure of it; every other bad end leaves hosts between two revisions.
    let is_bad = cause.status == DeploymentStatus::Failed || cause.finding.is_some();
    let is_halted = is_rollback && is_bad;
    let status = if is_halted {
        DeploymentStatus::Halted
    } else {
        cause.status
    };
    let mut message = failure(deployment, &cause.message);
    if is_halted {
        message.push_str(&halted(deployment));
    }
    let error = cause.code.map(|code| {
        Box::new(DeploymentInfoError {
            code,
            message,
            first_failure: deployment.first_failure.clone().map(Box::new),
        })
    });
    let rollback = back.accepted.as_ref().map(|(id, _)| id.clone());
    let ended = DeploymentEvent::Ended {
        status,
        error,
        finding: cause.finding,
        rollback: rollback.clone(),
        rollback_message: back.message.or(only_forward),
        superseded_by: None,
        // Whoever appends it and watches the deployment says how that stands.
        watch: None,
    };
    let mut intents = Row::deployment(&deployment.id, deployment.last)
        .says(ended.into())
        .intents;
    if let Some((id, accepted)) = back.accepted {
        let accepted = DeploymentEvent::Accepted(Box::new(accepted));
        let row = Row::deployment(&id, croft_ledger::Seq::ZERO).says(accepted.into());
        intents.extend(row.intents);
    }
    let mut row = Row::after(name.subject().ok()?, group.last);
    let mut hosts = standings(group, deployment, status);
    hosts.extend(not_updated(group, deployment));
    for hosts in parts(hosts) {
        row.push(GroupEvent::Stand { hosts }.into());
    }
    row.push(
        GroupEvent::Ended {
            deployment: deployment.id.clone(),
            status,
            rollback,
            serves: serves(deployment, status),
        }
        .into(),
    );
    intents.extend(row.intents);
    Some(intents)
}

/// However it is ended while the containers that served before are stopped, the release has their place: it has gone well, and people
/// are told why it is not taken back.
fn forward(cause: Cause) -> (Cause, Option<String>) {
    if cause.status == DeploymentStatus::Succeeded {
        return (cause, None);
    }
    let message = format!(
        "{}: the release had all traffic and the containers that served before were being stopped, so it is not taken back; to go back \
         deploy the earlier revision again",
        cause.message
    );
    (Cause::well(), Some(message))
}

/// The containers that serve after a deployment of some that went well.
fn serves(deployment: &Deployment, status: DeploymentStatus) -> Option<Colour> {
    let containers = deployment.plan.as_ref()?.containers?;
    (status == DeploymentStatus::Succeeded).then_some(containers.new)
}

/// What takes it back, and what is said of that.
#[derive(Debug, Default)]
struct Back {
    accepted: Option<(DeploymentId, Accepted)>,
    message: Option<String>,
}

fn taken_back(group: &Group, deployment: &Deployment, cause: &Cause) -> Back {
    let says = |message: &str| Back {
        accepted: None,
        message: Some(message.to_string()),
    };
    let plan = deployment.plan.as_ref();
    let is_wanted = cause.is_forced
        || cause
            .event
            .is_some_and(|event| plan.is_some_and(|plan| plan.rollback_on.contains(&event)));
    if cause.status == DeploymentStatus::Succeeded || !is_wanted {
        return Back::default();
    }
    if deployment.accepted.creator == Creator::Rollback {
        return says("it takes another deployment back, and is not taken back itself");
    }
    if !deployment.has_changed_anything() {
        return says("no host was changed, so there is nothing to take back");
    }
    let Some(good) = group.target() else {
        return says(
            "no deployment of this group has gone well before, so there is nothing to go back to",
        );
    };
    if good.asked.revision.digest == deployment.accepted.asked.revision.digest {
        return says(
            "it deployed the revision that went well last, so there is nothing to go back to",
        );
    }
    let id = rollback_id(&deployment.id);
    let accepted = going_back(&good.asked, &deployment.id, "croft");
    Back {
        message: Some(format!(
            "{id} deploys the revision of {} again, the last that went well",
            good.deployment
        )),
        accepted: Some((id, accepted)),
    }
}

/// A deployment of what went well, with its own settings. The old revision's scripts are those of what is taken back, and may be what is
/// broken: their failures do not stand in the way.
pub(crate) fn going_back(good: &StartDeployment, from: &DeploymentId, by: &str) -> Accepted {
    let mut asked = good.clone();
    asked.ignore_application_stop_failures = true;
    asked.update_outdated_instances_only = false;
    asked.auto_rollback_configuration = None;
    asked.description = Some(format!("takes {from} back"));
    if let Some(own) = &mut asked.own {
        (own.busy, own.order) = (None, None);
    }
    Accepted {
        asked,
        creator: Creator::Rollback,
        parent: Some(from.clone()),
        by: by.to_string(),
        only: Vec::new(),
    }
}

/// How it is with the hosts that it came to.
fn standings(
    group: &Group,
    deployment: &Deployment,
    status: DeploymentStatus,
) -> Vec<(String, Standing)> {
    let digest = &deployment.accepted.asked.revision.digest;
    let is_target = group
        .target()
        .is_some_and(|good| good.asked.revision.digest == *digest);
    let is_current = status == DeploymentStatus::Succeeded || is_target;
    let is_update = deployment.accepted.creator == Creator::AutoUpdate;
    let stands = |target: &Target| {
        let is_healthy = target.is_done && !target.is_failed;
        let revision = match (is_healthy, is_current, target.planned.side) {
            (_, true, Side::Old) => RevisionHealth::Old,
            (true, true, Side::New) => RevisionHealth::Current,
            (_, _, _) => RevisionHealth::Unknown,
        };
        let before = group.hosts.get(&target.planned.host);
        let updates_failed = match (is_healthy, before) {
            (false, Some(before)) => before.updates_failed + u32::from(is_update),
            (true, _) => 0,
            (false, None) => u32::from(is_update),
        };
        Standing {
            is_healthy,
            revision,
            updates_failed,
        }
    };
    let is_over_well = status == DeploymentStatus::Succeeded;
    let has_container_sides = deployment
        .plan
        .as_ref()
        .is_some_and(|plan| plan.target_kind == croft_proto::deploy::TargetKind::Container);
    deployment
        .targets
        .iter()
        .filter(|target| match target.planned.side {
            // A new container that did not come to serve has changed nothing of what does.
            Side::New if has_container_sides => is_over_well,
            Side::New => {
                let is_changed = target.is_attempted && !is_untouched(target);
                is_changed || is_back(deployment)
            }
            // The old side serves on unless the new one has taken its place; a container's host is told of by its new side.
            Side::Old => is_over_well && !has_container_sides,
        })
        .map(|target| {
            let stands = if is_over_well && is_back(deployment) {
                served(target)
            } else {
                stands(target)
            };
            (target.planned.host.clone(), stands)
        })
        .collect()
}

/// Whether nothing of a host in place was changed: it was at most taken out of traffic, or its first event had not begun. It stands as before,
/// and its balancer lets it in again.
fn is_untouched(target: &Target) -> bool {
    let is_before = |event: LifecycleEvent| {
        matches!(
            event,
            LifecycleEvent::BeforeBlockTraffic
                | LifecycleEvent::BlockTraffic
                | LifecycleEvent::AfterBlockTraffic
        )
    };
    let ended = target.ended.iter();
    !target.is_failed
        && ended
            .clone()
            .all(|(event, status)| is_before(*event) && *status == EventStatus::Succeeded)
        && target
            .running
            .is_none_or(|running| is_before(running.event) || !running.is_started)
}

/// Hosts of an automatic update that could not even begin: it counts as one that failed, or it would be tried for ever.
fn not_updated(group: &Group, deployment: &Deployment) -> Vec<(String, Standing)> {
    if deployment.plan.is_some() {
        return Vec::new();
    }
    let only = deployment.accepted.only.iter();
    only.filter_map(|host| {
        let before = *group.hosts.get(host)?;
        let updates_failed = before.updates_failed + 1;
        Some((
            host.clone(),
            Standing {
                updates_failed,
                ..before
            },
        ))
    })
    .collect()
}

/// Whether it moves traffic back to what was never taken down.
fn is_back(deployment: &Deployment) -> bool {
    let plan = deployment.plan.as_ref();
    plan.is_some_and(|plan| {
        plan.creator == Creator::Rollback
            && matches!(
                plan.steps.first(),
                Some(croft_proto::deploy::Step::Shift { .. })
            )
    })
}

const fn served(target: &Target) -> Standing {
    let (is_healthy, revision) = match target.planned.side {
        Side::New => (true, RevisionHealth::Current),
        Side::Old => (false, RevisionHealth::Unknown),
    };
    Standing {
        is_healthy,
        revision,
        updates_failed: 0,
    }
}
