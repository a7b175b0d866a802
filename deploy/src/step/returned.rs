//! What a host has that was away: one that comes back with something else than its group's revision is closed, and one that was let in
//! again with that revision is open. Told by the host, through the API; the tick brings it to its group's revision where the group says so,
//! when nothing else is on its way.

use croft_proto::deploy::{GroupEvent, RevisionHealth, Side, Standing};

use super::{Action, Engine};
use crate::intent::{GroupName, Row};
use crate::state::{Deployment, Group};

/// What follows from what a host has.
enum Meaning {
    /// Nothing, or it is recorded.
    Settled,
    /// A deployment is under way: when it is over, it is looked at again.
    Later,
    /// It stands otherwise than was thought: it must not serve, or may again.
    Stands(Standing),
}

impl Engine {
    /// Looks at all hosts that came back. Again with each tick: what was to be recorded may have been refused.
    pub(super) fn look_at_returned(&mut self, actions: &mut Vec<Action>) {
        if !self.is_caught_up {
            return;
        }
        let mut came = std::mem::take(&mut self.came);
        came.retain(|(name, host), digest| {
            let Some(group) = self.state.group(name) else {
                return false;
            };
            match self.meaning(group, host, digest.as_deref()) {
                Meaning::Settled => false,
                Meaning::Later => true,
                Meaning::Stands(standing) => {
                    actions.extend(stands(name, group, host, standing));
                    true
                }
            }
        });
        self.came = came;
    }

    fn meaning(&self, group: &Group, host: &str, digest: Option<&str>) -> Meaning {
        let active = group.active.as_ref();
        let active = active.and_then(|id| self.state.deployment(id));
        if let Some(active) = active.filter(|active| active.has(host)) {
            // What is still to be done there will say what it has.
            return if is_done(active, host) {
                Meaning::Later
            } else {
                Meaning::Settled
            };
        }
        // Which of a host's containers serves, its balancer's checks say; what a host has of files says nothing of it.
        let Some(target) = group.target().filter(|_| group.serves.is_none()) else {
            return Meaning::Settled;
        };
        let has = digest == Some(target.asked.revision.digest.as_str());
        match group.hosts.get(host) {
            Some(before) if is_current(*before) && !has => Meaning::Stands(Standing {
                is_healthy: false,
                revision: RevisionHealth::Unknown,
                updates_failed: before.updates_failed,
            }),
            // It was well there when it was revoked, and nothing was done to it since.
            Some(_) if has && group.left_well.contains(host) => Meaning::Stands(Standing {
                is_healthy: true,
                revision: RevisionHealth::Current,
                updates_failed: 0,
            }),
            Some(_) | None => Meaning::Settled,
        }
    }
}

const fn is_current(standing: Standing) -> bool {
    standing.is_healthy && matches!(standing.revision, RevisionHealth::Current)
}

/// Whether a deployment does nothing more on a host of its.
fn is_done(deployment: &Deployment, host: &str) -> bool {
    [Side::New, Side::Old].into_iter().all(|side| {
        let number = deployment.target(side, host);
        number.is_none_or(|number| deployment.at(number).is_done)
    })
}

fn stands(name: &GroupName, group: &Group, host: &str, standing: Standing) -> Option<Action> {
    let subject = name.subject().ok()?;
    let stand = GroupEvent::Stand {
        hosts: vec![(host.to_string(), standing)],
    };
    let row = Row::after(subject, group.last).says(stand.into());
    Some(Action::Append(row.intents))
}
