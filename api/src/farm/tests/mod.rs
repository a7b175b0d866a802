//! The front on a real socket: ledger and bus in memory, a scheduler that runs, a view that follows, a client that speaks HTTP.

/// A farm on a port of its own, and its client.
mod rig;
/// Answers against the document.
mod schema;
/// Who may do what, and how often.
mod access;
/// Hosts that are deployed to.
mod agents;
/// Builds and projects.
mod builds;
/// What is deployed, where and how.
mod deployments;
/// The same, told to go on, and of very many hosts.
mod continued;
/// The same, followed.
mod deployment_events;
/// What cannot be of that.
mod documents;
/// What hosts print.
mod printed;
/// What happens in a build.
mod events;
/// Without room.
mod full;
/// Live output that is lost.
mod lost;
/// Sources, logs, artifacts.
mod kept;
/// Secrets, keys, tokens.
mod custody;
/// What is put on record.
mod audit;
/// A change whose caller has gone.
mod hangup;
/// Whether a server is well, and how it ends.
mod life;
