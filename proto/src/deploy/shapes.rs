//! Which keys the documents of deployments may have: AWS's, those of them that do nothing here with the reason, and ours. Beside the types
//! that are read from them; a test keeps the two in step.

use super::{Application, DeploymentConfig, DeploymentGroup, StartDeployment};
use crate::shape::{Key, Shape, Written};

/// What AWS's `create-...` take beside each document.
const TAGS: Key = Key::idle("tags", "only hosts have tags");

const NAMES: Shape = Shape::List(&Shape::Map(&[Key::read("name")]));

const TAG_FILTERS: Shape = Shape::List(&Shape::Map(&[
    Key::read("Key"),
    Key::read("Value"),
    Key::read("Type"),
]));

const EC2_TAG_SET: Shape = Shape::Map(&[Key::of("ec2TagSetList", Shape::List(&TAG_FILTERS))]);

const ON_PREMISES_TAG_SET: Shape =
    Shape::Map(&[Key::of("onPremisesTagSetList", Shape::List(&TAG_FILTERS))]);

const ALARMS: Shape = Shape::Map(&[
    Key::read("enabled"),
    Key::read("ignorePollAlarmFailure"),
    Key::of("alarms", NAMES),
]);

const ROLLBACK: Shape = Shape::Map(&[Key::read("enabled"), Key::read("events")]);

const HEALTHY_HOSTS: Shape = Shape::Map(&[Key::read("type"), Key::read("value")]);

impl Written for Application {
    const SHAPE: Shape = Shape::Map(&[
        Key::read("applicationName"),
        Key::read("computePlatform"),
        TAGS,
        Key::told("applicationId"),
        Key::told("createTime"),
        Key::told("linkedToGitHub"),
        Key::told("gitHubAccountName"),
    ]);

    fn wrong(&self) -> Vec<String> {
        self.check().err().unwrap_or_default()
    }
}

impl Written for DeploymentConfig {
    const SHAPE: Shape = Shape::Map(&[
        Key::read("deploymentConfigName"),
        Key::read("computePlatform"),
        Key::of("minimumHealthyHosts", HEALTHY_HOSTS),
        Key::of(
            "trafficRoutingConfig",
            Shape::Map(&[
                Key::read("type"),
                Key::of(
                    "timeBasedCanary",
                    Shape::Map(&[Key::read("canaryPercentage"), Key::read("canaryInterval")]),
                ),
                Key::of(
                    "timeBasedLinear",
                    Shape::Map(&[Key::read("linearPercentage"), Key::read("linearInterval")]),
                ),
            ]),
        ),
        Key::of(
            "zonalConfig",
            Shape::Map(&[
                Key::read("firstZoneMonitorDurationInSeconds"),
                Key::read("monitorDurationInSeconds"),
                Key::of("minimumHealthyHostsPerZone", HEALTHY_HOSTS),
            ]),
        ),
        Key::of(
            "x-croft",
            Shape::Map(&[
                Key::of(
                    "trafficSteps",
                    Shape::List(&Shape::Map(&[
                        Key::read("percent"),
                        Key::read("waitSeconds"),
                    ])),
                ),
                Key::of(
                    "canary",
                    Shape::Map(&[Key::read("hosts"), Key::read("waitSeconds")]),
                ),
            ]),
        ),
        Key::told("deploymentConfigId"),
        Key::told("createTime"),
    ]);

    fn wrong(&self) -> Vec<String> {
        self.check().err().unwrap_or_default()
    }
}

const BLUE_GREEN: Shape = Shape::Map(&[
    Key::of(
        "deploymentReadyOption",
        Shape::Map(&[Key::read("actionOnTimeout"), Key::read("waitTimeInMinutes")]),
    ),
    Key::of(
        "terminateBlueInstancesOnDeploymentSuccess",
        Shape::Map(&[
            Key::read("action"),
            Key::read("terminationWaitTimeInMinutes"),
        ]),
    ),
    Key::of(
        "greenFleetProvisioningOption",
        Shape::Map(&[Key::read("action")]),
    ),
]);

/// The detectors' settings are read by the detectors.
const OWN_OF_GROUP: Shape = Shape::Map(&[
    Key::of(
        "router",
        Shape::Map(&[
            Key::read("type"),
            Key::read("socket"),
            Key::read("backend"),
            Key::read("servers"),
            Key::read("path"),
            Key::read("host"),
        ]),
    ),
    Key::read("bakeMinutes"),
    Key::read("busy"),
    Key::of(
        "containers",
        Shape::Map(&[Key::of(
            "ports",
            Shape::Map(&[Key::read("blue"), Key::read("green")]),
        )]),
    ),
    Key::read("verdicts"),
]);

impl Written for DeploymentGroup {
    const SHAPE: Shape = Shape::Map(&[
        Key::read("applicationName"),
        Key::read("deploymentGroupName"),
        Key::read("deploymentGroupId"),
        Key::read("deploymentConfigName"),
        Key::of(
            "deploymentStyle",
            Shape::Map(&[Key::read("deploymentType"), Key::read("deploymentOption")]),
        ),
        Key::of("ec2TagFilters", TAG_FILTERS),
        Key::of("onPremisesInstanceTagFilters", TAG_FILTERS),
        Key::of("ec2TagSet", EC2_TAG_SET),
        Key::of("onPremisesTagSet", ON_PREMISES_TAG_SET),
        Key::of("alarmConfiguration", ALARMS),
        Key::of("autoRollbackConfiguration", ROLLBACK),
        Key::of("blueGreenDeploymentConfiguration", BLUE_GREEN),
        Key::read("outdatedInstancesStrategy"),
        Key::of("x-croft", OWN_OF_GROUP),
        Key::idle("serviceRoleArn", "there are no roles of AWS's"),
        Key::idle("autoScalingGroups", "hosts are chosen by their tags"),
        Key::idle("triggerConfigurations", "nobody is told over SNS"),
        Key::idle("loadBalancerInfo", "the balancer is under x-croft.router"),
        Key::idle(
            "ecsServices",
            "containers run on the group's hosts, at the ports of x-croft.containers",
        ),
        Key::idle("terminationHookEnabled", "hosts are never ended here"),
        TAGS,
        Key::told("computePlatform"),
        Key::told("targetRevision"),
        Key::told("lastSuccessfulDeployment"),
        Key::told("lastAttemptedDeployment"),
        Key::told("x-croft-state"),
    ]);

    fn wrong(&self) -> Vec<String> {
        self.check().err().unwrap_or_default()
    }
}

impl Written for StartDeployment {
    const SHAPE: Shape = Shape::Map(&[
        Key::read("applicationName"),
        Key::read("deploymentGroupName"),
        Key::of(
            "revision",
            Shape::Map(&[Key::read("digest"), Key::read("origin")]),
        ),
        Key::read("deploymentConfigName"),
        Key::read("description"),
        Key::read("ignoreApplicationStopFailures"),
        Key::of(
            "targetInstances",
            Shape::Map(&[
                Key::of("tagFilters", TAG_FILTERS),
                Key::of("ec2TagSet", EC2_TAG_SET),
            ]),
        ),
        Key::of("autoRollbackConfiguration", ROLLBACK),
        Key::read("updateOutdatedInstancesOnly"),
        Key::read("fileExistsBehavior"),
        Key::of("overrideAlarmConfiguration", ALARMS),
        Key::of(
            "x-croft",
            Shape::Map(&[
                Key::read("appSpecFilename"),
                Key::read("busy"),
                Key::read("bakeMinutes"),
                Key::read("order"),
            ]),
        ),
    ]);

    fn wrong(&self) -> Vec<String> {
        self.check().err().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
