//! What a deployment waits for, as it is shown. Made by the server that is asked: what it shows is its own view of now.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What kind of thing is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WaitKind {
    /// A host that is not heard.
    Host,
    /// The balancer: it cannot be told, or not all of it can be.
    Balancer,
    /// Whoever is asked for alarms or metrics.
    Monitoring,
    /// A suspicion, or a metric without a value.
    Detector,
    /// Somebody who says that it may go on.
    Approval,
    /// The minimum of healthy hosts: no further one may begin before another is over.
    HealthyHosts,
    /// Hosts that another deployment changes.
    OtherDeployment,
    /// Its turn: the group has another deployment.
    Turn,
    /// Hosts that run an event.
    Event,
    /// Time: of the bake, of a watch, of a step of traffic.
    Time,
}

/// Something that a deployment waits for, or that people should know of while it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// What kind of thing.
    pub kind: WaitKind,
    /// The hosts, or the deployments, that it is about; may be empty, and has at most [`WAIT_NAMES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// For people: what is waited for, and what it said last. Without a full stop, and without times, which are beside it.
    pub message: String,
    /// Since when it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When the waiting ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// In place of `until` while time stands still: so many milliseconds are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_ms: Option<u64>,
    /// For people: what follows then, or what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
}

/// Names in one [`Wait`]: of more, their number is in the message.
pub const WAIT_NAMES_MAX: usize = 100;

impl Wait {
    /// Of that kind, with these words.
    #[must_use]
    pub fn new(kind: WaitKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            names: Vec::new(),
            message: message.into(),
            since: None,
            until: None,
            remaining_ms: None,
            then: None,
        }
    }

    /// About these.
    #[must_use]
    pub fn about(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.names = names
            .into_iter()
            .take(WAIT_NAMES_MAX)
            .map(Into::into)
            .collect();
        self
    }

    /// Since then, if that is known.
    #[must_use]
    pub fn since(mut self, since: impl Into<Option<Timestamp>>) -> Self {
        self.since = since.into();
        self
    }

    /// Until then.
    #[must_use]
    pub fn until(mut self, until: impl Into<Option<Timestamp>>) -> Self {
        self.until = until.into();
        self
    }

    /// What follows.
    #[must_use]
    pub fn then(mut self, then: impl Into<String>) -> Self {
        self.then = Some(then.into());
        self
    }
}
