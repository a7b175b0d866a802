//! Those that read. Each borrows a connection and a blocking thread; there are never more of them than connections.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{open, schema};
use crate::{Cause, Entry, ReadError, Seq, Subject};

/// Readers at once: followers read briefly, and more than processors are of no use.
const READERS_MAX: usize = 4;

/// Connections that only read.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            turns: Arc::new(Semaphore::new(READERS_MAX)),
            idle: Mutex::default(),
        }
    }

    /// Entries in order, of one subject or of all.
    pub(super) async fn read(
        self: Arc<Self>,
        subject: Option<Subject>,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        let readers = Arc::clone(&self);
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_closed| ReadError::Closed)?;
        let read = tokio::task::spawn_blocking(move || {
            // Also when nobody waits any longer, the turn lasts until the connection is back.
            let _turn = turn;
            readers.read_now(subject.as_ref(), after, limit)
        });
        read.await.unwrap_or_else(|error| Err(unavailable(error)))
    }

    fn read_now(
        &self,
        subject: Option<&Subject>,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let borrowed = idle().pop();
        let connection = match borrowed {
            Some(connection) => connection,
            None => open::open_to_read(&self.path).map_err(unavailable)?,
        };
        let entries = schema::read(&connection, subject, after, limit);
        // One that failed is not used again.
        if entries.is_ok() {
            idle().push(connection);
        }
        entries
    }
}

fn unavailable(error: impl Into<Cause>) -> ReadError {
    let source = error.into();
    ReadError::Unavailable { source }
}
