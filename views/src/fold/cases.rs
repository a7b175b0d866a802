//! Test cases of finished builds: of each the last that was heard, for as long as its project's builds have it.

use std::collections::BTreeMap;

use croft_ledger::Seq;
use croft_proto::{CaseStatus, Timestamp};
use memchr::memmem;
use rusqlite::{Connection, params};

use super::projects::Projects;
use crate::event::Finished;
use crate::schema::{of_seq, of_time, signed};

/// Builds with test cases after which a case that none of them had is forgotten. An event holds some hundreds of cases at most,
/// so a project has at most some ten thousand rows, and usually as many as it has cases.
pub(crate) const ROUNDS_KEPT: u64 = 100;

const WRITE: &str = "INSERT OR REPLACE INTO cases (project, report, prefix, suite, name, round, status, nanos, build, at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
const FORGET: &str = "DELETE FROM cases WHERE project = ?1 AND round <= ?2";

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    project: i64,
    report: String,
    prefix: String,
    suite: String,
    name: String,
}

#[derive(Debug)]
struct Seen {
    round: u64,
    status: CaseStatus,
    nanos: u64,
    build: Seq,
    at: Timestamp,
}

/// The cases that a chunk has.
#[derive(Debug, Default)]
pub(super) struct Cases(BTreeMap<Key, Seen>);

impl Cases {
    /// Takes the cases of a finished build. `round` counts it, and is asked only when there are any.
    pub(super) fn take(
        &mut self,
        finished: &str,
        project: i64,
        build: Seq,
        at: Timestamp,
        round: impl FnOnce() -> rusqlite::Result<u64>,
    ) -> rusqlite::Result<()> {
        // Most builds have none, and looking for the word is far quicker than reading.
        if memmem::find(finished.as_bytes(), b"\"testCases\"").is_none() {
            return Ok(());
        }
        let Ok(finished) = serde_json::from_str::<Finished<'_>>(finished) else {
            tracing::debug!(
                build = build.get(),
                "reports of another form are not looked into"
            );
            return Ok(());
        };
        let reports = finished.summary.reports;
        if reports.iter().all(|report| report.test_cases.is_empty()) {
            return Ok(());
        }
        let round = round()?;
        for report in reports {
            let report_name = report.name.owned();
            for case in report.test_cases {
                let key = Key {
                    project,
                    report: report_name.clone(),
                    prefix: case.prefix.owned(),
                    suite: case.test_suite_name.owned(),
                    name: case.name.owned(),
                };
                let seen = Seen {
                    round,
                    status: case.status,
                    nanos: case.duration_in_nano_seconds,
                    build,
                    at,
                };
                self.0.insert(key, seen);
            }
        }
        Ok(())
    }

    pub(super) fn write(
        &self,
        connection: &Connection,
        projects: &Projects,
    ) -> rusqlite::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut write = connection.prepare_cached(WRITE)?;
        for (key, seen) in &self.0 {
            write.execute(params![
                key.project,
                key.report,
                key.prefix,
                key.suite,
                key.name,
                signed(seen.round),
                word(seen.status),
                signed(seen.nanos),
                of_seq(seen.build),
                of_time(seen.at),
            ])?;
        }
        let mut forget = connection.prepare_cached(FORGET)?;
        for project in projects.touched() {
            let Some(old) = project.rounds.checked_sub(ROUNDS_KEPT) else {
                continue;
            };
            forget.execute(params![project.id, signed(old)])?;
        }
        Ok(())
    }
}

fn word(status: CaseStatus) -> &'static str {
    match status {
        CaseStatus::Succeeded => "SUCCEEDED",
        CaseStatus::Failed => "FAILED",
        CaseStatus::Error => "ERROR",
        CaseStatus::Skipped => "SKIPPED",
        CaseStatus::Unknown => "UNKNOWN",
    }
}
