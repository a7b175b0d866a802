//! Questions about who did what.

use croft_ledger::Seq;
use croft_proto::Timestamp;
use rusqlite::{Row, params};
use serde_json::Value;

use super::{Page, Reading, page_limit};
use crate::QueryError;
use crate::schema::{of_seq, to_seq, to_time};

const COLUMNS: &str = "SELECT seq, chain, at_ms, entry FROM audit";

/// An entry of a server's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Where in the ledger: the order of entries, and the cursor of their pages.
    pub seq: Seq,
    /// Whose chain, as its subject says.
    pub chain: String,
    /// When, by the ledger's clock.
    pub at: Timestamp,
    /// As it was noted: a [`croft_keys::audit::AuditEntry`] as JSON.
    pub entry: Value,
}

impl Reading<'_> {
    /// Entries of a chain, or of all, the newest first: those before `before`, or the newest of all.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn audit(
        &self,
        chain: Option<&str>,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Page<AuditRow, Seq>, QueryError> {
        let (limit, read) = page_limit(limit);
        let before = before.map_or(i64::MAX, of_seq);
        let rows = match chain {
            None => {
                let sql = format!("{COLUMNS} WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2");
                let mut list = self.connection.prepare_cached(&sql)?;
                all(list.query(params![before, read])?)?
            }
            Some(chain) => {
                let sql =
                    format!("{COLUMNS} WHERE seq < ?1 AND chain = ?3 ORDER BY seq DESC LIMIT ?2");
                let mut list = self.connection.prepare_cached(&sql)?;
                all(list.query(params![before, read, chain])?)?
            }
        };
        Ok(Page::cut(rows, limit, |row| row.seq))
    }

    /// Entries of a chain, the oldest first: those after `after`. For checking the chain piece by piece.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn audit_chain(
        &self,
        chain: &str,
        after: Seq,
        limit: usize,
    ) -> Result<Page<AuditRow, Seq>, QueryError> {
        let (limit, read) = page_limit(limit);
        let sql = format!("{COLUMNS} WHERE seq > ?1 AND chain = ?3 ORDER BY seq LIMIT ?2");
        let mut list = self.connection.prepare_cached(&sql)?;
        let rows = all(list.query(params![of_seq(after), read, chain])?)?;
        Ok(Page::cut(rows, limit, |row| row.seq))
    }

    /// The last entry of a chain, from which it goes on.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn audit_last(&self, chain: &str) -> Result<Option<AuditRow>, QueryError> {
        Ok(self.audit(Some(chain), None, 1)?.rows.pop())
    }

    /// The names of all chains, sorted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn audit_chains(&self) -> Result<Vec<String>, QueryError> {
        let sql = "SELECT DISTINCT chain FROM audit ORDER BY chain";
        let mut list = self.connection.prepare_cached(sql)?;
        let found = list.query_map([], |row| row.get(0))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }
}

fn all(mut rows: rusqlite::Rows<'_>) -> Result<Vec<AuditRow>, QueryError> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(audit(row)?);
    }
    Ok(found)
}

fn audit(row: &Row<'_>) -> Result<AuditRow, QueryError> {
    let entry: Vec<u8> = row.get(3)?;
    Ok(AuditRow {
        seq: to_seq(row.get(0)?),
        chain: row.get(1)?,
        at: to_time(row.get(2)?),
        entry: serde_json::from_slice(&entry)?,
    })
}
