//! What a deployment that is over has left on its hosts when it did not go well and nothing takes it back: who has its revision, who is down,
//! and what to do.

use croft_proto::deploy::{Creator, DeploymentStatus, Left, Side, WAIT_NAMES_MAX};

use crate::finish::named;
use crate::state::{Deployment, Target};

/// Letters of a digest that tell revisions apart.
const DIGEST_CHARS: usize = 12;

impl Deployment {
    /// What it has left; none when it went well or goes on, when something takes it back, and when it has changed nothing.
    pub(super) fn left(&self) -> Option<Left> {
        let (plan, end) = (self.plan.as_ref()?, self.end.as_ref()?);
        let is_left = end.status != DeploymentStatus::Succeeded && end.rollback.is_none();
        if !is_left || !self.has_changed_anything() {
            return None;
        }
        let of = |is: fn(&Target) -> bool| -> Vec<&str> {
            let new = self.targets.iter();
            new.filter(|target| target.planned.side == Side::New && is(target))
                .map(|target| target.planned.host.as_str())
                .collect()
        };
        let done = of(|target| target.is_done && !target.is_failed);
        let failed = of(|target| target.is_failed);
        let between = of(|target| target.is_attempted && !target.is_done && !target.is_failed);
        let has_old = self
            .targets
            .iter()
            .any(|target| target.planned.side == Side::Old);
        let (message, advice) = if plan.has_sides() && has_old {
            let hosts = [&done[..], &failed, &between].concat();
            let message = format!(
                "the old side has all traffic, and {} have what is new without any",
                named(&hosts)
            );
            (message, "the next deployment takes its place".to_string())
        } else {
            let down = match plan.moves_traffic {
                true => "so its balancer sends it nothing",
                false => "so it may not serve",
            };
            let parts = [
                (&done, "with the revision of this deployment", ""),
                (&failed, "where it failed", down),
                (&between, "in the middle of it", down),
            ];
            let said = parts.iter().filter(|(hosts, ..)| !hosts.is_empty());
            let said = said.map(|(hosts, how, then)| match then.is_empty() {
                true => format!("{} {how}", named(hosts)),
                false => format!("{} {how}, {then}", named(hosts)),
            });
            let message = format!("it leaves {}", said.collect::<Vec<_>>().join("; "));
            (message, self.way_back())
        };
        let owned = |hosts: Vec<&str>| {
            let hosts = hosts.into_iter().take(WAIT_NAMES_MAX);
            hosts.map(str::to_string).collect()
        };
        Some(Left {
            done: owned(done),
            failed: owned(failed),
            between: owned(between),
            message,
            advice,
        })
    }

    /// The command that brings its hosts to a good revision.
    fn way_back(&self) -> String {
        let name = self.group();
        let (application, group) = (&name.application, &name.group);
        let good = self
            .plan
            .as_ref()
            .and_then(|plan| plan.previous_revision.as_ref());
        // What took another one back is tried again by hand.
        let again = match self.accepted.creator {
            Creator::Rollback => "again ",
            Creator::User | Creator::AutoUpdate => "",
        };
        let own = &self.accepted.asked.revision.digest;
        let is_rollback = self.accepted.creator == Creator::Rollback;
        match good {
            // Going back would lead past it.
            Some(good) if good.digest == *own && !is_rollback => format!(
                "it is the revision that went well last: croft deploy {application} {group} --revision {own} deploys it again"
            ),
            Some(good) => {
                let digest: String = good.digest.chars().take(DIGEST_CHARS).collect();
                format!(
                    "croft deployment rollback {application} {group} brings them {again}to the revision that went well last ({digest})"
                )
            }
            None => format!(
                "no deployment of the group has gone well yet: croft deploy {application} {group} --revision WHAT"
            ),
        }
    }
}
