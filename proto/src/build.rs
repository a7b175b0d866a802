//! The state of one build, as AWS's `Build` shows it. Made by the worker's engine, read by renderers and users' tools.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The phases of a build, in the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PhaseType {
    /// Accepted.
    Submitted,
    /// Waiting for a place to run.
    Queued,
    /// The sandbox or container is being made.
    Provisioning,
    /// Source, buildspec, parameters and cache are being brought in.
    DownloadSource,
    /// `phases.install`.
    Install,
    /// `phases.pre_build`.
    PreBuild,
    /// `phases.build`.
    Build,
    /// `phases.post_build`.
    PostBuild,
    /// Reports, cache and artifacts are being collected.
    UploadArtifacts,
    /// The sandbox or container is being taken down.
    Finalizing,
    /// Over.
    Completed,
}

impl PhaseType {
    /// The four phases that run a user's commands, in order.
    pub const COMMANDS: [Self; 4] = [Self::Install, Self::PreBuild, Self::Build, Self::PostBuild];

    /// AWS's word for the phase, such as `PRE_BUILD`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Queued => "QUEUED",
            Self::Provisioning => "PROVISIONING",
            Self::DownloadSource => "DOWNLOAD_SOURCE",
            Self::Install => "INSTALL",
            Self::PreBuild => "PRE_BUILD",
            Self::Build => "BUILD",
            Self::PostBuild => "POST_BUILD",
            Self::UploadArtifacts => "UPLOAD_ARTIFACTS",
            Self::Finalizing => "FINALIZING",
            Self::Completed => "COMPLETED",
        }
    }
}

impl fmt::Display for PhaseType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where a build or a phase stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Not over.
    InProgress,
    /// Everything the user asked for worked.
    Succeeded,
    /// The user's commands or files failed.
    Failed,
    /// Croft or the machine failed; the user's build is not to blame.
    Fault,
    /// The time limit was reached.
    TimedOut,
    /// Somebody stopped it.
    Stopped,
}

impl Status {
    /// AWS's word for the status, such as `TIMED_OUT`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Fault => "FAULT",
            Self::TimedOut => "TIMED_OUT",
            Self::Stopped => "STOPPED",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a phase ended as it did. AWS always sends one, with empty strings when there is nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseContext {
    /// `COMMAND_EXECUTION_ERROR`, `YAML_FILE_ERROR`, `CLIENT_ERROR`, `BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE`, ... or empty.
    pub status_code: String,
    /// For a person.
    pub message: String,
}

/// One phase. Phases not reached are absent from a build's list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildPhase {
    /// Which.
    pub phase_type: PhaseType,
    /// Absent while the phase runs, and for `COMPLETED`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub phase_status: Option<Status>,
    /// When it began.
    pub start_time: Timestamp,
    /// When it ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end_time: Option<Timestamp>,
    /// Whole seconds, rounded down; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration_in_seconds: Option<u64>,
    /// At least one once the phase is over.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub contexts: Vec<PhaseContext>,
}

impl BuildPhase {
    /// Milliseconds the phase took; `None` while it runs.
    #[must_use]
    pub fn millis(&self) -> Option<u64> {
        self.end_time.map(|end| end.millis_since(self.start_time))
    }
}

/// A name and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentVariable {
    /// The variable's name.
    pub name: String,
    /// Its value, every byte of it.
    pub value: String,
}

/// One build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Build {
    /// `<project>:<uuid>`.
    pub id: String,
    /// `arn:aws:codebuild:<region>:<account>:build/<id>`; region and account are placeholders outside AWS.
    pub arn: String,
    /// From 1, one more for each build of the project.
    pub build_number: u64,
    /// The folder's or repository's name for a local run.
    pub project_name: String,
    /// When it was accepted.
    pub start_time: Timestamp,
    /// Absent until the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end_time: Option<Timestamp>,
    /// The phase it is in.
    pub current_phase: PhaseType,
    /// How it stands.
    pub build_status: Status,
    /// False until `COMPLETED`.
    pub build_complete: bool,
    /// The version asked for: a branch, a tag, a commit; absent for a folder.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_version: Option<String>,
    /// The commit that was built, when the source is a git repository.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resolved_source_version: Option<String>,
    /// In order; only those reached.
    pub phases: Vec<BuildPhase>,
    /// `exported-variables` as they stood after `POST_BUILD`; unset ones are left out.
    pub exported_environment_variables: Vec<EnvironmentVariable>,
    /// Who started it.
    pub initiator: String,
    /// The limit, in whole minutes.
    pub timeout_in_minutes: u64,
    /// Croft's own: the image's reference, or `sandbox`.
    pub image: String,
}
