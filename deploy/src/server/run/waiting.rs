//! What deployments wait for, as this server sees it: its ears, its balancers and those who watch, put beside what is folded.

use croft_proto::deploy::{DeploymentId, Wait};

use super::Loop;
use crate::ask::Watchers;
use crate::server::routing::words;
use crate::state::Deployment;
use crate::waits::{Knows, Silence, waits};

impl Loop {
    /// What a deployment waits for; empty for one that is forgotten.
    pub(super) fn waits(&self, id: &DeploymentId) -> Vec<Wait> {
        let state = self.engine.state();
        let Some(deployment) = state.deployment(id) else {
            return Vec::new();
        };
        let own = self.engine.own(deployment, self.now());
        let group = deployment.group();
        let balancer = self.router(&group).map(|router| words(&router));
        let balancer = balancer.map(|which| self.balancers.waits(&group, &which));
        waits(
            state,
            deployment,
            Knows {
                now: self.parts.clock.now(),
                silence: &|host| match self.silences.of(host) {
                    Some(last) => Silence::Since(last),
                    None if self.mailbox.is_there(host) => Silence::None,
                    None => Silence::Unknown,
                },
                hears_since: own.hears_since,
                balancer: balancer.unwrap_or_default(),
                watchers: self.watchers(deployment),
                is_held: own.is_held,
                held_ms: own.held_ms,
                is_routed: own.is_routed,
            },
        )
    }

    /// Whether those who watch a deployment hold it, and people are told so.
    pub(super) fn what_watchers_say(&self, id: &DeploymentId) -> Watchers {
        let deployment = self.engine.state().deployment(id);
        let is_held = deployment.is_some_and(|one| {
            self.engine.own(one, self.now()).is_held && !self.watchers(one).is_empty()
        });
        match is_held {
            true => Watchers::Hold,
            false => Watchers::LetGo,
        }
    }

    /// What those say who watch a deployment; nothing once nobody minds them.
    fn watchers(&self, deployment: &Deployment) -> Vec<Wait> {
        let is_watched = deployment.plan.as_ref().is_some_and(|plan| plan.is_watched);
        if !is_watched || deployment.is_continued || deployment.is_past_return() {
            return Vec::new();
        }
        let now = self.parts.clock.now();
        let alerts = self.parts.alerts.as_ref().map(|alerts| alerts.name());
        let metrics = self.parts.metrics.as_ref().map(|metrics| metrics.name());
        let alarms = self.watch.waits(deployment, alerts.as_deref(), now);
        let measured = self.verdicts.waits(deployment, metrics.as_deref(), now);
        alarms.into_iter().chain(measured).collect()
    }
}
