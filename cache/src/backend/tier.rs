//! A local folder in front of object storage, as one store. Received from `Objects` exactly as a single store is; builds go
//! on, and lose nothing, while the far store is slow, failing or gone.
//!
//! - Packs and trees never change under their name, so a near copy is served without asking. Everything else may have been
//!   changed or removed by somebody else: the far store is asked first, and the near copy serves while it does not answer.
//! - What cannot be sent waits in the near folder and is *pending*: never evicted, listed as if it were far, sent before
//!   anything that may name it.
//! - Whether something is *stored* is decided by the far store (and what is pending), never by a near copy. So a crash
//!   between the near write and the far one leaves a copy nobody relies on.

/// The near copies: what there is, what to evict.
mod near;
/// What waits to be sent.
mod pending;
/// What fetching costs.
mod pace;

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, Result};

use super::Listed;
use super::answer::{GivenUp, generic, is_answer, is_missing};
use super::guard::Guard;
use super::lane::Lane;
use super::ranges::{covered_bytes, cut};
use super::ticks::Ticks;
use near::Near;
pub(crate) use near::NearLanes;
use pending::Pending;

/// A larger object is never fetched whole for the sake of a part. Twice the size of a pack.
const WHOLE_BYTES_MAX: u64 = 16 << 20;

/// Sizes remembered from listings, so that a read need not ask for them. A store of more than 800 GiB has more packs, and
/// asks again.
const SIZES_MAX: usize = 100_000;

/// Near in front of far.
#[derive(Debug)]
pub(crate) struct Tiered {
    near: Near,
    pending: Pending,
    far: Lane,
    /// Objects being fetched right now, so that threads wanting the same one fetch it once.
    fetching: Mutex<HashSet<Path>>,
    fetched: Condvar,
    /// By a hash of the name: a wrong one costs a needless or a partial fetch, nothing more.
    sizes: Mutex<HashMap<u64, u64>>,
    /// Objects whose near copy was found damaged.
    distrusted: Mutex<HashSet<Path>>,
    /// Held while what waits is sent, so that two threads do not send the same.
    flushing: Mutex<()>,
    /// What cannot be sent fails, and does not wait.
    is_prompt: AtomicBool,
}

/// How an object may be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Never changes under its name.
    Fixed,
    /// Changed and removed by anybody.
    Loose,
    /// Worthless unless everybody sees it: never near, never pending.
    Shared,
}

impl Class {
    fn of(name: &Path) -> Self {
        // The first part is the layout's version.
        for part in name.parts().take(2) {
            match part.as_ref() {
                "packs" | "trees" => return Self::Fixed,
                "condemned" => return Self::Shared,
                _ => {}
            }
        }
        Self::Loose
    }
}

impl Tiered {
    /// `near` holds at most `near_bytes_max`, what waits to be sent included.
    ///
    /// # Errors
    /// When the near folder cannot be listed.
    pub(crate) fn new(
        near: NearLanes,
        near_bytes_max: u64,
        far: Lane,
        ticks: Ticks,
    ) -> Result<Self> {
        let pending = Pending::new(near.sure.clone());
        Ok(Self {
            near: Near::open(near, near_bytes_max, ticks)?,
            pending,
            far,
            fetching: Mutex::default(),
            fetched: Condvar::new(),
            sizes: Mutex::default(),
            distrusted: Mutex::default(),
            flushing: Mutex::default(),
            is_prompt: AtomicBool::new(false),
        })
    }

    /// From now on nothing more is left waiting: a write that the far store does not take fails.
    pub(crate) fn be_prompt(&self) {
        self.is_prompt.store(true, Ordering::Relaxed);
    }

    /// Stored far; or near, waiting to be sent, when the far store does not take it.
    pub(crate) fn put(&self, name: &Path, bytes: Bytes) -> Result<()> {
        let class = Class::of(name);
        if class == Class::Shared {
            return self.far.put(name, bytes);
        }
        // Written once and for all, so early, while the bytes are warm; unless it waits already, safe on the disk.
        let early = class == Class::Fixed && !self.pending.has(name);
        if early {
            self.near.keep(name, &bytes, &self.pending);
        }
        let Err(error) = self.send(name, &bytes) else {
            self.pending.forget(name)?;
            if !early {
                self.near.keep(name, &bytes, &self.pending);
            }
            return Ok(());
        };
        if self.is_prompt.load(Ordering::Relaxed) {
            return Err(error);
        }
        match self.let_wait(name, &bytes) {
            Ok(()) => {
                tracing::debug!(%name, %error, "waits to be sent");
                Ok(())
            }
            Err(near) => {
                tracing::debug!(%name, error = %near, "cannot wait here");
                Err(error)
            }
        }
    }

    fn send(&self, name: &Path, bytes: &Bytes) -> Result<()> {
        // Whatever else it is, it may name packs, which must be there first. Packs name nothing.
        if !is_pack(name) {
            self.flush()?;
        }
        self.far.put(name, bytes.clone())
    }

    fn let_wait(&self, name: &Path, bytes: &Bytes) -> Result<()> {
        self.near.make_room(bytes.len() as u64, &self.pending)?;
        // The note first: an object without a note is a mere copy, a note without its object is dropped when it is met.
        let _flushing = held(&self.flushing);
        self.pending.note(name, bytes)?;
        self.near.keep_surely(name, bytes)
    }

    /// Sends what waits, in the order in which it may become visible; gives the number of objects sent.
    ///
    /// # Errors
    /// When the far store does not take one; it and those behind it go on waiting.
    pub(crate) fn flush(&self) -> Result<u64> {
        let _flushing = held(&self.flushing);
        let mut sent = 0;
        for name in self.pending.in_order()? {
            // Known beforehand, so nothing is read in vain.
            if self.far.guard().is_some_and(Guard::is_given_up) {
                return Err(generic(GivenUp));
            }
            let Some(bytes) = self.pending.bytes(&name)? else {
                self.near.forget(&name);
                self.lost(&name);
                self.pending.forget(&name)?;
                continue;
            };
            self.far.put(&name, bytes.clone())?;
            self.pending.sent(&name, &bytes)?;
            sent += 1;
        }
        Ok(sent)
    }

    fn lost(&self, name: &Path) {
        let notice = format!(
            "the cache object {name}, which waited to be sent, was damaged or removed meanwhile; it is dropped"
        );
        match self.far.guard() {
            Some(guard) => guard.say(notice),
            None => tracing::warn!("{notice}"),
        }
    }

    /// How many objects wait to be sent.
    pub(crate) fn waiting(&self) -> Result<usize> {
        Ok(self.pending.in_order()?.len())
    }

    pub(crate) fn get(&self, name: &Path, bytes_max: u64) -> Result<Bytes> {
        match Class::of(name) {
            Class::Shared => self.far.get(name, bytes_max),
            Class::Fixed => match self.near.get(name, bytes_max) {
                Some(bytes) => Ok(bytes),
                None => self.fetch(name, bytes_max),
            },
            Class::Loose => self.get_loose(name, bytes_max),
        }
    }

    fn get_loose(&self, name: &Path, bytes_max: u64) -> Result<Bytes> {
        if self.pending.has(name)
            && let Some(bytes) = self.near.get(name, bytes_max)
        {
            return Ok(bytes);
        }
        match self.far.get(name, bytes_max) {
            Ok(bytes) => {
                self.near.keep_changed(name, &bytes, &self.pending);
                Ok(bytes)
            }
            Err(error) if is_missing(&error) => {
                self.near.forget(name);
                Err(error)
            }
            Err(error) if is_answer(&error) => Err(error),
            Err(error) => self.near.get(name, bytes_max).ok_or(error),
        }
    }

    /// Brings a whole object near. Threads that want the same one wait for the first of them.
    fn fetch(&self, name: &Path, bytes_max: u64) -> Result<Bytes> {
        let Some(_turn) = self.my_turn(name) else {
            // Somebody brought it; or failed to, or it was evicted at once: then everybody tries alone.
            return match self.near.get(name, bytes_max) {
                Some(bytes) => Ok(bytes),
                None => self.far.get(name, bytes_max),
            };
        };
        let started_ms = self.near.now_ms();
        let bytes = self.far.get(name, bytes_max)?;
        let took_ms = self.near.now_ms().saturating_sub(started_ms);
        self.near.fetched(bytes.len() as u64, took_ms);
        self.near.keep(name, &bytes, &self.pending);
        Ok(bytes)
    }

    /// The right to fetch an object; none after having waited for another thread that had it.
    fn my_turn(&self, name: &Path) -> Option<Turn<'_>> {
        let mut fetching = held(&self.fetching);
        if fetching.insert(name.clone()) {
            return Some(Turn {
                tiers: self,
                name: name.clone(),
            });
        }
        while fetching.contains(name) {
            let woken = self.fetched.wait(fetching);
            fetching = woken.unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    pub(crate) fn get_ranges(&self, name: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let class = Class::of(name);
        if class == Class::Fixed
            && let Some(parts) = self.near.get_ranges(name, ranges)
        {
            return Ok(parts);
        }
        if class == Class::Fixed && self.is_wanted_whole(name, ranges)? {
            let bytes = self.fetch(name, WHOLE_BYTES_MAX)?;
            let all = 0..bytes.len() as u64;
            return cut(ranges, &[all], &[bytes]);
        }
        match self.far.get_ranges(name, ranges) {
            Err(error) if class == Class::Loose && !is_answer(&error) => {
                self.near.get_ranges(name, ranges).ok_or(error)
            }
            read => read,
        }
    }

    /// True when at least half of a small enough object is wanted: the rest will be soon, and costs less than a request.
    fn is_wanted_whole(&self, name: &Path, ranges: &[Range<u64>]) -> Result<bool> {
        let remembered = held(&self.sizes).get(&hashed(name)).copied();
        let size_bytes = match remembered {
            Some(size_bytes) => size_bytes,
            // A missing object is found missing by the read that follows.
            None => self.far.size_bytes(name)?.unwrap_or(u64::MAX),
        };
        let wanted = covered_bytes(ranges).saturating_mul(2);
        Ok(size_bytes < WHOLE_BYTES_MAX && wanted >= size_bytes)
    }

    /// The size of what is stored; a near copy alone does not count.
    pub(crate) fn size_bytes(&self, name: &Path) -> Result<Option<u64>> {
        if self.pending.has(name)
            && let Some(size) = self.near.size_bytes(name)
        {
            return Ok(Some(size));
        }
        match self.far.size_bytes(name) {
            Err(error) if !is_answer(&error) && Class::of(name) != Class::Shared => {
                self.near.size_bytes(name).map(Some).ok_or(error)
            }
            answer => answer,
        }
    }

    /// What is far and what waits; what is near while the far store does not answer.
    pub(crate) fn list(&self, folder: &Path) -> Result<Vec<Listed>> {
        match self.far.list(folder) {
            Ok(far) => {
                self.remember(&far);
                self.with_waiting(folder, far)
            }
            Err(error) if is_answer(&error) || Class::of(folder) == Class::Shared => Err(error),
            Err(error) => {
                tracing::debug!(%folder, %error, "listed what is near");
                self.near.list(folder)
            }
        }
    }

    fn with_waiting(&self, folder: &Path, far: Vec<Listed>) -> Result<Vec<Listed>> {
        let waiting = self.pending.in_order()?;
        let below = waiting
            .into_iter()
            .filter(|name| name.prefix_matches(folder));
        let near: Vec<Listed> = below
            .filter_map(|name| {
                let size_bytes = self.near.size_bytes(&name)?;
                Some(Listed { name, size_bytes })
            })
            .collect();
        if near.is_empty() {
            return Ok(far);
        }
        let newer: HashSet<Path> = near.iter().map(|object| object.name.clone()).collect();
        let mut all = near;
        all.extend(
            far.into_iter()
                .filter(|object| !newer.contains(&object.name)),
        );
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    fn remember(&self, listed: &[Listed]) {
        let mut sizes = held(&self.sizes);
        for object in listed {
            if sizes.len() >= SIZES_MAX {
                sizes.clear();
            }
            if Class::of(&object.name) == Class::Fixed {
                sizes.insert(hashed(&object.name), object.size_bytes);
            }
        }
    }

    pub(crate) fn delete(&self, name: &Path) -> Result<()> {
        self.near.forget(name);
        if self.pending.has(name) {
            // Not while it is being sent, or it would come back.
            let _flushing = held(&self.flushing);
            self.pending.forget(name)?;
        }
        self.far.delete(name)
    }

    /// Drops the near copy, which its reader found damaged; true when the next read comes from somewhere else. For one
    /// name that is true once: if what comes from far is damaged too, there is no third copy.
    pub(crate) fn distrust(&self, name: &Path) -> bool {
        let waits = self.pending.has(name);
        let was_near = self.near.size_bytes(name).is_some();
        self.near.forget(name);
        if waits {
            self.lost(name);
            if let Err(error) = self.pending.forget(name) {
                tracing::debug!(%name, %error, "its note is dropped when it is met");
            }
        }
        let served_near = was_near && (waits || Class::of(name) == Class::Fixed);
        served_near && held(&self.distrusted).insert(name.clone())
    }

    pub(crate) fn far(&self) -> &Lane {
        &self.far
    }
}

impl Drop for Tiered {
    fn drop(&mut self) {
        self.near.save_costs();
    }
}

/// The right to fetch an object, until dropped.
struct Turn<'t> {
    tiers: &'t Tiered,
    name: Path,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        held(&self.tiers.fetching).remove(&self.name);
        self.tiers.fetched.notify_all();
    }
}

fn is_pack(name: &Path) -> bool {
    name.parts().take(2).any(|part| part.as_ref() == "packs")
}

fn hashed(name: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

/// The value, whatever a panicking thread did: each critical section leaves it whole.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Not enough room for what waits.
#[derive(Debug, thiserror::Error)]
#[error("the near folder is full of objects that wait to be sent")]
struct Full;

impl From<Full> for Error {
    fn from(full: Full) -> Self {
        generic(full)
    }
}
