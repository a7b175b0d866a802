//! The read model, for those that write it, wait for it and ask it. Handles share one file: clone them freely.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use croft_ledger::{Entry, Seq};
use croft_proto::farm::BuildId;
use rusqlite::Connection;
use tokio::sync::{broadcast, watch};

use crate::fold::{Chunk, Wrong};
use crate::readers::Readers;
use crate::{ApplyError, OpenError, QueryError, Reading, open};

/// Chunks whose changes a waiter may not have looked at yet. One that is behind further looks at the build itself.
const CHANGES_MAX: usize = 256;

/// The builds that a chunk has changed.
type Changed = Arc<HashSet<BuildId>>;

/// A read model.
#[derive(Clone, Debug)]
pub struct Views(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// None in memory, where the one that writes also reads.
    path: Option<PathBuf>,
    writer: Mutex<Connection>,
    readers: Readers,
    position: watch::Sender<Seq>,
    changes: broadcast::Sender<Changed>,
    configured: AtomicU64,
}

impl Views {
    /// Opens the file, or makes it; one of another schema, or a damaged one, is removed and made anew. Waits for the disk.
    ///
    /// # Errors
    /// When the file can neither be used nor made.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let (connection, position) = open::open(path)?;
        Ok(Self::new(Some(path.to_path_buf()), connection, position))
    }

    /// Whether [`Views::open`] would go on with what is at that path, and not begin anew.
    #[must_use]
    pub fn stands(path: &Path) -> bool {
        open::stands(path)
    }

    /// Puts the read model in the file `with` in place of what is at `path`, which nobody has open.
    ///
    /// # Errors
    /// When a file cannot be removed or moved.
    pub fn replace(path: &Path, with: &Path) -> Result<(), OpenError> {
        open::replace(path, with)
    }

    /// One that is gone with its last handle.
    ///
    /// # Errors
    /// When SQLite has no memory.
    pub fn in_memory() -> Result<Self, OpenError> {
        let made = open::in_memory().map_err(|source| OpenError::Database {
            path: ":memory:".into(),
            source,
        })?;
        Ok(Self::new(None, made, Seq::ZERO))
    }

    fn new(path: Option<PathBuf>, connection: Connection, position: Seq) -> Self {
        Self(Arc::new(Inner {
            path,
            writer: Mutex::new(connection),
            readers: Readers::default(),
            position: watch::Sender::new(position),
            changes: broadcast::Sender::new(CHANGES_MAX),
            configured: AtomicU64::default(),
        }))
    }

    /// Folds entries, in the ledger's order and without leaving any out, in one transaction together with the position. Those
    /// that were folded before change nothing. Waits for the disk.
    ///
    /// # Errors
    /// At an entry that is not understood or cannot be: those before it are folded then. When the file cannot be written: none
    /// are.
    pub fn apply(&self, entries: &[Entry]) -> Result<Seq, ApplyError> {
        let mut writer = self.writer();
        let applied = self.apply_to(&mut writer, entries);
        drop(writer);
        if let Err(ApplyError::Database(error)) = &applied {
            self.look_at(error);
        }
        applied
    }

    fn apply_to(&self, connection: &mut Connection, entries: &[Entry]) -> Result<Seq, ApplyError> {
        let mut position = self.position();
        let transaction = connection.transaction()?;
        let mut chunk = Chunk::new(&transaction);
        let mut wrong = None;
        for entry in entries {
            if entry.seq <= position {
                continue;
            }
            match chunk.fold(entry) {
                Ok(()) => position = entry.seq,
                Err(Wrong::Database(error)) => return Err(error.into()),
                Err(error) => {
                    wrong = Some(error.of(entry));
                    break;
                }
            }
        }
        chunk.write(position)?;
        let changed: Vec<BuildId> = chunk.touched().collect();
        let configures = chunk.configures();
        transaction.commit()?;
        if configures {
            self.0.configured.fetch_add(1, Ordering::Release);
        }
        self.0.position.send_replace(position);
        // Looked at behind the commit: whoever began to listen before it may have read what was there before it.
        if self.0.changes.receiver_count() > 0 {
            let changed = Arc::new(changed.into_iter().collect());
            // When nobody listens any more, nobody has to know.
            drop(self.0.changes.send(changed));
        }
        wrong.map_or(Ok(position), Err)
    }

    /// Bytes of its file, and of what is not moved into it yet; none in memory.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.0.path.as_deref().map_or(0, open::file_bytes)
    }

    /// Writes all of it, as it is at one moment, into a new file at `path`, in place of what is there; up to where that is folded. Those
    /// that write and ask go on meanwhile. Waits for the disk.
    ///
    /// # Errors
    /// When one of both files cannot be used.
    pub fn copy_to(&self, path: &Path) -> Result<Seq, QueryError> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(QueryError::Lost(format!("{}: {error}", path.display())));
            }
            Ok(()) | Err(_) => {}
        }
        match &self.0.path {
            None => open::copy(&self.writer(), path),
            Some(from) => open::copy(&open::open_to_read(from)?, path),
        }
    }

    /// Up to where the ledger is folded.
    #[must_use]
    pub fn position(&self) -> Seq {
        *self.0.position.borrow()
    }

    /// The same, each time it changes.
    #[must_use]
    pub fn positions(&self) -> watch::Receiver<Seq> {
        self.0.position.subscribe()
    }

    /// A number that is another one whenever a project was configured anew or removed. Asked before a project is, it says how long the
    /// answer holds.
    #[must_use]
    pub fn configured(&self) -> u64 {
        self.0.configured.load(Ordering::Acquire)
    }

    /// True once the fold has come to `seq`; false when it has not within the limit.
    pub async fn reached(&self, seq: Seq, limit: Duration) -> bool {
        let mut positions = self.positions();
        let there = positions.wait_for(|position| *position >= seq);
        matches!(tokio::time::timeout(limit, there).await, Ok(Ok(_)))
    }

    /// The build's last sequence once it is behind `after`; none when nothing has happened to it within the limit.
    ///
    /// A build that is not there yet is waited for: `after` is [`Seq::ZERO`] then.
    ///
    /// # Errors
    /// When the file cannot be read.
    ///
    /// **Cancel.** Nothing is left behind.
    pub async fn wait_change(
        &self,
        build: BuildId,
        after: Seq,
        limit: Duration,
    ) -> Result<Option<Seq>, QueryError> {
        let waited = tokio::time::timeout(limit, self.change(build, after));
        waited.await.unwrap_or(Ok(None))
    }

    async fn change(&self, build: BuildId, after: Seq) -> Result<Option<Seq>, QueryError> {
        // Before looking: what happens meanwhile is in here.
        let mut changes = self.0.changes.subscribe();
        loop {
            let last = self.ask_now(|read| read.last_of_build(build))?;
            if last.is_some_and(|last| last > after) {
                return Ok(last);
            }
            loop {
                match changes.recv().await {
                    Ok(changed) if !changed.contains(&build) => {}
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => break,
                    Err(broadcast::error::RecvError::Closed) => return Ok(None),
                }
            }
        }
    }

    /// Asks, on a blocking thread; all that is asked in one go is answered from one state of the file.
    ///
    /// # Errors
    /// Those of the question.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reading<'_>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let turn = self.0.readers.turn().await;
        let views = self.clone();
        let asked = tokio::task::spawn_blocking(move || {
            // Also when nobody waits any longer, the turn lasts until the connection is back.
            let _turn = turn;
            views.ask_now(question)
        });
        let lost = |error: tokio::task::JoinError| Err(QueryError::Lost(error.to_string()));
        asked.await.unwrap_or_else(lost)
    }

    /// The same on this thread, which may have to wait for the disk. One row is asked for by its key like this also where other tasks
    /// run: that takes some tens of microseconds, and handing it to another thread and back takes longer, most of all while all
    /// processors are busy.
    ///
    /// # Errors
    /// Those of the question.
    pub fn ask_now<T>(
        &self,
        question: impl FnOnce(&Reading<'_>) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let answer = match &self.0.path {
            None => in_one_state(&mut self.writer(), question),
            Some(path) => {
                let mut connection = self.0.readers.borrow(path)?;
                let answer = in_one_state(&mut connection, question);
                // One that failed is not used again.
                if answer.is_ok() {
                    self.0.readers.give_back(connection);
                }
                answer
            }
        };
        if let Err(QueryError::Database(error)) = &answer {
            self.look_at(error);
        }
        answer
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        // A transaction of whoever panicked is rolled back.
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_at(&self, error: &rusqlite::Error) {
        if let Some(path) = &self.0.path
            && open::is_damage(error)
        {
            open::mark_damage(path);
        }
    }
}

fn in_one_state<T>(
    connection: &mut Connection,
    question: impl FnOnce(&Reading<'_>) -> Result<T, QueryError>,
) -> Result<T, QueryError> {
    let transaction = connection.transaction()?;
    question(&Reading::new(&transaction))
}
