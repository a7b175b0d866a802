//! Deployments under watch: what is asked of alarms and metrics for them, and what that says becomes advice for the decisions.

use std::collections::BTreeSet;

use croft_proto::Timestamp;
use croft_proto::deploy::{DeploymentId, Plan};

use super::{Arrived, Loop};
use crate::advice::Advice;
use crate::ask::noted;
use crate::server::alarms::Wanted;
use crate::server::verdicts::{Answered, both};
use crate::state::FoldError;
use crate::step::Input;

impl Loop {
    /// Asks for all alarms, when somebody is watched.
    pub(super) fn poll(&mut self) {
        let Some(alerts) = self.parts.alerts.clone() else {
            return;
        };
        if self.watched().is_empty() || std::mem::replace(&mut self.is_polling, true) {
            return;
        }
        let asked = self.parts.clock.now();
        let wanted = Wanted {
            names: self.alarms(),
            since: self.watched_since(asked),
        };
        self.on_their_way.push(Box::pin(async move {
            Arrived::Polled(asked, alerts.all(&wanted).await)
        }));
    }

    /// Asks for what the watches want to know next; each has one round on its way.
    pub(super) fn measure(&mut self) {
        let judged = self.judged();
        self.verdicts.keep(self.engine.state(), &judged);
        let Some(metrics) = &self.parts.metrics else {
            return;
        };
        for asking in self.verdicts.ask(metrics, self.parts.clock.now()) {
            let arrives = async move { Arrived::Measured(asking.await) };
            self.on_their_way.push(Box::pin(arrives));
        }
    }

    pub(super) fn measured(&mut self, answered: Answered) -> Result<(), FoldError> {
        let (state, now) = (self.engine.state(), self.parts.clock.now());
        let is_behind = self.verdicts.answered(state, answered, now);
        for cause in self.verdicts.newly_lacking() {
            self.parts.counts.missing(cause);
        }
        for (id, notes) in self.verdicts.to_note(state) {
            let noted = state.deployment(&id).and_then(|one| noted(one, notes));
            if let Some(intents) = noted {
                self.append(&intents);
            }
        }
        if is_behind {
            self.measure();
        }
        self.advise()
    }

    /// Alarms that a group, or a deployment on its way, asks for.
    pub(super) fn alarms(&self) -> BTreeSet<String> {
        let state = self.engine.state();
        let of_groups = state.groups().flat_map(|(_, group)| {
            let settings = group.settings.as_ref();
            let alarms = settings.and_then(|settings| settings.alarm_configuration.as_ref());
            alarms.map(|alarms| &alarms.alarms[..]).unwrap_or_default()
        });
        let plans = state.deployments().filter_map(|one| one.plan.as_ref());
        let of_plans = plans.flat_map(|plan| &plan.alarms);
        of_groups
            .chain(of_plans)
            .map(|alarm| alarm.name.clone())
            .collect()
    }

    /// When the deployment began that is watched for the longest time.
    fn watched_since(&self, now: Timestamp) -> Timestamp {
        let state = self.engine.state();
        let watched = self.watched();
        let began = watched.iter().filter_map(|id| state.deployment(id)?.began);
        began.min().unwrap_or(now)
    }

    /// Deployments on their way that alarms may end.
    pub(super) fn watched(&self) -> Vec<DeploymentId> {
        self.active(|plan| plan.is_watched)
    }

    /// The same, and those that guard rails may halt.
    fn judged(&self) -> Vec<DeploymentId> {
        self.active(|plan| plan.is_watched || plan.verdicts.is_some())
    }

    fn active(&self, is: impl Fn(&Plan) -> bool) -> Vec<DeploymentId> {
        let state = self.engine.state();
        let active = state.groups().filter_map(|(_, group)| {
            let deployment = state.deployment(group.active.as_ref()?)?;
            let plan = deployment.plan.as_ref()?;
            is(plan).then(|| deployment.id.clone())
        });
        active.collect()
    }

    /// Says of each deployment that is watched what is to become of it.
    pub(super) fn advise(&mut self) -> Result<(), FoldError> {
        let (polls, now) = (self.parts.alerts.is_some(), self.parts.clock.now());
        let (watched, judged) = (self.watched(), self.judged());
        self.held.retain(|id, _| watched.contains(id));
        for id in judged {
            let Some(deployment) = self.engine.state().deployment(&id) else {
                continue;
            };
            let is_watched = watched.contains(&id);
            let alarms = match is_watched {
                true => self.watch.advice(deployment, polls, now),
                false => Advice::Continue,
            };
            let has_source = self.parts.metrics.is_some();
            let measured = self.verdicts.advice(deployment, has_source, now);
            if is_watched {
                self.note_held(&id, &alarms, &measured);
            }
            let advice = both(alarms, measured);
            self.step(Input::Advised(id, advice))?;
        }
        Ok(())
    }
}
