//! What hosts and servers say to each other over HTTP. Written and read by both sides; calls are signed (`croft-keys`).

use serde::{Deserialize, Serialize};

use super::{DeploymentId, Diagnostics, HostCommand, LifecycleEvent, Tag};

/// What a host that is to belong to a farm is told, inside the token that it is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invitation {
    /// What tells it from others: it is good once.
    pub id: String,
    /// What the host is called.
    pub host: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<Tag>,
    /// Its zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Until when it is good, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// A host that comes with an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Enrolling {
    /// The token.
    pub token: String,
    /// The key that the host has made, in hexadecimal.
    pub public_key: String,
}

/// What a host has of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Has {
    /// The application.
    pub application_name: String,
    /// The group.
    pub deployment_group_name: String,
    /// The group's id: a group that was deleted and made anew has the same name and another id.
    pub deployment_group_id: String,
    /// The digest of the revision that was installed last, and wholly.
    pub digest: String,
}

/// AWS has no such word: what a host is told that signs with the key of one that was revoked.
pub const HOST_REVOKED: &str = "HostRevokedException";

/// A host that asks what it is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Poll {
    /// All that it has, when it has just come or was away; none when it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has: Option<Vec<Has>>,
    /// Whether its agent has just started: then it is told again what it was told before, whether it has begun that or not.
    #[serde(default)]
    pub fresh: bool,
    /// How long it waits for an answer, in seconds.
    #[serde(default)]
    pub wait_seconds: u64,
}

/// What it is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Commands {
    /// One event of each deployment that has one for it. The same may come again.
    pub commands: Vec<HostCommand>,
}

/// What a host says of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostReport {
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// The command's generation.
    pub generation: u64,
    /// The event.
    pub event: LifecycleEvent,
    /// What of it.
    pub status: Reported,
    /// What is known of it, when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Box<Diagnostics>>,
}

/// What a host says of it, in AWS's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reported {
    /// It has begun.
    InProgress,
    /// It went well.
    Succeeded,
    /// It did not.
    Failed,
    /// There was nothing to do.
    Skipped,
}

/// What a host is told of its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Heard {
    /// It is recorded.
    Recorded,
    /// It is being recorded: say it again.
    Later,
    /// It does not count.
    Stale,
}

/// The answer to a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportAnswer {
    /// What became of it.
    pub answer: Heard,
}
