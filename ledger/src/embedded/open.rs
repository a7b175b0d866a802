//! Opening a ledger's file. Hands the writer its connection, and a person words about a file that cannot be opened.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use croft_proto::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema::{self, APPLICATION_ID, SCHEMA_VERSION, TABLES};
use crate::Seq;

/// Pages of 4 KiB that the write-ahead log may hold before they are moved into the file. SQLite's 1000 made moving them a fifth
/// of the time of small appends; 16 MiB are still read in a moment after a crash.
const WAL_PAGES: u32 = 4000;

/// Why a ledger's file was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file, its lock or its folder cannot be opened or made; its owner can fix that.
    #[error("failed to open the ledger {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process, or another part of this one, has it open. There is one writer of a ledger: stop the other one.
    #[error("failed to open the ledger {}: another croft has it open", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is some other program's file, or no database at all. It is left as it is.
    #[error("failed to open the ledger {}: it is not a ledger ({reason})", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// How it shows.
        reason: String,
    },
    /// It was a ledger and is torn. It is left as it is: restore a backup.
    #[error("failed to open the ledger {}: it is damaged; restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer croft has written it; only that one, or one newer still, may go on.
    #[error(
        "failed to open the ledger {}: it has schema {version}, and this croft knows {SCHEMA_VERSION}: use the newer croft",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Of its schema.
        version: i32,
    },
    /// SQLite cannot use it: no room, no permission, a file system without locks.
    #[error("failed to open the ledger {}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// There is no thread for the writer.
    #[error("failed to start the ledger's writer")]
    Thread {
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A file that is a ledger and this process's.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) last: Seq,
    pub(super) at: Timestamp,
    /// Held as long as the connection.
    pub(super) lock: File,
}

pub(super) fn open(path: &Path) -> Result<Opened, OpenError> {
    let lock = lock(path)?;
    let is_new = fs::metadata(path).map_or(true, |found| found.len() == 0);
    let sorted = |error| sort(path, error);
    let mut connection = Connection::open(path)
        .and_then(planned_once)
        .map_err(sorted)?;
    let version = if is_new {
        0
    } else {
        recognise(path, &connection)?
    };
    // WAL: readers and the writer do not wait for each other. FULL: a commit returns after the disk has it.
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = {WAL_PAGES};"
        ))
        .map_err(sorted)?;
    if version == 0 {
        make(&mut connection).map_err(sorted)?;
        sync_folder(path)?;
    }
    let (last, at) = schema::last(&connection).map_err(sorted)?;
    Ok(Opened {
        connection,
        last,
        at,
        lock,
    })
}

/// Another connection, for a reader.
pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).and_then(planned_once)
}

/// A statement keeps its plan. Otherwise SQLite, where it is compiled to learn from samples, plans each one that compares a column with
/// a parameter anew for each value, which takes several times as long as finding an entry.
fn planned_once(connection: Connection) -> rusqlite::Result<Connection> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Whether a file is a ledger that this croft can read.
pub(super) fn check_to_read(path: &Path) -> Result<(), OpenError> {
    fs::metadata(path).map_err(|source| OpenError::File {
        path: path.to_path_buf(),
        source,
    })?;
    let connection = open_to_read(path).map_err(|error| sort(path, error))?;
    recognise(path, &connection).map(drop)
}

/// The last sequence of a file; none when there is no file, or nothing in it.
pub(super) fn last_of_file(path: &Path) -> Result<Seq, OpenError> {
    if fs::metadata(path).map_or(true, |found| found.len() == 0) {
        return Ok(Seq::ZERO);
    }
    let sorted = |error| sort(path, error);
    // As the writer does: what a killed one left in the log beside the file counts.
    let connection = Connection::open(path).map_err(sorted)?;
    if recognise(path, &connection)? == 0 {
        return Ok(Seq::ZERO);
    }
    let (last, _) = schema::last(&connection).map_err(sorted)?;
    Ok(last)
}

/// A file beside the ledger, since SQLite's own locks on the ledger come and go with each transaction.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::File {
        path: path.to_path_buf(),
        source,
    };
    let mut name = path.as_os_str().to_os_string();
    name.push("-lock");
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).write(true);
    let lock = options.open(PathBuf::from(name)).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: path.to_path_buf(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// The schema's version of a file that is there; 0 for a database in which nothing was made yet.
fn recognise(path: &Path, connection: &Connection) -> Result<i32, OpenError> {
    let number = |pragma: &str| {
        let value = connection.query_row(pragma, [], |row| row.get::<_, i32>(0));
        value.map_err(|error| sort(path, error))
    };
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let path = path.to_path_buf();
    match (application, version) {
        (APPLICATION_ID, SCHEMA_VERSION) => Ok(version),
        (APPLICATION_ID, _) => Err(OpenError::Newer { path, version }),
        // A croft that was killed before its first commit.
        (0, 0) if tables == 0 => Ok(0),
        _ => Err(OpenError::Foreign {
            path,
            reason: "a database of another program".into(),
        }),
    }
}

/// All at once, so that a killed croft leaves an empty database or a ledger.
pub(super) fn make(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}

/// SQLite makes its files durable, but not that the first one is in its folder.
pub(super) fn sync_folder(path: &Path) -> Result<(), OpenError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| OpenError::File {
        path: path.to_path_buf(),
        source,
    })
}

fn sort(path: &Path, source: rusqlite::Error) -> OpenError {
    let path = path.to_path_buf();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign {
            path,
            reason: "not a SQLite database".into(),
        },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, source },
        _ => OpenError::Database { path, source },
    }
}
