//! The one that writes. Receives batches from a bounded queue; answers each when it is durable, or says why it is not there.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use croft_proto::Timestamp;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::open::Opened;
use super::recent::Recent;
use super::schema;
use crate::check::{conflict, unmet};
use crate::{Append, AppendError, Appended, Body, Clock, Entry, NO_ROOM, Seq, Subject};

/// Batches in one transaction. More would not make the disk's share of each much smaller, and the first waits for the last.
const GROUP_MAX: usize = 128;

/// What came of a job.
pub(super) type Outcome<T> = Result<T, AppendError>;

/// Something to write.
#[derive(Debug)]
pub(super) enum Job {
    Append {
        batch: Vec<Append>,
        reply: oneshot::Sender<Outcome<Appended>>,
    },
    Purge {
        subject: Subject,
        last: Seq,
        reply: oneshot::Sender<Outcome<Seq>>,
    },
}

/// What is wrong with the file, for whoever asks about its health.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<Option<String>>);

impl Trouble {
    pub(super) fn said(&self) -> Vec<String> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().cloned().collect()
    }

    fn say(&self, what: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }
}

/// An answer that may be given only after the commit.
#[derive(Debug)]
enum Pending {
    Append(oneshot::Sender<Outcome<Appended>>, Outcome<Appended>),
    Purge(oneshot::Sender<Outcome<Seq>>, Outcome<Seq>),
}

#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    end: End,
    clock: Clock,
    news: News,
    trouble: Arc<Trouble>,
    /// After an error that leaves open what the disk has, nothing may be written: it could be acknowledged and follow a hole.
    is_broken: bool,
    /// After the connection, so that the file is closed before the next process may open it.
    _lock: File,
}

/// Whom the writer tells what it has committed.
#[derive(Debug)]
pub(super) struct News {
    pub(super) recent: Arc<Recent>,
    pub(super) wake: watch::Sender<Seq>,
}

/// Where the log ends, and what this transaction has written there.
#[derive(Debug)]
struct End {
    last: Seq,
    at: Timestamp,
    written: Vec<Entry>,
    purged: Vec<Subject>,
}

impl End {
    fn of(last: Seq, at: Timestamp) -> Self {
        Self {
            last,
            at,
            written: Vec::new(),
            purged: Vec::new(),
        }
    }
}

impl News {
    fn tell(&self, end: &mut End) {
        for subject in end.purged.drain(..) {
            self.recent.purge(&subject);
        }
        self.recent.add(std::mem::take(&mut end.written));
        self.wake.send_if_modified(|last| {
            let is_news = *last != end.last;
            *last = end.last;
            is_news
        });
    }
}

impl Writer {
    pub(super) fn new(opened: Opened, clock: Clock, news: News, trouble: Arc<Trouble>) -> Self {
        Self {
            connection: opened.connection,
            end: End::of(opened.last, opened.at),
            clock,
            news,
            trouble,
            is_broken: false,
            _lock: opened.lock,
        }
    }

    /// Until the last sender is gone.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut group = vec![first];
            while group.len() < GROUP_MAX
                && let Ok(job) = jobs.try_recv()
            {
                group.push(job);
            }
            self.write(group);
        }
    }

    fn write(&mut self, group: Vec<Job>) {
        if self.is_broken {
            let unavailable = || AppendError::Unavailable {
                source: "the disk failed; start croft again when it is well".into(),
            };
            group.into_iter().for_each(|job| job.refuse(unavailable()));
            return;
        }
        let mut pending = Vec::with_capacity(group.len());
        let mut end = End::of(self.end.last, self.end.at);
        let now = self.clock.now();
        match commit(&mut self.connection, group, &mut end, now, &mut pending) {
            Ok(()) => {
                self.trouble.say(None);
                // Before the answers: who has one and asks for the last sequence must get it or a later one.
                self.news.tell(&mut end);
                self.end = end;
                pending.into_iter().for_each(Pending::answer);
            }
            Err(error) => self.fail(error, pending),
        }
    }

    /// Nothing of the group may count as written; whether it is depends on the error.
    fn fail(&mut self, error: rusqlite::Error, pending: Vec<Pending>) {
        let was_rolled_back = matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::ReadOnly)
        );
        tracing::error!(%error, was_rolled_back, "the ledger was not written");
        self.trouble
            .say(Some(format!("the ledger cannot be written: {error}")));
        self.is_broken = !was_rolled_back;
        let said = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => format!("{NO_ROOM}: {error}"),
            _ => error.to_string(),
        };
        for pending in pending {
            let source = said.clone().into();
            pending.instead(if was_rolled_back {
                AppendError::Unavailable { source }
            } else {
                AppendError::Unknown { source }
            });
        }
    }
}

/// Tries all of the group in one transaction. A batch is tried wholly before any of it is inserted, so one that is refused
/// leaves nothing behind, and no savepoint is needed to take it back.
fn commit(
    connection: &mut Connection,
    group: Vec<Job>,
    end: &mut End,
    now: Timestamp,
    pending: &mut Vec<Pending>,
) -> rusqlite::Result<()> {
    // A clock that is set back must not make time run backwards in the log.
    end.at = end.at.max(now);
    let mut error = None;
    let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => Some(transaction),
        Err(failed) => {
            error = Some(failed);
            None
        }
    };
    for job in group {
        // Also after an error each job needs its answer, which `fail` replaces.
        let tried = match (&transaction, &error) {
            (Some(transaction), None) => job.attempt(transaction, end),
            _ => Err((job, rusqlite::Error::QueryReturnedNoRows)),
        };
        pending.push(tried.unwrap_or_else(|(job, failed)| {
            error.get_or_insert(failed);
            job.lost()
        }));
    }
    match (transaction, error) {
        (Some(transaction), None) => transaction.commit(),
        (_, Some(error)) => Err(error),
        (None, None) => Ok(()),
    }
}

impl Job {
    /// What comes of it if the transaction is committed.
    fn attempt(
        self,
        connection: &Connection,
        end: &mut End,
    ) -> Result<Pending, (Self, rusqlite::Error)> {
        match self {
            Self::Append { batch, reply } => match append(connection, &batch, end) {
                Ok(outcome) => Ok(Pending::Append(reply, outcome)),
                Err(error) => Err((Self::Append { batch, reply }, error)),
            },
            Self::Purge {
                subject,
                last,
                reply,
            } => match purge(connection, &subject, last, end) {
                Ok(outcome) => Ok(Pending::Purge(reply, outcome)),
                Err(error) => Err((
                    Self::Purge {
                        subject,
                        last,
                        reply,
                    },
                    error,
                )),
            },
        }
    }

    /// Its answer when nothing came of it yet.
    fn lost(self) -> Pending {
        let source = "not tried".into();
        let outcome = AppendError::Unavailable { source };
        match self {
            Self::Append { reply, .. } => Pending::Append(reply, Err(outcome)),
            Self::Purge { reply, .. } => Pending::Purge(reply, Err(outcome)),
        }
    }

    fn refuse(self, error: AppendError) {
        self.lost().instead(error);
    }
}

impl Pending {
    /// Whoever no longer waits for it needs no answer.
    fn answer(self) {
        match self {
            Self::Append(reply, outcome) => reply.send(outcome).map_or((), drop),
            Self::Purge(reply, outcome) => reply.send(outcome).map_or((), drop),
        }
    }

    /// Another answer, also for a batch that was refused: what it conflicted with may have been part of what failed.
    fn instead(self, error: AppendError) {
        match self {
            Self::Append(reply, _) => Self::Append(reply, Err(error)).answer(),
            Self::Purge(reply, _) => Self::Purge(reply, Err(error)).answer(),
        }
    }
}

fn append(
    connection: &Connection,
    batch: &[Append],
    end: &mut End,
) -> rusqlite::Result<Outcome<Appended>> {
    if let Some(conflict) = unmet(batch, |subject| schema::head(connection, subject))? {
        return Ok(Err(conflict));
    }
    let first = end.last.next();
    for Append { subject, event, .. } in batch {
        end.push(connection, subject, Body::Event(event.clone()))?;
    }
    let last = end.last;
    Ok(Ok(Appended { first, last }))
}

fn purge(
    connection: &Connection,
    subject: &Subject,
    last: Seq,
    end: &mut End,
) -> rusqlite::Result<Outcome<Seq>> {
    let head = schema::head(connection, subject)?;
    if schema::tombstone_of(connection, head)? == Some(last) {
        return Ok(Ok(head));
    }
    if head != last {
        return Ok(Err(conflict(subject, last, Some(head))));
    }
    schema::remove(connection, subject)?;
    // What the same transaction has written of it is gone, too.
    end.written.retain(|entry| entry.subject != *subject);
    end.purged.push(subject.clone());
    end.push(connection, subject, Body::Tombstone { last })?;
    Ok(Ok(end.last))
}

impl End {
    fn push(
        &mut self,
        connection: &Connection,
        subject: &Subject,
        body: Body,
    ) -> rusqlite::Result<()> {
        let entry = Entry {
            seq: self.last.next(),
            subject: subject.clone(),
            at: self.at,
            body,
        };
        schema::insert(connection, &entry)?;
        self.last = entry.seq;
        self.written.push(entry);
        Ok(())
    }
}
