//! All of it, an input at a time: the fold, and what follows from it. Fed by whoever runs a server; its actions are carried out by the
//! same, in order. Carrying one out twice, or not at all, breaks nothing: what is appended expects a sequence, and what was lost is asked
//! for again after a while.

/// What hosts and balancers say of events.
mod report;
/// What hosts have that came back.
mod returned;
/// What is done once a second.
mod tick;
/// What is news.
mod noted;

use std::collections::{BTreeSet, HashMap};

use croft_ledger::Entry;
use croft_proto::Timestamp;
use croft_proto::deploy::{Colour, Creator, DeploymentId, HostCommand, LifecycleEvent, Side, Step};

use crate::advice::Advice;
use crate::ask::found;
use crate::decide::{Heard, next, start};
use crate::intent::{GroupName, Intent};
use crate::state::{Change, Deployment, FoldError, State};
use crate::traffic::{Weights, leaves, weights};

#[cfg(test)]
pub(crate) use noted::TakenBack;
pub(crate) use noted::{Noted, Over};
pub use report::{Report, Said};
pub(crate) use tick::{END_MS_MAX, START_MS_MAX, WITHDRAWN_MS};

/// An action that should have shown in the ledger is asked for again after this: the append failed, or the server did.
const AGAIN_MS: u64 = 5_000;
/// A command that nothing was heard of is given again after this.
const RESEND_MS: u64 = 10_000;
/// For so long it counts that somebody who watches said a deployment may go on: a few of their looks.
const ADVICE_MS: u64 = 30_000;
/// A balancer is told again so often: it forgets on reload.
const RECONCILE_MS: u64 = 2_000;

/// What time it is, by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that is never set: what was sent, and heard.
    pub steady_ms: u64,
    /// What people call the time, as the ledger's entries have it.
    pub wall: Timestamp,
}

/// What has happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The next entry of the ledger.
    Entry(&'a Entry),
    /// All that was in the ledger when this server started has been folded: from now on it acts.
    CaughtUp,
    /// The broker answers again: what hosts had to say meanwhile is still to come.
    Connected,
    /// A host, or a balancer, says something of an event.
    Report(Report),
    /// A host has come back, and says what it has of a group; none when it has nothing.
    Returned {
        /// The host.
        host: String,
        /// The group.
        group: GroupName,
        /// The digest of what it has.
        digest: Option<String>,
    },
    /// Hosts of the farm that this server does not hear, all of them: they are begun last.
    Silent(BTreeSet<String>),
    /// Somebody who watches a deployment says what is to become of it.
    Advised(DeploymentId, Advice),
    /// A balancer has been told what [`Action::SetWeights`] said for that step of a deployment.
    Routed(DeploymentId, u32),
    /// About a second has passed.
    Tick,
}

/// What a host is told of its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is recorded: the host may forget it.
    Recorded,
    /// It is being recorded: the host says it again.
    Later,
    /// It does not count, or not any more: the host forgets it.
    Stale,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Append these, all or nothing. When that is refused, others were faster: nothing is to be done.
    Append(Vec<Intent>),
    /// A host is to run an event. The same may come again.
    Command {
        /// The host.
        host: String,
        /// What it runs.
        command: HostCommand,
    },
    /// A balancer is to take a host out, or in; how that went is a [`Report`].
    Route {
        /// The group.
        group: GroupName,
        /// The deployment.
        deployment: DeploymentId,
        /// Of its group.
        generation: u64,
        /// The host.
        host: String,
        /// Which of its containers; none when it is the host itself.
        colour: Option<Colour>,
        /// `BlockTraffic` or `AllowTraffic`.
        event: LifecycleEvent,
    },
    /// A balancer is to have these weights; that it has is an [`Input::Routed`] where a deployment's step is named.
    SetWeights {
        /// They.
        weights: Weights,
        /// The deployment and its step that wait for it.
        step: Option<(DeploymentId, u32)>,
    },
    /// The host is told of its report.
    Answer(Answer),
}

/// What only this server knows of a deployment.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    /// When an append about it went out that does not show yet.
    asked_ms: Option<u64>,
    /// When it was last said that it may go on, and in which step.
    well: Option<(u64, u32)>,
    /// The step that its balancer has been told of.
    routed: Option<u32>,
    /// How long it was held.
    held: Held,
}

/// The same, as it is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// Whether those who watch hold it.
    pub(crate) is_held: bool,
    /// For how long they have held its step.
    pub(crate) held_ms: u64,
    /// Whether its balancer has been told of its step.
    pub(crate) is_routed: bool,
    /// From when on silence counts.
    pub(crate) hears_since: Timestamp,
}

/// How long nobody has said of a deployment that it may go on.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// Up to when that is counted.
    counted_ms: Option<u64>,
    step: u32,
    step_ms: u64,
    all_ms: u64,
    /// The same, with the time in which it waited to be told to go on: for people.
    paused_ms: u64,
}

/// A server's decisions.
#[derive(Debug, Default)]
pub struct Engine {
    state: State,
    own: HashMap<DeploymentId, Own>,
    /// When a target was last told of its event.
    sent: HashMap<(DeploymentId, u32), u64>,
    /// When a balancer was last told its weights.
    told: HashMap<GroupName, u64>,
    /// When an append about a group went out that does not show yet.
    groups_asked: HashMap<GroupName, u64>,
    /// What hosts that came back have of a group, until it is settled what that means.
    came: HashMap<(GroupName, String), Option<String>>,
    /// Hosts that this server does not hear.
    silent: BTreeSet<String>,
    /// From when on silence counts: before, this server could not hear.
    hears_since: Timestamp,
    is_caught_up: bool,
}

impl Engine {
    /// Decisions that go on from what was folded elsewhere.
    #[must_use]
    pub fn of(state: State) -> Self {
        Self {
            state,
            ..Self::default()
        }
    }

    /// What is folded.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// What only this server knows of a deployment that it shows.
    pub(crate) fn own(&self, deployment: &Deployment, now: Now) -> Shown {
        let own = self.own.get(&deployment.id).copied().unwrap_or_default();
        let is_this_step = own.held.step == deployment.step;
        Shown {
            is_held: own.is_held(deployment, now),
            held_ms: if is_this_step { own.held.step_ms } else { 0 },
            is_routed: own.routed == Some(deployment.step),
            hears_since: self.hears_since,
        }
    }

    /// Decides.
    ///
    /// # Errors
    /// When an entry cannot be folded. A server must then stop acting: it does not know the truth.
    pub fn step(&mut self, input: Input<'_>, now: Now) -> Result<Vec<Action>, FoldError> {
        self.step_noting(input, now, &mut Vec::new())
    }

    /// The same; says beside it what has happened, for whoever counts.
    pub(crate) fn step_noting(
        &mut self,
        input: Input<'_>,
        now: Now,
        noted: &mut Vec<Noted>,
    ) -> Result<Vec<Action>, FoldError> {
        let mut actions = Vec::new();
        match input {
            Input::Entry(entry) => {
                let before = self.before(entry);
                let change = self.state.fold_noting(entry)?;
                noted.extend(self.news(entry, before));
                if self.is_caught_up {
                    self.follow(change, now, &mut actions);
                }
            }
            Input::CaughtUp => {
                self.is_caught_up = true;
                self.hears_since = now.wall;
                self.tick(now, &mut actions);
            }
            Input::Connected => self.hears_since = now.wall,
            Input::Report(report) => self.hear(report, &mut actions),
            Input::Returned {
                host,
                group,
                digest,
            } => {
                self.came.insert((group, host), digest);
                self.look_at_returned(&mut actions);
            }
            Input::Silent(hosts) => self.silent = hosts,
            Input::Advised(id, advice) => self.advised(&id, advice, now, &mut actions),
            Input::Routed(id, step) => {
                noted.extend(self.traffic_back(&id, now.wall));
                self.own.entry(id.clone()).or_default().routed = Some(step);
                self.decide(&id, now, &mut actions);
            }
            Input::Tick => self.tick(now, &mut actions),
        }
        Ok(actions)
    }

    /// What follows from an entry.
    fn follow(&mut self, change: Change, now: Now, actions: &mut Vec<Action>) {
        match change {
            Change::Nothing => {}
            Change::Group(name) => {
                self.groups_asked.remove(&name);
                // How its hosts stand is known now: who may not serve must not wait for the next look.
                if self
                    .state
                    .group(&name)
                    .is_some_and(|group| group.active.is_none())
                {
                    self.set_weights(&name, None, now, actions);
                }
                self.begin(&name, now, actions);
            }
            Change::Host(host) => {
                for id in self.waiting_for(&host) {
                    self.decide(&id, now, actions);
                }
            }
            Change::Deployment(id) => {
                self.own.entry(id.clone()).or_default().asked_ms = None;
                self.turn_traffic(&id, now, actions);
                self.decide(&id, now, actions);
            }
            Change::Targets(id, targets) => {
                self.own.entry(id.clone()).or_default().asked_ms = None;
                self.close_leaving(&id, &targets, now, actions);
                for number in targets {
                    self.command(&id, number, now, actions);
                }
                self.decide(&id, now, actions);
            }
        }
    }

    /// Deployments that have not begun on a host.
    fn waiting_for(&self, host: &str) -> Vec<DeploymentId> {
        let active = self.state.groups().filter_map(|(_, group)| {
            let deployment = self.state.deployment(group.active.as_ref()?)?;
            [Side::New, Side::Old].into_iter().find(|side| {
                let number = deployment.target(*side, host);
                number.is_some_and(|number| deployment.pending.contains(&number))
            })?;
            Some(deployment.id.clone())
        });
        active.collect()
    }

    /// The next deployment of a group that has none.
    fn begin(&mut self, name: &GroupName, now: Now, actions: &mut Vec<Action>) {
        let Some(group) = self.state.group(name) else {
            return;
        };
        if group.active.is_some() || is_recent(self.groups_asked.get(name), now, AGAIN_MS) {
            return;
        }
        let next = group.queue.front();
        let Some(next) = next.and_then(|id| self.state.deployment(id)) else {
            return;
        };
        if let Some(intents) = start(&self.state, next, &self.silent) {
            self.groups_asked.insert(name.clone(), now.steady_ms);
            actions.push(Action::Append(intents));
        }
    }

    /// The next step of a deployment.
    fn decide(&mut self, id: &DeploymentId, now: Now, actions: &mut Vec<Action>) {
        let Some(deployment) = self.state.deployment(id).filter(|_| self.is_caught_up) else {
            return;
        };
        let own = self.own.get(id).copied().unwrap_or_default();
        if is_recent(own.asked_ms.as_ref(), now, AGAIN_MS) {
            return;
        }
        let heard = Heard {
            may_go_on: own.is_well(deployment, now),
            is_routed: own.routed == Some(deployment.step),
            held_ms: match own.held.step == deployment.step {
                true => own.held.step_ms,
                false => 0,
            },
            held_all_ms: own.held.all_ms,
            silent: &self.silent,
        };
        if let Some(intents) = next(&self.state, deployment, heard, now.wall) {
            self.own.entry(id.clone()).or_default().asked_ms = Some(now.steady_ms);
            actions.push(Action::Append(intents));
        }
    }

    fn advised(&mut self, id: &DeploymentId, advice: Advice, now: Now, actions: &mut Vec<Action>) {
        let is_on = |one: &&Deployment| one.plan.is_some() && one.end.is_none();
        let Some(deployment) = self.state.deployment(id).filter(is_on) else {
            return;
        };
        let step = deployment.step;
        // Nobody judges a release that nothing is left to go back from to.
        // What takes back is halted once all are back, never half way: the others would be left with what is taken back.
        let is_going_back = deployment.accepted.creator == Creator::Rollback
            && !matches!(deployment.current(), Some(Step::Bake { .. }));
        let advice = match deployment.is_past_return() || is_going_back {
            true => Advice::Continue,
            false => advice,
        };
        match advice {
            Advice::Continue => {
                self.own.entry(id.clone()).or_default().well = Some((now.steady_ms, step));
                self.decide(id, now, actions);
            }
            Advice::Hold { .. } => self.own.entry(id.clone()).or_default().well = None,
            Advice::RollBack(finding) => {
                self.own.entry(id.clone()).or_default().well = None;
                if self.is_caught_up {
                    let intents = found(&self.state, deployment, finding);
                    actions.extend(intents.map(Action::Append));
                }
            }
        }
    }

    /// Traffic at once, when a deployment's step says so or its end does.
    fn turn_traffic(&mut self, id: &DeploymentId, now: Now, actions: &mut Vec<Action>) {
        let Some(deployment) = self.state.deployment(id) else {
            return;
        };
        let is_shift = matches!(deployment.current(), Some(Step::Shift { .. }));
        if !is_shift && deployment.end.is_none() {
            return;
        }
        let step = deployment.end.is_none() && is_shift;
        let step = step.then(|| (id.clone(), deployment.step));
        let name = deployment.group();
        self.set_weights(&name, step, now, actions);
    }

    /// Hosts in place that begin to go back lose their traffic at once: whether they are heard or not, and whatever their scripts take.
    fn close_leaving(
        &mut self,
        id: &DeploymentId,
        targets: &[u32],
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let Some(deployment) = self.state.deployment(id) else {
            return;
        };
        let name = deployment.group();
        let Some(group) = self.state.group(&name) else {
            return;
        };
        let has_just_begun = |number: &u32| {
            let target = deployment.at(*number);
            let is_waiting = target.running.is_some_and(|running| !running.is_started);
            target.ended.is_empty() && is_waiting && leaves(group, deployment, target)
        };
        if targets.iter().any(has_just_begun) {
            self.set_weights(&name, None, now, actions);
        }
    }

    fn set_weights(
        &mut self,
        name: &GroupName,
        step: Option<(DeploymentId, u32)>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        if let Some(weights) = weights(&self.state, name) {
            self.told.insert(name.clone(), now.steady_ms);
            actions.push(Action::SetWeights { weights, step });
        }
    }

    /// A target's event, to whoever runs it.
    fn command(&mut self, id: &DeploymentId, number: u32, now: Now, actions: &mut Vec<Action>) {
        let Some(deployment) = self.state.deployment(id) else {
            return;
        };
        if let Some(action) = command(deployment, number) {
            self.sent.insert((id.clone(), number), now.steady_ms);
            actions.push(action);
        }
    }
}

impl Own {
    /// Whether somebody who watches has lately said that it may go on.
    fn is_well(&self, deployment: &Deployment, now: Now) -> bool {
        self.well.is_some_and(|(at, step)| {
            step == deployment.step && now.steady_ms.saturating_sub(at) < ADVICE_MS
        })
    }

    fn is_held(&self, deployment: &Deployment, now: Now) -> bool {
        let plan = deployment.plan.as_ref();
        let is_open = deployment.end.is_none() && !deployment.is_continued;
        plan.is_some_and(|plan| plan.is_watched) && is_open && !self.is_well(deployment, now)
    }

    /// Counts the time since the last tick, if it was held.
    fn pass(&mut self, deployment: &Deployment, now: Now) {
        let is_open = deployment.end.is_none() && !deployment.is_continued;
        let is_held = self.is_held(deployment, now);
        let is_asking = is_open && matches!(deployment.current(), Some(Step::Ready { .. }));
        let held = &mut self.held;
        if held.step != deployment.step {
            (held.step, held.step_ms) = (deployment.step, 0);
        }
        let since = held.counted_ms.replace(now.steady_ms);
        let more = since.map_or(0, |since| now.steady_ms.saturating_sub(since));
        if is_held {
            held.step_ms += more;
            held.all_ms += more;
        }
        if is_held || is_asking {
            held.paused_ms += more;
        }
    }
}

/// What runs a target's event; none when it runs nothing.
fn command(deployment: &Deployment, number: u32) -> Option<Action> {
    let plan = deployment.plan.as_ref()?;
    let target = deployment.at(number);
    let running = target.running?;
    let host = target.planned.host.clone();
    if is_the_balancers(running.event) {
        return Some(Action::Route {
            group: deployment.group(),
            deployment: deployment.id.clone(),
            generation: plan.generation,
            host,
            colour: plan.colour(target.planned.side),
            event: running.event,
        });
    }
    Some(Action::Command {
        host,
        command: plan.command(&deployment.id, target.planned.side, running.event),
    })
}

/// Whether the balancer does it, and not the host.
pub(crate) const fn is_the_balancers(event: LifecycleEvent) -> bool {
    matches!(
        event,
        LifecycleEvent::BlockTraffic | LifecycleEvent::AllowTraffic
    )
}

fn is_recent(at: Option<&u64>, now: Now, for_ms: u64) -> bool {
    at.is_some_and(|at| now.steady_ms.saturating_sub(*at) < for_ms)
}
