//! A deployment as it is shown, in AWS's shape. Made by whoever folds the ledger; read by every caller.

use serde::{Deserialize, Serialize};

use super::{
    AutoRollbackEvent, ComputePlatform, DeploymentConfig, DeploymentId, DeploymentStatus,
    DeploymentStyle, FileExistsBehavior, Finding, Left, LifecycleEvent, PlannedContainers,
    Revision, ScriptErrorCode, Side, Step, Wait, Watched,
};
use crate::Timestamp;

/// Why a deployment did not go well, in AWS's words.
///
/// **Source.** CodeDeploy's API, `ErrorCode`: those of it that can happen here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// An alarm, or another detector.
    AlarmActive,
    /// Too few hosts went well.
    HealthConstraints,
    /// So many healthy hosts were asked for that none could be changed.
    HealthConstraintsInvalid,
    /// The old side could not be taken out, or the new one not be given traffic.
    HookExecutionFailure,
    /// Somebody stopped it.
    ManualStop,
    /// The group has no hosts.
    NoInstances,
    /// The group has more hosts than a deployment can have.
    OverMaxInstances,
    /// The group is gone.
    DeploymentGroupMissing,
    /// It waited too long.
    Timeout,
    /// It cannot be planned: the message says why.
    InternalError,
}

/// The first host that failed, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FirstFailure {
    /// The host.
    pub host: String,
    /// The event.
    pub event: LifecycleEvent,
    /// Why it failed.
    pub error_code: ScriptErrorCode,
    /// The script; empty when it was none.
    #[serde(default)]
    pub script_name: String,
    /// What is said of it, with its exit code.
    #[serde(default)]
    pub message: String,
    /// The last lines of what it printed.
    #[serde(default)]
    pub log_tail: String,
}

/// Why a deployment did not go well. AWS's `errorInformation`; `first_failure` is ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentInfoError {
    /// In one word.
    pub code: ErrorCode,
    /// For people: what happened, where, and what to do.
    pub message: String,
    /// The first host that failed.
    #[serde(
        rename = "x-croft-firstFailure",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub first_failure: Option<Box<FirstFailure>>,
}

/// How many targets stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeploymentOverview {
    /// Not begun.
    pub pending: u32,
    /// In an event.
    pub in_progress: u32,
    /// Done well.
    pub succeeded: u32,
    /// Failed.
    pub failed: u32,
    /// Not begun when it ended.
    pub skipped: u32,
    /// Waiting for traffic.
    pub ready: u32,
}

/// What takes a deployment back, or is taken back by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollbackInfo {
    /// What takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_deployment_id: Option<DeploymentId>,
    /// What it takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_triggering_deployment_id: Option<DeploymentId>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_message: Option<String>,
}

/// Somebody said that a wait of a deployment is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Continued {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// In which step, from 0.
    pub step: u32,
}

/// Ours of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnOfDeploymentInfo {
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The newer one that took its place before it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<DeploymentId>,
    /// Who said that it may go on, the earliest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub continued: Vec<Continued>,
    /// Which containers are the new side, and where both serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<PlannedContainers>,
    /// Which of its group's deployments it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// What is done, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// The step that it is in, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// When each step began that has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub step_times: Vec<Timestamp>,
    /// The alarms that may end it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
    /// How much of the traffic the new side has, of a hundred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_percent: Option<u32>,
    /// What ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<Box<Finding>>,
    /// What its detectors knew before it began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// How its detectors stand while it is watched, and stood when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watched>,
    /// What it waits for, and what is out of reach while it goes on; empty when it is over and no host runs anything of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Wait>,
    /// What takes it back by itself, while it goes on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollback_on: Vec<AutoRollbackEvent>,
    /// The first host that failed, while it goes on: then the error has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<Box<FirstFailure>>,
    /// What it has left on hosts, when it did not go well and nothing takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Box<Left>>,
}

impl OwnOfDeploymentInfo {
    /// Which sides it has, and AWS's word for each; one without a word where hosts are changed where they are.
    #[must_use]
    pub fn sides(&self) -> Vec<(Side, Option<&'static str>)> {
        let mut steps = self.steps.iter();
        let moves = steps.any(|step| matches!(step, Step::Shift { .. }));
        if !moves && self.containers.is_none() {
            return vec![(Side::New, None)];
        }
        [Side::New, Side::Old]
            .map(|side| (side, Some(side.label(self.containers))))
            .into()
    }
}

/// A deployment. AWS's `DeploymentInfo`; what is ours is under `x-croft`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentInfo {
    /// The application.
    pub application_name: String,
    /// The group.
    pub deployment_group_name: String,
    /// The configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_config_name: Option<String>,
    /// It.
    pub deployment_id: DeploymentId,
    /// What the group had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_revision: Option<Revision>,
    /// What is deployed.
    pub revision: Revision,
    /// Where it stands.
    pub status: DeploymentStatus,
    /// Why it did not go well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_information: Option<DeploymentInfoError>,
    /// When it was accepted.
    pub create_time: Timestamp,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete_time: Option<Timestamp>,
    /// How many targets stand where.
    pub deployment_overview: DeploymentOverview,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who started it.
    pub creator: String,
    /// Whether a host goes on when the old revision's scripts fail.
    pub ignore_application_stop_failures: bool,
    /// Only hosts that were not on the group's revision.
    pub update_outdated_instances_only: bool,
    /// What takes it back, or is taken back by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_info: Option<RollbackInfo>,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_style: Option<DeploymentStyle>,
    /// What happens to files that are there already.
    pub file_exists_behavior: FileExistsBehavior,
    /// What it runs on.
    pub compute_platform: ComputePlatform,
    /// Ours.
    #[serde(rename = "x-croft")]
    pub own: OwnOfDeploymentInfo,
}

impl ErrorCode {
    /// AWS's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AlarmActive => "ALARM_ACTIVE",
            Self::HealthConstraints => "HEALTH_CONSTRAINTS",
            Self::HealthConstraintsInvalid => "HEALTH_CONSTRAINTS_INVALID",
            Self::HookExecutionFailure => "HOOK_EXECUTION_FAILURE",
            Self::ManualStop => "MANUAL_STOP",
            Self::NoInstances => "NO_INSTANCES",
            Self::OverMaxInstances => "OVER_MAX_INSTANCES",
            Self::DeploymentGroupMissing => "DEPLOYMENT_GROUP_MISSING",
            Self::Timeout => "TIMEOUT",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }
}

/// The configuration of that name: predefined, or one of these.
#[must_use]
pub fn config_named<'c>(
    name: &str,
    custom: impl FnOnce(&str) -> Option<&'c DeploymentConfig>,
) -> Option<DeploymentConfig> {
    DeploymentConfig::predefined(name).or_else(|| custom(name).cloned())
}
