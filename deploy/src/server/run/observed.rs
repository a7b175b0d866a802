//! What the loop tells its counters: what has happened, and once a second how all of it stands.

use std::collections::BTreeSet;

use croft_proto::deploy::DeploymentId;

use super::Loop;
use crate::advice::Advice;
use crate::server::metrics::{AlarmStanding, BalancerStanding, Bet, Standing};
use crate::state::Deployment;

impl Loop {
    /// Remembers why a deployment is held, if it is.
    pub(super) fn note_held(&mut self, id: &DeploymentId, alarms: &Advice, measured: &Advice) {
        let state = self.engine.state();
        let minds = |one: &&Deployment| one.end.is_none() && !one.is_continued;
        let mut reasons = BTreeSet::new();
        if let Some(deployment) = state.deployment(id).filter(minds) {
            if matches!(alarms, Advice::Hold { .. }) {
                reasons.insert("alarms_unread");
            }
            if matches!(measured, Advice::Hold { .. }) {
                let (has_source, now) = (self.parts.metrics.is_some(), self.parts.clock.now());
                reasons.extend(self.verdicts.holds(&deployment.id, has_source, now));
            }
        }
        self.held.insert(id.clone(), reasons);
    }

    /// How all of it stands.
    pub(super) fn show(&self) {
        let state = self.engine.state();
        let hosts = state.hosts().filter(|(_, host)| host.is_enrolled);
        let heard = hosts.filter(|(name, _)| self.mailbox.is_heard(name));
        self.parts.counts.show(&Standing {
            state,
            hosts_heard: heard.count(),
            held: &self.held,
            bets: self.bets(),
            alarms: self.alarm_standings(),
            balancers: self.balancer_standings(),
        });
    }

    fn bets(&self) -> Vec<Bet> {
        let state = self.engine.state();
        let mut bets = Vec::new();
        for (id, watch) in self.verdicts.watches() {
            let Some(deployment) = state.deployment(id) else {
                continue;
            };
            bets.extend(watch.bets().map(|bet| Bet {
                group: deployment.group(),
                metric: bet.metric.to_owned(),
                wealth: bet.wealth,
                decides_at: bet.decides_at,
            }));
        }
        bets
    }

    fn alarm_standings(&self) -> Vec<AlarmStanding> {
        let (polls, is_watching) = (self.parts.alerts.is_some(), !self.watched().is_empty());
        let alerts = self.alarms().into_iter().map(|name| AlarmStanding {
            fires: self.watch.fires(&name, polls, is_watching),
            kind: "alert",
            name,
        });
        let watches = self.verdicts.watches();
        let own = watches.flat_map(|(_, watch)| watch.alarms());
        let own = own.map(|(name, fires)| AlarmStanding {
            name: name.to_owned(),
            kind: "alarm",
            fires,
        });
        alerts.chain(own).collect()
    }

    fn balancer_standings(&self) -> Vec<BalancerStanding> {
        let told = self.balancers.standings().filter(|(group, ..)| {
            // A balancer that a group no longer has is nobody's trouble.
            self.router(group).is_some()
        });
        let standing =
            |(group, is_reached, problems): (&crate::GroupName, bool, usize)| BalancerStanding {
                group: group.clone(),
                is_reached,
                problems,
            };
        told.map(standing).collect()
    }
}
