//! Deployments as users have them: a farm of one machine, real agents, asked over HTTP.

/// A farm with hosts.
mod hosts;
/// Many agents at one server.
mod agents;
/// A large revision comes to a host, against `tar -x`.
mod revision;
/// From a message to traffic restored.
mod webhook;

use crate::sample::Verdict;
use crate::subject::Subject;

/// All rows, or the one that is named.
pub(crate) fn run(subject: &Subject) -> Result<Vec<Verdict>, String> {
    type Row = (&'static str, fn(&Subject) -> Result<Vec<Verdict>, String>);
    const ROWS: [Row; 3] = [
        ("revision", revision::comes),
        ("agents", agents::fleets),
        ("webhook", webhook::restored),
    ];
    let wanted = std::env::var("CROFT_BENCH_DEPLOY").ok();
    let mut all = Vec::new();
    for (name, row) in ROWS {
        if wanted.as_deref().is_none_or(|wanted| wanted == name) {
            match row(subject) {
                Ok(verdicts) => all.extend(verdicts),
                // The others may still be measured.
                Err(reason) => all.push(Verdict::unmeasured(name, &reason)),
            }
        }
    }
    if all.is_empty() {
        return Err("there is no such row".into());
    }
    Ok(all)
}
