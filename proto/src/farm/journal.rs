//! What is recorded. Each event is JSON of at most 64 KiB; a reader meets events of the version before its own, and hands back
//! what it does not understand.

use serde::{Deserialize, Serialize};

use super::{BuildId, Priority, ProjectRules};
use crate::{Status, Timestamp};

/// How long an idempotency token is good for: AWS's five minutes.
pub const TOKEN_VALID_MS: u64 = 5 * 60 * 1000;

/// What happens to a project. Subject `project.<name>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum ProjectEvent {
    /// It was made, or is configured anew.
    Applied {
        /// When and where its builds run.
        rules: Box<ProjectRules>,
        /// All of its configuration, in AWS's shape.
        project: Box<serde_json::Value>,
    },
    /// A build of it was accepted: the next number is taken. Appended together with the build's first event.
    Admitted {
        /// Which.
        build: BuildId,
        /// From 1, one more each time.
        number: u64,
        /// BLAKE3 of the caller's idempotency token and of what it asked for; absent without a token.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        token: Option<(String, String)>,
    },
    /// It is gone. Its running builds go on; a project of that name may be made anew, and its numbers go on.
    Deleted,
}

/// Which of a chain of automatic retries a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AutoRetry {
    /// How many there may be.
    pub auto_retry_limit: u32,
    /// 0 for the first build.
    pub auto_retry_number: u32,
    /// The build before it; absent for the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous_auto_retry: Option<BuildId>,
}

/// A build as it was accepted. Nothing of it changes afterwards, whatever becomes of its project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Submitted {
    /// The project's name.
    pub project: String,
    /// Its number within the project.
    pub number: u64,
    /// Where it runs.
    pub pool: String,
    /// Before which others.
    pub priority: Priority,
    /// After so many milliseconds in the queue it is given up.
    pub queued_ms_max: u64,
    /// How many of its attempts may be lost; which of them count, [`super::Losses`] says.
    pub attempts_max: u32,
    /// Automatic retries.
    pub auto_retry: AutoRetry,
    /// Who asked for it.
    pub initiator: String,
    /// What to build, in AWS's shape, the project's settings and the caller's overrides as one. Larger ones go to the cache
    /// first, and this names them.
    pub request: Box<serde_json::Value>,
}

/// Why an attempt counts as lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum LossReason {
    /// Nothing was heard of it for longer than a lease.
    Unheard {
        /// Milliseconds of the server's own clock.
        silent_ms: u64,
    },
    /// Its worker gave it back.
    GivenBack {
        /// For a person.
        message: String,
        /// Which of the reasons there are. Absent in events of crofts that did not say.
        #[serde(skip_serializing_if = "GivenBackFor::is_unsaid", default)]
        cause: GivenBackFor,
    },
}

/// Why a worker gives an attempt back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GivenBackFor {
    /// It leaves, and the build was not over in time. Does not count against the build; see [`super::Losses`].
    Leaving,
    /// Its machine is at fault.
    Machine,
    /// No server had answered it for almost a lease.
    Lease,
    /// Not said, or a reason that a newer croft knows.
    #[default]
    #[serde(other)]
    Unsaid,
}

impl GivenBackFor {
    const fn is_unsaid(&self) -> bool {
        matches!(self, Self::Unsaid)
    }
}

/// Who settled a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SettledBy {
    /// The worker that ran it to its end.
    Worker,
    /// It was stopped before it ran.
    Stop,
    /// It waited too long.
    QueueTimeout,
    /// None of its attempts came to an end, and it gets no other.
    Quarantine,
}

/// What happens to a build. Subject `build.<id>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum BuildEvent {
    /// It was accepted: from here on it is never lost.
    Submitted(Box<Submitted>),
    /// A worker has claimed it.
    AttemptStarted {
        /// From 1, one more each time.
        attempt: u32,
        /// Which worker.
        worker: String,
    },
    /// The attempt is over without an outcome; whatever it says from here on changes nothing.
    AttemptLost {
        /// Which.
        attempt: u32,
        /// Why.
        reason: LossReason,
    },
    /// Somebody wants it to end.
    StopRequested {
        /// Who.
        by: String,
    },
    /// It is over. The only one of its kind on a subject.
    Settled {
        /// The attempt whose outcome this is; 0 when none ran.
        attempt: u32,
        /// How it ended.
        status: Status,
        /// Who says so.
        by: SettledBy,
        /// For a person: what ended it, when no worker did.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        message: Option<String>,
        /// The finished build, as it is shown; absent when no worker ran it to its end.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        build: Option<Box<serde_json::Value>>,
        /// When it ended, by the clock of whoever settled it.
        at: Timestamp,
    },
}
