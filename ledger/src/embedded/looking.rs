//! A ledger's file, looked at while whoever owns it goes on writing. For backups.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::readers::Readers;
use super::{open, schema};
use crate::{Cause, Entry, OpenError, ReadError, Seq};

/// A log in a file that another process may have open. It is only read.
#[derive(Clone, Debug)]
pub struct Looking {
    path: PathBuf,
    readers: Arc<Readers>,
}

impl Looking {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        open::check_to_read(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            readers: Arc::new(Readers::new(path)),
        })
    }

    /// As [`crate::Ledger::read`].
    ///
    /// # Errors
    /// Those of reading.
    pub async fn read(&self, after: Seq, limit: usize) -> Result<Vec<Entry>, ReadError> {
        Arc::clone(&self.readers).read(None, after, limit).await
    }

    /// As [`crate::Ledger::last`].
    ///
    /// # Errors
    /// Those of reading.
    pub async fn last(&self) -> Result<Seq, ReadError> {
        let path = self.path.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let connection = open::open_to_read(&path)?;
            schema::last(&connection).map(|(last, _)| last)
        });
        asked.await.map_err(unavailable)?.map_err(unavailable)
    }
}

fn unavailable(error: impl Into<Cause>) -> ReadError {
    let source = error.into();
    ReadError::Unavailable { source }
}
