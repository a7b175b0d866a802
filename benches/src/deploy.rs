//! Deployments as users have them: a farm of one machine, real agents, asked over HTTP.

/// A farm with hosts.
mod hosts;
/// Many agents at one server.
mod agents;
/// A large revision comes to a host, against `tar -x`.
mod revision;
/// A balancer before hosts.
mod balancer;
/// From a message to traffic restored.
mod webhook;
/// From a canary's first traffic to none.
mod canary;

use crate::rows::{self, Row};
use crate::sample::Verdict;
use crate::subject::Subject;

/// All rows, or the one that is named.
pub(crate) fn run(subject: &Subject) -> Result<Vec<Verdict>, String> {
    const ROWS: [Row; 4] = [
        ("revision", revision::comes),
        ("agents", agents::fleets),
        ("webhook", webhook::restored),
        ("canary", canary::found),
    ];
    rows::measured(&ROWS, "CROFT_BENCH_DEPLOY", subject)
}
