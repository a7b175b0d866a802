//! Which keys a project may have: AWS's, those of them that do nothing here with the reason, and ours. Beside the types that are read from
//! it; a test keeps the two in step.

use super::{PRIORITIES, Project, WEIGHT_MAX};
use crate::shape::{Key, Shape, Written};

const SOURCE: Shape = Shape::Map(&[
    Key::word(
        "type",
        &[
            "CODECOMMIT",
            "CODEPIPELINE",
            "GITHUB",
            "GITHUB_ENTERPRISE",
            "GITLAB",
            "GITLAB_SELF_MANAGED",
            "BITBUCKET",
            "S3",
            "NO_SOURCE",
        ],
    ),
    Key::text("location"),
    Key::count("gitCloneDepth"),
    Key::of(
        "gitSubmodulesConfig",
        Shape::Map(&[Key::flag("fetchSubmodules")]),
    ),
    Key::text("buildspec"),
    Key::of(
        "auth",
        Shape::Map(&[
            Key::choice("type", &["OAUTH", "CODECONNECTIONS", "SECRETS_MANAGER"]).needed(),
            Key::text("resource"),
        ]),
    ),
    Key::text("sourceIdentifier"),
    Key::of("x-croft", Shape::Map(&[Key::text("tree")])),
    Key::idle(
        "reportBuildStatus",
        "no host of sources is told how builds went",
    ),
    Key::idle(
        "buildStatusConfig",
        "no host of sources is told how builds went",
    ),
    Key::idle("insecureSsl", "certificates are always checked"),
]);

const ARTIFACTS: Shape = Shape::Map(&[
    Key::choice("type", &["NO_ARTIFACTS", "S3", "CODEPIPELINE"]),
    Key::choice("packaging", &["NONE", "ZIP"]),
    Key::text("artifactIdentifier"),
    Key::idle("location", "artifacts are kept in the farm's store"),
    Key::idle("path", "artifacts are kept in the farm's store"),
    Key::idle("namespaceType", "artifacts are kept with their build"),
    Key::idle("name", "the buildspec names artifacts"),
    Key::idle("overrideArtifactName", "the buildspec names artifacts"),
    Key::idle("encryptionDisabled", "artifacts are not encrypted at rest"),
    Key::idle(
        "bucketOwnerAccess",
        "artifacts are kept in the farm's store",
    ),
]);

/// AWS's kinds of machines. Which of them builds run on is the pool's affair.
const ENVIRONMENT_TYPES: &[&str] = &[
    "LINUX_CONTAINER",
    "ARM_CONTAINER",
    "LINUX_GPU_CONTAINER",
    "WINDOWS_CONTAINER",
    "WINDOWS_SERVER_2019_CONTAINER",
    "WINDOWS_SERVER_2022_CONTAINER",
    "LINUX_LAMBDA_CONTAINER",
    "ARM_LAMBDA_CONTAINER",
    "LINUX_EC2",
    "ARM_EC2",
    "WINDOWS_EC2",
    "MAC_ARM",
];

/// AWS's sizes of them.
const COMPUTE_TYPES: &[&str] = &[
    "BUILD_GENERAL1_SMALL",
    "BUILD_GENERAL1_MEDIUM",
    "BUILD_GENERAL1_LARGE",
    "BUILD_GENERAL1_XLARGE",
    "BUILD_GENERAL1_2XLARGE",
    "BUILD_LAMBDA_1GB",
    "BUILD_LAMBDA_2GB",
    "BUILD_LAMBDA_4GB",
    "BUILD_LAMBDA_8GB",
    "BUILD_LAMBDA_10GB",
    "ATTRIBUTE_BASED_COMPUTE",
    "CUSTOM_INSTANCE_TYPE",
];

const CACHE: Shape = Shape::Map(&[
    Key::choice("type", &["NO_CACHE", "S3", "LOCAL"]),
    Key::text("location"),
    Key::of(
        "modes",
        Shape::List(&Shape::Choice(&[
            "LOCAL_SOURCE_CACHE",
            "LOCAL_DOCKER_LAYER_CACHE",
            "LOCAL_CUSTOM_CACHE",
        ])),
    ),
    Key::text("cacheNamespace"),
]);

const ENVIRONMENT: Shape = Shape::Map(&[
    Key::choice("type", ENVIRONMENT_TYPES),
    Key::text("image"),
    Key::choice("computeType", COMPUTE_TYPES),
    Key::of(
        "environmentVariables",
        Shape::List(&Shape::Map(&[
            Key::text("name").needed(),
            Key::text("value").needed(),
            Key::word("type", &["PLAINTEXT", "PARAMETER_STORE", "SECRETS_MANAGER"]),
        ])),
    ),
    Key::flag("privilegedMode"),
    Key::of(
        "registryCredential",
        Shape::Map(&[
            Key::text("credential").needed(),
            Key::choice("credentialProvider", &["SECRETS_MANAGER"]),
        ]),
    ),
    Key::idle("certificate", "an image brings its certificates"),
    Key::idle("fleet", "the workers are those of x-croft.pool"),
    Key::idle(
        "computeConfiguration",
        "computeType says how large a build may be",
    ),
    Key::idle(
        "imagePullCredentialsType",
        "registryCredential says who asks for the image",
    ),
    Key::idle("dockerServer", "there is none beside a build"),
    Key::idle("hostKernel", "builds have their worker's"),
]);

impl Written for Project {
    const SHAPE: Shape = Shape::Map(&[
        Key::text("name").needed(),
        Key::text("description"),
        Key::of("source", SOURCE),
        Key::of("secondarySources", Shape::List(&SOURCE)),
        Key::text("sourceVersion"),
        Key::of(
            "secondarySourceVersions",
            Shape::List(&Shape::Map(&[
                Key::text("sourceIdentifier").needed(),
                Key::text("sourceVersion").needed(),
            ])),
        ),
        Key::of("artifacts", ARTIFACTS),
        Key::of("secondaryArtifacts", Shape::List(&ARTIFACTS)),
        Key::of("environment", ENVIRONMENT),
        Key::count("timeoutInMinutes"),
        Key::count("queuedTimeoutInMinutes"),
        Key::count("concurrentBuildLimit"),
        Key::count("autoRetryLimit"),
        Key::of(
            "x-croft",
            Shape::Map(&[
                Key::text("pool"),
                Key::of("priority", Shape::Whole(0, PRIORITIES as u64 - 1)),
                Key::of("weight", Shape::Whole(1, WEIGHT_MAX as u64)),
                Key::word("concurrencyMode", &["REJECT", "QUEUE"]),
                Key::text("concurrencyGroup"),
                Key::count("attemptsMax"),
            ]),
        ),
        Key::idle("vpcConfig", "builds use their worker's network"),
        Key::idle("fileSystemLocations", "no file systems are mounted"),
        Key::idle("logsConfig", "logs are kept in the farm's store"),
        Key::idle("encryptionKey", "artifacts are not encrypted at rest"),
        Key::idle("buildBatchConfig", "batch builds are not run"),
        Key::idle("badge", "there are no badges"),
        Key::idle("badgeEnabled", "there are no badges"),
        Key::idle("webhook", "there are no webhooks yet"),
        Key::idle_of("cache", CACHE, "the buildspec's own cache section decides"),
        Key::idle("serviceRole", "there are no roles of AWS's"),
        Key::idle("tags", "tags are kept and not used"),
        Key::idle("projectVisibility", "tokens say who sees a project"),
        Key::idle("resourceAccessRole", "tokens say who sees a project"),
        Key::told("publicProjectAlias"),
        Key::told("arn"),
        Key::told("created"),
        Key::told("lastModified"),
    ]);

    fn wrong(&self) -> Vec<String> {
        self.rules().err().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
