//! The object store as this crate uses it: put, get, ranged get, list, delete, each waited for, each error with the
//! object's name. Received from `Store`; handed to everything that reads or writes objects.
//!
//! Behind it: one store, or a local folder in front of object storage (`tier`). What needs a network is asked under a
//! deadline (`guard`), in a runtime of this crate's own (`reactor`).

/// Blocking on a future that needs no runtime.
mod wait;
/// Blocking on one that does.
mod reactor;
/// Time for deadlines.
pub(crate) mod ticks;
/// Errors that are answers.
mod answer;
/// Which bytes to ask for.
mod ranges;
/// When to leave a failing store alone.
mod breaker;
/// Deadlines, and that breaker.
pub(crate) mod guard;
/// One store.
mod lane;
/// What lies in a local folder.
mod listing;
/// What to keep where there is not room for all.
pub(crate) mod worth;
/// Left-overs of killed writers.
mod staged;
/// Near in front of far.
mod tier;
/// Where a cache lives.
mod place;
/// Clients for object storage.
mod bucket;
/// Objects that are not the cache's.
mod object;
/// Stores that misbehave.
#[cfg(test)]
pub(crate) mod faults;

use std::ops::Range;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::Error;
use answer::{damage, is_missing};
use bucket::{Environment, client, environment};
use guard::{Guard, Limits};
use lane::Lane;
pub use object::{ReadError, Reading};
use place::Kind;
pub use place::Place;
use reactor::Reactor;
use ticks::Ticks;
use tier::{NearLanes, Tiered};

/// An object's name and size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: Path,
    pub(crate) size_bytes: u64,
}

/// A store of objects, used from plain threads.
#[derive(Clone, Debug)]
pub(crate) struct Objects(Inner);

#[derive(Clone, Debug)]
enum Inner {
    One(Lane),
    Tiers(Arc<Tiered>),
}

/// The same call to whichever store there is.
macro_rules! ask {
    ($objects:expr, $method:ident($($argument:expr),*)) => {
        match &$objects.0 {
            Inner::One(lane) => lane.$method($($argument),*),
            Inner::Tiers(tiers) => tiers.$method($($argument),*),
        }
    };
}

impl Objects {
    /// A store in this process, whose futures need no runtime.
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self(Inner::One(Lane::here(store)))
    }

    /// A local folder, which is made (mode 0700) if it is missing. What was put survives a power cut.
    pub(crate) fn folder(folder: &std::path::Path) -> Result<Self, Error> {
        let local = local(folder)?.with_fsync(true);
        Ok(Self(Inner::One(Lane::folder(local))))
    }

    /// Whatever stands at that place. Nothing is sent to it yet.
    ///
    /// # Errors
    /// [`Error::Folder`] when a folder cannot be made or opened, [`Error::Place`] when a client cannot be made of what the
    /// place and the environment say.
    pub(crate) fn open(place: &Place) -> Result<Self, Error> {
        match place.kind() {
            Kind::Folder(folder) => Self::folder(folder),
            Kind::Memory => Ok(Self::new(Arc::new(InMemory::new()))),
            Kind::Bucket(_) => {
                far(place, &environment(), Limits::default()).map(|lane| Self(Inner::One(lane)))
            }
        }
    }

    /// The local folder `near`, which holds at most `near_bytes_max`, in front of `place`. A place that is not far stands
    /// alone: a copy of what is here already helps nobody.
    ///
    /// # Errors
    /// As [`Objects::open`]; and when the near folder cannot be listed.
    pub(crate) fn tiered(
        near: &std::path::Path,
        near_bytes_max: u64,
        place: &Place,
    ) -> Result<Self, Error> {
        if !place.is_far() {
            return Self::open(place);
        }
        let far = far(place, &environment(), Limits::default())?;
        Self::in_front_of(far, near, near_bytes_max, Ticks::real())
    }

    fn in_front_of(
        far: Lane,
        near: &std::path::Path,
        near_bytes_max: u64,
        ticks: Ticks,
    ) -> Result<Self, Error> {
        let lanes = NearLanes {
            quick: Lane::folder(local(near)?),
            sure: Lane::folder(local(near)?.with_fsync(true)),
            _in_use: staged::swept(near)
                .inspect_err(|error| tracing::debug!(%error, "left-over files stay"))
                .ok(),
        };
        let tiers = Tiered::new(lanes, near_bytes_max, far, ticks)
            .map_err(|error| failed("list", &Path::default(), error))?;
        Ok(Self(Inner::Tiers(Arc::new(tiers))))
    }

    /// From now on, in all copies of this, a write has reached its store when it has succeeded; nothing waits near.
    pub(crate) fn be_prompt(&self) {
        if let Inner::Tiers(tiers) = &self.0 {
            tiers.be_prompt();
        }
    }

    /// Writes or replaces an object, whole or not at all.
    pub(crate) fn put(&self, name: &Path, bytes: impl Into<Bytes>) -> Result<(), Error> {
        let written = ask!(self, put(name, bytes.into()));
        written.map_err(|error| failed("write", name, error))
    }

    /// An object's bytes; one larger than `bytes_max` is refused unread.
    pub(crate) fn get(&self, name: &Path, bytes_max: u64) -> Result<Bytes, Error> {
        ask!(self, get(name, bytes_max)).map_err(|error| failed("read", name, error))
    }

    /// Parts of an object, in the order asked for; near ones are read together where the store gains by it.
    ///
    /// A part that the object's end cuts is short. One that begins behind the end is [`Error::Damaged`].
    pub(crate) fn get_ranges(
        &self,
        name: &Path,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, Error> {
        ask!(self, get_ranges(name, ranges)).map_err(|error| failed("read", name, error))
    }

    /// One part of an object.
    pub(crate) fn get_range(&self, name: &Path, range: Range<u64>) -> Result<Bytes, Error> {
        let parts = self.get_ranges(name, std::slice::from_ref(&range))?;
        Ok(parts.into_iter().next().unwrap_or_default())
    }

    /// The same store without the near folder: every answer is the far one's own, or an error. For whoever takes things away,
    /// since an answer that is merely the last one known could cost what somebody else has stored since.
    pub(crate) fn strictly(&self) -> Self {
        match &self.0 {
            Inner::One(_) => self.clone(),
            Inner::Tiers(tiers) => Self(Inner::One(tiers.far().clone())),
        }
    }

    /// True when a near folder may answer while the far store does not.
    pub(crate) fn is_tiered(&self) -> bool {
        matches!(self.0, Inner::Tiers(_))
    }

    /// True when requests cross a network.
    pub(crate) fn is_far(&self) -> bool {
        match &self.0 {
            Inner::One(lane) => lane.guard().is_some(),
            Inner::Tiers(_) => true,
        }
    }

    /// An object's size, or none when there is no such object.
    pub(crate) fn size_bytes(&self, name: &Path) -> Result<Option<u64>, Error> {
        ask!(self, size_bytes(name)).map_err(|error| failed("look up", name, error))
    }

    /// Every object below `folder`, sorted by name.
    pub(crate) fn list(&self, folder: &Path) -> Result<Vec<Listed>, Error> {
        ask!(self, list(folder)).map_err(|error| failed("list", folder, error))
    }

    /// Removes an object; one that is already gone is no error.
    pub(crate) fn delete(&self, name: &Path) -> Result<(), Error> {
        ask!(self, delete(name)).map_err(|error| failed("remove", name, error))
    }

    /// Says that an object's bytes were found damaged; true when reading it again reads another copy, once for each name.
    pub(crate) fn distrust(&self, name: &Path) -> bool {
        match &self.0 {
            Inner::One(_) => false,
            Inner::Tiers(tiers) => tiers.distrust(name),
        }
    }

    /// Sends what waits in the near folder since the far store did not take it; gives the number of objects sent.
    ///
    /// # Errors
    /// When the far store does not take one now either. Those left go on waiting.
    pub(crate) fn flush_pending(&self) -> Result<u64, Error> {
        match &self.0 {
            Inner::One(_) => Ok(0),
            Inner::Tiers(tiers) => tiers
                .flush()
                .map_err(|error| failed("send", &Path::from("pending"), error)),
        }
    }

    /// How many objects wait in the near folder to be sent.
    pub(crate) fn waiting(&self) -> Result<usize, Error> {
        match &self.0 {
            Inner::One(_) => Ok(0),
            Inner::Tiers(tiers) => tiers
                .waiting()
                .map_err(|error| failed("list", &Path::from("pending"), error)),
        }
    }

    /// What a build should be told since the last call: that a far store was given up, or that it is back.
    pub(crate) fn notices(&self) -> Vec<String> {
        match &self.0 {
            Inner::One(lane) => lane.notices(),
            Inner::Tiers(tiers) => tiers.far().notices(),
        }
    }
}

/// What tests need to put faults and clocks behind a store.
#[cfg(test)]
impl Objects {
    /// A store that is treated as a far one.
    pub(crate) fn far_of(store: Arc<dyn ObjectStore>, limits: Limits, ticks: Ticks) -> Self {
        Self(Inner::One(far_lane(store, limits, ticks)))
    }

    /// A folder in front of a store that is treated as a far one.
    pub(crate) fn tiers_of(
        near: &std::path::Path,
        near_bytes_max: u64,
        store: Arc<dyn ObjectStore>,
        limits: Limits,
        ticks: Ticks,
    ) -> Self {
        let far = far_lane(store, limits, ticks.clone());
        Self::in_front_of(far, near, near_bytes_max, ticks).unwrap()
    }

    /// A place, as in an environment of the test's own.
    pub(crate) fn open_in(place: &Place, environment: &Environment, limits: Limits) -> Self {
        Self(Inner::One(far(place, environment, limits).unwrap()))
    }

    /// The same behind a folder.
    pub(crate) fn tiered_in(
        near: &std::path::Path,
        place: &Place,
        environment: &Environment,
        limits: Limits,
    ) -> Self {
        let far = far(place, environment, limits).unwrap();
        Self::in_front_of(far, near, u64::MAX, Ticks::real()).unwrap()
    }
}

#[cfg(test)]
fn far_lane(store: Arc<dyn ObjectStore>, limits: Limits, ticks: Ticks) -> Lane {
    let guard = Guard::new("the shelf".into(), limits, ticks);
    Lane::far(store, Arc::new(Reactor::start().unwrap()), guard)
}

/// A folder as a store, made if it is missing.
fn local(folder: &std::path::Path) -> Result<LocalFileSystem, Error> {
    let failed = |source| Error::Folder {
        path: folder.to_path_buf(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed)?;
    LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(std::io::Error::other(error)))
}

/// A bucket, with its reactor and its guard.
fn far(place: &Place, environment: &Environment, limits: Limits) -> Result<Lane, Error> {
    let Kind::Bucket(bucket) = place.kind() else {
        return Err(Error::Place {
            place: place.to_string(),
            reason: "it is not far".into(),
        });
    };
    let store = client(bucket, environment).map_err(|error| Error::Place {
        place: place.to_string(),
        reason: format!("{error}; see docs/cache-backends.md for what it needs"),
    })?;
    let reactor = Reactor::start().map_err(|source| Error::System {
        action: "start the threads that talk to the cache",
        source,
    })?;
    let guard = Guard::new(place.to_string(), limits, Ticks::real());
    Ok(Lane::far(store, Arc::new(reactor), guard))
}

fn failed(action: &'static str, name: &Path, error: object_store::Error) -> Error {
    let object = name.to_string();
    if is_missing(&error) {
        return Error::Missing { object };
    }
    if let Some(reason) = damage(&error) {
        return Error::Damaged { object, reason };
    }
    Error::Object {
        action,
        object,
        source: Box::new(error),
    }
}
