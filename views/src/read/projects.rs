//! Questions about projects, and about the test cases of their builds.

use croft_ledger::Seq;
use croft_proto::farm::{BuildId, ProjectRules};
use croft_proto::{CaseStatus, Timestamp};
use rusqlite::{OptionalExtension as _, Row, params};
use serde::Deserialize as _;
use serde_json::Value;

use super::{Page, Reading, page_limit};
use crate::QueryError;
use crate::schema::{to_seq, to_time, unsigned};

const COLUMNS: &str = "SELECT name, last, number, created_ms, modified_ms, project, rules FROM projects WHERE project IS NOT NULL";
const CASES: &str = "SELECT cases.report, cases.prefix, cases.suite, cases.name, cases.status, cases.nanos, cases.at_ms, builds.id
    FROM cases JOIN builds ON builds.seq = cases.build
    WHERE cases.project = ?1 AND cases.report = ?2 ORDER BY cases.prefix, cases.suite, cases.name LIMIT ?3";

/// A project that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectRow {
    /// Its name.
    pub name: String,
    /// All of its configuration, as it was applied.
    pub project: Value,
    /// When and where its builds run.
    pub rules: ProjectRules,
    /// When it was made.
    pub created: Timestamp,
    /// When it was applied last.
    pub last_modified: Timestamp,
    /// The number of its last build; 0 when there is none.
    pub number: u64,
    /// The last sequence of its subject.
    pub last: Seq,
}

/// A test case, as it was the last time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseRow {
    /// The report it is in.
    pub report: String,
    /// The class or file it belongs to; may be empty.
    pub prefix: String,
    /// Its suite; may be empty.
    pub suite: String,
    /// Its name.
    pub name: String,
    /// How it ended.
    pub status: CaseStatus,
    /// Nanoseconds.
    pub nanos: u64,
    /// When its build was settled, by the ledger's clock.
    pub at: Timestamp,
    /// Which build that was.
    pub build: BuildId,
}

struct Columns {
    name: String,
    last: Seq,
    number: u64,
    created: Timestamp,
    modified: Timestamp,
    project: Vec<u8>,
    rules: Vec<u8>,
}

impl Reading<'_> {
    /// The project, unless it was deleted or was never there.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn project(&self, name: &str) -> Result<Option<ProjectRow>, QueryError> {
        let sql = format!("{COLUMNS} AND name = ?1");
        let mut find = self.connection.prepare_cached(&sql)?;
        let found = find.query_row(params![name], columns).optional()?;
        found.map(ProjectRow::read).transpose()
    }

    /// Projects in the order of their names' bytes: those after `after`, or the first ones.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn projects(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<ProjectRow, String>, QueryError> {
        let (limit, read) = page_limit(limit);
        let sql = format!("{COLUMNS} AND name > ?1 ORDER BY name LIMIT ?2");
        let mut list = self.connection.prepare_cached(&sql)?;
        let found = list.query_map(params![after.unwrap_or_default(), read], columns)?;
        let mut rows = Vec::new();
        for found in found {
            rows.push(ProjectRow::read(found?)?);
        }
        Ok(Page::cut(rows, limit, |row| row.name.clone()))
    }

    /// The test cases of a project's report, as each was in the last build that had it: at most [`super::ROWS_MAX`], in the order
    /// of their prefixes, suites and names.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn cases(&self, project: &str, report: &str) -> Result<Vec<CaseRow>, QueryError> {
        let Some(project) = self.project_number(project)? else {
            return Ok(Vec::new());
        };
        let (limit, _) = page_limit(usize::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut list = self.connection.prepare_cached(CASES)?;
        let mut rows = list.query(params![project, report, limit])?;
        let mut cases = Vec::new();
        while let Some(row) = rows.next()? {
            let status: String = row.get(4)?;
            cases.push(CaseRow {
                report: row.get(0)?,
                prefix: row.get(1)?,
                suite: row.get(2)?,
                name: row.get(3)?,
                status: CaseStatus::deserialize(Value::String(status))?,
                nanos: unsigned(row.get(5)?),
                at: to_time(row.get(6)?),
                build: uuid::Uuid::from_bytes(row.get(7)?).into(),
            });
        }
        Ok(cases)
    }

    pub(super) fn project_number(&self, name: &str) -> Result<Option<i64>, QueryError> {
        let mut find = self
            .connection
            .prepare_cached("SELECT id FROM projects WHERE name = ?1")?;
        Ok(find.query_row(params![name], |row| row.get(0)).optional()?)
    }
}

impl ProjectRow {
    fn read(columns: Columns) -> Result<Self, QueryError> {
        Ok(Self {
            name: columns.name,
            project: serde_json::from_slice(&columns.project)?,
            rules: serde_json::from_slice(&columns.rules)?,
            created: columns.created,
            last_modified: columns.modified,
            number: columns.number,
            last: columns.last,
        })
    }
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok(Columns {
        name: row.get(0)?,
        last: to_seq(row.get(1)?),
        number: unsigned(row.get(2)?),
        created: to_time(row.get(3)?),
        modified: to_time(row.get(4)?),
        project: row.get(5)?,
        rules: row.get(6)?,
    })
}
