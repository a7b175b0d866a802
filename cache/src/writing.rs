//! The frame around everything that stores: a lease from before the first look at what is there until the record is written.
//! Received from `save`, `put` and `named`.
//!
//! Why it is safe beside a collection of garbage without any lock between machines: the lease is written before the list of
//! condemned packs is read. A collection writes what it condemns before it lists leases. So either the collection sees the
//! lease and waits for its end before it removes anything, or the writer sees what is condemned and stores those chunks anew.

use std::time::Duration;

use croft_proto::Timestamp;

use crate::index::Index;
use crate::live::TreeRef;
use crate::lock::Held;
use crate::records::lease::{Lease, LeaseKind, TTL_MS_MAX, Taking};
use crate::records::record::Outcome;
use crate::{Error, Store};

/// How long a save may take. A crashed one is in the way of collections for this long and ten minutes.
const TTL: Duration = Duration::from_secs(2 * 3600);

/// A record must be written this long before the lease ends: the write itself takes time.
const MARGIN: Duration = Duration::from_secs(10 * 60);

/// A store being written to.
#[derive(Debug)]
pub(crate) struct Writing<'a> {
    pub(crate) index: Index,
    lease: Option<Lease>,
    started: SinceBoot,
    _held: Held<'a>,
}

impl<'a> Writing<'a> {
    pub(crate) fn begin(store: &'a Store, now: Timestamp) -> Result<Self, Error> {
        let mut writing = Self::begin_alone(store, now)?;
        writing.index = store.index()?;
        Ok(writing)
    }

    /// One that counts on nothing that is stored: whatever it brings is written, and how much is stored costs it nothing.
    pub(crate) fn begin_alone(store: &'a Store, now: Timestamp) -> Result<Self, Error> {
        let held = store.share()?;
        let started = SinceBoot::now();
        let lease = Lease::take(
            &store.objects,
            Taking {
                now,
                ttl_ms: u64::try_from(TTL.as_millis()).unwrap_or(u64::MAX),
                kind: LeaseKind::Save,
                roots: Vec::new(),
                unique: crate::intake::salt()?,
            },
        )?;
        Ok(Self {
            index: Index::default(),
            lease: Some(lease),
            started,
            _held: held,
        })
    }

    /// To be asked right before a record is written.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.started.elapsed() + MARGIN < TTL {
            return Ok(());
        }
        Err(Error::TooSlow {
            seconds_max: (TTL - MARGIN).as_secs(),
        })
    }
}

/// The time since this machine was started, in which it may have slept: a lease runs out all the same.
#[derive(Clone, Copy, Debug)]
struct SinceBoot(Duration);

impl SinceBoot {
    fn now() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).expect("the clock starts at zero");
        let nanos = u32::try_from(now.tv_nsec).expect("nanoseconds are below 10^9");
        Self(Duration::new(seconds, nanos))
    }

    fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let released = self.lease.take().map_or(Ok(()), Lease::release);
        if let Err(error) = released {
            tracing::debug!(%error, "a lease stays until it expires");
        }
    }
}

/// What a running build keeps alive: a tree it was given, or made. Ends when it is dropped, which waits for the store's answer
/// and so panics on a thread that runs tasks; one that is forgotten, because its process died, ends by itself.
#[derive(Debug)]
pub struct Hold(Option<Lease>);

impl Store {
    /// Keeps a tree alive for `ttl_ms` milliseconds, at most a day.
    ///
    /// # Errors
    /// When the store cannot be written; then only the grace of collections, half an hour, protects the tree.
    pub fn hold(&self, tree: &TreeRef, ttl_ms: u64, now: Timestamp) -> Result<Hold, Error> {
        let taking = Taking {
            now,
            ttl_ms: ttl_ms.min(TTL_MS_MAX),
            kind: LeaseKind::Build,
            roots: vec![Outcome::Tree {
                id: tree.id,
                list: tree.list.clone(),
            }],
            unique: crate::intake::salt()?,
        };
        Lease::take(&self.objects, taking).map(|lease| Hold(Some(lease)))
    }
}

impl Hold {
    /// Holds for its time from now on.
    ///
    /// # Errors
    /// When it has ended before, or the store cannot be written.
    pub fn renew(&mut self, now: Timestamp) -> Result<(), Error> {
        self.0.as_mut().map_or(Ok(()), |lease| lease.renew(now))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let released = self.0.take().map_or(Ok(()), Lease::release);
        if let Err(error) = released {
            tracing::debug!(%error, "a lease stays until it expires");
        }
    }
}
