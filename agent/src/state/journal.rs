//! What a group's host has done and is doing, and what that means for the next command. Pure: the record and a command enter, a
//! decision leaves; `host` carries it out and writes the record.

use std::collections::BTreeMap;

use croft_proto::Timestamp;
use croft_proto::deploy::{Colour, DeploymentId, Diagnostics, HostCommand, LifecycleEvent};
use serde::{Deserialize, Serialize};

use crate::container::scripts::Progress;

/// A group's journal. One file, replaced as a whole before and after each event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Journal {
    /// The highest generation seen; 0 before the first.
    pub(crate) generation: u64,
    /// The deployment of that generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deployment: Option<DeploymentId>,
    /// The events of that deployment that are over.
    #[serde(default)]
    pub(crate) finished: BTreeMap<LifecycleEvent, Finished>,
    /// The event that runs, or ran when the agent was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) running: Option<HostCommand>,
    /// The deployment whose Install was the last to succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_successful: Option<DeploymentId>,
    /// The deployment whose revision came last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) most_recent: Option<DeploymentId>,
    /// The deployments whose containers are there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) containers: BTreeMap<Colour, DeploymentId>,
    /// How far the scripts of the event that runs are, where it is a container's: noted beside the journal.
    #[serde(skip)]
    pub(crate) scripts: Progress,
}

/// An event that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finished {
    pub(crate) diagnostics: Diagnostics,
    pub(crate) at: Timestamp,
}

/// What is to be done about a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing: it is not for this host at this time.
    Refuse(Refusal),
    /// Nothing: this is how it ended.
    Recorded(Diagnostics),
    /// An event that the agent's end interrupted has to be dealt with, and then the command is looked at again.
    Settle(HostCommand, Settling),
    /// The event runs; again from its beginning, or from where its plan stands, when it was interrupted.
    Run,
}

/// How an interrupted event is dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settling {
    /// It has failed: whether its scripts did half or all of their work, nobody knows.
    Fail,
    /// Its changes are undone, and it has failed: nobody wants it any more.
    Undo,
}

/// Why a command is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its time is over.
    #[error(
        "deployment {deployment} is of generation {generation}, and this host has seen generation {seen} of the group"
    )]
    OlderGeneration {
        /// The command's.
        deployment: DeploymentId,
        /// The command's.
        generation: u64,
        /// This host's.
        seen: u64,
    },
    /// Two deployments cannot be the same one.
    #[error("generation {generation} of the group is deployment {is}, and not {said}")]
    AnotherDeployment {
        /// Of both.
        generation: u64,
        /// This host's.
        is: DeploymentId,
        /// The command's.
        said: DeploymentId,
    },
    /// The balancer's events are not this agent's.
    #[error("{0} is not for hosts: whoever manages the balancer does it")]
    NotForHosts(LifecycleEvent),
    /// An event of the group runs.
    #[error("an event of deployment group {0} is running on this host already")]
    Busy(String),
    /// What is kept of a group is kept under its id.
    #[error("{0:?} cannot be the id of a deployment group: letters, digits, `-`, `_` and `.` can")]
    GroupId(String),
}

/// What a command means to a group that has that journal.
pub(crate) fn decide(journal: &Journal, command: &HostCommand) -> Decision {
    if matches!(
        command.event,
        LifecycleEvent::BlockTraffic | LifecycleEvent::AllowTraffic
    ) {
        return Decision::Refuse(Refusal::NotForHosts(command.event));
    }
    if command.generation < journal.generation {
        return Decision::Refuse(Refusal::OlderGeneration {
            deployment: command.deployment_id.clone(),
            generation: command.generation,
            seen: journal.generation,
        });
    }
    let is_new = command.generation > journal.generation;
    if let Some(is) = &journal.deployment
        && !is_new
        && *is != command.deployment_id
    {
        return Decision::Refuse(Refusal::AnotherDeployment {
            generation: command.generation,
            is: is.clone(),
            said: command.deployment_id.clone(),
        });
    }
    if let Some(running) = &journal.running {
        let is_asked_for = !is_new && running.event == command.event;
        // A container's own part of an event may be done again.
        let is_ours = running.container.is_some() && journal.scripts != Progress::Within;
        if is_asked_for && is_ours {
            return Decision::Run;
        }
        let is_of_files = running.container.is_none();
        return match (running.event, is_asked_for) {
            (LifecycleEvent::DownloadBundle | LifecycleEvent::Install, true) => Decision::Run,
            (LifecycleEvent::Install, false) if is_of_files => {
                Decision::Settle(running.clone(), Settling::Undo)
            }
            (
                LifecycleEvent::DownloadBundle
                | LifecycleEvent::BeforeBlockTraffic
                | LifecycleEvent::BlockTraffic
                | LifecycleEvent::AfterBlockTraffic
                | LifecycleEvent::ApplicationStop
                | LifecycleEvent::BeforeInstall
                | LifecycleEvent::Install
                | LifecycleEvent::AfterInstall
                | LifecycleEvent::ApplicationStart
                | LifecycleEvent::ValidateService
                | LifecycleEvent::BeforeAllowTraffic
                | LifecycleEvent::AllowTraffic
                | LifecycleEvent::AfterAllowTraffic,
                _,
            ) => Decision::Settle(running.clone(), Settling::Fail),
        };
    }
    match journal.finished.get(&command.event) {
        Some(finished) if !is_new => Decision::Recorded(finished.diagnostics.clone()),
        Some(_) | None => Decision::Run,
    }
}

impl Journal {
    /// The event runs from now on.
    pub(crate) fn begin(&mut self, command: &HostCommand) {
        if command.generation > self.generation {
            self.finished.clear();
        }
        self.generation = command.generation;
        self.deployment = Some(command.deployment_id.clone());
        self.running = Some(command.clone());
    }

    /// The event that ran is over.
    pub(crate) fn end(&mut self, command: &HostCommand, diagnostics: &Diagnostics, at: Timestamp) {
        self.running = None;
        let finished = Finished {
            diagnostics: diagnostics.clone(),
            at,
        };
        self.finished.insert(command.event, finished);
        if diagnostics.error_code != croft_proto::deploy::ScriptErrorCode::Success {
            return;
        }
        if command.event == LifecycleEvent::DownloadBundle {
            self.most_recent = Some(command.deployment_id.clone());
        }
        if command.event == LifecycleEvent::Install && command.container.is_none() {
            self.last_successful = Some(command.deployment_id.clone());
        }
        if let Some(order) = command.container {
            match command.event {
                LifecycleEvent::Install => {
                    let id = command.deployment_id.clone();
                    self.containers.insert(order.colour, id);
                }
                LifecycleEvent::ApplicationStop => {
                    self.containers.remove(&order.colour);
                }
                LifecycleEvent::BeforeBlockTraffic
                | LifecycleEvent::BlockTraffic
                | LifecycleEvent::AfterBlockTraffic
                | LifecycleEvent::DownloadBundle
                | LifecycleEvent::BeforeInstall
                | LifecycleEvent::AfterInstall
                | LifecycleEvent::ApplicationStart
                | LifecycleEvent::ValidateService
                | LifecycleEvent::BeforeAllowTraffic
                | LifecycleEvent::AllowTraffic
                | LifecycleEvent::AfterAllowTraffic => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
