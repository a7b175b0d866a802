//! Applications, groups, hosts and the deployments that are not over, folded from the ledger. Fed with every entry in order; read by every
//! decision. Any server that has folded the same entries has the same state, and goes on where another one died.
//!
//! A deployment that is over is kept while one of its hosts still runs an event of it, and while the next of its group may need it.

/// A deployment and its targets.
mod deployment;
/// Groups, and what becomes of them.
mod group;

use std::collections::{BTreeMap, BTreeSet};

use croft_ledger::{Body, Entry, Seq, Subject};
use croft_proto::Timestamp;
use croft_proto::deploy::{
    AppEvent, Application, ConfigEvent, DeploymentConfig, DeploymentEvent, DeploymentId,
    EventStatus, HostEvent, LifecycleEvent, RevisionHealth, Side, Standing, Tag, TargetEvent,
    TargetKind,
};
use serde::de::DeserializeOwned;

pub use deployment::{Deployment, End, Running, Target};
pub use group::{Good, Group, Installed};

use crate::intent::GroupName;

/// An entry that cannot be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// It is not understood: a later croft wrote it, and this one must not decide about what it does not understand.
    #[error("the event at {seq} of {subject} is not understood")]
    NotUnderstood {
        /// Where.
        seq: Seq,
        /// About what.
        subject: Subject,
        /// How it shows.
        #[source]
        source: serde_json::Error,
    },
    /// It cannot follow what came before it.
    #[error("the event at {seq} of {subject} cannot be: {reason}")]
    Impossible {
        /// Where.
        seq: Seq,
        /// About what.
        subject: Subject,
        /// Why.
        reason: &'static str,
    },
}

/// An application.
#[derive(Clone, Debug)]
pub struct App {
    /// It; none when it is gone.
    pub application: Option<Application>,
    /// The last entry of its subject.
    pub last: Seq,
}

/// A host.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Its zone.
    pub zone: Option<String>,
    /// Its key, in hexadecimal.
    pub public_key: String,
    /// Whether it belongs to the farm.
    pub is_enrolled: bool,
    /// Since when, when it does.
    pub enrolled_at: Timestamp,
    /// Invitations by that name that are used up.
    pub invitations: BTreeSet<String>,
    /// The deployment that changes it now.
    pub taken: Option<DeploymentId>,
    /// The last entry of its subject.
    pub last: Seq,
}

/// What an entry changed, for those that act upon it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing that leads to anything.
    Nothing,
    /// A group: one of its deployments may begin.
    Group(GroupName),
    /// A deployment: it has a next step, or is over.
    Deployment(DeploymentId),
    /// A host is free: a deployment may wait for it.
    Host(String),
    /// Targets of a deployment have an event to run.
    Targets(DeploymentId, Vec<u32>),
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) apps: BTreeMap<String, App>,
    pub(crate) configs: BTreeMap<String, (Option<DeploymentConfig>, Seq)>,
    pub(crate) groups: BTreeMap<GroupName, Group>,
    pub(crate) hosts: BTreeMap<String, Host>,
    pub(crate) deployments: BTreeMap<DeploymentId, Deployment>,
}

impl State {
    /// What those entries make.
    ///
    /// # Errors
    /// When one of them cannot be folded.
    pub fn folded<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Result<Self, FoldError> {
        let mut state = Self::default();
        for entry in entries {
            state.fold(entry)?;
        }
        Ok(state)
    }

    /// An application.
    #[must_use]
    pub fn app(&self, name: &str) -> Option<&App> {
        self.apps.get(name)
    }

    /// Applications, those that are gone too.
    pub fn apps(&self) -> impl Iterator<Item = (&String, &App)> {
        self.apps.iter()
    }

    /// Configurations that somebody made, and the last entry of each; none where one is gone.
    pub fn configs(&self) -> impl Iterator<Item = (&String, &(Option<DeploymentConfig>, Seq))> {
        self.configs.iter()
    }

    /// A group.
    #[must_use]
    pub fn group(&self, name: &GroupName) -> Option<&Group> {
        self.groups.get(name)
    }

    /// All groups.
    pub fn groups(&self) -> impl Iterator<Item = (&GroupName, &Group)> {
        self.groups.iter()
    }

    /// A host.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.get(name)
    }

    /// All hosts, those that were revoked too.
    pub fn hosts(&self) -> impl Iterator<Item = (&String, &Host)> {
        self.hosts.iter()
    }

    /// A deployment that is not over, or has not been forgotten.
    #[must_use]
    pub fn deployment(&self, id: &DeploymentId) -> Option<&Deployment> {
        self.deployments.get(id)
    }

    /// Deployments that are not over, or have not been forgotten.
    pub fn deployments(&self) -> impl Iterator<Item = &Deployment> {
        self.deployments.values()
    }

    /// The configuration of that name: predefined, or somebody's.
    #[must_use]
    pub fn config(&self, name: &str) -> Option<DeploymentConfig> {
        croft_proto::deploy::config_named(name, |name| self.configs.get(name)?.0.as_ref())
    }

    /// Folds the next entry.
    ///
    /// # Errors
    /// When it cannot be. A server must then stop acting: it does not know the truth.
    pub fn fold(&mut self, entry: &Entry) -> Result<(), FoldError> {
        self.fold_noting(entry).map(|_| ())
    }

    pub(crate) fn fold_noting(&mut self, entry: &Entry) -> Result<Change, FoldError> {
        let parts: Vec<String> = entry.subject.parts().collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let event = match &entry.body {
            Body::Event(event) => event,
            Body::Tombstone { .. } => return Ok(self.buried(&parts)),
        };
        match parts.as_slice() {
            ["app", name] => {
                let application = match parsed::<AppEvent>(entry, event)? {
                    AppEvent::Applied { application } => Some(application),
                    AppEvent::Deleted => None,
                    AppEvent::Registered(_) => {
                        self.apps.get(*name).and_then(|app| app.application.clone())
                    }
                };
                let last = entry.seq;
                self.apps
                    .insert((*name).to_string(), App { application, last });
                Ok(Change::Nothing)
            }
            ["deployconfig", name] => {
                let config = match parsed::<ConfigEvent>(entry, event)? {
                    ConfigEvent::Made(config) => Some(*config),
                    ConfigEvent::Deleted => None,
                };
                self.configs
                    .insert((*name).to_string(), (config, entry.seq));
                Ok(Change::Nothing)
            }
            ["host", name] => self.fold_host(entry, name, parsed(entry, event)?),
            ["group", application, group] => {
                let name = GroupName {
                    application: (*application).to_string(),
                    group: (*group).to_string(),
                };
                self.fold_group(entry, name, parsed(entry, event)?)
            }
            ["deployment", id] => self.fold_deployment(entry, id, parsed(entry, event)?),
            ["deployment", id, side @ ("host" | "old"), host] => {
                let side = if *side == "host" {
                    Side::New
                } else {
                    Side::Old
                };
                let event: TargetEvent = parsed(entry, event)?;
                let is_installed = matches!(
                    &event,
                    TargetEvent::Ended {
                        event: LifecycleEvent::Install,
                        status: EventStatus::Succeeded,
                        ..
                    }
                );
                let deployment = self.deployment_of(entry, id)?;
                let change = deployment.fold_target(entry, side, host, event)?;
                let (id, group) = (deployment.id.clone(), deployment.group());
                let plan = deployment.plan.as_ref();
                // A new container stands beside the one that serves.
                let is_host = plan.is_some_and(|plan| plan.target_kind == TargetKind::Host);
                let digest = deployment.accepted.asked.revision.digest.clone();
                if is_installed
                    && is_host
                    && let Some(group) = self.groups.get_mut(&group)
                {
                    group.has(host, &id, &digest, entry.at);
                }
                self.forget(&id);
                Ok(change)
            }
            _ => Ok(Change::Nothing),
        }
    }

    /// A purged subject: what it was about was over.
    fn buried(&mut self, parts: &[&str]) -> Change {
        if let ["deployment", id] = parts
            && let Ok(id) = id.parse()
        {
            self.deployments.remove(&id);
        }
        Change::Nothing
    }

    fn fold_host(
        &mut self,
        entry: &Entry,
        name: &str,
        event: HostEvent,
    ) -> Result<Change, FoldError> {
        let host = self.hosts.entry(name.to_string()).or_default();
        host.last = entry.seq;
        match event {
            HostEvent::Enrolled {
                public_key,
                tags,
                zone,
                invitation,
            } => {
                host.public_key = public_key;
                host.invitations.extend(invitation);
                (host.tags, host.zone, host.is_enrolled) = (tags, zone, true);
                host.enrolled_at = entry.at;
            }
            HostEvent::Tagged { tags } => host.tags = tags,
            HostEvent::Revoked => {
                host.is_enrolled = false;
                self.forget_standings(name);
            }
            HostEvent::Taken { deployment } => {
                if host.taken.is_some() {
                    return Err(impossible(entry, "a host is taken by two deployments"));
                }
                if let Some(taker) = self.deployments.get_mut(&deployment) {
                    taker.held.insert(name.to_string());
                }
                host.taken = Some(deployment);
            }
            HostEvent::GivenBack { deployment } => {
                if host.taken.as_ref() != Some(&deployment) {
                    return Err(impossible(
                        entry,
                        "a host is given back by another deployment",
                    ));
                }
                host.taken = None;
                if let Some(taker) = self.deployments.get_mut(&deployment) {
                    taker.held.remove(name);
                }
                self.forget(&deployment);
                return Ok(Change::Host(name.to_string()));
            }
        }
        Ok(Change::Nothing)
    }

    /// Who comes by that name next may be another machine: it has nothing, unless it says so itself.
    fn forget_standings(&mut self, host: &str) {
        for group in self.groups.values_mut() {
            group.installed.remove(host);
            if let Some(standing) = group.hosts.get_mut(host) {
                if standing.is_healthy && standing.revision == RevisionHealth::Current {
                    group.left_well.insert(host.to_string());
                }
                *standing = Standing {
                    is_healthy: false,
                    revision: RevisionHealth::Unknown,
                    updates_failed: 0,
                };
            }
            if group.settings.is_none() {
                group.keep_what_hosts_have();
            }
        }
    }

    fn fold_deployment(
        &mut self,
        entry: &Entry,
        id: &str,
        event: DeploymentEvent,
    ) -> Result<Change, FoldError> {
        if let DeploymentEvent::Accepted(accepted) = event {
            let Ok(id) = id.parse::<DeploymentId>() else {
                return Err(impossible(entry, "it is no deployment's id"));
            };
            let deployment = Deployment::accepted(entry, id.clone(), *accepted);
            self.deployments.insert(id.clone(), deployment);
            return Ok(Change::Deployment(id));
        }
        let deployment = self.deployment_of(entry, id)?;
        let change = deployment.fold(entry, event)?;
        let id = deployment.id.clone();
        self.forget(&id);
        Ok(change)
    }

    fn deployment_of(&mut self, entry: &Entry, id: &str) -> Result<&mut Deployment, FoldError> {
        let id: Option<DeploymentId> = id.parse().ok();
        id.and_then(|id| self.deployments.get_mut(&id))
            .ok_or_else(|| impossible(entry, "there is no such deployment"))
    }

    /// Forgets a deployment that nobody needs any more.
    pub(crate) fn forget(&mut self, id: &DeploymentId) {
        let Some(deployment) = self.deployments.get(id) else {
            return;
        };
        let name = deployment.group();
        let group = self.groups.get(&name);
        let is_needed = group.is_some_and(|group| {
            group.ended.as_ref() == Some(id)
                || group.active.as_ref() == Some(id)
                || group.queue.contains(id)
        });
        if deployment.is_drained() && !is_needed {
            self.deployments.remove(id);
        }
    }
}

pub(crate) fn parsed<T: DeserializeOwned>(entry: &Entry, event: &[u8]) -> Result<T, FoldError> {
    serde_json::from_slice(event).map_err(|source| FoldError::NotUnderstood {
        seq: entry.seq,
        subject: entry.subject.clone(),
        source,
    })
}

pub(crate) fn impossible(entry: &Entry, reason: &'static str) -> FoldError {
    FoldError::Impossible {
        seq: entry.seq,
        subject: entry.subject.clone(),
        reason,
    }
}
