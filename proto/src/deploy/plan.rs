//! A deployment as it is carried out: made once when it starts, and never changed. Made by the engine; recorded in the ledger.

use serde::{Deserialize, Serialize};

use super::{
    ActionOnTimeout, AlarmName, AutoRollbackEvent, Colour, ContainerOrder, Creator, DeploymentId,
    DeploymentType, FileExistsBehavior, HostCommand, LifecycleEvent, PlannedContainers, Revision,
    VerdictSettings,
};

/// Which part of a deployment a target is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// It is changed, or is to have the traffic.
    New,
    /// It has the traffic that is moved away.
    Old,
}

impl Side {
    /// AWS's word for a side: the new one is green. Of containers, the colour that they have.
    #[must_use]
    pub const fn label(self, containers: Option<PlannedContainers>) -> &'static str {
        let colour = match (self, containers) {
            (Self::New, None) => Colour::Green,
            (Self::Old, None) => Colour::Blue,
            (Self::New, Some(containers)) => containers.new,
            (Self::Old, Some(containers)) => containers.new.other(),
        };
        match colour {
            Colour::Blue => "Blue",
            Colour::Green => "Green",
        }
    }
}

/// What the targets are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TargetKind {
    /// Hosts.
    #[default]
    Host,
    /// Containers of hosts: the new one beside the old one.
    Container,
}

/// How it was with a host before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Was {
    /// Its last deployment went well. Changing it lowers the number of healthy hosts.
    Healthy,
    /// It did not, or there was none. Changing it lowers nothing.
    Unhealthy,
}

/// A target of a deployment. Its number is its place in the plan's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTarget {
    /// The host's name.
    pub host: String,
    /// Its zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its part.
    pub side: Side,
    /// How it was.
    pub was: Was,
}

/// How many hosts must stay healthy, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthRule {
    /// So many.
    pub minimum: u32,
    /// So many are changed at once, at most.
    pub at_once_max: u32,
}

/// How many hosts there are, and were healthy before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fleet {
    /// All, those among them that are not changed.
    pub total: u32,
    /// Those that were healthy before.
    pub healthy_before: u32,
    /// Those that are not changed, and are healthy.
    pub bystanders: u32,
}

/// How many targets of a step are changed at once, and what it takes to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "pace",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Pace {
    /// As many as the fleet's rule lets, and the zone's where there are zones.
    Healthy {
        /// The zone's rule and hosts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        zone: Option<(HealthRule, Fleet)>,
    },
    /// All that have not failed; enough of them must do well.
    Enough,
    /// All, and all must do well.
    Every,
    /// All, and nothing depends on them.
    Whichever,
}

/// Targets next to each other in the plan's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first.
    pub from: u32,
    /// After the last.
    pub to: u32,
}

/// One step of a deployment. Each begins when the one before it is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Step {
    /// Targets run events.
    Run {
        /// Which.
        targets: Span,
        /// What they run, in order.
        events: Vec<LifecycleEvent>,
        /// How many at once.
        #[serde(flatten)]
        pace: Pace,
    },
    /// A zone is watched.
    Watch {
        /// For so long.
        wait_ms: u64,
    },
    /// Waits to be told that traffic may move.
    Ready {
        /// For so long.
        wait_ms: u64,
        /// What then.
        on_timeout: ActionOnTimeout,
    },
    /// The new side gets so much of the traffic.
    Shift {
        /// Of a hundred.
        percent: u32,
        /// How long it is watched then.
        wait_ms: u64,
    },
    /// All is done; it is watched, and the old side is kept warm.
    Bake {
        /// For so long.
        wait_ms: u64,
    },
}

/// A deployment as it is carried out. Its targets are recorded beside it, in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Which of its group's deployments it is, from 1. Hosts refuse commands of older ones.
    pub generation: u64,
    /// The deployment that it takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<DeploymentId>,
    /// Who started it.
    pub creator: Creator,
    /// The application.
    pub application_name: String,
    /// The group.
    pub deployment_group_name: String,
    /// The group's id.
    pub deployment_group_id: String,
    /// Whether hosts are changed or replaced.
    pub deployment_type: DeploymentType,
    /// What the targets are.
    pub target_kind: TargetKind,
    /// Which containers they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<PlannedContainers>,
    /// What is deployed.
    pub revision: Revision,
    /// What the group had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_revision: Option<Revision>,
    /// The AppSpec file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_spec_filename: Option<String>,
    /// What happens to files that are there already.
    pub file_exists_behavior: FileExistsBehavior,
    /// Whether a host goes on when the old revision's scripts fail.
    pub ignore_application_stop_failures: bool,
    /// The configuration.
    pub deployment_config_name: String,
    /// How many hosts must stay healthy.
    pub rule: HealthRule,
    /// Of how many.
    pub fleet: Fleet,
    /// How many targets follow, in parts.
    pub targets: u32,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// Whether a balancer is told.
    pub moves_traffic: bool,
    /// The alarms that end it.
    pub alarms: Vec<AlarmName>,
    /// Whether it goes on when those cannot be read.
    pub ignore_poll_alarm_failure: bool,
    /// Whether it goes on only while somebody who watches it says so.
    pub is_watched: bool,
    /// What its detectors measure, as its group had it when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdicts: Option<VerdictSettings>,
    /// What takes it back.
    pub rollback_on: Vec<AutoRollbackEvent>,
}

impl Plan {
    /// AWS's word for a side of it: none where there are no two sides.
    #[must_use]
    pub fn label(&self, side: Side) -> Option<&'static str> {
        let has_two = self.has_sides() || self.containers.is_some();
        has_two.then(|| side.label(self.containers))
    }

    /// Whether one side takes the other's place and traffic moves between them, as with blue/green and canaries; else hosts are changed where
    /// they are.
    #[must_use]
    pub fn has_sides(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| matches!(step, Step::Shift { .. }))
    }

    /// Which of its host's containers a target is; none when it is the host itself.
    #[must_use]
    pub fn colour(&self, side: Side) -> Option<Colour> {
        let new = self.containers?.new;
        Some(match side {
            Side::New => new,
            Side::Old => new.other(),
        })
    }

    /// What a target's host is told for one event.
    #[must_use]
    pub fn command(&self, id: &DeploymentId, side: Side, event: LifecycleEvent) -> HostCommand {
        let container = self.containers.zip(self.colour(side));
        HostCommand {
            deployment_id: id.clone(),
            generation: self.generation,
            event,
            application_name: self.application_name.clone(),
            deployment_group_name: self.deployment_group_name.clone(),
            deployment_group_id: self.deployment_group_id.clone(),
            revision: self.revision.clone(),
            app_spec_filename: self.app_spec_filename.clone(),
            file_exists_behavior: self.file_exists_behavior,
            creator: self.creator.name().to_string(),
            deployment_type: self.deployment_type,
            container: container.map(|(containers, colour)| ContainerOrder {
                colour,
                port: containers.ports.of(colour),
            }),
        }
    }
}
