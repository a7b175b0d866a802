//! Writing a ledger's file anew. All goes into a file beside it, which takes its name when it is complete: a killed restore leaves
//! no ledger, and the next one begins again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rusqlite::Connection;

use super::{open, schema};
use crate::restore::{follow_on, unavailable};
use crate::{Body, Entry, OpenError, RestoreError, Restoring, Seq};

/// A file that is being written.
#[derive(Debug)]
pub struct EmbeddedRestoring {
    /// None before the first chunk, and while one is written.
    connection: Option<Connection>,
    fresh: PathBuf,
    path: PathBuf,
    last: Seq,
    /// Nobody opens the ledger before it is there.
    _lock: File,
}

/// Begins; refuses a ledger that has entries.
pub(super) fn begin(path: &Path) -> Result<EmbeddedRestoring, RestoreError> {
    let lock = open::lock(path)?;
    let last = open::last_of_file(path)?;
    if last > Seq::ZERO {
        let ledger = format!("the ledger {}", path.display());
        return Err(RestoreError::NotEmpty { ledger, last });
    }
    Ok(EmbeddedRestoring {
        connection: None,
        fresh: beside(path, "-restoring"),
        path: path.to_path_buf(),
        last: Seq::ZERO,
        _lock: lock,
    })
}

impl Restoring for EmbeddedRestoring {
    fn write(&mut self, entries: Vec<Entry>) -> BoxFuture<'_, Result<(), RestoreError>> {
        async move {
            let last = follow_on(self.last, &entries)?;
            let (known, fresh) = (self.connection.take(), self.fresh.clone());
            let is_first = self.last == Seq::ZERO;
            let written = tokio::task::spawn_blocking(move || {
                let mut connection = match known {
                    Some(connection) => connection,
                    None if is_first => make(&fresh)?,
                    None => return Err(unavailable("an earlier part was not written")),
                };
                write(&mut connection, &entries).map_err(unavailable)?;
                Ok(connection)
            });
            self.connection = Some(written.await.map_err(unavailable)??);
            self.last = last;
            Ok(())
        }
        .boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Seq, RestoreError>> {
        async move {
            let finished = tokio::task::spawn_blocking(move || self.put_in_place());
            finished.await.map_err(unavailable)?
        }
        .boxed()
    }
}

impl EmbeddedRestoring {
    fn put_in_place(mut self) -> Result<Seq, RestoreError> {
        let connection = self.connection.take();
        let connection =
            connection.ok_or_else(|| unavailable("an earlier part was not written"))?;
        connection
            .close()
            .map_err(|(_connection, error)| unavailable(error))?;
        let synced = File::open(&self.fresh).and_then(|file| file.sync_all());
        synced.map_err(unavailable)?;
        // An empty ledger's, which must not be taken for the new one's.
        remove_with_journals(&self.path)?;
        fs::rename(&self.fresh, &self.path).map_err(unavailable)?;
        open::sync_folder(&self.path)?;
        Ok(self.last)
    }
}

/// A file that counts only once it has the ledger's name, so that nothing of it has to survive a crash before that.
fn make(fresh: &Path) -> Result<Connection, RestoreError> {
    remove_with_journals(fresh)?;
    let mut connection = Connection::open(fresh).map_err(unavailable)?;
    connection
        .execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;")
        .map_err(unavailable)?;
    open::make(&mut connection).map_err(unavailable)?;
    Ok(connection)
}

fn write(connection: &mut Connection, entries: &[Entry]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for entry in entries {
        if matches!(entry.body, Body::Tombstone { .. }) {
            schema::remove(&transaction, &entry.subject)?;
        }
        schema::insert(&transaction, entry)?;
    }
    transaction.commit()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(ending);
    PathBuf::from(name)
}

fn remove_with_journals(path: &Path) -> Result<(), OpenError> {
    for path in [
        beside(path, "-wal"),
        beside(path, "-shm"),
        beside(path, "-journal"),
        path.to_path_buf(),
    ] {
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(OpenError::File { path, source }),
        }
    }
    Ok(())
}
