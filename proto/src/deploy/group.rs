//! Deployment groups in AWS's shape: which hosts, how, and when a deployment is taken back. Our own settings are under `x-croft`.
//! What AWS's tools print of a group is taken as it is, and [`DeploymentGroup::notes`] says what of it does nothing. The type is read
//! leniently, since groups of earlier versions are recorded; what people write is checked against its shape first.

use serde::{Deserialize, Serialize};

use super::name::wrong_name;
use super::tags::{Ec2TagSet, OnPremisesTagSet, TagFilter, wrong_list, wrong_set};
use super::{ComputePlatform, ContainerSettings, DeploymentConfig, DeploymentType, Router};
use crate::shape::{Strays, Written as _};

/// AWS's largest number of alarms of a group.
pub const ALARMS_MAX: usize = 10;
/// How long a deployment is watched after all its traffic has moved, when its group does not say.
pub const BAKE_MINUTES: u32 = 10;
/// AWS's longest wait before the old side is taken down, and ours to be told to move traffic: two days.
const WAIT_MINUTES_MAX: u32 = 2880;

/// How a group is deployed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentStyle {
    /// Whether hosts are changed or replaced.
    #[serde(default)]
    pub deployment_type: DeploymentType,
    /// Whether a balancer is told.
    #[serde(default)]
    pub deployment_option: DeploymentOption,
}

/// Whether a balancer is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeploymentOption {
    /// It is.
    WithTrafficControl,
    /// There is none.
    #[default]
    WithoutTrafficControl,
}

/// An alarm, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AlarmName {
    /// Its name.
    pub name: String,
}

/// Alarms that end a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlarmConfiguration {
    /// Whether they are looked at.
    #[serde(default)]
    pub enabled: bool,
    /// Whether a deployment goes on when their state cannot be read.
    #[serde(default)]
    pub ignore_poll_alarm_failure: bool,
    /// Which.
    #[serde(default)]
    pub alarms: Vec<AlarmName>,
}

/// What takes a deployment back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AutoRollbackEvent {
    /// It failed.
    DeploymentFailure,
    /// An alarm, or another detector, ended it.
    DeploymentStopOnAlarm,
    /// Somebody ended it.
    DeploymentStopOnRequest,
}

/// Whether and when a deployment is taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AutoRollbackConfiguration {
    /// Whether.
    #[serde(default)]
    pub enabled: bool,
    /// When.
    #[serde(default)]
    pub events: Vec<AutoRollbackEvent>,
}

/// What happens when nobody says that traffic may move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ActionOnTimeout {
    /// It moves at once.
    #[default]
    ContinueDeployment,
    /// The deployment waits to be told, and then stops.
    StopDeployment,
}

/// When traffic moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentReadyOption {
    /// Whether it waits to be told.
    #[serde(default)]
    pub action_on_timeout: ActionOnTimeout,
    /// For how long.
    #[serde(default)]
    pub wait_time_in_minutes: u32,
}

/// What becomes of the old side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TerminateBlueInstances {
    /// AWS's `TERMINATE` and `KEEP_ALIVE`. Hosts are never ended here; containers are.
    #[serde(default)]
    pub action: Option<String>,
    /// It is kept warm so long at least.
    #[serde(default)]
    pub termination_wait_time_in_minutes: u32,
}

/// Where the new side comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GreenFleetProvisioningOption {
    /// Only AWS's `DISCOVER_EXISTING`: hosts are never made here.
    #[serde(default)]
    pub action: Option<String>,
}

/// One side replaces the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlueGreenDeploymentConfiguration {
    /// When traffic moves.
    #[serde(default)]
    pub deployment_ready_option: DeploymentReadyOption,
    /// What becomes of the old side.
    #[serde(default)]
    pub terminate_blue_instances_on_deployment_success: TerminateBlueInstances,
    /// Where the new side comes from.
    #[serde(default)]
    pub green_fleet_provisioning_option: GreenFleetProvisioningOption,
}

/// What happens to hosts that came back with another revision than their group's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OutdatedInstancesStrategy {
    /// They are deployed to.
    #[default]
    Update,
    /// They are left, without traffic.
    Ignore,
}

/// What happens to a deployment whose group has another. Ours; AWS refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Busy {
    /// It is refused.
    #[default]
    Refuse,
    /// It waits its turn.
    Queue,
    /// It waits, in place of those that wait.
    Supersede,
}

/// Ours of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnOfGroup {
    /// The balancer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub router: Option<Router>,
    /// How long a deployment is watched after all its traffic has moved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bake_minutes: Option<u32>,
    /// What happens when the group is busy.
    #[serde(default)]
    pub busy: Busy,
    /// Where containers serve, for applications that run in some.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub containers: Option<ContainerSettings>,
    /// What is measured, and when that is bad: the detectors' own settings.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verdicts: Option<VerdictSettings>,
}

/// The detectors' settings as they were written. Only the detectors know what is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VerdictSettings(pub serde_json::Map<String, serde_json::Value>);

/// A deployment group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentGroup {
    /// Its application.
    pub application_name: String,
    /// Its name.
    pub deployment_group_name: String,
    /// What hosts keep of it is kept under this; drawn when it is made.
    #[serde(default)]
    pub deployment_group_id: String,
    /// The configuration of its deployments; absent, `CodeDeployDefault.OneAtATime`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deployment_config_name: Option<String>,
    /// How it is deployed to.
    #[serde(default)]
    pub deployment_style: DeploymentStyle,
    /// Its hosts: those with one of these tags.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ec2_tag_filters: Vec<TagFilter>,
    /// The same. Here all hosts are alike.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub on_premises_instance_tag_filters: Vec<TagFilter>,
    /// Its hosts: those with a tag of each list.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ec2_tag_set: Option<Ec2TagSet>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub on_premises_tag_set: Option<OnPremisesTagSet>,
    /// What ends a deployment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alarm_configuration: Option<AlarmConfiguration>,
    /// What takes it back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub auto_rollback_configuration: Option<AutoRollbackConfiguration>,
    /// For `BLUE_GREEN`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub blue_green_deployment_configuration: Option<BlueGreenDeploymentConfiguration>,
    /// AWS's balancers; kept. The balancer that is told is under `x-croft`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub load_balancer_info: Option<serde_json::Value>,
    /// What happens to hosts that came back with another revision.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outdated_instances_strategy: Option<OutdatedInstancesStrategy>,
    /// Ours.
    #[serde(rename = "x-croft", skip_serializing_if = "Option::is_none", default)]
    pub own: Option<OwnOfGroup>,
}

impl DeploymentGroup {
    /// The balancer that is told; none when nobody is.
    #[must_use]
    pub fn router(&self) -> Option<&Router> {
        let own = self.own.as_ref()?;
        own.router
            .as_ref()
            .filter(|router| **router != Router::None)
    }

    /// The alarms that are looked at.
    #[must_use]
    pub fn alarms(&self) -> Option<&AlarmConfiguration> {
        let alarms = self.alarm_configuration.as_ref()?;
        (alarms.enabled && !alarms.alarms.is_empty()).then_some(alarms)
    }

    /// What takes its deployments back.
    #[must_use]
    pub fn rollback_events(&self) -> &[AutoRollbackEvent] {
        match &self.auto_rollback_configuration {
            Some(rollback) if rollback.enabled => &rollback.events,
            Some(_) | None => &[],
        }
    }

    /// Whether it may be made.
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
        if let Some(name) = &self.deployment_config_name {
            wrong.extend(wrong_name("deploymentConfigName", name));
        }
        wrong.extend(self.wrong_tags());
        wrong.extend(self.wrong_alarms());
        wrong.extend(self.wrong_blue_green());
        wrong.extend(self.wrong_own());
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// Whether it may be made of an application that runs on that.
    ///
    /// # Errors
    /// Every setting that does not fit, each beginning with its path.
    pub fn check_platform(&self, platform: ComputePlatform) -> Result<(), Vec<String>> {
        let own = self.own.as_ref();
        let ports = own.and_then(|own| own.containers);
        let is_blue_green = self.deployment_style.deployment_type == DeploymentType::BlueGreen;
        let mut wrong = Vec::new();
        match platform {
            ComputePlatform::Ecs => {
                if !is_blue_green {
                    wrong.push(
                        "deploymentStyle.deploymentType: containers replace each other side by side, with BLUE_GREEN"
                            .to_string(),
                    );
                }
                if ports.is_none() {
                    wrong.push(
                        "x-croft.containers: a host's two containers need a port each, such as {\"ports\": {\"blue\": 8081, \"green\": 8082}}"
                            .to_string(),
                    );
                }
                let router = self.router();
                wrong.extend(
                    router
                        .into_iter()
                        .flat_map(|router| router.wrong_of_containers("x-croft.router")),
                );
            }
            ComputePlatform::Server | ComputePlatform::Lambda => {
                if ports.is_some() {
                    wrong.push(
                        "x-croft.containers: the application's computePlatform is not ECS, so it runs in none"
                            .to_string(),
                    );
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// Whether its hosts can be deployed to as a configuration says.
    ///
    /// # Errors
    /// What would be otherwise, beginning with the path.
    pub fn check_config(&self, config: &DeploymentConfig) -> Result<(), String> {
        let moves_in_steps = config.traffic_steps().len() > 1;
        let is_in_place = self.deployment_style.deployment_type == DeploymentType::InPlace;
        if !(moves_in_steps && is_in_place) {
            return Ok(());
        }
        let name = &config.deployment_config_name;
        let pace = match config.minimum_healthy_hosts {
            Some(_) => "the steps would never be",
            None => "all of them would be changed at once",
        };
        Err(format!(
            "deploymentConfigName: `{name}` moves traffic step by step, and hosts that are changed in place have none that moves: {pace}; \
             name one for hosts, such as CodeDeployDefault.OneAtATime or one of yours with x-croft.canary, or write deploymentStyle.deploymentType BLUE_GREEN"
        ))
    }

    fn wrong_tags(&self) -> Vec<String> {
        let mut wrong = wrong_list("ec2TagFilters", &self.ec2_tag_filters);
        wrong.extend(wrong_list(
            "onPremisesInstanceTagFilters",
            &self.on_premises_instance_tag_filters,
        ));
        if let Some(set) = &self.ec2_tag_set {
            wrong.extend(wrong_set("ec2TagSet.ec2TagSetList", &set.ec2_tag_set_list));
            if !self.ec2_tag_filters.is_empty() {
                wrong.push("ec2TagFilters, ec2TagSet: one of them".to_string());
            }
        }
        if let Some(set) = &self.on_premises_tag_set {
            wrong.extend(wrong_set(
                "onPremisesTagSet.onPremisesTagSetList",
                &set.on_premises_tag_set_list,
            ));
            if !self.on_premises_instance_tag_filters.is_empty() {
                wrong.push(
                    "onPremisesInstanceTagFilters, onPremisesTagSet: one of them".to_string(),
                );
            }
        }
        wrong
    }

    fn wrong_alarms(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(alarms) = &self.alarm_configuration {
            wrong.extend(wrong_alarms("alarmConfiguration", alarms));
        }
        if let Some(rollback) = &self.auto_rollback_configuration
            && rollback.enabled
            && rollback.events.is_empty()
        {
            wrong.push("autoRollbackConfiguration.events: at least one".to_string());
        }
        wrong
    }

    fn wrong_blue_green(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let is_blue_green = self.deployment_style.deployment_type == DeploymentType::BlueGreen;
        if is_blue_green && self.router().is_none() {
            wrong.push(
                "x-croft.router: deploymentType BLUE_GREEN moves traffic, and needs one"
                    .to_string(),
            );
        }
        let Some(config) = &self.blue_green_deployment_configuration else {
            return wrong;
        };
        let at = "blueGreenDeploymentConfiguration";
        if !is_blue_green {
            wrong.push(format!("{at}: it is of deploymentType BLUE_GREEN"));
        }
        let old = &config.terminate_blue_instances_on_deployment_success;
        for (field, minutes) in [
            (
                "deploymentReadyOption.waitTimeInMinutes",
                config.deployment_ready_option.wait_time_in_minutes,
            ),
            (
                "terminateBlueInstancesOnDeploymentSuccess.terminationWaitTimeInMinutes",
                old.termination_wait_time_in_minutes,
            ),
        ] {
            if minutes > WAIT_MINUTES_MAX {
                wrong.push(format!(
                    "{at}.{field} {minutes}: at most {WAIT_MINUTES_MAX}"
                ));
            }
        }
        let green = config.green_fleet_provisioning_option.action.as_deref();
        if green.is_some_and(|action| action != "DISCOVER_EXISTING") {
            wrong.push(format!(
                "{at}.greenFleetProvisioningOption.action: only DISCOVER_EXISTING, hosts are never made here"
            ));
        }
        if !matches!(
            old.action.as_deref(),
            None | Some("TERMINATE" | "KEEP_ALIVE")
        ) {
            wrong.push(format!(
                "{at}.terminateBlueInstancesOnDeploymentSuccess.action: TERMINATE or KEEP_ALIVE"
            ));
        }
        wrong
    }

    fn wrong_own(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let option = self.deployment_style.deployment_option;
        if option == DeploymentOption::WithTrafficControl && self.router().is_none() {
            wrong.push(
                "x-croft.router: deploymentOption WITH_TRAFFIC_CONTROL needs one".to_string(),
            );
        }
        let Some(own) = &self.own else {
            return wrong;
        };
        if own
            .bake_minutes
            .is_some_and(|minutes| minutes > WAIT_MINUTES_MAX)
        {
            wrong.push(format!("x-croft.bakeMinutes: at most {WAIT_MINUTES_MAX}"));
        }
        if let Some(router) = &own.router {
            wrong.extend(router.wrong("x-croft.router"));
        }
        if let Some(containers) = &own.containers {
            wrong.extend(containers.wrong("x-croft.containers"));
        }
        wrong
    }

    /// What of a group's JSON does nothing here, each in a sentence.
    #[must_use]
    pub fn notes(json: &serde_json::Value) -> Vec<String> {
        Strays::of(json, &Self::SHAPE).idle
    }
}

/// What cannot be of a list of alarms.
pub(crate) fn wrong_alarms(at: &str, alarms: &AlarmConfiguration) -> Vec<String> {
    let mut wrong = Vec::new();
    if alarms.alarms.len() > ALARMS_MAX {
        wrong.push(format!("{at}.alarms: at most {ALARMS_MAX}"));
    }
    if alarms.enabled && alarms.alarms.is_empty() {
        wrong.push(format!("{at}.alarms: enabled, and there is none"));
    }
    for (number, alarm) in alarms.alarms.iter().enumerate() {
        if alarm.name.is_empty() {
            wrong.push(format!("{at}.alarms[{number}].name: empty"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(json: serde_json::Value) -> DeploymentGroup {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_aws_prints_of_a_group_is_taken_and_what_does_nothing_is_said() {
        let json = serde_json::json!({
            "applicationName": "shop", "deploymentGroupName": "prod", "deploymentGroupId": "g",
            "deploymentConfigName": "CodeDeployDefault.HalfAtATime", "serviceRoleArn": "arn:aws:iam::1:role/x",
            "ec2TagFilters": [{"Key": "role", "Value": "web", "Type": "KEY_AND_VALUE"}], "autoScalingGroups": [],
            "deploymentStyle": {"deploymentType": "IN_PLACE", "deploymentOption": "WITHOUT_TRAFFIC_CONTROL"},
            "autoRollbackConfiguration": {"enabled": true, "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]},
            "alarmConfiguration": {"enabled": true, "ignorePollAlarmFailure": false, "alarms": [{"name": "errors"}]},
            "outdatedInstancesStrategy": "UPDATE", "triggerConfigurations": [], "computePlatform": "Server"
        });
        let notes = DeploymentGroup::notes(&json);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("serviceRoleArn"));
        let group = group(json);
        group.check().unwrap();
        assert_eq!(group.rollback_events().len(), 2);
        assert!(group.alarms().is_some());
        let again = serde_json::to_value(&group).unwrap();
        assert_eq!(
            serde_json::from_value::<DeploymentGroup>(again).unwrap(),
            group
        );
    }

    #[test]
    fn every_setting_that_cannot_be_is_named_at_once() {
        let filters = serde_json::json!([{"Type": "KEY_ONLY"}]);
        let wrong = group(serde_json::json!({
            "applicationName": "a b", "deploymentGroupName": "", "ec2TagFilters": filters,
            "ec2TagSet": {"ec2TagSetList": [[], filters, filters, filters]},
            "deploymentStyle": {"deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "alarmConfiguration": {"enabled": true},
            "autoRollbackConfiguration": {"enabled": true},
            "blueGreenDeploymentConfiguration": {
                "deploymentReadyOption": {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 2881},
                "greenFleetProvisioningOption": {"action": "COPY_AUTO_SCALING_GROUP"}},
            "x-croft": {"bakeMinutes": 3000}
        }))
        .check()
        .unwrap_err();
        for part in [
            "applicationName `a b`",
            "deploymentGroupName ``",
            "ec2TagFilters[0].Key",
            "ec2TagSetList: at most 3",
            "ec2TagSetList[0]: 1 to 10",
            "one of them",
            "WITH_TRAFFIC_CONTROL needs one",
            "alarmConfiguration.alarms",
            "autoRollbackConfiguration.events",
            "it is of deploymentType BLUE_GREEN",
            "waitTimeInMinutes 2881",
            "only DISCOVER_EXISTING",
            "x-croft.bakeMinutes",
        ] {
            assert!(
                wrong.iter().any(|line| line.contains(part)),
                "{part}: {wrong:?}"
            );
        }
    }
}
