//! What has just happened, for whoever counts it: nothing follows from it. Taken by the loop of a server for its metrics, and only once the
//! server has caught up: what was over before it was there is nobody's news.

use croft_ledger::Entry;
use croft_proto::Timestamp;
use croft_proto::deploy::{
    Creator, DeploymentId, DeploymentOverview, DeploymentStatus, ErrorCode, EventStatus,
    LifecycleEvent, Side, Step, TargetKind,
};

use super::Engine;
use crate::intent::GroupName;
use crate::state::{Deployment, End, Target};
use crate::verdict::Trigger;

/// Something that has happened since this server knows the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// A deployment is over.
    Over(Box<Over>),
    /// An event of a target is over.
    Event {
        event: LifecycleEvent,
        status: EventStatus,
        /// Since it began; since its turn where nobody said that.
        took_ms: u64,
    },
    /// A balancer sends its traffic back to what was good.
    TrafficBack {
        application: String,
        /// Since it was decided to take the release back.
        took_ms: u64,
    },
}

/// A deployment that is over, in words for labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) group: GroupName,
    pub(crate) creator: &'static str,
    pub(crate) target: &'static str,
    pub(crate) strategy: &'static str,
    pub(crate) result: &'static str,
    /// From its acceptance to its end.
    pub(crate) whole_ms: u64,
    /// Of that, in its group's line.
    pub(crate) line_ms: u64,
    /// And held by who watches it, or waiting to be told to go on, as far as this server has seen it.
    pub(crate) paused_ms: u64,
    pub(crate) targets: DeploymentOverview,
    pub(crate) taken_back: Option<TakenBack>,
    /// Whether it took another one back, and went well.
    pub(crate) is_back: bool,
}

/// A deployment that another one takes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TakenBack {
    pub(crate) trigger: &'static str,
    /// From when the release first served, or its beginning where it never did, to the end that takes it back.
    pub(crate) detection_ms: u64,
}

/// A target's event that may be over after the next entry.
#[derive(Clone, Debug)]
pub(super) struct Before {
    id: DeploymentId,
    number: u32,
    event: LifecycleEvent,
    since: Timestamp,
    ended: usize,
}

impl Engine {
    /// How it is with what an entry is about, before it is folded; none when it is about no event of a target.
    pub(super) fn before(&self, entry: &Entry) -> Option<Before> {
        if !self.is_caught_up || entry.subject.kind() != "deployment" {
            return None;
        }
        let parts: Vec<String> = entry.subject.parts().collect();
        let [_, id, side, host] = parts.as_slice() else {
            return None;
        };
        let side = match side.as_str() {
            "host" => Side::New,
            _ => Side::Old,
        };
        let deployment = self.state.deployment(&id.parse().ok()?)?;
        let number = deployment.target(side, host)?;
        let target = deployment.at(number);
        let running = target.running?;
        Some(Before {
            id: deployment.id.clone(),
            number,
            event: running.event,
            since: running.since,
            ended: target.ended.len(),
        })
    }

    /// What of an entry is news, after it was folded.
    pub(super) fn news(&self, entry: &Entry, before: Option<Before>) -> Option<Noted> {
        if !self.is_caught_up {
            return None;
        }
        if let Some(before) = before {
            let deployment = self.state.deployment(&before.id)?;
            let ended = &deployment.at(before.number).ended;
            let (_, status) = *ended.get(before.ended)?;
            return Some(Noted::Event {
                event: before.event,
                status,
                took_ms: entry.at.millis_since(before.since),
            });
        }
        let parts: Vec<String> = entry.subject.parts().collect();
        let [kind, id] = parts.as_slice() else {
            return None;
        };
        let id: DeploymentId = id.parse().ok().filter(|_| kind == "deployment")?;
        let deployment = self.state.deployment(&id)?;
        // Nothing of its own follows its end, so this is it.
        let end = deployment.end.as_ref()?;
        let paused_ms = self.own.get(&id).map_or(0, |own| own.held.paused_ms);
        Some(Noted::Over(Box::new(over(deployment, end, paused_ms))))
    }

    /// A balancer was told of a step. Of what takes another one back, the first such step is the traffic's return.
    pub(super) fn traffic_back(&self, id: &DeploymentId, at: Timestamp) -> Option<Noted> {
        let deployment = self.state.deployment(id)?;
        let was_told = self.own.get(id).is_some_and(|own| own.routed.is_some());
        let is_rollback = deployment.accepted.creator == Creator::Rollback;
        (is_rollback && !was_told).then(|| Noted::TrafficBack {
            application: deployment.group().application,
            took_ms: at.millis_since(deployment.created),
        })
    }
}

fn over(deployment: &Deployment, end: &End, paused_ms: u64) -> Over {
    let began = deployment.began.unwrap_or(end.at);
    let creator = deployment.accepted.creator;
    let taken_back = end.rollback.is_some().then(|| TakenBack {
        trigger: trigger(end),
        detection_ms: end.at.millis_since(served_from(deployment)),
    });
    let plan = deployment.plan.as_ref();
    Over {
        group: deployment.group(),
        creator: match creator {
            Creator::User => "user",
            Creator::Rollback => "rollback",
            Creator::AutoUpdate => "update",
        },
        target: match plan.map(|plan| plan.target_kind) {
            Some(TargetKind::Container) => "container",
            Some(TargetKind::Host) => "host",
            None => "none",
        },
        strategy: strategy(deployment),
        result: result(end),
        whole_ms: end.at.millis_since(deployment.created),
        line_ms: began.millis_since(deployment.created),
        paused_ms,
        targets: deployment.overview(),
        taken_back,
        is_back: creator == Creator::Rollback && end.status == DeploymentStatus::Succeeded,
    }
}

/// How its traffic was meant to move.
fn strategy(deployment: &Deployment) -> &'static str {
    let Some(plan) = &deployment.plan else {
        return "not_begun";
    };
    let shifts = plan.steps.iter().filter_map(|step| match step {
        Step::Shift { percent, .. } => Some(*percent),
        Step::Run { .. } | Step::Watch { .. } | Step::Ready { .. } | Step::Bake { .. } => None,
    });
    let shifts: Vec<u32> = shifts.collect();
    let parts = shifts.iter().filter(|percent| (1..100).contains(*percent));
    match (shifts.is_empty(), parts.count()) {
        (true, _) => "in_place",
        (false, 0) => "all_at_once",
        (false, 1) => "canary",
        (false, _) => "linear",
    }
}

fn result(end: &End) -> &'static str {
    match (end.status, &end.rollback) {
        (DeploymentStatus::Succeeded, _) => "succeeded",
        (DeploymentStatus::Halted, _) => "halted",
        (_, Some(_)) => "rolled_back",
        (DeploymentStatus::Stopped, None) => "stopped",
        (
            DeploymentStatus::Failed
            | DeploymentStatus::Created
            | DeploymentStatus::Queued
            | DeploymentStatus::InProgress
            | DeploymentStatus::Baking
            | DeploymentStatus::Ready,
            None,
        ) => "failed",
    }
}

/// What takes a release back: somebody, a failure, or a detector by its word.
fn trigger(end: &End) -> &'static str {
    let Some(finding) = &end.finding else {
        let code = end.error.as_ref().map(|error| error.code);
        return match code {
            Some(ErrorCode::ManualStop) => Trigger::Manual.word(),
            _ => "failure",
        };
    };
    let groups = finding.evidence["groups"].as_array();
    if groups.is_some_and(|groups| !groups.is_empty()) {
        return Trigger::Webhook.word();
    }
    let word = finding.by.split(' ').next().unwrap_or_default();
    let mut known = Trigger::ALL.into_iter().map(Trigger::word);
    known
        .find(|known| *known == word)
        .unwrap_or(Trigger::Alarm.word())
}

/// When the release first served.
fn served_from(deployment: &Deployment) -> Timestamp {
    let mut shifts = deployment.shifts.iter();
    let traffic = shifts.find(|(_, percent)| *percent > 0).map(|(at, _)| *at);
    let is_new = |target: &&Target| target.planned.side == Side::New;
    let done = deployment.targets.iter().filter(is_new);
    let done = done.filter_map(|target| target.done_at).min();
    let began = deployment.began.unwrap_or(deployment.created);
    let done = done.filter(|_| !deployment.has_sides());
    traffic.or(done).unwrap_or(began)
}
