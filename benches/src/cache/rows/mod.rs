//! The rows of the table, each in its file. Received from `inside` with a setting and the report they add to.

/// What all rows work with.
mod setting;
/// Into an empty store.
mod first_save;
/// Again after a small change, by walking and from the upper layer.
mod incremental;
/// A tree this machine has, mounted.
mod mounted;
/// All bytes.
mod cold;
/// Against a server's own rate.
mod s3;
/// Peaks.
mod memory;
/// Twenty versions.
mod revisions;
/// Whether it works.
mod smoke;

pub(crate) use setting::Setting;

use super::options::RowName;
use super::report::Report;

/// Runs one row; a failure is reported, and the next row goes on.
pub(crate) fn run(row: RowName, setting: &Setting<'_>, report: &mut Report) {
    let ran = match row {
        RowName::Corpus => setting.corpus(report).map(drop),
        RowName::FirstSave => first_save::run(setting, report),
        RowName::IncrementalWalk => incremental::run(setting, report, false),
        RowName::IncrementalUpper => incremental::run(setting, report, true),
        RowName::RestoreMounted => mounted::run(setting, report),
        RowName::ColdRestore => cold::run(setting, report),
        RowName::S3 => s3::run(setting, report),
        RowName::Memory => memory::run(setting, report),
        RowName::Revisions => revisions::run(setting, report),
        RowName::Smoke => smoke::run(setting, report),
    };
    if let Err(reason) = ran {
        report.failed(&row.shown(), &reason);
    }
}
