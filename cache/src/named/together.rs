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
        now: &dyn Fn() -> Timestamp,
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
            self.write(&batch, now);
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
    fn write(&self, batch: &[Arc<Upload>], now: &dyn Fn() -> Timestamp) {
        let written = self.write_batch(batch, now()).map_err(Arc::new);
        // Also after an error: what it has written by then nobody uses.
        self.look_at_the_cap(batch.len() as u64, now());
        if let Err(error) = self.refresh() {
            // They are stored all the same; who reads loads the index again when it lacks something.
            tracing::warn!(%error, "what was uploaded is not seen yet");
        }
        for (at, upload) in batch.iter().enumerate() {
            let outcome = match &written {
                Ok(outcomes) => outcomes[at].clone(),
                Err(error) => Err(Arc::clone(error)),
            };
            *upload.done.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        }
    }

    /// The time is that of now, not of when the uploads came: they may have waited for long, and a lease begins here.
    fn write_batch(&self, batch: &[Arc<Upload>], now: Timestamp) -> Result<Vec<Outcome>, Error> {
        let writing = Writing::begin(&self.store, now)?;
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

impl Upload {
    fn outcome(&self) -> Option<Outcome> {
        self.done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
