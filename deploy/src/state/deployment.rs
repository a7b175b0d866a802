//! A deployment, folded: its plan, the step that it is in, and where each of its targets is. Every entry costs the same however many
//! targets there are.

use std::collections::{BTreeSet, HashMap};

use croft_ledger::{Entry, Seq};
use croft_proto::Timestamp;
use croft_proto::deploy::{
    Accepted, Continued, DeploymentEvent, DeploymentId, DeploymentInfoError, DeploymentStatus,
    Diagnostics, EventStatus, Finding, FirstFailure, LifecycleEvent, Pace, Plan, PlannedTarget,
    PrintedUntil, ScriptErrorCode, Side, Span, Step, TargetEvent, TargetKind, Was, Watched,
};

use super::{Change, FoldError, impossible};
use crate::health::Tally;
use crate::intent::GroupName;

/// An event that a target is to run, or runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Which.
    pub event: LifecycleEvent,
    /// When it was its turn, or it was begun.
    pub since: Timestamp,
    /// Whether the target has said that it has begun.
    pub is_started: bool,
}

/// A target.
#[derive(Clone, Debug)]
pub struct Target {
    /// As it was planned.
    pub planned: PlannedTarget,
    /// The last entry of its subject.
    pub last: Seq,
    /// What it runs.
    pub running: Option<Running>,
    /// How its events ended, in order.
    pub ended: Vec<(LifecycleEvent, EventStatus)>,
    /// Whether one of its steps has begun.
    pub is_attempted: bool,
    /// Whether one of its events failed, and that counted.
    pub is_failed: bool,
    /// Whether it has run all of its first step.
    pub is_done: bool,
    /// When its first step began.
    pub begun_at: Option<Timestamp>,
    /// When it had run all of that.
    pub done_at: Option<Timestamp>,
    /// What its host had printed when an event ended before the farm had all of it; the last one counts.
    pub printed: Option<PrintedUntil>,
}

/// How a deployment ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// When.
    pub at: Timestamp,
    /// How.
    pub status: DeploymentStatus,
    /// Why.
    pub error: Option<Box<DeploymentInfoError>>,
    /// What was found.
    pub finding: Option<Box<Finding>>,
    /// What takes it back.
    pub rollback: Option<DeploymentId>,
    /// Why nothing does.
    pub rollback_message: Option<String>,
    /// The newer one that took its place before it began.
    pub superseded_by: Option<DeploymentId>,
    /// How its detectors stood.
    pub watch: Option<Box<Watched>>,
}

/// A deployment.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Which.
    pub id: DeploymentId,
    /// As it was accepted.
    pub accepted: Accepted,
    /// The last entry of its subject.
    pub last: Seq,
    /// When it was accepted.
    pub created: Timestamp,
    /// When it began.
    pub began: Option<Timestamp>,
    /// How it ended.
    pub end: Option<End>,
    /// What is done; none while it waits.
    pub plan: Option<Plan>,
    /// The plan's targets.
    pub targets: Vec<Target>,
    /// The step that it is in.
    pub step: u32,
    /// Since when.
    pub step_since: Timestamp,
    /// Whether somebody said that its wait is over.
    pub is_continued: bool,
    /// Who said so, of each step.
    pub continued: Vec<Continued>,
    /// When each step began.
    pub step_times: Vec<Timestamp>,
    /// The hosts of all of it.
    pub tally: Tally,
    /// The hosts of the zone that it is in.
    pub zone: Tally,
    /// Targets of the step that have not begun it.
    pub pending: BTreeSet<u32>,
    /// Targets that run something.
    pub running: BTreeSet<u32>,
    /// Targets that failed in the step.
    pub step_failed: u32,
    /// How much of the traffic the new side has.
    pub traffic_percent: u32,
    /// When it was given how much of it.
    pub shifts: Vec<(Timestamp, u32)>,
    /// What was known of its detectors before it began.
    pub notes: Option<Vec<String>>,
    /// The first host that failed.
    pub first_failure: Option<FirstFailure>,
    /// Hosts that it has taken and not given back.
    pub held: BTreeSet<String>,
    by_host: HashMap<(Side, String), u32>,
}

impl Deployment {
    pub(crate) fn accepted(entry: &Entry, id: DeploymentId, accepted: Accepted) -> Self {
        Self {
            id,
            accepted,
            last: entry.seq,
            created: entry.at,
            began: None,
            end: None,
            plan: None,
            targets: Vec::new(),
            step: 0,
            step_since: entry.at,
            is_continued: false,
            continued: Vec::new(),
            step_times: Vec::new(),
            tally: Tally::default(),
            zone: Tally::default(),
            pending: BTreeSet::new(),
            running: BTreeSet::new(),
            step_failed: 0,
            traffic_percent: 0,
            shifts: Vec::new(),
            notes: None,
            first_failure: None,
            held: BTreeSet::new(),
            by_host: HashMap::new(),
        }
    }

    /// Its group.
    #[must_use]
    pub fn group(&self) -> GroupName {
        GroupName {
            application: self.accepted.asked.application_name.clone(),
            group: self.accepted.asked.deployment_group_name.clone(),
        }
    }

    /// The number of a host's target.
    #[must_use]
    pub fn target(&self, side: Side, host: &str) -> Option<u32> {
        self.by_host.get(&(side, host.to_string())).copied()
    }

    /// Whether the host is one of its targets.
    #[must_use]
    pub fn has(&self, host: &str) -> bool {
        self.target(Side::New, host).is_some() || self.target(Side::Old, host).is_some()
    }

    /// The target of that number.
    #[must_use]
    pub fn at(&self, number: u32) -> &Target {
        &self.targets[number as usize]
    }

    /// The step that it is in; none while it waits.
    #[must_use]
    pub fn current(&self) -> Option<&Step> {
        self.plan.as_ref()?.steps.get(self.step as usize)
    }

    /// Whether nothing of it is on its way any more.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.end.is_some() && self.running.is_empty() && self.held.is_empty()
    }

    /// Whether anything was changed.
    #[must_use]
    pub fn has_changed_anything(&self) -> bool {
        self.targets.iter().any(|target| target.is_attempted)
    }

    /// Whether its plan has two sides; not before it has one.
    #[must_use]
    pub fn has_sides(&self) -> bool {
        self.plan.as_ref().is_some_and(Plan::has_sides)
    }

    /// What its current step has targets run.
    #[must_use]
    pub fn events(&self) -> &[LifecycleEvent] {
        match self.current() {
            Some(Step::Run { events, .. }) => events,
            Some(
                Step::Watch { .. } | Step::Ready { .. } | Step::Shift { .. } | Step::Bake { .. },
            )
            | None => &[],
        }
    }

    /// Whether its step is one on the old side.
    fn takes_down(&self) -> bool {
        let Some(Step::Run { targets, .. }) = self.current() else {
            return false;
        };
        let first = self.targets.get(targets.from as usize);
        first.is_some_and(|target| target.planned.side == Side::Old)
    }

    /// Whether it stops the containers that served before: the release is out, and what is gone cannot be gone back to.
    #[must_use]
    pub(crate) fn is_past_return(&self) -> bool {
        let plan = self.plan.as_ref();
        let is_of_containers = plan.is_some_and(|plan| plan.target_kind == TargetKind::Container);
        let stops = self.events().contains(&LifecycleEvent::ApplicationStop);
        is_of_containers && stops && self.takes_down()
    }

    pub(crate) fn pace(&self) -> Option<Pace> {
        match self.current() {
            Some(Step::Run { pace, .. }) => Some(*pace),
            Some(
                Step::Watch { .. } | Step::Ready { .. } | Step::Shift { .. } | Step::Bake { .. },
            )
            | None => None,
        }
    }

    /// What a target runs after that event of its step; none when that was the last.
    #[must_use]
    pub fn after(&self, event: LifecycleEvent) -> Option<LifecycleEvent> {
        let mut events = self.events().iter().skip_while(|one| **one != event);
        events.next();
        events.next().copied()
    }

    /// Whether a target goes on after an event that ended so.
    #[must_use]
    pub fn goes_on(&self, event: LifecycleEvent, status: EventStatus) -> bool {
        match status {
            EventStatus::Succeeded | EventStatus::Skipped => true,
            EventStatus::Pending
            | EventStatus::InProgress
            | EventStatus::Failed
            | EventStatus::Unknown => {
                let plan = self.plan.as_ref();
                let may_fail = plan.is_some_and(|plan| plan.ignore_application_stop_failures)
                    // What takes an old side down runs the old revision's scripts, and the new one has all traffic: the release is
                    // not to fail for them. A balancer that does not let the old side out is another matter, as at AWS.
                    || self.takes_down();
                event.may_be_ignored() && may_fail
            }
        }
    }

    pub(crate) fn fold(
        &mut self,
        entry: &Entry,
        event: DeploymentEvent,
    ) -> Result<Change, FoldError> {
        if self.end.is_some() {
            return Err(impossible(entry, "something follows a deployment's end"));
        }
        self.last = entry.seq;
        match event {
            DeploymentEvent::Accepted(_) => {
                return Err(impossible(entry, "a deployment is accepted twice"));
            }
            DeploymentEvent::Planned(plan) => {
                self.began = Some(entry.at);
                self.tally = Tally::of(plan.fleet);
                self.plan = Some(*plan);
                self.begin_if_whole(entry);
            }
            DeploymentEvent::Targets { targets } => {
                for planned in targets {
                    self.add(planned);
                }
                self.begin_if_whole(entry);
            }
            DeploymentEvent::Dispatched { targets } => return self.dispatch(entry, targets),
            DeploymentEvent::Stepped { step } => {
                if step != self.step + 1 {
                    return Err(impossible(entry, "a step is left out"));
                }
                self.begin(step, entry.at);
            }
            DeploymentEvent::Continued { by, step } => {
                self.is_continued = step == self.step;
                let at = entry.at;
                self.continued.push(Continued { by, at, step });
            }
            DeploymentEvent::Noted { notes } => self.notes = Some(notes),
            DeploymentEvent::Ended {
                status,
                error,
                finding,
                rollback,
                rollback_message,
                superseded_by,
                watch,
            } => {
                self.pending.clear();
                self.end = Some(End {
                    at: entry.at,
                    status,
                    error,
                    finding,
                    rollback,
                    rollback_message,
                    superseded_by,
                    watch,
                });
            }
        }
        Ok(Change::Deployment(self.id.clone()))
    }

    fn add(&mut self, planned: PlannedTarget) {
        let number = u32::try_from(self.targets.len()).expect("a plan has fewer than 2^32 targets");
        self.by_host
            .insert((planned.side, planned.host.clone()), number);
        self.targets.push(Target {
            planned,
            last: Seq::ZERO,
            running: None,
            ended: Vec::new(),
            is_attempted: false,
            is_failed: false,
            is_done: false,
            begun_at: None,
            done_at: None,
            printed: None,
        });
    }

    fn begin_if_whole(&mut self, entry: &Entry) {
        let plan = self.plan.as_ref();
        if plan.is_some_and(|plan| plan.targets as usize == self.targets.len()) {
            self.begin(0, entry.at);
        }
    }

    fn begin(&mut self, step: u32, at: Timestamp) {
        self.step = step;
        self.step_since = at;
        self.step_times.push(at);
        self.is_continued = false;
        self.step_failed = 0;
        match self.current().cloned() {
            Some(Step::Run { targets, pace, .. }) => self.begin_run(targets, pace),
            Some(Step::Shift { percent, .. }) => {
                self.traffic_percent = percent;
                self.shifts.push((at, percent));
            }
            Some(Step::Watch { .. } | Step::Ready { .. } | Step::Bake { .. }) | None => {}
        }
    }

    fn begin_run(&mut self, Span { from, to }: Span, pace: Pace) {
        self.pending = (from..to)
            .filter(|number| !self.at(*number).is_failed)
            .collect();
        if let Pace::Healthy {
            zone: Some((_, fleet)),
        } = pace
        {
            self.zone = Tally::of(fleet);
        }
    }

    fn dispatch(&mut self, entry: &Entry, targets: Vec<u32>) -> Result<Change, FoldError> {
        let Some(first) = self.events().first().copied() else {
            return Err(impossible(
                entry,
                "a step without events begins on a target",
            ));
        };
        for number in &targets {
            if !self.pending.remove(number) {
                return Err(impossible(entry, "a target begins a step twice"));
            }
            self.running.insert(*number);
            let target = &mut self.targets[*number as usize];
            target.is_attempted = true;
            target.begun_at.get_or_insert(entry.at);
            target.running = Some(Running {
                event: first,
                since: entry.at,
                is_started: false,
            });
            let was = target.planned.was;
            self.count(|tally| tally.in_progress.add(was));
        }
        Ok(Change::Targets(self.id.clone(), targets))
    }

    /// Counts for the fleet and the zone, in steps that health paces.
    fn count(&mut self, count: impl Fn(&mut Tally)) {
        if matches!(self.pace(), Some(Pace::Healthy { .. })) {
            count(&mut self.tally);
            count(&mut self.zone);
        }
    }

    pub(crate) fn fold_target(
        &mut self,
        entry: &Entry,
        side: Side,
        host: &str,
        event: TargetEvent,
    ) -> Result<Change, FoldError> {
        let number = self
            .target(side, host)
            .ok_or_else(|| impossible(entry, "there is no such target"))?;
        let target = &mut self.targets[number as usize];
        target.last = entry.seq;
        let Some(running) = target.running.as_mut() else {
            return Err(impossible(entry, "a target has nothing to run"));
        };
        match event {
            TargetEvent::Started { event } => {
                if running.event != event || running.is_started {
                    return Err(impossible(entry, "an event begins out of turn"));
                }
                (running.is_started, running.since) = (true, entry.at);
                Ok(Change::Nothing)
            }
            TargetEvent::Ended {
                event,
                status,
                diagnostics,
            } => {
                if running.event != event {
                    return Err(impossible(entry, "an event ends out of turn"));
                }
                target.running = None;
                target.ended.push((event, status));
                let printed = diagnostics.as_ref().and_then(|known| known.printed);
                target.printed = printed.or(target.printed);
                Ok(self.went(entry, number, (event, status), diagnostics))
            }
        }
    }

    /// What follows the end of a target's event.
    fn went(
        &mut self,
        entry: &Entry,
        number: u32,
        (event, status): (LifecycleEvent, EventStatus),
        diagnostics: Option<Box<Diagnostics>>,
    ) -> Change {
        let goes_on = self.goes_on(event, status);
        let next = self.after(event);
        if goes_on
            && self.end.is_none()
            && let Some(next) = next
        {
            self.targets[number as usize].running = Some(Running {
                event: next,
                since: entry.at,
                is_started: false,
            });
            return Change::Targets(self.id.clone(), vec![number]);
        }
        self.running.remove(&number);
        let was = self.at(number).planned.was;
        if goes_on && next.is_none() {
            let target = &mut self.targets[number as usize];
            target.is_done = true;
            target.done_at.get_or_insert(entry.at);
            self.count(|tally| {
                tally.in_progress.take(was);
                tally.succeeded.add(was);
            });
        } else if !goes_on {
            self.failed(number, was, event, diagnostics);
        }
        // Else the deployment ended while it ran this event: it stays between two revisions, and is no healthy host.
        Change::Deployment(self.id.clone())
    }

    fn failed(
        &mut self,
        number: u32,
        was: Was,
        event: LifecycleEvent,
        diagnostics: Option<Box<Diagnostics>>,
    ) {
        self.step_failed += 1;
        self.count(|tally| {
            tally.in_progress.take(was);
            tally.failed.add(was);
        });
        if !matches!(self.pace(), Some(Pace::Whichever)) {
            self.targets[number as usize].is_failed = true;
        }
        let target = self.at(number);
        if self.first_failure.is_none() {
            let known = diagnostics.map(|known| *known).unwrap_or(Diagnostics {
                error_code: ScriptErrorCode::UnknownError,
                script_name: String::new(),
                message: String::new(),
                log_tail: String::new(),
                script_from_deployment: None,
                printed: None,
            });
            self.first_failure = Some(FirstFailure {
                host: target.planned.host.clone(),
                event,
                error_code: known.error_code,
                script_name: known.script_name,
                message: known.message,
                log_tail: known.log_tail,
            });
        }
    }
}
