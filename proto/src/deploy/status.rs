//! Where a deployment, one of its targets, or one event on a target stands.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a deployment stands.
///
/// **Source.** CodeDeploy's API, `DeploymentStatus`. `Halted` is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DeploymentStatus {
    /// Accepted; nothing has been done.
    Created,
    /// Waits for another deployment of its group.
    Queued,
    /// Hosts are being changed, or traffic is being moved.
    InProgress,
    /// All hosts have the revision and all traffic; it is being watched.
    Baking,
    /// Waits to be told to move traffic.
    Ready,
    /// Over, well.
    Succeeded,
    /// Over, not well.
    Failed,
    /// Over, because an alarm or somebody said so.
    Stopped,
    /// A rollback that could not be carried out: somebody has to look. Ours.
    Halted,
}

impl DeploymentStatus {
    /// AWS's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Queued => "Queued",
            Self::InProgress => "InProgress",
            Self::Baking => "Baking",
            Self::Ready => "Ready",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Stopped => "Stopped",
            Self::Halted => "Halted",
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Stopped | Self::Halted => true,
            Self::Created | Self::Queued | Self::InProgress | Self::Baking | Self::Ready => false,
        }
    }
}

impl fmt::Display for DeploymentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where one target of a deployment stands.
///
/// **Source.** CodeDeploy's API, `TargetStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TargetStatus {
    /// Not begun.
    Pending,
    /// In one of its events.
    InProgress,
    /// All its events went well.
    Succeeded,
    /// One of its events failed.
    Failed,
    /// It was not its turn before the deployment ended.
    Skipped,
    /// Nothing is known of it.
    Unknown,
    /// Waits for traffic.
    Ready,
}

/// Where one event on one target stands.
///
/// **Source.** CodeDeploy's API, `LifecycleEventStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventStatus {
    /// Not begun.
    Pending,
    /// Its scripts run, or Croft does its work.
    InProgress,
    /// Done.
    Succeeded,
    /// A script or Croft's work failed.
    Failed,
    /// An earlier event failed, or there was nothing to do.
    Skipped,
    /// Nothing is known of it.
    Unknown,
}
