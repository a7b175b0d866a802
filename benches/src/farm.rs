//! The whole farm: `croft up` as a user starts it, asked over HTTP as users ask it, on a disk, durable. Against the engine's own
//! command line and interface, and the disk's own fsync, in the same run.

/// Asking over HTTP.
pub(crate) mod http;
/// Many that ask at once.
mod load;
/// A farm that runs.
pub(crate) mod running;
/// From a submission to the first line of its output.
mod start;
/// The container engine by its interface.
mod engine;
/// Buildbot, to be measured against.
mod buildbot;
/// Builds that do nothing, one after another and side by side.
mod builds;
/// Submissions from many clients at once.
mod submissions;
/// Output while it is printed.
mod live;
/// A farm of several processes, over a broker.
mod spread;
/// Memory of roles that do nothing.
mod idle;
/// A thousand workers that are none.
mod simulated;

use crate::rows::{self, Row};
use crate::sample::Verdict;
use crate::subject::Subject;

/// All rows, or the one that is named.
pub(crate) fn run(subject: &Subject) -> Result<Vec<Verdict>, String> {
    const ROWS: [Row; 9] = [
        ("idle", idle::memory),
        ("worker-idle", idle::worker),
        ("start-sandbox", start::sandbox),
        ("start", start::container),
        ("start-saturated", start::saturated),
        ("builds", builds::per_second),
        ("submissions", submissions::per_second),
        ("live", live::output),
        ("simulated-workers", simulated::workers),
    ];
    rows::measured(&ROWS, "CROFT_BENCH_FARM", subject)
}
