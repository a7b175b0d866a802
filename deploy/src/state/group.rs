//! A group: its settings, its turn-taking, what it had that was good, and how it is with its hosts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use croft_ledger::{Entry, Seq};
use croft_proto::Timestamp;
use croft_proto::deploy::{
    Colour, ComputePlatform, DeploymentGroup, DeploymentId, DeploymentStatus, GroupEvent,
    RevisionHealth, Side, Standing, StartDeployment,
};

use super::{Change, FoldError, State, impossible};
use crate::intent::GroupName;

/// Good deployments that a group remembers: as far as one may go back by hand.
const GOOD_MAX: usize = 10;

/// A deployment that went well.
#[derive(Clone, Debug)]
pub struct Good {
    /// Which.
    pub deployment: DeploymentId,
    /// What it deployed, and how.
    pub asked: StartDeployment,
}

/// What a host has of a group, by what it said last of an Install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The deployment that put it there.
    pub deployment: DeploymentId,
    /// The digest of its revision.
    pub digest: String,
    /// When.
    pub at: Timestamp,
}

/// A group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Its settings; none when it is gone.
    pub settings: Option<DeploymentGroup>,
    /// The id under which its hosts keep what they have of it: one that is gone and is made again has the same.
    pub id: Option<String>,
    /// What its application ran on when it was applied.
    platform: ComputePlatform,
    /// Since when it is gone.
    gone_since: Option<Timestamp>,
    /// The last entry of its subject.
    pub last: Seq,
    /// Of its latest deployment that began.
    pub generation: u64,
    /// The deployment that has it.
    pub active: Option<DeploymentId>,
    /// Those that wait, the next one first.
    pub queue: VecDeque<DeploymentId>,
    /// The highest place among its revisions that was asked for.
    pub order_max: Option<u64>,
    /// Deployments that went well, the latest last; that one is what its hosts should have.
    pub good: VecDeque<Good>,
    /// How it is with hosts that were deployed to.
    pub hosts: BTreeMap<String, Standing>,
    /// Hosts that were well, on the group's revision, when they were revoked, until anything else is known of them: one that is let in
    /// again and still has that revision is well.
    pub left_well: BTreeSet<String>,
    /// What hosts have of it: files, or the container that serves. Of what is purged nothing is known.
    pub installed: BTreeMap<String, Installed>,
    /// Which containers of its hosts serve; none before the first deployment of some that went well.
    pub serves: Option<Colour>,
    /// The deployment that ended last: whatever takes it back looks at it.
    pub ended: Option<DeploymentId>,
}

impl Group {
    /// What its hosts should have.
    #[must_use]
    pub fn target(&self) -> Option<&Good> {
        self.good.back()
    }

    /// Whether it may be taken back to what went well: one that is gone may be made again for so long.
    #[must_use]
    pub fn may_go_back(&self, now: Timestamp) -> bool {
        let is_long_gone = |gone: Timestamp| now.millis_since(gone) > GONE_KEPT_MS;
        !self.gone_since.is_some_and(is_long_gone)
    }

    /// Whether none of its deployments is on its way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.active.is_none() && self.queue.is_empty()
    }
}

/// What a group that was deleted had is remembered, and kept in the store, for thirty days: long enough to notice that it is missed. Groups that
/// come and go with every change of a project would fill the store otherwise.
const GONE_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1000;

impl State {
    /// The id that a group of that name is to have, if it has or had one. What hosts keep is kept under it, so a group that was deleted takes
    /// up what they have when it is made again; unless its application has become one of another kind, which nothing of that is of use to.
    #[must_use]
    pub fn id_of(&self, name: &GroupName) -> Option<&str> {
        let group = self.groups.get(name)?;
        let is_same = group.settings.is_some() || group.platform == self.platform_of(name);
        group.id.as_deref().filter(|_| is_same)
    }

    fn platform_of(&self, name: &GroupName) -> ComputePlatform {
        let app = self.apps.get(&name.application);
        let application = app.and_then(|app| app.application.as_ref());
        application.map_or_else(ComputePlatform::default, |one| one.compute_platform)
    }

    pub(crate) fn fold_group(
        &mut self,
        entry: &Entry,
        name: GroupName,
        event: GroupEvent,
    ) -> Result<Change, FoldError> {
        let platform = self.platform_of(&name);
        let group = self.groups.entry(name.clone()).or_default();
        group.last = entry.seq;
        match event {
            GroupEvent::Applied(settings) => {
                group.applied(*settings, platform, entry.at);
            }
            GroupEvent::Deleted => {
                group.settings = None;
                group.gone_since = Some(entry.at);
                group.keep_what_hosts_have();
                if let Some(ended) = group.ended.take() {
                    self.forget(&ended);
                }
            }
            GroupEvent::Accepted {
                deployment,
                order,
                supersedes,
            } => {
                group.order_max = group.order_max.max(order);
                group.queue.retain(|waiting| !supersedes.contains(waiting));
                group.queue.push_back(deployment);
                for older in &supersedes {
                    self.forget(older);
                }
            }
            GroupEvent::Began {
                deployment,
                generation,
            } => {
                if group.active.is_some() {
                    return Err(impossible(entry, "a group has two deployments"));
                }
                if generation <= group.generation {
                    return Err(impossible(entry, "a generation goes backwards"));
                }
                group.generation = generation;
                group.queue.retain(|waiting| *waiting != deployment);
                group.active = Some(deployment);
            }
            GroupEvent::Stand { hosts } => {
                for (host, _) in &hosts {
                    group.left_well.remove(host);
                }
                group.hosts.extend(hosts);
            }
            GroupEvent::Ended {
                deployment,
                status,
                rollback,
                serves,
            } => {
                group.serves = serves.or(group.serves);
                if let Some(over) = self
                    .deployments
                    .get(&deployment)
                    .filter(|_| serves.is_some())
                {
                    group.turned_to(over, entry.at);
                }
                return Ok(self.ended(name, deployment, status, rollback));
            }
        }
        Ok(Change::Group(name))
    }

    fn ended(
        &mut self,
        name: GroupName,
        deployment: DeploymentId,
        status: DeploymentStatus,
        rollback: Option<DeploymentId>,
    ) -> Change {
        let Some(group) = self.groups.get_mut(&name) else {
            return Change::Nothing;
        };
        let had_begun = group.active.as_ref() == Some(&deployment);
        if had_begun {
            group.active = None;
        }
        group.queue.retain(|waiting| *waiting != deployment);
        let over = self.deployments.get(&deployment);
        if status == DeploymentStatus::Succeeded
            && let Some(over) = over
        {
            group.went_well(over);
        }
        if let Some(rollback) = rollback {
            group.queue.push_front(rollback);
        }
        // One that never began has changed nothing, and what takes the one before it back still looks at that.
        let forgotten = if had_begun {
            group.ended.replace(deployment)
        } else {
            Some(deployment)
        };
        if let Some(forgotten) = forgotten {
            self.forget(&forgotten);
        }
        Change::Group(name)
    }
}

impl Group {
    fn applied(&mut self, settings: DeploymentGroup, platform: ComputePlatform, now: Timestamp) {
        let id = settings.deployment_group_id.clone();
        let is_another = self.id.as_ref().is_some_and(|known| *known != id);
        // Under another id hosts have nothing. What they have seen of generations may be of any id's.
        if is_another || !self.may_go_back(now) {
            *self = Self {
                last: self.last,
                generation: self.generation,
                active: self.active.take(),
                queue: std::mem::take(&mut self.queue),
                ended: self.ended.take(),
                ..Self::default()
            };
        }
        self.gone_since = None;
        (self.settings, self.id, self.platform) = (Some(settings), Some(id), platform);
    }

    /// Of a group that is gone nothing is remembered but what its hosts have: that is what it can take up, and what the farm keeps.
    pub(super) fn keep_what_hosts_have(&mut self) {
        self.order_max = None;
        let is_on_target = |standing: &Standing| standing.revision == RevisionHealth::Current;
        let target = self.target().map(|good| good.deployment.clone());
        let target = target.filter(|_| self.hosts.values().any(is_on_target));
        let installed = &self.installed;
        self.good.retain(|good| {
            let digest = &good.asked.revision.digest;
            target.as_ref() == Some(&good.deployment)
                || installed.values().any(|has| has.digest == *digest)
        });
    }

    /// The containers of a deployment serve from now on.
    fn turned_to(&mut self, over: &super::Deployment, at: Timestamp) {
        let digest = &over.accepted.asked.revision.digest;
        for target in &over.targets {
            if target.planned.side == Side::New && !target.is_failed {
                self.has(&target.planned.host, &over.id, digest, at);
            }
        }
    }

    /// A host has that revision; whatever put it there first did.
    pub(super) fn has(&mut self, host: &str, by: &DeploymentId, digest: &str, at: Timestamp) {
        let known = self.installed.get(host);
        if known.is_none_or(|known| known.digest != digest) {
            let installed = Installed {
                deployment: by.clone(),
                digest: digest.to_string(),
                at,
            };
            self.installed.insert(host.to_string(), installed);
        }
    }

    fn went_well(&mut self, over: &super::Deployment) {
        let asked = over.accepted.asked.clone();
        let before = self.target().map(|good| good.asked.revision.digest.clone());
        if before.as_ref() != Some(&asked.revision.digest) {
            // Hosts that were current and were not deployed to have an older one now.
            for (host, standing) in &mut self.hosts {
                standing.updates_failed = 0;
                if standing.revision == RevisionHealth::Current && !over.has(host) {
                    standing.revision = RevisionHealth::Old;
                }
            }
        }
        // What was gone back to is the latest again: what came after it was not good enough.
        self.good
            .retain(|good| good.asked.revision.digest != asked.revision.digest);
        self.good.push_back(Good {
            deployment: over.id.clone(),
            asked,
        });
        if self.good.len() > GOOD_MAX {
            self.good.pop_front();
        }
    }
}
