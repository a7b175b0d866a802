//! Which keys the documents of deployments may have: AWS's, those of them that do nothing here with the reason, and ours. Beside the types
//! that are read from them; a test keeps the two in step.

use super::{Application, DeploymentConfig, DeploymentGroup, StartDeployment};
use crate::shape::{Key, Shape, Written};

/// What AWS's `create-...` take beside each document.
const TAGS: Key = Key::idle("tags", "only hosts have tags");

const NAMES: Shape = Shape::List(&Shape::Map(&[Key::text("name").needed()]));

const TAG_FILTERS: Shape = Shape::List(&Shape::Map(&[
    Key::text("Key"),
    Key::text("Value"),
    Key::word("Type", &["KEY_ONLY", "VALUE_ONLY", "KEY_AND_VALUE"]),
]));

const EC2_TAG_SET: Shape = Shape::Map(&[Key::of("ec2TagSetList", Shape::List(&TAG_FILTERS))]);

const ON_PREMISES_TAG_SET: Shape =
    Shape::Map(&[Key::of("onPremisesTagSetList", Shape::List(&TAG_FILTERS))]);

const ALARMS: Shape = Shape::Map(&[
    Key::flag("enabled"),
    Key::flag("ignorePollAlarmFailure"),
    Key::of("alarms", NAMES),
]);

const ROLLBACK: Shape = Shape::Map(&[
    Key::flag("enabled"),
    Key::of(
        "events",
        Shape::List(&Shape::Word(&[
            "DEPLOYMENT_FAILURE",
            "DEPLOYMENT_STOP_ON_ALARM",
            "DEPLOYMENT_STOP_ON_REQUEST",
        ])),
    ),
]);

const HEALTHY_HOSTS: Shape = Shape::Map(&[
    Key::word("type", &["HOST_COUNT", "FLEET_PERCENT", "MOST_CONCURRENCY"]).needed(),
    Key::count("value").needed(),
]);

const PLATFORM: Key = Key::word("computePlatform", &["Server", "Lambda", "ECS"]);

const BUSY: Key = Key::word("busy", &["REFUSE", "QUEUE", "SUPERSEDE"]);

/// Of a machine.
const PORT: Shape = Shape::Whole(0, 65_535);

impl Written for Application {
    const SHAPE: Shape = Shape::Map(&[
        Key::text("applicationName").needed(),
        PLATFORM,
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
        Key::text("deploymentConfigName").needed(),
        PLATFORM,
        Key::of("minimumHealthyHosts", HEALTHY_HOSTS),
        Key::of(
            "trafficRoutingConfig",
            Shape::Map(&[
                Key::word("type", &["TimeBasedCanary", "TimeBasedLinear", "AllAtOnce"]).needed(),
                Key::of(
                    "timeBasedCanary",
                    Shape::Map(&[
                        Key::count("canaryPercentage").needed(),
                        Key::count("canaryInterval").needed(),
                    ]),
                ),
                Key::of(
                    "timeBasedLinear",
                    Shape::Map(&[
                        Key::count("linearPercentage").needed(),
                        Key::count("linearInterval").needed(),
                    ]),
                ),
            ]),
        ),
        Key::of(
            "zonalConfig",
            Shape::Map(&[
                Key::long("firstZoneMonitorDurationInSeconds"),
                Key::long("monitorDurationInSeconds"),
                Key::of("minimumHealthyHostsPerZone", HEALTHY_HOSTS),
            ]),
        ),
        Key::of(
            "x-croft",
            Shape::Map(&[
                Key::of(
                    "trafficSteps",
                    Shape::List(&Shape::Map(&[
                        Key::count("percent").needed(),
                        Key::long("waitSeconds").needed(),
                    ])),
                ),
                Key::of(
                    "canary",
                    Shape::Map(&[
                        Key::count("hosts").needed(),
                        Key::long("waitSeconds").needed(),
                    ]),
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
        Shape::Map(&[
            Key::word(
                "actionOnTimeout",
                &["CONTINUE_DEPLOYMENT", "STOP_DEPLOYMENT"],
            ),
            Key::count("waitTimeInMinutes"),
        ]),
    ),
    Key::of(
        "terminateBlueInstancesOnDeploymentSuccess",
        Shape::Map(&[
            Key::text("action"),
            Key::count("terminationWaitTimeInMinutes"),
        ]),
    ),
    Key::of(
        "greenFleetProvisioningOption",
        Shape::Map(&[Key::text("action")]),
    ),
]);

/// The detectors' settings are read by the detectors.
const OWN_OF_GROUP: Shape = Shape::Map(&[
    Key::of(
        "router",
        Shape::Map(&[
            Key::word("type", &["haproxy", "script", "none"]).needed(),
            Key::text("socket"),
            Key::text("backend"),
            Key::of("servers", Shape::Named(&Shape::Text)),
            Key::text("path"),
            Key::text("host"),
        ]),
    ),
    Key::count("bakeMinutes"),
    BUSY,
    Key::of(
        "containers",
        Shape::Map(&[Key::of(
            "ports",
            Shape::Map(&[
                Key::of("blue", PORT).needed(),
                Key::of("green", PORT).needed(),
            ]),
        )
        .needed()]),
    ),
    Key::read("verdicts"),
]);

impl Written for DeploymentGroup {
    const SHAPE: Shape = Shape::Map(&[
        Key::text("applicationName").needed(),
        Key::text("deploymentGroupName").needed(),
        Key::text("deploymentGroupId"),
        Key::text("deploymentConfigName"),
        Key::of(
            "deploymentStyle",
            Shape::Map(&[
                Key::word("deploymentType", &["IN_PLACE", "BLUE_GREEN"]),
                Key::word(
                    "deploymentOption",
                    &["WITH_TRAFFIC_CONTROL", "WITHOUT_TRAFFIC_CONTROL"],
                ),
            ]),
        ),
        Key::of("ec2TagFilters", TAG_FILTERS),
        Key::of("onPremisesInstanceTagFilters", TAG_FILTERS),
        Key::of("ec2TagSet", EC2_TAG_SET),
        Key::of("onPremisesTagSet", ON_PREMISES_TAG_SET),
        Key::of("alarmConfiguration", ALARMS),
        Key::of("autoRollbackConfiguration", ROLLBACK),
        Key::of("blueGreenDeploymentConfiguration", BLUE_GREEN),
        Key::word("outdatedInstancesStrategy", &["UPDATE", "IGNORE"]),
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
        Key::text("applicationName").needed(),
        Key::text("deploymentGroupName").needed(),
        // What may be left out of it is completed after this was asked.
        Key::of(
            "revision",
            Shape::Map(&[Key::text("digest"), Key::read("origin")]),
        )
        .needed(),
        Key::text("deploymentConfigName"),
        Key::text("description"),
        Key::flag("ignoreApplicationStopFailures"),
        Key::of(
            "targetInstances",
            Shape::Map(&[
                Key::of("tagFilters", TAG_FILTERS),
                Key::of("ec2TagSet", EC2_TAG_SET),
            ]),
        ),
        Key::of("autoRollbackConfiguration", ROLLBACK),
        Key::flag("updateOutdatedInstancesOnly"),
        Key::word("fileExistsBehavior", &["DISALLOW", "OVERWRITE", "RETAIN"]),
        Key::of("overrideAlarmConfiguration", ALARMS),
        Key::of(
            "x-croft",
            Shape::Map(&[
                Key::text("appSpecFilename"),
                BUSY,
                Key::count("bakeMinutes"),
                Key::long("order"),
            ]),
        ),
    ]);

    fn wrong(&self) -> Vec<String> {
        self.check().err().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
