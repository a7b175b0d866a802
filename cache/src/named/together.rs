//! Small contents that come at the same time, stored together. Received from [`Shelf::put`], each on its own thread; whoever
//! comes first writes for all that have come meanwhile, and each learns what became of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use croft_proto::Timestamp;

use super::Shelf;
use crate::intake::bring_in;
use crate::records::record::Record;
use crate::records::scope::Scopes;
use crate::writing::Writing;
use crate::{Error, Id};

/// Contents waiting to be stored together: the memory a burst of uploads may take.
const WAITING_MAX: usize = 64;

/// What became of one upload. A batch fails as one, so its uploads share the error.
type Outcome = Result<(), Arc<Error>>;

/// One upload on its way.
#[derive(Debug)]
pub(super) struct Upload {
    scopes: Scopes,
    record: Record,
    chunks: Vec<(Id, Bytes)>,
    done: Mutex<Option<Outcome>>,
}

impl Shelf {
    /// Hands the upload to whoever writes next, which may be this thread, and waits for it.
    pub(super) fn put_together(
        &self,
        scopes: &Scopes,
        record: Record,
        chunks: Vec<(Id, Bytes)>,
    ) -> Result<u64, Error> {
        let size_bytes = record.logical_bytes;
        let upload = Arc::new(Upload {
            scopes: scopes.clone(),
            record,
            chunks,
            done: Mutex::default(),
        });
        self.waiting().push(Arc::clone(&upload));
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let is_done = upload.outcome().is_some();
        if !is_done {
            let mut waiting = self.waiting();
            let count = waiting.len().min(WAITING_MAX);
            let mut batch: Vec<Arc<Upload>> = waiting.drain(..count).collect();
            if !batch.iter().any(|one| Arc::ptr_eq(one, &upload)) {
                waiting.retain(|one| !Arc::ptr_eq(one, &upload));
                batch.push(Arc::clone(&upload));
            }
            drop(waiting);
            self.write(&batch);
        }
        drop(writer);
        match upload.outcome() {
            Some(Ok(())) => Ok(size_bytes),
            Some(Err(source)) => Err(Error::Together { source }),
            None => unreachable!("the writer's turn has passed with this upload in its batch"),
        }
    }

    pub(super) fn waiting(&self) -> MutexGuard<'_, Vec<Arc<Upload>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a batch and tells each of it how it went.
    fn write(&self, batch: &[Arc<Upload>]) {
        let written = self.write_batch(batch);
        // Also after an error: what it has written by then nobody uses.
        self.look_at_the_cap(batch.len() as u64, latest(batch));
        let seen = |outcomes| self.refresh().map(|()| outcomes);
        let written = written.and_then(seen).map_err(Arc::new);
        for (at, upload) in batch.iter().enumerate() {
            let outcome = match &written {
                Ok(outcomes) => outcomes[at].clone(),
                Err(error) => Err(Arc::clone(error)),
            };
            *upload.done.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        }
    }

    fn write_batch(&self, batch: &[Arc<Upload>]) -> Result<Vec<Outcome>, Error> {
        let writing = Writing::begin(&self.store, latest(batch))?;
        bring_in(
            &self.store.objects,
            &writing.index,
            self.store.cap_bytes,
            |intake| {
                let mut feeder = intake.feeder()?;
                let chunks = batch.iter().flat_map(|upload| &upload.chunks);
                for (id, bytes) in chunks {
                    if !writing.index.has_for_good(&id.short()) {
                        feeder.copy(*id, bytes)?;
                    }
                }
                feeder.flush()
            },
        )?;
        writing.check()?;
        let outcomes = batch
            .iter()
            .map(|upload| {
                let written = self.write_record(&upload.scopes, &upload.record);
                written.map_err(Arc::new)
            })
            .collect();
        Ok(outcomes)
    }
}

/// When the last of them had come.
fn latest(batch: &[Arc<Upload>]) -> Timestamp {
    let created = batch.iter().map(|upload| upload.record.created);
    created.max().unwrap_or(Timestamp::from_millis(0))
}

impl Upload {
    fn outcome(&self) -> Option<Outcome> {
        self.done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
