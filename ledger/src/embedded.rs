//! The log in one SQLite file, for one machine. Opened by the composition root; one process at a time has it.
//!
//! One thread writes. It takes every batch that waits, tries each against the log, and commits all that fit in one
//! transaction: one wait for the disk, however many batches. Readers have connections of their own and see what is committed.

/// Opening, and what is wrong with a file that cannot be.
mod open;
/// Tables and statements.
mod schema;
/// The one that writes.
mod writer;
/// The end of it, in memory.
mod recent;
/// Those that read.
mod readers;
/// Reading beside the process that writes.
mod looking;
/// Writing it all anew.
mod restoring;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::{mpsc, oneshot, watch};

pub use looking::Looking;
pub use open::OpenError;
pub use restoring::EmbeddedRestoring;

use crate::check::check;
use crate::follow::follow;
use crate::{
    Append, AppendError, Appended, Clock, Entry, Health, Ledger, ReadError, RestoreError, Seq,
    Subject,
};
use readers::Readers;
use recent::Recent;
use writer::{Job, News, Outcome, Writer};

/// Batches that may wait for the writer. Beyond it callers wait for room; a full queue of the largest ones is what bounds memory.
const QUEUE_MAX: usize = 256;

/// A log in a file.
#[derive(Debug)]
pub struct Embedded {
    /// None only while it is dropped.
    queue: Option<mpsc::Sender<Job>>,
    readers: Arc<Readers>,
    recent: Arc<Recent>,
    last: watch::Receiver<Seq>,
    writer: Option<JoinHandle<()>>,
    trouble: Arc<writer::Trouble>,
}

impl Embedded {
    /// Opens the file, or makes it. Waits for the disk.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]: another process has it, it is not a ledger, or of a newer croft.
    pub fn open(path: &Path, clock: Clock) -> Result<Self, OpenError> {
        let opened = open::open(path)?;
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let (wake, last) = watch::channel(opened.last);
        let trouble = Arc::default();
        let recent = Arc::new(Recent::behind(opened.last));
        let news = News {
            recent: Arc::clone(&recent),
            wake,
        };
        let writer = Writer::new(opened, clock, news, Arc::clone(&trouble));
        let thread = std::thread::Builder::new().name("ledger-writer".into());
        let writer = thread
            .spawn(move || writer.run(jobs))
            .map_err(|source| OpenError::Thread { source })?;
        Ok(Self {
            queue: Some(queue),
            readers: Arc::new(Readers::new(path)),
            recent,
            last,
            writer: Some(writer),
            trouble,
        })
    }

    /// Looks at a file that another process may have open. Waits for the disk.
    ///
    /// # Errors
    ///
    /// There is none, or it is no ledger of this croft's.
    pub fn look(path: &Path) -> Result<Looking, OpenError> {
        Looking::open(path)
    }

    /// Writes the file anew. Waits for the disk.
    ///
    /// # Errors
    ///
    /// There is a ledger with entries already, or another process has it open.
    pub fn restore(path: &Path) -> Result<EmbeddedRestoring, RestoreError> {
        restoring::begin(path)
    }

    /// Hands the writer something to do and waits for what came of it.
    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Outcome<T>>) -> Job,
    ) -> Result<T, AppendError> {
        let gone = || AppendError::Unavailable {
            source: "its writer has ended".into(),
        };
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        let (reply, answer) = oneshot::channel();
        queue.send(job(reply)).await.map_err(|_job| gone())?;
        // A writer that died took the job with it, before or after the commit.
        answer.await.unwrap_or_else(|_| {
            let source = "its writer ended without an answer".into();
            Err(AppendError::Unknown { source })
        })
    }
}

/// Ends the writer when it has done what it was given, so that the file can be opened again.
impl Drop for Embedded {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the ledger's writer panicked");
        }
    }
}

impl Ledger for Embedded {
    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        async move {
            check(&batch)?;
            self.ask(|reply| Job::Append { batch, reply }).await
        }
        .boxed()
    }

    fn read(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        let readers = Arc::clone(&self.readers);
        async move { readers.read(None, after, limit).await }.boxed()
    }

    fn read_subject(
        &self,
        subject: &Subject,
        after: Seq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        let (readers, subject) = (Arc::clone(&self.readers), subject.clone());
        async move { readers.read(Some(subject), after, limit).await }.boxed()
    }

    fn follow(&self, after: Seq) -> BoxStream<'static, Result<Entry, ReadError>> {
        let (readers, recent) = (Arc::clone(&self.readers), Arc::clone(&self.recent));
        follow(after, self.last.clone(), move |after, limit| {
            let (readers, recent) = (Arc::clone(&readers), recent.after(after, limit));
            async move {
                match recent {
                    Some(entries) => Ok(entries),
                    None => readers.read(None, after, limit).await,
                }
            }
        })
    }

    fn last(&self) -> BoxFuture<'_, Result<Seq, ReadError>> {
        let last = *self.last.borrow();
        async move { Ok(last) }.boxed()
    }

    fn purge(&self, subject: &Subject, last: Seq) -> BoxFuture<'_, Result<Seq, AppendError>> {
        let subject = subject.clone();
        self.ask(move |reply| Job::Purge {
            subject,
            last,
            reply,
        })
        .boxed()
    }

    fn health(&self) -> BoxFuture<'_, Health> {
        let wrong = self.trouble.said();
        let health = Health {
            backend: format!("embedded: SQLite {}", rusqlite::version()),
            durable: Some(wrong.is_empty()),
            wrong,
        };
        async move { health }.boxed()
    }
}
