use serde_json::json;

use super::*;
use crate::shape::{Mistake, assert_in_step, read};

fn tag() -> serde_json::Value {
    json!({"Key": "role", "Value": "web", "Type": "KEY_AND_VALUE"})
}

#[test]
fn applications_and_configurations_read_all_that_they_say_they_read() {
    assert_in_step::<Application>(&[
        json!({"applicationName": "shop", "computePlatform": "Server"}),
    ]);
    let minimum = json!({"type": "HOST_COUNT", "value": 1});
    assert_in_step::<DeploymentConfig>(&[json!({
        "deploymentConfigName": "careful", "computePlatform": "Server", "minimumHealthyHosts": minimum,
        "trafficRoutingConfig": {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": 5, "canaryInterval": 5},
            "timeBasedLinear": {"linearPercentage": 10, "linearInterval": 1}},
        "zonalConfig": {"firstZoneMonitorDurationInSeconds": 1, "monitorDurationInSeconds": 1,
            "minimumHealthyHostsPerZone": minimum},
        "x-croft": {"trafficSteps": [{"percent": 10, "waitSeconds": 60}], "canary": {"hosts": 1, "waitSeconds": 60}}
    })]);
}

#[test]
fn groups_read_all_that_they_say_they_read() {
    let group = json!({
        "applicationName": "shop", "deploymentGroupName": "prod", "deploymentGroupId": "g", "deploymentConfigName": "c",
        "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "ec2TagFilters": [tag()], "onPremisesInstanceTagFilters": [tag()],
        "ec2TagSet": {"ec2TagSetList": [[tag()]]}, "onPremisesTagSet": {"onPremisesTagSetList": [[tag()]]},
        "alarmConfiguration": {"enabled": true, "ignorePollAlarmFailure": false, "alarms": [{"name": "errors"}]},
        "autoRollbackConfiguration": {"enabled": true, "events": ["DEPLOYMENT_FAILURE"]},
        "blueGreenDeploymentConfiguration": {
            "deploymentReadyOption": {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 5},
            "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 5},
            "greenFleetProvisioningOption": {"action": "DISCOVER_EXISTING"}},
        "outdatedInstancesStrategy": "UPDATE",
        "x-croft": {"router": {"type": "haproxy", "socket": "/s", "backend": "web", "servers": {"a": "b"}, "host": "h"},
            "bakeMinutes": 5, "busy": "QUEUE", "containers": {"ports": {"blue": 1, "green": 2}}, "verdicts": {}}
    });
    let mut other = group.clone();
    other["x-croft"]["router"] = json!({"type": "script", "path": "/bin/x", "host": "h"});
    assert_in_step::<DeploymentGroup>(&[group, other]);
}

#[test]
fn deployments_that_are_asked_for_read_all_that_they_say_they_read() {
    assert_in_step::<StartDeployment>(&[json!({
        "applicationName": "shop", "deploymentGroupName": "prod",
        "revision": {"digest": "a1", "origin": {"revisionType": "Local Directory", "location": "/srv"}},
        "deploymentConfigName": "c", "description": "d", "ignoreApplicationStopFailures": false,
        "targetInstances": {"tagFilters": [tag()], "ec2TagSet": {"ec2TagSetList": [[tag()]]}},
        "autoRollbackConfiguration": {"enabled": true, "events": ["DEPLOYMENT_FAILURE"]},
        "updateOutdatedInstancesOnly": false, "fileExistsBehavior": "OVERWRITE",
        "overrideAlarmConfiguration": {"enabled": true, "ignorePollAlarmFailure": false, "alarms": [{"name": "errors"}]},
        "x-croft": {"appSpecFilename": "a.yml", "busy": "QUEUE", "bakeMinutes": 5, "order": 7}
    })]);
}

#[test]
fn keys_that_a_newcomer_misspells_are_told_from_those_that_aws_has() {
    let said = |json| -> Vec<String> {
        let mistakes = read::<DeploymentGroup>(&json).err().unwrap_or_default();
        mistakes.iter().map(Mistake::to_string).collect()
    };
    let named = |more: serde_json::Value| {
        let mut json = json!({"applicationName": "shop", "deploymentGroupName": "prod"});
        json.as_object_mut()
            .unwrap()
            .append(&mut more.as_object().unwrap().clone());
        json
    };
    assert_eq!(
        said(named(json!({"ec2TagFilter": [tag()]}))),
        ["ec2TagFilter: there is no such key; did you mean `ec2TagFilters`?"]
    );
    assert_eq!(
        said(named(json!({"ec2TagFilters": [{"key": "role"}]}))),
        [
            "ec2TagFilters[0].key: there is no such key; did you mean `Key`?",
            "ec2TagFilters[0].Key: only VALUE_ONLY goes without one",
        ]
    );
    // Ours refuse what they do not know themselves: it is said once.
    assert_eq!(
        said(named(json!({"x-croft": {"bakeMinute": 5}}))),
        ["x-croft.bakeMinute: there is no such key; did you mean `bakeMinutes`?"]
    );
    let of_aws = json!({"serviceRoleArn": "arn", "lastSuccessfulDeployment": {"deploymentId": "d"}, "computePlatform": "Server"});
    assert_eq!(said(named(of_aws)), Vec::<String>::new());
    let application = json!({"applicationName": "shop", "computPlatform": "ECS"});
    let mistakes = read::<Application>(&application).unwrap_err();
    assert_eq!(
        mistakes[0].to_string(),
        "computPlatform: there is no such key; did you mean `computePlatform`?"
    );
}
