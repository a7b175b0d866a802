//! Warm containers: started before their build is known, so that a build begins within milliseconds. Receives what builds
//! ask for, keeps containers of those kinds ready, hands each to one build as its [`Slot`], and starts cold where none fits.
//!
//! What holds: a warm container serves one build, once. Its image is the one that the build's image name means at that
//! moment, its limits and network are the ones asked for; nobody else is on that as long as it is. Nothing of a build's is
//! in it before it is the build's. Everything that stands ready bears the label of its state directory and has a folder in
//! `run` that this process holds, so that the sweep of a later croft finds both.

/// What a pool has done.
mod counts;
/// What there is and should be.
mod shelf;
/// One warm container, from its start to its build.
mod ready;
/// Networks that they join one after the other.
mod network;
/// Where used ones go.
mod yard;
/// What keeps the shelf filled.
mod run;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use counts::Counts;
pub(crate) use ready::BUILD_FILE;
pub use shelf::Settings;

use super::super::layers::take_back;
use super::super::{Error, Progress, Report, Request, Runtime, Slot};
use super::engine::Engine;
use super::image::{self, Image};
use super::reference::Reference;
use super::{Container, Docker, LEASE, Options, check_rights};
use crate::record::Home;
use counts::{Tally, count};
pub(super) use network::Lent;
use network::Networks;
use ready::{Ready, Unfit};
use shelf::{Key, Recipe, Shelf};
use yard::Yard;

/// A pool of warm containers; clones are the same pool.
#[derive(Clone, Debug)]
pub struct Warm {
    pool: Arc<Pool>,
}

impl Warm {
    /// An empty pool of containers whose runner is the one in the folder `runner`, made by the engine of the user's `docker`,
    /// of a croft with that `home`. Nothing is started before [`Warm::run`] runs.
    #[must_use]
    pub fn new(runner: PathBuf, home: Home, docker: Docker, settings: Settings) -> Self {
        let (stirred, tally) = (Arc::new(Notify::new()), Arc::new(Tally::default()));
        Self {
            pool: Arc::new(Pool {
                runner,
                home,
                docker,
                engine: Mutex::default(),
                shelf: Mutex::new(Shelf::new(settings)),
                yard: Arc::new(Yard::new(Arc::clone(&stirred), Arc::clone(&tally))),
                networks: Arc::new(Networks::new(Arc::clone(&stirred), Arc::clone(&tally))),
                provisioning: AtomicUsize::new(0),
                stirred,
                tally,
                is_closed: AtomicBool::new(false),
                said_why_cold: AtomicBool::new(false),
            }),
        }
    }

    /// A runtime for builds with those options, warm where it can be; a lease of [`LEASE`] where they name none. What it is
    /// asked for is kept ready from then on.
    #[must_use]
    pub fn runtime(&self, options: Options) -> Arc<dyn Runtime> {
        Arc::new(Lukewarm {
            pool: Arc::clone(&self.pool),
            cold: self.pool.cold(options),
        })
    }

    /// Keeps `count` containers of that kind ready, until none was used for [`Settings::idle_max`]. Kinds that must not stand
    /// ready (privileged, in another container's network) and images that are not on this machine are left out.
    pub fn keep(&self, options: Options, count: usize) {
        if let Some(recipe) = Recipe::of(&with_lease(options)) {
            self.pool.shelf().keep(&recipe, count, Instant::now());
            self.pool.stirred.notify_one();
        }
    }

    /// Keeps the pool as it should be until `shutdown`, then ends and removes everything in it. To be run once, by whoever
    /// owns the pool. Builds that still have a place keep it, and remove it themselves.
    pub async fn run(&self, shutdown: CancellationToken) {
        run::run(&self.pool, shutdown).await;
    }

    /// What it has done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let ready = self.pool.shelf().len();
        self.pool.tally.read(ready)
    }
}

fn with_lease(options: Options) -> Options {
    Options {
        lease: options.lease.or(Some(LEASE)),
        ..options
    }
}

#[derive(Debug)]
struct Pool {
    runner: PathBuf,
    home: Home,
    docker: Docker,
    /// Asked for its version once.
    engine: Mutex<Option<Engine>>,
    shelf: Mutex<Shelf<Ready>>,
    yard: Arc<Yard>,
    networks: Arc<Networks>,
    /// How many builds wait for their place.
    provisioning: AtomicUsize,
    /// Told when there may be something to do.
    stirred: Arc<Notify>,
    tally: Arc<Tally>,
    is_closed: AtomicBool,
    said_why_cold: AtomicBool,
}

impl Pool {
    fn shelf(&self) -> MutexGuard<'_, Shelf<Ready>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cold(&self, options: Options) -> Container {
        let home = self.home.path().to_path_buf();
        Container::new(
            self.runner.clone(),
            home,
            self.docker.clone(),
            with_lease(options),
        )
    }

    async fn engine(&self) -> Result<Engine, Error> {
        let known = self.known_engine().clone();
        if let Some(engine) = known {
            return Ok(engine);
        }
        let engine = Engine::connect(&self.docker.socket()?).await?;
        *self.known_engine() = Some(engine.clone());
        Ok(engine)
    }

    /// After a failure: another one may have taken its place, which speaks another version.
    fn forget_engine(&self) {
        *self.known_engine() = None;
    }

    fn known_engine(&self) -> MutexGuard<'_, Option<Engine>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_provisioning(&self) -> bool {
        self.provisioning.load(Ordering::Acquire) > 0
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// A container of that kind that stands, if there is one.
    fn take(&self, key: &Key) -> Option<Ready> {
        if self.is_closed.load(Ordering::Acquire) {
            return None;
        }
        loop {
            let taken = self.shelf().take(key, Instant::now())?;
            if taken.is_alive() {
                return Some(taken);
            }
            count(&self.tally.died);
            // Dropped, it is the yard's.
            drop(taken);
        }
    }
}

/// A build that waits for its place: nothing is started in advance meanwhile.
struct Waiting<'p>(&'p Pool);

impl<'p> Waiting<'p> {
    fn new(pool: &'p Pool) -> Self {
        pool.provisioning.fetch_add(1, Ordering::AcqRel);
        Self(pool)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.provisioning.fetch_sub(1, Ordering::AcqRel);
        self.0.stirred.notify_one();
    }
}

/// One kind of container, warm or cold.
#[derive(Debug)]
struct Lukewarm {
    pool: Arc<Pool>,
    cold: Container,
}

impl Runtime for Lukewarm {
    fn provision<'a>(
        &'a self,
        request: &'a Request,
        report: Report<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Slot, Error>> + Send + 'a>> {
        Box::pin(self.make(request, report))
    }
}

impl Lukewarm {
    async fn make(&self, request: &Request, report: Report<'_>) -> Result<Slot, Error> {
        check_rights()?;
        let Some(recipe) = Recipe::of(&self.cold.options) else {
            count(&self.pool.tally.cold_starts);
            return self.cold.make(request, report).await;
        };
        let reference = Reference::parse(&self.cold.options.image)?;
        let engine = self.pool.engine().await?;
        let waiting = Waiting::new(&self.pool);
        let guess = self.guess(&recipe, request);
        // A tag may have moved since a container was started. Asking takes as long as mounting, so both happen at once.
        let (image, guess) = tokio::join!(self.image(&engine, &reference, report), guess);
        let guess = match (&image, guess) {
            (
                Ok(image),
                Some(Guess {
                    image_id,
                    furnished,
                }),
            ) if image_id == image.id => Some(furnished),
            (Ok(_) | Err(_), Some(guess)) => {
                count(&self.pool.tally.unused);
                guess.put_out(request).await?;
                None
            }
            (Ok(_) | Err(_), None) => None,
        };
        let image = image?;
        self.pool.shelf().used(&recipe, &image.id, Instant::now());
        if let Some(slot) = self
            .warm(guess, &recipe.key(&image.id), request, report)
            .await?
        {
            count(&self.pool.tally.warm_hits);
            return Ok(slot);
        }
        count(&self.pool.tally.cold_starts);
        let made = self.anew(engine, &image, &recipe, request, report).await;
        drop(waiting);
        made
    }

    /// In a container that is started now, on a network that stands if there is one.
    async fn anew(
        &self,
        engine: Engine,
        image: &Image,
        recipe: &Recipe,
        request: &Request,
        report: Report<'_>,
    ) -> Result<Slot, Error> {
        let Some(network) = self.pool.networks.take(recipe) else {
            return self
                .cold
                .make_of(engine, image, None, request, report)
                .await;
        };
        let joined = self
            .cold
            .make_of(engine.clone(), image, Some(network), request, report);
        let error = match joined.await {
            Ok(slot) => return Ok(slot),
            Err(error) => crate::chain(&error),
        };
        tracing::debug!(%error, "a container could not join a network");
        clear(request)?;
        let slot = self
            .cold
            .make_of(engine, image, None, request, report)
            .await?;
        // It was the network's fault.
        self.pool.networks.failed(recipe);
        Ok(slot)
    }

    async fn image(
        &self,
        engine: &Engine,
        reference: &Reference,
        report: Report<'_>,
    ) -> Result<Image, Error> {
        let options = &self.cold.options;
        let image = image::provide(engine, &self.pool.docker, reference, options, report).await;
        image.inspect_err(|_| self.pool.forget_engine())
    }

    /// The build's place, should its image's name still mean what it meant last.
    async fn guess(&self, recipe: &Recipe, request: &Request) -> Option<Guess> {
        let image_id = self.pool.shelf().known(recipe)?;
        let ready = self.pool.take(&recipe.key(&image_id))?;
        Some(Guess {
            image_id,
            furnished: self.furnish(ready, request).await,
        })
    }

    async fn furnish(&self, ready: Ready, request: &Request) -> Result<Slot, Unfit> {
        ready.occupy(request, &self.cold.options.image).await
    }

    /// The place in a warm container, where one fits.
    async fn warm(
        &self,
        mut tried: Option<Result<Slot, Unfit>>,
        key: &Key,
        request: &Request,
        report: Report<'_>,
    ) -> Result<Option<Slot>, Error> {
        loop {
            let furnished = match tried.take() {
                Some(furnished) => furnished,
                None => match self.pool.take(key) {
                    Some(ready) => self.furnish(ready, request).await,
                    None => return Ok(None),
                },
            };
            let why = match furnished {
                Ok(slot) => return Ok(Some(slot)),
                Err(why) => why,
            };
            clear(request)?;
            match why {
                Unfit::Died => count(&self.pool.tally.died),
                Unfit::NotFurnished(error) => {
                    count(&self.pool.tally.not_furnished);
                    self.say_why_cold(&error.reason, report);
                    return Ok(None);
                }
            }
        }
    }

    /// Once: it will be the same for every build.
    fn say_why_cold(&self, reason: &str, report: Report<'_>) {
        tracing::debug!(reason, "a build starts cold");
        if !self.pool.said_why_cold.swap(true, Ordering::Relaxed) {
            let why = format!(
                "starting a new container, since a waiting one could not be used: {reason}"
            );
            report(Progress::Line(why));
        }
    }
}

/// A place in a container of the image that a name meant last.
struct Guess {
    image_id: String,
    furnished: Result<Slot, Unfit>,
}

impl Guess {
    /// It was wrong: nothing has run there, and nothing is left in the build's directory.
    async fn put_out(self, request: &Request) -> Result<(), Error> {
        if let Ok(slot) = self.furnished {
            slot.release().await?;
        }
        clear(request)
    }
}

fn clear(request: &Request) -> Result<(), Error> {
    take_back(request).map_err(Error::at("cannot clear the build's directory"))
}
