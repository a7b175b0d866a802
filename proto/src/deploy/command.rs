//! What a host is told to do: one lifecycle event of one deployment. Written by the engine, carried out by the agent.

use serde::{Deserialize, Serialize};

use crate::deploy::{ContainerOrder, DeploymentId, FileExistsBehavior, LifecycleEvent};

/// One event that a host is to run.
///
/// **Shape.** Everything that the event needs, so that a host which knows nothing of the deployment yet can run it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostCommand {
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// Which of its group's deployments it is, counted from 1. A host refuses a command of an older generation than one it has seen.
    pub generation: u64,
    /// What is to be done.
    pub event: LifecycleEvent,
    /// The application's name.
    pub application_name: String,
    /// The group's name.
    pub deployment_group_name: String,
    /// The group's id: what the host keeps of a group is kept under it.
    pub deployment_group_id: String,
    /// What is deployed.
    pub revision: Revision,
    /// Its AppSpec file, from its top; `appspec.yml` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_spec_filename: Option<String>,
    /// What happens to files that are there already, unless the AppSpec file says it.
    #[serde(default)]
    pub file_exists_behavior: FileExistsBehavior,
    /// Who started the deployment: `user`, `codeDeployRollback`, ...
    pub creator: String,
    /// Whether the deployment replaces hosts or changes them.
    #[serde(default)]
    pub deployment_type: DeploymentType,
    /// The container that it is about, where containers are deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerOrder>,
}

/// Whether a deployment changes hosts or replaces them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeploymentType {
    /// The hosts that are there get the revision.
    #[default]
    InPlace,
    /// Others get it, and then the traffic.
    BlueGreen,
}

/// A revision: its contents, and where they came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// The BLAKE3 digest, in hexadecimal, of the tree of its files. What has the same digest is the same revision.
    pub digest: String,
    /// Where its files came from.
    pub origin: RevisionOrigin,
}

/// Where a revision's files came from. AWS's first two; the others are ours.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "revisionType")]
pub enum RevisionOrigin {
    /// An archive in object storage.
    #[serde(rename_all = "camelCase")]
    S3 {
        /// The bucket.
        bucket: String,
        /// The archive's key.
        key: String,
        /// Its version, where the bucket keeps some.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// Its entity tag.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        e_tag: Option<String>,
    },
    /// A commit of a repository.
    #[serde(rename_all = "camelCase")]
    GitHub {
        /// The repository.
        repository: String,
        /// The commit.
        commit_id: String,
    },
    /// What a build of this farm made.
    #[serde(rename_all = "camelCase")]
    Build {
        /// The build, as `<project>:<uuid>`.
        build_id: String,
    },
    /// Files that somebody had.
    #[serde(rename = "Local Directory")]
    Local {
        /// Where they were.
        location: String,
    },
}
