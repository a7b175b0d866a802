//! Deploying from the command line: documents become applications and groups, a folder becomes a revision, and a deployment is followed and
//! explained. Whatever is true is the server's.

/// Documents of applications, groups and configurations.
mod documents;
/// `croft app`, `croft group` and `croft deployment-config`.
mod configure;
/// What `--revision` names.
mod revision;
/// `croft deploy`.
mod start;
/// What a followed deployment has told.
mod story;
/// What has happened and what was printed, in one order.
mod order;
/// A stream of a deployment.
mod follow;
/// What its hosts print.
mod output;
/// Following a deployment.
mod watch;
/// `croft deployment`.
mod deployment;
/// Why a deployment ended as it did.
mod explain;
/// What a deployment did that went well.
mod well;
/// How a deployment goes.
mod going;
/// `croft host`.
mod host;
/// `croft alarm`.
mod alarm;
/// What detectors found, for people.
mod evidence;
/// What a deployment waits for, and has left, for people.
mod waits;

pub(crate) use alarm::alarm;
pub(crate) use configure::{app, deployment_config, group};
pub(crate) use deployment::deployment;
pub(crate) use host::host;
pub(crate) use start::deploy;
pub(super) use watch::watch;
