//! Opening a read model's file, or making it; what is not a whole one of this schema is removed. Hands [`crate::Views`] the one
//! connection that writes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use croft_ledger::Seq;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::schema::{APPLICATION_ID, PAGE_BYTES, SCHEMA_VERSION, TABLES, to_seq};
use crate::{OpenError, QueryError};

/// Pages that the write-ahead log may hold before they are moved into the file: 64 MiB. Pages that change again and again, as
/// those of the indexes do while much is folded, are moved once for all of it.
const WAL_PAGES: u32 = 4096;

/// KiB of pages kept in memory by the one that writes: the indexes of a million builds.
const CACHE_KIB: u32 = 65_536;

/// Statements kept ready: more than there are.
pub(crate) const STATEMENTS_MAX: usize = 64;

/// A connection that may write, and how far its rows are.
pub(crate) fn open(path: &Path) -> Result<(Connection, Seq), OpenError> {
    let mark = damage_mark(path);
    if mark.exists() {
        tracing::warn!(path = %path.display(), "the read model was found damaged; it is made anew");
        remove(path)?;
    }
    match prepare(path) {
        Ok(Some(opened)) => return Ok(opened),
        Ok(None) => tracing::info!(
            path = %path.display(),
            "the read model is of another croft; it is made anew"
        ),
        Err(error) if is_damage(&error) => tracing::warn!(
            path = %path.display(),
            %error,
            "the read model is damaged; it is made anew"
        ),
        Err(source) => return Err(failed(path, source)),
    }
    remove(path)?;
    let opened = prepare(path).map_err(|source| failed(path, source))?;
    opened.ok_or_else(|| failed(path, rusqlite::Error::InvalidQuery))
}

/// One that is gone with its last handle.
pub(crate) fn in_memory() -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    prepare_well(&connection)?;
    make(&mut connection)?;
    Ok(connection)
}

/// Another connection, for a reader.
pub(crate) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare_well(&connection)?;
    Ok(connection)
}

/// A statement is prepared once and keeps its plan. Otherwise SQLite, where it is compiled to learn from samples, plans each one that
/// compares a column with a parameter anew for each value, which takes several times as long as finding a row.
fn prepare_well(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Whether at `path` is a read model that can be gone on with: what [`open`] would not make anew.
pub(crate) fn stands(path: &Path) -> bool {
    let stands = || -> rusqlite::Result<bool> {
        let connection = open_to_read(path)?;
        Ok(is_known(&connection)? && place(&connection)? > Seq::ZERO)
    };
    !damage_mark(path).exists() && stands().unwrap_or(false)
}

/// Of the file and its write-ahead log.
pub(crate) fn file_bytes(path: &Path) -> u64 {
    let files = [path.to_path_buf(), beside(path, "-wal")];
    let found = files.iter().filter_map(|path| fs::metadata(path).ok());
    found.map(|found| found.len()).sum()
}

/// That file instead of what is there.
pub(crate) fn replace(path: &Path, with: &Path) -> Result<(), OpenError> {
    remove(path)?;
    fs::rename(with, path).map_err(|source| OpenError::File {
        path: path.to_path_buf(),
        source,
    })
}

/// All of it in a new file, and up to where that is folded.
pub(crate) fn copy(from: &Connection, path: &Path) -> Result<Seq, QueryError> {
    let named = path
        .to_str()
        .ok_or_else(|| QueryError::Lost(format!("{} is no UTF-8 text", path.display())))?;
    from.execute("VACUUM INTO ?1", [named])?;
    Ok(place(&open_to_read(path)?)?)
}

fn place(connection: &Connection) -> rusqlite::Result<Seq> {
    connection
        .query_row("SELECT seq FROM place", [], |row| row.get(0))
        .map(to_seq)
}

/// True when the file itself is at fault, and a new one would not be.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Leaves word for the next opening that the file is damaged: while others read it, it cannot be removed.
pub(crate) fn mark_damage(path: &Path) {
    if let Err(error) = fs::write(damage_mark(path), "") {
        tracing::warn!(path = %path.display(), %error, "a damaged read model could not be marked; remove it by hand");
    }
}

/// None when it is not of this schema.
fn prepare(path: &Path) -> rusqlite::Result<Option<(Connection, Seq)>> {
    let is_new = fs::metadata(path).map_or(true, |found| found.len() == 0);
    let mut connection = Connection::open(path)?;
    prepare_well(&connection)?;
    if !is_new && !is_known(&connection)? {
        return Ok(None);
    }
    // NORMAL: a commit waits for no disk, and a power failure takes the last commits but leaves a whole file, whose position
    // says what is to be folded again.
    connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
         PRAGMA wal_autocheckpoint = {WAL_PAGES}; PRAGMA cache_size = -{CACHE_KIB};"
    ))?;
    if is_new {
        make(&mut connection)?;
    }
    let place = place(&connection)?;
    Ok(Some((connection, place)))
}

fn is_known(connection: &Connection) -> rusqlite::Result<bool> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i32>(0));
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    Ok(application == APPLICATION_ID && version == SCHEMA_VERSION)
}

/// All at once, so that a killed croft leaves an empty database or a read model.
fn make(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}

fn damage_mark(path: &Path) -> PathBuf {
    beside(path, "-damaged")
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(ending);
    PathBuf::from(name)
}

/// The mark goes last: a croft killed in between removes the rest the next time.
fn remove(path: &Path) -> Result<(), OpenError> {
    for path in [
        beside(path, "-wal"),
        beside(path, "-shm"),
        path.to_path_buf(),
        damage_mark(path),
    ] {
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(OpenError::File { path, source }),
        }
    }
    Ok(())
}

fn failed(path: &Path, source: rusqlite::Error) -> OpenError {
    OpenError::Database {
        path: path.to_path_buf(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::{OptionalExtension as _, StatementStatus};

    use super::*;

    #[test]
    fn a_statement_is_planned_once_and_not_for_each_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("views.db");
        let (writer, _) = open(&path).unwrap();
        for connection in [writer, open_to_read(&path).unwrap()] {
            let mut find = connection
                .prepare("SELECT id FROM projects WHERE name = ?1")
                .unwrap();
            for name in ["a", "b", "c"] {
                let found = find.query_row([name], |row| row.get::<_, i64>(0));
                assert_eq!(found.optional().unwrap(), None);
            }
            assert_eq!(find.get_status(StatementStatus::RePrepare), 0);
        }
    }
}
