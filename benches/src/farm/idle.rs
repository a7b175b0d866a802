//! Memory of roles that do nothing.

use std::time::Duration;

use super::running::Farm;
use crate::sample::Verdict;
use crate::subject::Subject;

const UP_MIB_MAX: f64 = 60.0;
/// Until a start's own work is over.
const REST: Duration = Duration::from_secs(5);

pub(super) fn memory(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let farm = Farm::up(subject, &[])?;
    std::thread::sleep(REST);
    let mib = farm.resident_bytes()? as f64 / f64::from(1 << 20);
    Ok(vec![Verdict::limit(
        "resident memory of an idle croft up",
        mib,
        UP_MIB_MAX,
        "MiB",
    )])
}
