//! What is deployed, where and how: applications, groups, configurations, deployments and the hosts they come to, in AWS CodeDeploy's
//! shapes. Received from the front with a token; what is asked for is decided by the room that deploys, and durable before it is answered.

/// What is deployed again and again.
pub(super) mod applications;
/// Which hosts, and how.
pub(super) mod groups;
/// What hosts of a group have.
mod having;
/// What a group's releases are judged by.
pub(super) mod alarms;
/// How many hosts at once, and how traffic moves.
pub(super) mod configs;
/// Whether they would be taken.
mod checks;
/// Revisions that are needed still.
pub(super) mod revisions;
/// What a build made, as a revision.
mod built;
/// A deployment that a path names.
pub(super) mod known;
/// Deployments as they are.
pub(super) mod deployments;
/// What happens in one, as it happens.
pub(super) mod events;
/// What hosts print, in.
pub(super) mod printed;
/// What hosts print, out.
pub(super) mod output;
/// Starting, stopping, going on, going back.
pub(super) mod ask;
/// What happened on a host.
pub(super) mod targets;
/// Hosts by name.
pub(super) mod hosts;

pub(super) use known::{Known, known};
pub(super) use printed::Untaken;
pub(super) use revisions::keep_revisions;
