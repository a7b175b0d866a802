//! The farm from outside, in its two sizes: `croft up` on one machine; servers and workers around a NATS server and object storage.
//! One list of cases, each a test of either size.

/// From a folder to its artifacts.
mod journey;
/// Processes that are killed, frozen, told to leave.
mod faults;
/// The same at each moment of a build's journey.
mod moments;
/// The same with the lease that a farm has by itself.
mod lease;
/// A disk that is full.
mod disk;
/// An engine that is started again.
mod engine;
/// Limits, priorities, workers that take nothing.
mod queue;
/// Secrets.
mod custody;
/// What is away, or gone, and was not the truth.
mod stores;
/// Who may ask, and over what.
mod door;
/// With which master key.
mod keyed;
/// All kinds of faults, for as long as one likes.
mod soak;
/// Deployments.
mod deploying;
/// A broker of three servers.
mod cluster;
/// Somebody's first minute.
mod newcomer;
/// Revisions that reach hosts.
mod deploy;
/// A balancer before hosts.
mod balanced;
/// Agents and servers that are killed in deployments.
mod killed;
/// Hosts that are cut off.
mod away;
/// Deployments that wait.
mod waits;
/// Releases of the example, watched.
mod release;
/// Containers of hosts.
mod boxes;
/// What scripts print on hosts.
mod printed;
/// Hosts that come and go.
mod hosts;
/// Releases that are judged by their metrics.
mod judged;
