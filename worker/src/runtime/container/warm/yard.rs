//! Where containers go when nobody needs them any more. Receives a container whose processes have ended or are ending, has
//! the engine remove it and removes its folder, beside whatever comes next; its owner awaits the rest at the end.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;

use super::super::super::Error;
use super::super::engine::Engine;
use super::counts::{Tally, count};
use super::network::Lent;
use crate::record::Scratch;

/// How many containers are removed beside what else happens; who releases one more waits for it. An engine takes a tenth of
/// a second for one, so this many are left behind by a burst only.
const REMOVING_MAX: usize = 8;
/// How long a runner may take to leave once its socket is closed. The kernel ends all it started.
const LEAVE_MAX: Duration = Duration::from_secs(2);
/// How long the kernel may take to kill it, where the container is not frozen.
const KILL_MAX: Duration = Duration::from_secs(3);

/// Containers that are being removed.
#[derive(Debug)]
pub(super) struct Yard {
    removing: TaskTracker,
    places: Arc<Semaphore>,
    /// Of those who went away without a word: a build that was stopped while its place was being made.
    left: Mutex<Vec<Remains>>,
    /// Told when something is left.
    stirred: Arc<Notify>,
    tally: Arc<Tally>,
}

impl Yard {
    pub(super) fn new(stirred: Arc<Notify>, tally: Arc<Tally>) -> Self {
        Self {
            removing: TaskTracker::new(),
            places: Arc::new(Semaphore::new(REMOVING_MAX)),
            left: Mutex::default(),
            stirred,
            tally,
        }
    }

    /// Removes a container that has nothing left to do: on its own, unless many are being removed or the yard has closed.
    pub(super) async fn take(&self, remains: Remains) {
        let tally = Arc::clone(&self.tally);
        let removal = async move {
            if let Err(error) = remains.remove().await {
                count(&tally.not_removed);
                let error = crate::chain(&error);
                tracing::warn!(%error, "a used container is left for the next sweep");
            }
        };
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => {
                self.removing.spawn(async move {
                    removal.await;
                    drop(place);
                });
            }
            Err(_full_or_closed) => removal.await,
        }
    }

    /// What was left since this was asked last.
    pub(super) fn left(&self) -> Vec<Remains> {
        std::mem::take(&mut self.lock())
    }

    /// Waits for everything that is being removed; from now on nothing is removed beside anything.
    pub(super) async fn close(&self) {
        self.places.close();
        self.removing.close();
        self.removing.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Remains>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A container and its folder, once its processes are of no interest.
#[derive(Debug)]
pub(super) struct Remains {
    engine: Engine,
    id: String,
    scratch: Scratch,
}

impl Remains {
    async fn remove(self) -> Result<(), Error> {
        self.engine.leave(&self.id).await?;
        self.remove_folder().await
    }

    /// The folder goes last: by it a sweep finds the container.
    async fn remove_folder(self) -> Result<(), Error> {
        let doing = format!("cannot remove {}", self.scratch.path.display());
        let removed = tokio::task::spawn_blocking(move || crate::sweep::remove(&self.scratch.path));
        let removed = removed.await.map_err(std::io::Error::other);
        removed
            .and_then(|removed| removed)
            .map_err(Error::at(doing))
    }
}

/// A container that stands, held by whoever needs it. Dropped, it is left in the yard.
#[derive(Debug)]
pub(super) struct Lodging {
    yard: Arc<Yard>,
    remains: Option<Remains>,
    /// The runner, once it stands: the first process, with which all others end.
    process: Option<OwnedFd>,
    /// What it joined.
    network: Option<Box<Lent>>,
}

impl Lodging {
    pub(super) fn new(
        yard: Arc<Yard>,
        engine: Engine,
        id: String,
        scratch: Scratch,
        network: Option<Box<Lent>>,
    ) -> Self {
        Self {
            yard,
            remains: Some(Remains {
                engine,
                id,
                scratch,
            }),
            process: None,
            network,
        }
    }

    /// The runner stands, as that process; its socket must still be open afterwards.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn occupied_by(&mut self, process: u32) -> std::io::Result<()> {
        let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(std::io::ErrorKind::InvalidInput)?;
        self.process = Some(rustix::process::pidfd_open(pid, PidfdFlags::empty())?);
        Ok(())
    }

    /// By which the engine knows it.
    pub(super) fn id(&self) -> &str {
        self.remains.as_ref().map_or("", |remains| &remains.id)
    }

    /// Its folder on this machine.
    pub(super) fn folder(&self) -> Option<&std::path::Path> {
        self.remains
            .as_ref()
            .map(|remains| remains.scratch.path.as_path())
    }

    /// Returns when every process in the container has ended, after its runner was told to leave; what is left goes to the
    /// yard.
    ///
    /// # Errors
    /// When the container cannot be ended; the next sweep will try again.
    pub(super) async fn end(mut self) -> Result<(), Error> {
        let (process, network) = (self.process.take(), self.network.take());
        let Some(remains) = self.remains.take() else {
            return Ok(());
        };
        let ended = tokio::task::spawn_blocking(move || {
            let has_ended = process.is_some_and(|process| has_ended(&process));
            // That of one which may still run goes.
            let network = network.filter(|_| has_ended);
            (has_ended, network.and_then(|network| network.give_back()))
        });
        let (has_ended, homeless) = ended.await.unwrap_or_default();
        if let Some(holder) = homeless {
            Box::pin(holder.put_out()).await;
        }
        if has_ended {
            self.yard.take(remains).await;
            return Ok(());
        }
        // A frozen container does not even die; the engine can thaw it.
        remains.engine.remove(&remains.id).await?;
        remains.remove_folder().await
    }
}

impl Drop for Lodging {
    fn drop(&mut self) {
        if let Some(remains) = self.remains.take() {
            self.yard.lock().push(remains);
            self.yard.stirred.notify_one();
        }
    }
}

/// Waits for the end of a container's first process, which the kernel makes the last one to end; helps after a while.
fn has_ended(process: &OwnedFd) -> bool {
    if ends_within(process, LEAVE_MAX) {
        return true;
    }
    // One that is gone meanwhile needs no signal.
    rustix::process::pidfd_send_signal(process, Signal::KILL).unwrap_or_default();
    ends_within(process, KILL_MAX)
}

fn ends_within(process: &OwnedFd, limit: Duration) -> bool {
    let limit = Timespec::try_from(limit).ok();
    let mut watched = [PollFd::new(process, PollFlags::IN)];
    // A signal to this process cuts the wait short, which the engine then makes up for.
    rustix::event::poll(&mut watched, limit.as_ref()).is_ok_and(|count| count > 0)
}
