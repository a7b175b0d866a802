//! What a deployment is made of: the life cycle of a revision on a host, where deployments, targets and events stand, and what a
//! script left behind. Names and values are AWS's (CodeDeploy).

/// Which deployment.
mod id;
/// The steps of a revision's life on one host.
mod lifecycle;
/// Where a deployment, a target or an event stands.
mod status;
/// What is said of a script that ran.
mod script;
/// What a host is told to do.
mod command;

pub use command::{DeploymentType, HostCommand, Revision, RevisionOrigin};
pub use id::DeploymentId;
pub use lifecycle::{LifecycleEvent, ScriptsFrom};
pub use script::{Diagnostics, FileExistsBehavior, ScriptErrorCode};
pub use status::{DeploymentStatus, EventStatus, TargetStatus};
