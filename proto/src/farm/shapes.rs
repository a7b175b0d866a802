//! Which keys a project may have: AWS's, those of them that do nothing here with the reason, and ours. Beside the types that are read from
//! it; a test keeps the two in step.

use super::Project;
use crate::shape::{Key, Shape, Written};

const SOURCE: Shape = Shape::Map(&[
    Key::read("type"),
    Key::read("location"),
    Key::read("gitCloneDepth"),
    Key::of(
        "gitSubmodulesConfig",
        Shape::Map(&[Key::read("fetchSubmodules")]),
    ),
    Key::read("buildspec"),
    Key::of(
        "auth",
        Shape::Map(&[Key::read("type"), Key::read("resource")]),
    ),
    Key::read("sourceIdentifier"),
    Key::of("x-croft", Shape::Map(&[Key::read("tree")])),
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
    Key::read("type"),
    Key::read("packaging"),
    Key::read("artifactIdentifier"),
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

const ENVIRONMENT: Shape = Shape::Map(&[
    Key::read("type"),
    Key::read("image"),
    Key::read("computeType"),
    Key::of(
        "environmentVariables",
        Shape::List(&Shape::Map(&[
            Key::read("name"),
            Key::read("value"),
            Key::read("type"),
        ])),
    ),
    Key::read("privilegedMode"),
    Key::of(
        "registryCredential",
        Shape::Map(&[Key::read("credential"), Key::read("credentialProvider")]),
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
        Key::read("name"),
        Key::read("description"),
        Key::of("source", SOURCE),
        Key::of("secondarySources", Shape::List(&SOURCE)),
        Key::read("sourceVersion"),
        Key::of(
            "secondarySourceVersions",
            Shape::List(&Shape::Map(&[
                Key::read("sourceIdentifier"),
                Key::read("sourceVersion"),
            ])),
        ),
        Key::of("artifacts", ARTIFACTS),
        Key::of("secondaryArtifacts", Shape::List(&ARTIFACTS)),
        Key::of("environment", ENVIRONMENT),
        Key::read("timeoutInMinutes"),
        Key::read("queuedTimeoutInMinutes"),
        Key::read("concurrentBuildLimit"),
        Key::read("autoRetryLimit"),
        Key::of(
            "x-croft",
            Shape::Map(&[
                Key::read("pool"),
                Key::read("priority"),
                Key::read("weight"),
                Key::read("concurrencyMode"),
                Key::read("concurrencyGroup"),
                Key::read("attemptsMax"),
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
        Key::idle("cache", "the buildspec's own cache section decides"),
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
