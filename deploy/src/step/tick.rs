//! What is done once a second: what was lost is asked for again, silence is noticed, balancers are told again, and hosts that came back
//! with another revision are brought to their group's.

use croft_proto::deploy::{
    Accepted, Creator, DeploymentId, Diagnostics, EventStatus, OutdatedInstancesStrategy,
    RevisionHealth, ScriptErrorCode, Side, Step, TargetEvent,
};

use super::{Action, Engine, Now, RECONCILE_MS, RESEND_MS, is_recent, is_the_balancers};
use crate::ask::accepted_as;
use crate::decide::{event_over, given_back};
use crate::finish::derived;
use crate::intent::GroupName;
use crate::state::{Deployment, Group, Host};

/// An event that has not begun so long after its turn has failed: AWS's five minutes.
pub(crate) const START_MS_MAX: u64 = 300_000;
/// An event that is not over so long after it began has failed: AWS's hour.
pub(crate) const END_MS_MAX: u64 = 3_600_000;
/// The same of one that has not begun when its deployment ends. The host will refuse it once it knows of a later generation.
pub(crate) const WITHDRAWN_MS: u64 = 30_000;
/// Silent events that are ended in one tick: a tick must not take long.
const SILENT_MAX: usize = 1_000;
/// A host that was let in again says at once what it has, and which of several servers hears it is not known to the others: before it is
/// brought anything it has so long to have it recorded.
const SAYS_MS: u64 = 10_000;
/// Automatic updates of a host to one revision that may fail: one that always does must not be tried for ever.
const UPDATES_MAX: u32 = 3;

impl Engine {
    pub(super) fn tick(&mut self, now: Now, actions: &mut Vec<Action>) {
        if !self.is_caught_up {
            return;
        }
        let deployments: Vec<DeploymentId> = self.state.deployments.keys().cloned().collect();
        for id in &deployments {
            self.tick_deployment(id, now, actions);
        }
        let state = &self.state;
        self.own.retain(|id, _| state.deployments.contains_key(id));
        self.sent.retain(|(id, number), _| {
            let deployment = state.deployments.get(id);
            deployment.is_some_and(|deployment| deployment.running.contains(number))
        });
        self.look_at_returned(actions);
        let groups: Vec<GroupName> = self.state.groups.keys().cloned().collect();
        for name in &groups {
            self.begin(name, now, actions);
            self.reconcile(name, now, actions);
            self.update(name, now, actions);
        }
    }

    fn tick_deployment(&mut self, id: &DeploymentId, now: Now, actions: &mut Vec<Action>) {
        let Some(deployment) = self.state.deployment(id) else {
            return;
        };
        self.own
            .entry(id.clone())
            .or_default()
            .pass(deployment, now);
        let mut again = Vec::new();
        let mut silent = 0;
        for number in &deployment.running {
            if let Some(action) = self.silence(deployment, *number, now) {
                silent += 1;
                if silent <= SILENT_MAX {
                    actions.push(action);
                }
                continue;
            }
            let is_started = deployment
                .at(*number)
                .running
                .is_some_and(|running| running.is_started);
            let sent = self.sent.get(&(id.clone(), *number));
            if !is_started && !is_recent(sent, now, RESEND_MS) && deployment.end.is_none() {
                again.push(*number);
            }
        }
        actions.extend(left_behind(&self.state, deployment));
        for number in again {
            self.command(id, number, now, actions);
        }
        self.decide(id, now, actions);
    }

    /// The end of an event that nothing is heard of.
    fn silence(&self, deployment: &Deployment, number: u32, now: Now) -> Option<Action> {
        let running = deployment.at(number).running?;
        let since = running.since.max(self.hears_since);
        let is_over = deployment.end.as_ref();
        let starts_itself = is_the_balancers(running.event);
        let (most, said) = match (running.is_started || starts_itself, is_over) {
            (true, _) => (END_MS_MAX, "it was not over after an hour"),
            (false, Some(_)) => (WITHDRAWN_MS, "it had not begun when its deployment ended"),
            (false, None) => (
                START_MS_MAX,
                "the host did not begin it within five minutes: its agent may not run, or cannot reach the farm",
            ),
        };
        let since = is_over.map_or(since, |end| {
            if running.is_started {
                since
            } else {
                since.max(end.at)
            }
        });
        if now.wall.millis_since(since) < most {
            return None;
        }
        let ended = TargetEvent::Ended {
            event: running.event,
            status: EventStatus::Unknown,
            diagnostics: Some(Box::new(Diagnostics {
                error_code: if running.is_started {
                    ScriptErrorCode::ScriptTimedOut
                } else {
                    ScriptErrorCode::UnknownError
                },
                script_name: String::new(),
                message: said.to_string(),
                log_tail: String::new(),
                script_from_deployment: None,
                printed: None,
            })),
        };
        event_over(&self.state, deployment, number, running.event, ended).map(Action::Append)
    }

    fn reconcile(&mut self, name: &GroupName, now: Now, actions: &mut Vec<Action>) {
        if is_recent(self.told.get(name), now, RECONCILE_MS) {
            return;
        }
        let active = self
            .state
            .group(name)
            .and_then(|group| group.active.clone());
        let step = active.and_then(|id| {
            let deployment = self.state.deployment(&id)?;
            let is_shift = matches!(deployment.current(), Some(Step::Shift { .. }));
            is_shift.then_some((id, deployment.step))
        });
        self.set_weights(name, step, now, actions);
    }

    /// Hosts that are not on their group's revision, when nothing else is on its way.
    fn update(&mut self, name: &GroupName, now: Now, actions: &mut Vec<Action>) {
        let Some(group) = self.state.group(name).filter(|group| group.is_idle()) else {
            return;
        };
        if is_recent(self.groups_asked.get(name), now, super::AGAIN_MS) {
            return;
        }
        let Some(update) = self.outdated(group, now) else {
            return;
        };
        let seed = format!("{}/{}:{}", name.application, name.group, group.last);
        let id = derived("croft deploy 2026 update of outdated hosts", &seed);
        if let Some(intents) = accepted_as(&self.state, name, &id, update, None, Vec::new()) {
            self.groups_asked.insert(name.clone(), now.steady_ms);
            actions.push(Action::Append(intents));
        }
    }

    fn outdated(&self, group: &Group, now: Now) -> Option<Accepted> {
        let settings = group.settings.as_ref()?;
        let strategy = settings.outdated_instances_strategy.unwrap_or_default();
        let is_in_place = settings.deployment_style.deployment_type
            == croft_proto::deploy::DeploymentType::InPlace;
        if strategy == OutdatedInstancesStrategy::Ignore || !is_in_place {
            return None;
        }
        let good = group.target()?;
        // After a deployment that went badly its hosts are what they are, until somebody deploys: only what changed by itself is mended.
        let last = group
            .ended
            .as_ref()
            .and_then(|id| self.state.deployment(id))?;
        let went = last.end.as_ref()?.status;
        if went != croft_proto::deploy::DeploymentStatus::Succeeded
            && last.accepted.creator != Creator::AutoUpdate
        {
            return None;
        }
        let only: Vec<String> = group
            .hosts
            .iter()
            .filter(|(name, standing)| {
                let host = self.state.host(name);
                let is_heard_first = |host: &Host| {
                    group.left_well.contains(*name)
                        && now.wall.millis_since(host.enrolled_at) < SAYS_MS
                };
                standing.revision != RevisionHealth::Current
                    && standing.updates_failed < UPDATES_MAX
                    && host.is_some_and(|host| {
                        host.is_enrolled
                            && !is_heard_first(host)
                            && host.taken.is_none()
                            && crate::select::is_of_group(settings, &host.tags)
                    })
            })
            .map(|(name, _)| name.clone())
            .take(crate::plan::UPDATED_MAX)
            .collect();
        let mut asked = good.asked.clone();
        asked.description = Some("brings hosts to their group's revision".to_string());
        asked.auto_rollback_configuration = None;
        if let Some(own) = &mut asked.own {
            (own.busy, own.order) = (None, None);
        }
        (!only.is_empty()).then(|| Accepted {
            asked,
            creator: Creator::AutoUpdate,
            parent: None,
            by: "croft".to_string(),
            only,
        })
    }
}

/// Hosts that a deployment has and runs nothing on: a server died, or the deployment ended, between the two.
fn left_behind(state: &crate::State, deployment: &Deployment) -> Vec<Action> {
    let runs = |host: &str| {
        [Side::New, Side::Old].into_iter().any(|side| {
            let number = deployment.target(side, host);
            number.is_some_and(|number| deployment.running.contains(&number))
        })
    };
    if deployment.held.len() <= deployment.running.len() {
        return Vec::new();
    }
    let left = deployment.held.iter().filter(|host| !runs(host));
    left.filter_map(|host| given_back(state, deployment, host))
        .map(|intent| Action::Append(vec![intent]))
        .collect()
}
