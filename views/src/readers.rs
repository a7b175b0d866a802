//! Connections that read, beside the one that writes: none of them waits for it. Lent to [`crate::Views`] a question at a time.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::open;

/// Questions answered at once, and connections kept: more than processors are of no use, and each has a cache of its own.
const READERS_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct Readers {
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Default for Readers {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(READERS_MAX)),
            idle: Mutex::default(),
        }
    }
}

impl Readers {
    /// A turn among those that ask on blocking threads, so that questions wait here and do not take up all threads.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed; without a turn a question is answered just as well.
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    pub(crate) fn borrow(&self, path: &Path) -> rusqlite::Result<Connection> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        idle.map_or_else(|| open::open_to_read(path), Ok)
    }

    pub(crate) fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < READERS_MAX {
            idle.push(connection);
        }
    }
}
