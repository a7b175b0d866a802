//! Questions about whom the farm trusts with what. No value is here in clear, and no token.

use croft_keys::{AccessRecord, AccessTokens};
use croft_ledger::Seq;
use croft_proto::Timestamp;
use croft_proto::farm::{SealedFor, SecretKind};
use rusqlite::{OptionalExtension as _, Row, params};

use super::{Page, Reading, page_limit};
use crate::QueryError;
use crate::schema::{to_seq, to_time};

const SECRET: &str = "SELECT name, last, version, kind, projects, wrapped, sealed, created_ms, changed_ms, is_there FROM secrets";
const KEYS: &str = "SELECT pool, generation, public, wrapped, at_ms FROM pool_keys";
const TOKENS: &str = "SELECT seq, record FROM tokens";
const WORKERS: &str = "SELECT name, is_draining, by, at_ms FROM workers";

/// A secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// Its name.
    pub name: String,
    /// Of its value, from 1. A removed secret has that of its last one: the next goes on from there.
    pub version: u32,
    /// What it is used as.
    pub kind: SecretKind,
    /// Projects whose builds may have it, as patterns; none is all.
    pub projects: Vec<String>,
    /// Under the master key; empty when it was removed.
    pub wrapped: String,
    /// For the pools there are; empty when it was removed.
    pub sealed: Vec<SealedFor>,
    /// When it was made, or made anew after a removal.
    pub created: Timestamp,
    /// When its value was set last, or it was removed.
    pub changed: Timestamp,
    /// False when it was removed.
    pub is_there: bool,
    /// The last sequence of its subject.
    pub last: Seq,
}

/// Its values, sealed as they are, have no place in a log.
impl std::fmt::Debug for SecretRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretRow")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("is_there", &self.is_there)
            .finish_non_exhaustive()
    }
}

/// A pool's key.
#[derive(Clone, PartialEq, Eq)]
pub struct PoolKeyRow {
    /// The pool's name.
    pub pool: String,
    /// From 1.
    pub generation: u32,
    /// For sealing.
    pub public: String,
    /// For opening, under the master key.
    pub wrapped: String,
    /// When it was made.
    pub at: Timestamp,
}

impl std::fmt::Debug for PoolKeyRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolKeyRow")
            .field("pool", &self.pool)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// A token that was not taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// What the farm keeps of it.
    pub record: AccessRecord,
    /// The last sequence of its subject.
    pub last: Seq,
}

/// A worker that somebody has told something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRow {
    /// Its name.
    pub name: String,
    /// Whether it shall take no more builds.
    pub is_draining: bool,
    /// Who wanted that.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Reading<'_> {
    /// The secret; also one that was removed, for its version and where its subject ends.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn secret(&self, name: &str) -> Result<Option<SecretRow>, QueryError> {
        let sql = format!("{SECRET} WHERE name = ?1");
        let mut find = self.connection.prepare_cached(&sql)?;
        let mut rows = find.query(params![name])?;
        rows.next()?.map(secret).transpose()
    }

    /// Secrets that are there, in the order of their names' bytes: those after `after`, or the first ones.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn secrets(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<SecretRow, String>, QueryError> {
        let (limit, read) = page_limit(limit);
        let sql = format!("{SECRET} WHERE is_there = 1 AND name > ?1 ORDER BY name LIMIT ?2");
        let mut list = self.connection.prepare_cached(&sql)?;
        let mut rows = list.query(params![after.unwrap_or_default(), read])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(secret(row)?);
        }
        Ok(Page::cut(found, limit, |row| row.name.clone()))
    }

    /// A pool's keys, the newest last; none when it has not needed one yet.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn pool_keys(&self, pool: &str) -> Result<Vec<PoolKeyRow>, QueryError> {
        let sql = format!("{KEYS} WHERE pool = ?1 ORDER BY generation");
        let mut list = self.connection.prepare_cached(&sql)?;
        let found = list.query_map(params![pool], pool_key)?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    /// The newest key of every pool that has one, by the pools' names.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn newest_pool_keys(&self) -> Result<Vec<PoolKeyRow>, QueryError> {
        let sql = format!("{KEYS} ORDER BY pool, generation DESC");
        let mut list = self.connection.prepare_cached(&sql)?;
        let mut found: Vec<PoolKeyRow> = list
            .query_map([], pool_key)?
            .collect::<rusqlite::Result<_>>()?;
        found.dedup_by(|later, kept| later.pool == kept.pool);
        Ok(found)
    }

    /// Every token that was not taken back, also one that has expired, by its id.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn tokens(&self) -> Result<Vec<TokenRow>, QueryError> {
        let sql = format!("{TOKENS} ORDER BY id");
        let mut list = self.connection.prepare_cached(&sql)?;
        let mut rows = list.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(token(row)?);
        }
        Ok(found)
    }

    /// The token of that id, unless it was taken back.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn token(&self, id: &str) -> Result<Option<TokenRow>, QueryError> {
        let sql = format!("{TOKENS} WHERE id = ?1");
        let mut find = self.connection.prepare_cached(&sql)?;
        let mut rows = find.query(params![id])?;
        rows.next()?.map(token).transpose()
    }

    /// All tokens as a table to ask on every request, and where in the ledger it stands: it is loaded anew when a token changes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn access_tokens(&self) -> Result<(AccessTokens, Seq), QueryError> {
        let mut tokens = AccessTokens::default();
        for row in self.tokens()? {
            tokens.insert(row.record);
        }
        Ok((tokens, self.position()?))
    }

    /// The last sequence of any token: when it is as it was, [`Self::access_tokens`] is, too.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_of_tokens(&self) -> Result<Seq, QueryError> {
        let sql = "SELECT coalesce(max(seq), 0) FROM heads WHERE subject >= 'token.' AND subject < 'token/'";
        let mut last = self.connection.prepare_cached(sql)?;
        Ok(last.query_row([], |row| row.get(0)).map(to_seq)?)
    }

    /// Workers that somebody has told something, by their names.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn workers(&self) -> Result<Vec<WorkerRow>, QueryError> {
        let sql = format!("{WORKERS} ORDER BY name");
        let mut list = self.connection.prepare_cached(&sql)?;
        let found = list.query_map([], worker)?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    /// What somebody has told a worker, if anybody has.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn worker(&self, name: &str) -> Result<Option<WorkerRow>, QueryError> {
        let sql = format!("{WORKERS} WHERE name = ?1");
        let mut find = self.connection.prepare_cached(&sql)?;
        Ok(find.query_row(params![name], worker).optional()?)
    }
}

fn secret(row: &Row<'_>) -> Result<SecretRow, QueryError> {
    let text = |at: usize| row.get::<_, String>(at);
    Ok(SecretRow {
        name: text(0)?,
        last: to_seq(row.get(1)?),
        version: row.get(2)?,
        kind: serde_json::from_str(&text(3)?)?,
        projects: serde_json::from_str(&text(4)?)?,
        wrapped: text(5)?,
        sealed: serde_json::from_str(&text(6)?)?,
        created: to_time(row.get(7)?),
        changed: to_time(row.get(8)?),
        is_there: row.get(9)?,
    })
}

fn pool_key(row: &Row<'_>) -> rusqlite::Result<PoolKeyRow> {
    Ok(PoolKeyRow {
        pool: row.get(0)?,
        generation: row.get(1)?,
        public: row.get(2)?,
        wrapped: row.get(3)?,
        at: to_time(row.get(4)?),
    })
}

fn token(row: &Row<'_>) -> Result<TokenRow, QueryError> {
    let record: String = row.get(1)?;
    Ok(TokenRow {
        last: to_seq(row.get(0)?),
        record: serde_json::from_str(&record)?,
    })
}

fn worker(row: &Row<'_>) -> rusqlite::Result<WorkerRow> {
    Ok(WorkerRow {
        name: row.get(0)?,
        is_draining: row.get(1)?,
        by: row.get(2)?,
        at: to_time(row.get(3)?),
    })
}
