//! Memory of roles that do nothing.

use std::time::Duration;

use super::running::Farm;
use super::spread::Spread;
use crate::sample::Verdict;
use crate::subject::Subject;

const UP_MIB_MAX: f64 = 60.0;
const WORKER_MIB_MAX: f64 = 30.0;
/// Until a start's own work is over.
const REST: Duration = Duration::from_secs(5);

pub(super) fn memory(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let farm = Farm::up(subject, &[])?;
    std::thread::sleep(REST);
    let what = "resident memory of an idle croft up";
    Ok(vec![verdict(what, farm.resident_bytes()?, UP_MIB_MAX)])
}

/// A worker of a farm, with a server and a broker beside it.
pub(super) fn worker(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let spread = Spread::start(subject)?;
    let worker = spread.worker(subject)?;
    std::thread::sleep(REST);
    let what = "resident memory of an idle croft worker";
    Ok(vec![verdict(
        what,
        worker.resident_bytes()?,
        WORKER_MIB_MAX,
    )])
}

fn verdict(what: &str, bytes: u64, mib_max: f64) -> Verdict {
    let mib = bytes as f64 / f64::from(1 << 20);
    Verdict::limit(what, mib, mib_max, "MiB")
}
