//! Questions about builds.

use croft_ledger::Seq;
use croft_proto::Timestamp;
use croft_proto::farm::BuildId;
use rusqlite::{OptionalExtension as _, Row, params};

use super::{Page, Reading, page_limit};
use crate::QueryError;
use crate::build::{BuildRow, Columns, Stage};
use crate::schema::{of_seq, of_time, signed, to_seq, to_time, unsigned};

const COLUMNS: &str = "SELECT id, seq, at_ms, stage, last, submitted, life, settled_seq, settled_ms, settled FROM builds";
const NEWEST: &str = "SELECT seq FROM builds WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2";
const NEWEST_AT: &str =
    "SELECT seq FROM builds WHERE seq < ?1 AND stage = ?3 ORDER BY seq DESC LIMIT ?2";
const NEWEST_OF: &str = "SELECT seq FROM builds WHERE seq < ?1 AND stage = ?3 AND project = ?4
    ORDER BY seq DESC LIMIT ?2";
const LINES: &str =
    "SELECT pool, stage, count(*), min(seq) FROM builds WHERE stage < 3 GROUP BY pool, stage";

// A tombstone comes after the last event, so what is purged is not among them.
const FINISHED: &str = "SELECT id, seq, last, settled_ms FROM builds
    WHERE last = settled_seq AND settled_ms <= ?1 ORDER BY settled_ms LIMIT ?2";

/// Which builds of all. Nothing is every build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildFilter {
    /// The project's name.
    pub project: Option<String>,
    /// Any of these; every one when it is empty.
    pub stages: Vec<Stage>,
}

/// The builds of a pool that are at one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The pool's name.
    pub pool: String,
    /// Waiting, running or stopping.
    pub stage: Stage,
    /// How many there are.
    pub count: u64,
    /// The one that was submitted first.
    pub oldest: BuildId,
    /// When that was.
    pub oldest_at: Timestamp,
}

/// A build that is over, and whose entries are still in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinishedBuild {
    /// Which.
    pub build: BuildId,
    /// The sequence of its first entry.
    pub submitted_seq: Seq,
    /// The last sequence of its subject.
    pub last: Seq,
    /// When its end was recorded.
    pub settled: Timestamp,
}

impl Reading<'_> {
    /// Builds that were over at `before` and are not purged, those that ended first before the others; at most `limit`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn finished_builds(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<FinishedBuild>, QueryError> {
        let mut finished = self.connection.prepare_cached(FINISHED)?;
        let limit = signed(limit as u64);
        let rows = finished.query_map(params![of_time(before), limit], |row| {
            Ok(FinishedBuild {
                build: id(row)?,
                submitted_seq: to_seq(row.get(1)?),
                last: to_seq(row.get(2)?),
                settled: to_time(row.get(3)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The build, unless the view does not have it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn build(&self, id: BuildId) -> Result<Option<BuildRow>, QueryError> {
        let sql = format!("{COLUMNS} WHERE id = ?1");
        let mut find = self.connection.prepare_cached(&sql)?;
        let found = find.query_row(params![&id.bytes()[..]], columns);
        found.optional()?.as_ref().map(BuildRow::read).transpose()
    }

    /// The last sequence of a build's subject, unless the view does not have the build.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_of_build(&self, id: BuildId) -> Result<Option<Seq>, QueryError> {
        let mut find = self
            .connection
            .prepare_cached("SELECT last FROM builds WHERE id = ?1")?;
        let found = find.query_row(params![&id.bytes()[..]], |row| row.get(0));
        Ok(found.optional()?.map(to_seq))
    }

    /// Builds, the newest first: those submitted before `before`, or the newest of all.
    ///
    /// A build keeps its place, so pages neither miss nor repeat one while others come.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn builds(
        &self,
        filter: &BuildFilter,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Page<BuildRow, Seq>, QueryError> {
        let (limit, read) = page_limit(limit);
        let before = before.map_or(i64::MAX, of_seq);
        let project = match &filter.project {
            None => None,
            Some(name) => match self.project_number(name)? {
                None => {
                    return Ok(Page {
                        rows: Vec::new(),
                        next: None,
                    });
                }
                found => found,
            },
        };
        let mut seqs = self.newest(project, &filter.stages, before, read)?;
        // Each stage has its own newest ones.
        seqs.sort_unstable_by(|one, other| other.cmp(one));
        seqs.dedup();
        let page = Page::cut(seqs, limit, |seq| to_seq(*seq));
        let sql = format!("{COLUMNS} WHERE seq = ?1");
        let mut find = self.connection.prepare_cached(&sql)?;
        let mut rows = Vec::with_capacity(page.rows.len());
        for seq in page.rows {
            rows.push(BuildRow::read(&find.query_row(params![seq], columns)?)?);
        }
        Ok(Page {
            rows,
            next: page.next,
        })
    }

    /// The newest build of a project that succeeded: what its next one may be expected to take.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_succeeded(&self, project: &str) -> Result<Option<BuildRow>, QueryError> {
        let filter = BuildFilter {
            project: Some(project.into()),
            stages: vec![Stage::Over(croft_proto::Status::Succeeded)],
        };
        Ok(self.builds(&filter, None, 1)?.rows.pop())
    }

    /// How many builds there are in each pool at each stage, of those that are not over. A pool and stage without builds is not
    /// in it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn lines(&self) -> Result<Vec<Line>, QueryError> {
        let mut lines = self.connection.prepare_cached(LINES)?;
        let mut oldest = self
            .connection
            .prepare_cached("SELECT id, at_ms FROM builds WHERE seq = ?1")?;
        let mut rows = lines.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let seq: i64 = row.get(3)?;
            let (id, at) = oldest.query_row(params![seq], |row| Ok((id(row)?, row.get(1)?)))?;
            found.push(Line {
                pool: row.get(0)?,
                stage: Stage::from_code(row.get(1)?),
                count: unsigned(row.get(2)?),
                oldest: id,
                oldest_at: to_time(at),
            });
        }
        Ok(found)
    }

    fn newest(
        &self,
        project: Option<i64>,
        stages: &[Stage],
        before: i64,
        limit: i64,
    ) -> Result<Vec<i64>, QueryError> {
        let mut seqs = Vec::new();
        if stages.is_empty() && project.is_none() {
            let mut newest = self.connection.prepare_cached(NEWEST)?;
            let found = newest.query_map(params![before, limit], |row| row.get(0))?;
            for seq in found {
                seqs.push(seq?);
            }
            return Ok(seqs);
        }
        let stages = if stages.is_empty() {
            &Stage::ALL
        } else {
            stages
        };
        for stage in stages {
            let stage = stage.code();
            let sql = if project.is_some() {
                NEWEST_OF
            } else {
                NEWEST_AT
            };
            let mut newest = self.connection.prepare_cached(sql)?;
            let seq = |row: &Row<'_>| row.get(0);
            let found: rusqlite::Result<Vec<i64>> = match project {
                Some(project) => newest
                    .query_map(params![before, limit, stage, project], seq)?
                    .collect(),
                None => newest
                    .query_map(params![before, limit, stage], seq)?
                    .collect(),
            };
            seqs.extend(found?);
        }
        Ok(seqs)
    }
}

fn id(row: &Row<'_>) -> rusqlite::Result<BuildId> {
    let bytes: [u8; 16] = row.get(0)?;
    Ok(uuid::Uuid::from_bytes(bytes).into())
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    let settled_seq: Option<i64> = row.get(7)?;
    let settled = match settled_seq {
        None => None,
        Some(seq) => Some((to_seq(seq), to_time(row.get(8)?), row.get(9)?)),
    };
    Ok(Columns {
        id: id(row)?,
        seq: to_seq(row.get(1)?),
        at: to_time(row.get(2)?),
        stage: Stage::from_code(row.get(3)?),
        last: to_seq(row.get(4)?),
        submitted: row.get(5)?,
        life: row.get(6)?,
        settled,
    })
}
