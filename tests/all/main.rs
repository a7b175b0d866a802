//! The whole of `croft`, from outside: its words, its exit codes, its output and what it leaves on the machine. Each test has
//! a home and a source of its own; what a test needs and does not find (root, a container engine) skips it visibly.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

/// A machine for one test, and what a build on it said.
mod harness;
/// What a buildspec means: state between commands, phases after a failure, edge cases.
mod rules;
/// What a build finds in its environment and hands on.
mod environment;
/// What a sandboxed build cannot reach.
mod isolation;
/// Values from stores: where they come from, and that nobody sees them.
mod secrets;
/// Stops, time limits, kills, and what is left afterwards.
mod stopping;
/// What a build shows.
mod output;
/// What is wrong with what a person gives.
mod bad_input;
/// Sources that are not a folder.
mod sources;
/// What a build leaves: artifacts and reports.
mod artifacts;
/// The cache from one build to the next.
mod cache;
/// A cache whose processes are killed.
mod cache_killed;
/// A cache that lies beneath the build.
mod cache_mount;
/// The cache for other tools.
mod caching;
/// What a farm shows to Prometheus.
mod metrics;
/// A farm's ledger: what leaves it, and what it is restored from.
mod backup;
/// The programs that a build can call.
mod helpers;
/// Deployments to this machine.
mod agent;
/// The farm, in both its sizes.
mod farm;
/// The units that systemd starts it by.
mod units;
/// The rooms of this workspace and the arrows between them.
mod arrows;
