//! What can be asked. Each question is a method of [`Reading`], a state of the file that does not change while it is asked; the API
//! asks through [`crate::Views::ask`].

/// Builds.
mod builds;
/// Projects, and the history of their test cases.
mod projects;
/// Secrets, pools' keys, tokens, workers.
mod custody;
/// Who did what.
mod audit;

use croft_ledger::{Seq, Subject};
use rusqlite::{Connection, OptionalExtension as _, params};

pub use audit::AuditRow;
pub use builds::{BuildFilter, FinishedBuild, Line};
pub use custody::{PoolKeyRow, SecretRow, TokenRow, WorkerRow};
pub use projects::{CaseRow, ProjectRow};

use crate::QueryError;
use crate::schema::{signed, to_seq};

/// Most rows of a page, whatever is asked for: some megabytes of builds.
pub const ROWS_MAX: usize = 1_000;

/// A piece of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, C> {
    /// In the list's order; at most as many as were asked for, and [`ROWS_MAX`].
    pub rows: Vec<T>,
    /// What the next page is asked for with; none when this is the last one.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// Of rows of which one more was read than is wanted: whether there is one tells whether there is another page.
    fn cut(mut rows: Vec<T>, limit: usize, cursor: impl FnOnce(&T) -> C) -> Self {
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = if has_more {
            rows.last().map(cursor)
        } else {
            None
        };
        Self { rows, next }
    }
}

/// A state of the read model that does not change while it is asked.
#[derive(Debug)]
pub struct Reading<'a> {
    connection: &'a Connection,
}

impl<'a> Reading<'a> {
    pub(crate) const fn new(connection: &'a Connection) -> Self {
        Self { connection }
    }

    /// Up to where in the ledger these answers are.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn position(&self) -> Result<Seq, QueryError> {
        let mut place = self.connection.prepare_cached("SELECT seq FROM place")?;
        Ok(place.query_row([], |row| row.get(0)).map(to_seq)?)
    }

    /// The last sequence of a subject, for an append that expects it; [`Seq::ZERO`] for one that has never been heard of. Of
    /// builds, projects, secrets, pools, tokens, workers and audit chains.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last(&self, subject: &Subject) -> Result<Seq, QueryError> {
        let name = subject.parts().nth(1).unwrap_or_default();
        let sql = match subject.kind() {
            "build" => {
                let last = name.parse().map(|id| self.last_of_build(id));
                return last.unwrap_or(Ok(None)).map(Option::unwrap_or_default);
            }
            "project" => "SELECT last FROM projects WHERE name = ?1",
            _ => "SELECT seq FROM heads WHERE subject = ?1",
        };
        let key = match subject.kind() {
            "project" => name.as_str(),
            _ => subject.as_str(),
        };
        let mut last = self.connection.prepare_cached(sql)?;
        let last = last.query_row(params![key], |row| row.get(0)).optional()?;
        Ok(last.map(to_seq).unwrap_or_default())
    }
}

/// How many rows are read for a page: one more than it has.
fn page_limit(limit: usize) -> (usize, i64) {
    let limit = limit.clamp(1, ROWS_MAX);
    (limit, signed(limit as u64 + 1))
}
