//! Bytes to packs: each chunk stored once, whoever brings it. Received from `save` and `named`, which have bytes; hands back
//! [`Content`]s that may be named once [`Intake::finish`] has returned.
//!
//! Memory is bounded whatever comes in: a builder of one pack for each worker, and as many packs on their way as there are
//! carriers. A worker waits for a free carrier before it reads on.

use std::collections::HashSet;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::backend::{Listed, Objects};
use crate::chunk::Cutter;
use crate::content::Content;
use crate::id::Short;
use crate::index::Index;
use crate::pack::{Builder, Filled, Salt};
use crate::workers;
use crate::{Error, Id};

/// Packs on their way to a local disk: one more than is needed to hide the wait for the disk.
const CARRIERS_NEAR: usize = 2;

/// Packs on their way over a network: servers are fastest with several at once, and each is 8 MiB of memory.
const CARRIERS_FAR: usize = 8;

/// What one save, or one group of small ones, brings in.
pub(crate) struct Intake<'a> {
    index: &'a Index,
    salt: Salt,
    cap_bytes: u64,
    claimed: Mutex<HashSet<Short>>,
    written_bytes: AtomicU64,
    failed: &'a AtomicBool,
    sent: Mutex<Vec<Listed>>,
    outbox: SyncSender<Filled>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Brought {
    /// Bytes of packs written.
    pub(crate) stored_bytes: u64,
    /// Those packs.
    pub(crate) packs: Vec<Listed>,
}

/// Lets `work` bring bytes in; when this returns without an error, all of them are stored.
///
/// The caller holds a lease from before the index was loaded.
pub(crate) fn bring_in<T>(
    objects: &Objects,
    index: &Index,
    cap_bytes: u64,
    work: impl FnOnce(&Intake<'_>) -> Result<T, Error>,
) -> Result<(T, Brought), Error> {
    let carriers = if objects.is_far() {
        CARRIERS_FAR
    } else {
        CARRIERS_NEAR
    };
    let (outbox, inbox) = sync_channel(0);
    let (inbox, failed) = (Mutex::new(inbox), AtomicBool::new(false));
    thread::scope(|scope| {
        let intake = Intake {
            index,
            salt: salt()?,
            cap_bytes,
            claimed: Mutex::default(),
            written_bytes: AtomicU64::new(0),
            failed: &failed,
            sent: Mutex::default(),
            outbox,
        };
        let mut threads = Vec::new();
        for _ in 0..workers::limit(carriers) {
            let carrier = thread::Builder::new()
                .name("croft-cache-out".into())
                .spawn_scoped(scope, || carry(objects, &inbox, &failed))
                .map_err(|source| Error::System {
                    action: "start a thread",
                    source,
                })?;
            threads.push(carrier);
        }
        let worked = work(&intake);
        let brought = Brought {
            stored_bytes: intake.written_bytes.load(Ordering::Relaxed),
            packs: std::mem::take(&mut *intake.sent()),
        };
        // The carriers end when nobody can send any more.
        drop(intake);
        let mut carried = Ok(());
        for thread in threads {
            let ended = thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            carried = carried.and(ended);
        }
        // A carrier's error says more than that of the worker that found it gone.
        carried?;
        Ok((worked?, brought))
    })
}

fn carry(
    objects: &Objects,
    inbox: &Mutex<Receiver<Filled>>,
    failed: &AtomicBool,
) -> Result<(), Error> {
    let mut outcome = Ok(());
    loop {
        let next = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(filled) = next else {
            return outcome;
        };
        // After an error the rest is only taken off the workers' hands: their save has failed.
        if outcome.is_ok() {
            outcome = objects.put(&filled.listed.name, filled.bytes);
            failed.fetch_or(outcome.is_err(), Ordering::Relaxed);
        }
    }
}

/// Random bytes that nobody else has.
pub(crate) fn salt() -> Result<Salt, Error> {
    #[cfg(test)]
    if let Some(salt) = crate::simulated::salt() {
        return Ok(salt);
    }
    let mut salt = Salt::default();
    let got = rustix::rand::getrandom(&mut salt, rustix::rand::GetRandomFlags::empty());
    got.map_err(|source| Error::System {
        action: "get random bytes",
        source: source.into(),
    })?;
    Ok(salt)
}

impl Intake<'_> {
    fn claimed(&self) -> MutexGuard<'_, HashSet<Short>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sent(&self) -> MutexGuard<'_, Vec<Listed>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when these chunks are all stored, or on their way.
    pub(crate) fn has_all<'c>(&self, chunks: impl IntoIterator<Item = &'c Id>) -> bool {
        chunks
            .into_iter()
            .all(|id| self.index.has_for_good(&id.short()))
    }

    /// A worker's end of the intake.
    pub(crate) fn feeder(&self) -> Result<Feeder<'_>, Error> {
        Ok(Feeder {
            intake: self,
            cutter: Cutter::new(),
            builder: Builder::new(self.salt)?,
        })
    }

    fn send(&self, filled: Filled) -> Result<(), Error> {
        let written = filled.bytes.len() as u64;
        let before = self.written_bytes.fetch_add(written, Ordering::Relaxed);
        if before + written > self.cap_bytes {
            return Err(Error::TooLarge {
                cap_bytes: self.cap_bytes,
            });
        }
        self.sent().push(filled.listed.clone());
        let is_sent = !self.failed.load(Ordering::Relaxed) && self.outbox.send(filled).is_ok();
        if is_sent {
            return Ok(());
        }
        Err(Error::System {
            action: "write to the cache",
            source: std::io::ErrorKind::BrokenPipe.into(),
        })
    }
}

/// Cuts, hashes, compresses and packs what one worker reads.
pub(crate) struct Feeder<'a> {
    intake: &'a Intake<'a>,
    cutter: Cutter,
    builder: Builder,
}

/// Why contents are not stored: their reader's doing, or the store's.
pub(crate) enum Stop {
    Unreadable(std::io::Error),
    Failed(Error),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Unreadable(error)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Feeder<'_> {
    /// Takes contents in.
    pub(crate) fn take(&mut self, reader: &mut dyn Read) -> Result<Content, Stop> {
        let Self {
            intake,
            cutter,
            builder,
        } = self;
        let mut chunks = Vec::new();
        let size_bytes = cutter.cut::<Stop>(reader, |raw| {
            let id = Id::of(raw);
            chunks.push(id);
            let short = id.short();
            if intake.index.has_for_good(&short) {
                return Ok(());
            }
            if !intake.claimed().insert(short) {
                return Ok(());
            }
            builder.push(id, raw)?;
            if builder.is_full()
                && let Some(filled) = builder.finish()?
            {
                intake.send(filled)?;
            }
            Ok(())
        })?;
        Ok(Content { size_bytes, chunks })
    }

    /// Takes in a chunk as it is, unless it is here already; whether it was new. The caller has checked its hash.
    pub(crate) fn bring(&mut self, id: Id, raw: &[u8]) -> Result<bool, Error> {
        let short = id.short();
        if self.intake.index.has_for_good(&short) || !self.intake.claimed().insert(short) {
            return Ok(false);
        }
        self.builder.push(id, raw)?;
        self.send_if_full()?;
        Ok(true)
    }

    /// The same, for a copy of what is stored elsewhere.
    pub(crate) fn copy(&mut self, id: Id, raw: &[u8]) -> Result<(), Error> {
        self.bring(id, raw).map(drop)
    }

    fn send_if_full(&mut self) -> Result<(), Error> {
        if self.builder.is_full()
            && let Some(filled) = self.builder.finish()?
        {
            self.intake.send(filled)?;
        }
        Ok(())
    }

    /// Sends what is left.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        match self.builder.finish()? {
            Some(filled) => self.intake.send(filled),
            None => Ok(()),
        }
    }
}
