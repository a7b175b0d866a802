//! What people are told of a deployment that did not go well: the first host that failed and why, and what stands where.

use std::fmt::Write as _;

use croft_proto::deploy::Side;

use crate::state::{Deployment, Target};

/// Lines of a script's output in a message. All that was kept is beside it.
const LINES_MAX: usize = 10;
/// Hosts that are named; of more than these their number says enough.
const NAMES_MAX: usize = 10;

/// A sentence about why, then the first host, event, script and what it said last.
#[must_use]
pub fn failure(deployment: &Deployment, message: &str) -> String {
    let mut text = message.to_string();
    let Some(first) = &deployment.first_failure else {
        return text;
    };
    if !text.is_empty() {
        text.push_str(". ");
    }
    let write = write!(
        text,
        "First to fail: host {}, event {}",
        first.host, first.event
    );
    debug_assert!(write.is_ok(), "a string takes every text");
    if !first.script_name.is_empty() {
        text.push_str(&format!(", script {}", first.script_name));
    }
    if !first.message.is_empty() {
        text.push_str(&format!(": {}", first.message));
    }
    let lines: Vec<&str> = first.log_tail.lines().collect();
    let tail = &lines[lines.len().saturating_sub(LINES_MAX)..];
    for line in tail {
        text.push_str("\n  ");
        text.push_str(line);
    }
    text
}

/// What stands where, when taking back has failed.
pub(super) fn halted(deployment: &Deployment) -> String {
    let of = |is: &dyn Fn(&Target) -> bool| -> Vec<&str> {
        let targets = deployment.targets.iter();
        targets
            .filter(|target| target.planned.side == Side::New && is(target))
            .map(|target| target.planned.host.as_str())
            .collect()
    };
    let back = of(&|target| target.is_done && !target.is_failed);
    let failed = of(&|target| target.is_failed);
    let between = of(&|target| target.is_attempted && !target.is_done && !target.is_failed);
    let not_begun = of(&|target| !target.is_attempted);
    let mut text = String::from("\nThe rollback has halted, and nothing follows by itself.");
    for (what, hosts) in [
        ("Back on the good revision", back),
        ("Failed on the way back", failed),
        ("In the middle of it", between),
        ("Left as the other deployment left them", not_begun),
    ] {
        if !hosts.is_empty() {
            text.push_str(&format!(" {what}: {}.", named(&hosts)));
        }
    }
    text
}

pub(crate) fn named(hosts: &[&str]) -> String {
    let shown = hosts[..hosts.len().min(NAMES_MAX)].join(", ");
    match hosts.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
