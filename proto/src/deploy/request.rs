//! What is asked for when a deployment is started, in the shape of AWS's `CreateDeployment`. Kept with the deployment.

use serde::{Deserialize, Serialize};

use super::application::{wrong_description, wrong_digest};
use super::group::wrong_alarms;
use super::name::wrong_name;
use super::tags::{Ec2TagSet, TagFilter, wrong_list, wrong_set};
use super::{
    AlarmConfiguration, AutoRollbackConfiguration, Busy, DeploymentId, FileExistsBehavior, Revision,
};

/// The new side of a deployment that replaces hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetInstances {
    /// Those with one of these tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tag_filters: Vec<TagFilter>,
    /// Those with a tag of each list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ec2_tag_set: Option<Ec2TagSet>,
}

/// Ours of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnOfDeployment {
    /// The AppSpec file, from the revision's top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_spec_filename: Option<String>,
    /// In place of the group's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy: Option<Busy>,
    /// In place of the group's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bake_minutes: Option<u32>,
    /// Where the revision stands among the group's, such as its build's number: what is not above the highest that was asked for is
    /// refused, so that a slow build of an old commit cannot win.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u64>,
}

/// A deployment that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartDeployment {
    /// The application.
    pub application_name: String,
    /// The group.
    pub deployment_group_name: String,
    /// What is deployed.
    pub revision: Revision,
    /// In place of the group's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_config_name: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether a host goes on when the old revision's scripts fail.
    #[serde(default)]
    pub ignore_application_stop_failures: bool,
    /// The new side, for `BLUE_GREEN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_instances: Option<TargetInstances>,
    /// In place of the group's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_rollback_configuration: Option<AutoRollbackConfiguration>,
    /// Only hosts that are not on the group's revision.
    #[serde(default)]
    pub update_outdated_instances_only: bool,
    /// What happens to files that are there already.
    #[serde(default)]
    pub file_exists_behavior: FileExistsBehavior,
    /// In place of the group's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_alarm_configuration: Option<AlarmConfiguration>,
    /// Ours.
    #[serde(rename = "x-croft", default, skip_serializing_if = "Option::is_none")]
    pub own: Option<OwnOfDeployment>,
}

impl StartDeployment {
    /// Whether it may be asked for.
    ///
    /// # Errors
    /// Every setting that cannot be, each beginning with its path.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut wrong = Vec::new();
        wrong.extend(wrong_name("applicationName", &self.application_name));
        wrong.extend(wrong_name(
            "deploymentGroupName",
            &self.deployment_group_name,
        ));
        wrong.extend(wrong_digest("revision", &self.revision));
        wrong.extend(wrong_description(self.description.as_deref()));
        if let Some(alarms) = &self.override_alarm_configuration {
            wrong.extend(wrong_alarms("overrideAlarmConfiguration", alarms));
        }
        if let Some(targets) = &self.target_instances {
            wrong.extend(wrong_list(
                "targetInstances.tagFilters",
                &targets.tag_filters,
            ));
            if let Some(set) = &targets.ec2_tag_set {
                let at = "targetInstances.ec2TagSet.ec2TagSetList";
                wrong.extend(wrong_set(at, &set.ec2_tag_set_list));
                if !targets.tag_filters.is_empty() {
                    wrong.push("targetInstances: tagFilters or ec2TagSet".to_string());
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// Ours.
    #[must_use]
    pub fn own(&self) -> OwnOfDeployment {
        self.own.clone().unwrap_or_default()
    }
}

/// Who started a deployment, in AWS's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Creator {
    /// Somebody.
    #[serde(rename = "user")]
    User,
    /// The farm, to take another one back.
    #[serde(rename = "codeDeployRollback")]
    Rollback,
    /// The farm, since hosts came back with another revision.
    #[serde(rename = "CodeDeployAutoUpdate")]
    AutoUpdate,
}

impl Creator {
    /// AWS's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Rollback => "codeDeployRollback",
            Self::AutoUpdate => "CodeDeployAutoUpdate",
        }
    }
}

/// A deployment as it was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// What was asked for.
    pub asked: StartDeployment,
    /// Who started it.
    pub creator: Creator,
    /// The deployment that it takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<DeploymentId>,
    /// Who asked.
    pub by: String,
    /// Only these hosts, for `CodeDeployAutoUpdate`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
}
