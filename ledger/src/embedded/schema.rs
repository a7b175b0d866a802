//! Tables and statements. Used by the writer, the readers and the opening.

use bytes::Bytes;
use croft_proto::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::{Body, Entry, ReadError, Seq, Subject};

/// "Crft": says that a SQLite file is this and not some other program's.
pub(super) const APPLICATION_ID: i32 = 0x4372_6674;
/// Of the tables below. A croft opens this one and, when there are older ones, those; newer ones it refuses.
pub(super) const SCHEMA_VERSION: i32 = 1;

/// A tombstone has no event, and says what it replaced. The last entry of all is never removed, so the highest `seq` only grows.
pub(super) const TABLES: &str = "
    CREATE TABLE entries (
        seq INTEGER PRIMARY KEY,
        subject TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        event BLOB,
        purged INTEGER,
        CHECK ((event IS NULL) <> (purged IS NULL))
    ) STRICT;
    CREATE INDEX entries_by_subject ON entries (subject, seq);
";

const HEAD: &str = "SELECT coalesce(max(seq), 0) FROM entries WHERE subject = ?1";
const LAST: &str = "SELECT seq, at_ms FROM entries ORDER BY seq DESC LIMIT 1";
const INSERT: &str =
    "INSERT INTO entries (seq, subject, at_ms, event, purged) VALUES (?1, ?2, ?3, ?4, ?5)";
const PURGED: &str = "SELECT purged FROM entries WHERE seq = ?1";
const REMOVE: &str = "DELETE FROM entries WHERE subject = ?1";
const READ: &str = "SELECT seq, subject, at_ms, event, purged FROM entries
    WHERE seq > ?1 ORDER BY seq LIMIT ?2";
const READ_SUBJECT: &str = "SELECT seq, subject, at_ms, event, purged FROM entries
    WHERE subject = ?3 AND seq > ?1 ORDER BY seq LIMIT ?2";

/// SQLite's integers are signed: half of all sequences is enough.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// The last sequence of a subject.
pub(super) fn head(connection: &Connection, subject: &Subject) -> rusqlite::Result<Seq> {
    let mut statement = connection.prepare_cached(HEAD)?;
    statement.query_row([subject.as_str()], |row| {
        Ok(Seq::new(unsigned(row.get(0)?)))
    })
}

/// The last sequence of all, and its time.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<(Seq, Timestamp)> {
    let mut statement = connection.prepare_cached(LAST)?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else {
        return Ok(Default::default());
    };
    let seq = Seq::new(unsigned(row.get(0)?));
    let at = Timestamp::from_millis(unsigned(row.get(1)?));
    Ok((seq, at))
}

/// Writes one entry.
pub(super) fn insert(connection: &Connection, entry: &Entry) -> rusqlite::Result<()> {
    let (event, purged) = match &entry.body {
        Body::Event(event) => (Some(&event[..]), None),
        Body::Tombstone { last } => (None, Some(signed(last.get()))),
    };
    let mut statement = connection.prepare_cached(INSERT)?;
    let (seq, at) = (signed(entry.seq.get()), signed(entry.at.millis()));
    statement.execute(params![seq, entry.subject.as_str(), at, event, purged])?;
    Ok(())
}

/// What the entry is a tombstone of, when it is one.
pub(super) fn tombstone_of(connection: &Connection, seq: Seq) -> rusqlite::Result<Option<Seq>> {
    let mut statement = connection.prepare_cached(PURGED)?;
    let mut rows = statement.query([signed(seq.get())])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let purged: Option<i64> = row.get(0)?;
    Ok(purged.map(|last| Seq::new(unsigned(last))))
}

/// Removes all entries of a subject.
pub(super) fn remove(connection: &Connection, subject: &Subject) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(REMOVE)?;
    statement.execute([subject.as_str()])?;
    Ok(())
}

/// Entries in order.
pub(super) fn read(
    connection: &Connection,
    subject: Option<&Subject>,
    after: Seq,
    limit: usize,
) -> Result<Vec<Entry>, ReadError> {
    let unavailable = |error: rusqlite::Error| ReadError::Unavailable {
        source: error.into(),
    };
    let (after, limit) = (signed(after.get()), signed(limit as u64));
    let sql = subject.map_or(READ, |_| READ_SUBJECT);
    let mut statement = connection.prepare_cached(sql).map_err(unavailable)?;
    let rows = match subject {
        None => statement.query(params![after, limit]),
        Some(subject) => statement.query(params![after, limit, subject.as_str()]),
    };
    let (mut rows, mut entries) = (rows.map_err(unavailable)?, Vec::new());
    while let Some(row) = rows.next().map_err(unavailable)? {
        entries.push(entry(row)?);
    }
    Ok(entries)
}

fn entry(row: &Row<'_>) -> Result<Entry, ReadError> {
    let seq = row.get::<_, i64>(0).map(unsigned).map(Seq::new);
    let seq = seq.unwrap_or_default();
    let damaged = |reason: String| ReadError::Damaged { seq, reason };
    let wrong = |error: rusqlite::Error| damaged(error.to_string());
    let subject: String = row.get(1).map_err(wrong)?;
    let subject = subject.parse();
    let at: i64 = row.get(2).map_err(wrong)?;
    let event: Option<Vec<u8>> = row.get(3).map_err(wrong)?;
    let purged: Option<i64> = row.get(4).map_err(wrong)?;
    let body = match (event, purged) {
        (Some(event), None) => Body::Event(Bytes::from(event)),
        (None, Some(last)) => Body::Tombstone {
            last: Seq::new(unsigned(last)),
        },
        _ => return Err(damaged("it is neither an event nor a tombstone".into())),
    };
    Ok(Entry {
        seq,
        subject: subject.map_err(|error: crate::SubjectError| damaged(error.to_string()))?,
        at: Timestamp::from_millis(unsigned(at)),
        body,
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::embedded::open::open;

    #[test]
    fn a_statement_is_planned_once_and_not_for_each_value() {
        let folder = tempfile::tempdir().unwrap();
        let connection = open(&folder.path().join("ledger.db")).unwrap().connection;
        for subject in ["a.1", "a.2", "a.3"] {
            assert_eq!(head(&connection, &subject.parse().unwrap()), Ok(Seq::ZERO));
        }
        let statement = connection.prepare_cached(HEAD).unwrap();
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
