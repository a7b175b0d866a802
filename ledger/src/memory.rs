//! The log in memory, for simulations and tests: deterministic, without I/O. What it does is what the others must do.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use croft_proto::Timestamp;
use futures_util::FutureExt as _;
use futures_util::future::{self, BoxFuture};
use futures_util::stream::BoxStream;
use tokio::sync::watch;

use crate::check::{check, conflict, unmet};
use crate::follow::follow;
use crate::{
    Append, AppendError, Appended, Body, Clock, Entry, Health, Ledger, ReadError, Seq, Subject,
};

/// A log that is gone with its last handle.
#[derive(Clone, Debug)]
pub struct Memory {
    log: Arc<Mutex<Log>>,
    clock: Clock,
    wake: watch::Sender<Seq>,
}

#[derive(Debug, Default)]
struct Log {
    entries: BTreeMap<Seq, Entry>,
    heads: HashMap<Subject, Seq>,
    last: Seq,
    at: Timestamp,
}

impl Memory {
    /// An empty log with that clock.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            log: Arc::default(),
            clock,
            wake: watch::Sender::new(Seq::ZERO),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        // Whatever panicked did so before it changed anything.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append_now(&self, batch: Vec<Append>) -> Result<Appended, AppendError> {
        check(&batch)?;
        let mut log = self.lock();
        let met = unmet(&batch, |subject| Ok::<_, AppendError>(log.head(subject)))?;
        if let Some(conflict) = met {
            return Err(conflict);
        }
        let first = log.last.next();
        for Append { subject, event, .. } in batch {
            log.push(subject, Body::Event(event), self.clock.now());
        }
        let last = log.last;
        drop(log);
        self.wake.send_replace(last);
        Ok(Appended { first, last })
    }

    fn purge_now(&self, subject: &Subject, last: Seq) -> Result<Seq, AppendError> {
        let mut log = self.lock();
        let head = log.head(subject);
        let body = log.entries.get(&head).map(|entry| &entry.body);
        if body == Some(&Body::Tombstone { last }) {
            return Ok(head);
        }
        if head != last {
            return Err(conflict(subject, last, Some(head)));
        }
        log.entries.retain(|_, entry| entry.subject != *subject);
        let body = Body::Tombstone { last };
        log.push(subject.clone(), body, self.clock.now());
        let last = log.last;
        drop(log);
        self.wake.send_replace(last);
        Ok(last)
    }

    fn read_now(&self, after: Seq, limit: usize, is_wanted: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let log = self.lock();
        let behind = log.entries.range((Excluded(after), Unbounded));
        let wanted = behind.map(|(_, entry)| entry).filter(|e| is_wanted(e));
        wanted.take(limit).cloned().collect()
    }
}

impl Log {
    fn head(&self, subject: &Subject) -> Seq {
        self.heads.get(subject).copied().unwrap_or_default()
    }

    fn push(&mut self, subject: Subject, body: Body, now: Timestamp) {
        let seq = self.last.next();
        // A clock that is set back must not make time run backwards in the log.
        self.at = self.at.max(now);
        self.last = seq;
        self.heads.insert(subject.clone(), seq);
        let at = self.at;
        let entry = Entry {
            seq,
            subject,
            at,
            body,
        };
        self.entries.insert(seq, entry);
    }
}

impl Ledger for Memory {
    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        // When polled, not when called: as with the others.
        future::lazy(move |_| self.append_now(batch)).boxed()
    }

    fn read(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        future::lazy(move |_| Ok(self.read_now(after, limit, |_| true))).boxed()
    }

    fn read_subject(
        &self,
        subject: &Subject,
        after: Seq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        let subject = subject.clone();
        future::lazy(move |_| Ok(self.read_now(after, limit, |entry| entry.subject == subject)))
            .boxed()
    }

    fn follow(&self, after: Seq) -> BoxStream<'static, Result<Entry, ReadError>> {
        let log = self.clone();
        follow(after, self.wake.subscribe(), move |after, limit| {
            future::ready(Ok(log.read_now(after, limit, |_| true)))
        })
    }

    fn last(&self) -> BoxFuture<'_, Result<Seq, ReadError>> {
        future::lazy(|_| Ok(self.lock().last)).boxed()
    }

    fn purge(&self, subject: &Subject, last: Seq) -> BoxFuture<'_, Result<Seq, AppendError>> {
        let subject = subject.clone();
        future::lazy(move |_| self.purge_now(&subject, last)).boxed()
    }

    fn health(&self) -> BoxFuture<'_, Health> {
        let backend = "memory".to_owned();
        let (durable, wrong) = (Some(false), Vec::new());
        future::ready(Health {
            backend,
            durable,
            wrong,
        })
        .boxed()
    }
}
