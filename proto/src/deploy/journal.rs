//! What is recorded of applications, groups, deployments and hosts. Each event is JSON of at most 64 KiB; a reader meets events of
//! the version before its own, and hands back what it does not understand.
//!
//! Lists of hosts do not fit one event when there are thousands: a plan's targets and a group's standings are recorded in parts of
//! at most [`PART_BYTES_MAX`], all in the batch of the event that they belong to, so that nobody ever sees a half of them.

use serde::{Deserialize, Serialize};

use super::{
    Accepted, Application, Colour, DeploymentConfig, DeploymentGroup, DeploymentId,
    DeploymentInfoError, DeploymentStatus, Diagnostics, EventStatus, LifecycleEvent, Plan,
    PlannedTarget, RevisionRegistration, Tag, Watched,
};

/// Most bytes of a list in one event: an event's 64 KiB less room for its own words.
pub const PART_BYTES_MAX: usize = 48 << 10;

/// What happens to an application. Subject `app.<name>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum AppEvent {
    /// It was made, or made anew.
    Applied {
        /// It.
        application: Application,
    },
    /// A revision of it is known.
    Registered(Box<RevisionRegistration>),
    /// It is gone.
    Deleted,
}

/// What happens to a configuration. Subject `deployconfig.<name>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum ConfigEvent {
    /// It was made. It never changes.
    Made(Box<DeploymentConfig>),
    /// It is gone.
    Deleted,
}

/// Whether a host is on its group's revision. AWS's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RevisionHealth {
    /// It is.
    Current,
    /// It has an older one.
    Old,
    /// Nobody knows.
    Unknown,
}

/// How it is with a host of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Whether its last deployment went well.
    #[serde(rename = "ok")]
    pub is_healthy: bool,
    /// What it has.
    #[serde(rename = "rev")]
    pub revision: RevisionHealth,
    /// Automatic updates to the group's revision that did not succeed.
    #[serde(rename = "tries", default, skip_serializing_if = "is_zero")]
    pub updates_failed: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What happens to a group. Subject `group.<application>.<name>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum GroupEvent {
    /// It was made, or is configured anew.
    Applied(Box<DeploymentGroup>),
    /// A deployment of it was accepted, and waits its turn.
    Accepted {
        /// Which.
        deployment: DeploymentId,
        /// Its place among the group's revisions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order: Option<u64>,
        /// Those that waited and are over now, since this one is newer.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        supersedes: Vec<DeploymentId>,
    },
    /// A deployment of it has begun: it has the group until it is over.
    Began {
        /// Which.
        deployment: DeploymentId,
        /// From 1, one more each time.
        generation: u64,
    },
    /// How it is with some of its hosts after a deployment; before its `Ended`, in the same batch.
    Stand {
        /// By name.
        hosts: Vec<(String, Standing)>,
    },
    /// A deployment of it is over, or was when it had not begun.
    Ended {
        /// Which.
        deployment: DeploymentId,
        /// How.
        status: DeploymentStatus,
        /// The one that takes it back, which is the next.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rollback: Option<DeploymentId>,
        /// The containers that serve from now on; absent, those that did before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        serves: Option<Colour>,
    },
    /// It is gone.
    Deleted,
}

/// Why somebody who watches ended a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What found it: an alarm's name, a detector's.
    pub by: String,
    /// One sentence for people.
    pub message: String,
    /// What was asked, what came, and the curve. At most 16 KiB of JSON.
    #[serde(default)]
    pub evidence: serde_json::Value,
}

/// What happens to a deployment. Subject `deployment.<id>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum DeploymentEvent {
    /// It was accepted: from here on it has an end.
    Accepted(Box<Accepted>),
    /// It has begun: what is done from here on is in this plan.
    Planned(Box<Plan>),
    /// Some of the plan's targets, in order; in the same batch.
    Targets {
        /// They.
        targets: Vec<PlannedTarget>,
    },
    /// Those targets have begun the current step.
    Dispatched {
        /// Their places in the plan's list.
        targets: Vec<u32>,
    },
    /// The step of that number, from 0, has begun.
    Stepped {
        /// Which.
        step: u32,
    },
    /// Somebody says that a wait is over.
    Continued {
        /// Who.
        by: String,
        /// The step that waited.
        step: u32,
    },
    /// Its detectors have looked at the time before it: what they can find, what fires already, what does not answer.
    Noted {
        /// Sentences for people.
        notes: Vec<String>,
    },
    /// It is over. The only one of its kind on a subject.
    Ended {
        /// How.
        status: DeploymentStatus,
        /// Why, unless it went well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Box<DeploymentInfoError>>,
        /// What was found, when somebody who watches ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        finding: Option<Box<Finding>>,
        /// The one that takes it back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rollback: Option<DeploymentId>,
        /// Why there is none, or what it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rollback_message: Option<String>,
        /// The newer one that took its place before it began.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        superseded_by: Option<DeploymentId>,
        /// How its detectors stood, as the server knew it that ended it; without their curves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        watch: Option<Box<Watched>>,
    },
}

/// What happens on a target. Subject `deployment.<id>.host.<host>`, and `deployment.<id>.old.<host>` for the old side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum TargetEvent {
    /// It has begun an event.
    Started {
        /// Which.
        event: LifecycleEvent,
    },
    /// An event is over. The only one of its kind for an event.
    Ended {
        /// Which.
        event: LifecycleEvent,
        /// How.
        status: EventStatus,
        /// What is known of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        diagnostics: Option<Box<Diagnostics>>,
    },
}

/// What happens to a host. Subject `host.<name>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum HostEvent {
    /// It belongs to the farm, or does so anew.
    Enrolled {
        /// Its key.
        public_key: String,
        /// Its tags.
        #[serde(default)]
        tags: Vec<Tag>,
        /// Its zone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        zone: Option<String>,
        /// The invitation that it came with, which is used up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invitation: Option<String>,
    },
    /// It has other tags.
    Tagged {
        /// All of them.
        tags: Vec<Tag>,
    },
    /// A deployment changes it: no other may, until it is given back.
    Taken {
        /// Which.
        deployment: DeploymentId,
    },
    /// That deployment is done with it for now.
    GivenBack {
        /// Which.
        deployment: DeploymentId,
    },
    /// It belongs to the farm no more.
    Revoked,
}

/// A list in parts, each of at most so many bytes of JSON; an item that is larger by itself is a part of its own.
#[must_use]
pub fn parts<T: Serialize>(items: Vec<T>) -> Vec<Vec<T>> {
    let mut parts = Vec::new();
    let (mut part, mut size_bytes) = (Vec::new(), 0);
    for item in items {
        let bytes = serde_json::to_vec(&item).map_or(PART_BYTES_MAX, |json| json.len() + 1);
        if size_bytes + bytes > PART_BYTES_MAX && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            size_bytes = 0;
        }
        part.push(item);
        size_bytes += bytes;
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests;
