//! One warm container: started before its build is known, later made that build's place. Receives a recipe, then a
//! [`Request`]; hands back a [`Slot`] whose release ends every process and leaves the rest to the yard.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use bollard::models::ContainerCreateBody;
use croft_beneath::Root;
use uuid::Uuid;

use super::super::super::layers::NotLayered;
use super::super::super::{Error, Hold, Place, Request, Slot};
use super::super::create::{self, LABEL_NETWORK, LABEL_WARM};
use super::super::doors::Doors;
use super::super::engine::Engine;
use super::super::image::Image;
use super::super::start::{self, Started};
use super::network::Lent;
use super::shelf::Recipe;
use super::yard::{Lodging, Yard};
use crate::record::{Home, Scratch};

/// The file in a warm container's folder that names the build it serves: labels cannot be changed.
pub(crate) const BUILD_FILE: &str = "build";
/// What stands before the folder's name where a build's id is expected.
const WARM: &str = "warm";

/// What containers are made with.
#[derive(Clone, Debug)]
pub(super) struct Tools<'a> {
    pub(super) runner: &'a Path,
    pub(super) home: &'a Home,
    pub(super) engine: Engine,
    pub(super) yard: &'a Arc<Yard>,
}

/// A warm container that nobody has used.
#[derive(Debug)]
pub(super) struct Ready {
    started: Started,
    place: Place,
    lodging: Lodging,
}

/// Why a warm container did not become a build's place. Every process in it has ended.
#[derive(Debug)]
pub(super) enum Unfit {
    /// It was gone.
    Died,
    /// The build's sources could not be mounted.
    NotFurnished(NotLayered),
}

/// What one is started for.
#[derive(Debug)]
enum Use {
    /// A build, on that network or on one of its own.
    Build(Option<Box<Lent>>),
    /// To hold a network.
    Network,
}

impl Ready {
    /// Starts one that joins that network, or has one of its own.
    ///
    /// # Errors
    /// As a build's container.
    ///
    /// # Cancel
    /// What was made so far is the yard's, or the next sweep's.
    pub(super) async fn start(
        tools: Tools<'_>,
        recipe: &Recipe,
        image: &Image,
        network: Option<Box<Lent>>,
    ) -> Result<Self, Error> {
        Self::stand(tools, recipe, image, Use::Build(network)).await
    }

    /// Starts one that no build will have.
    ///
    /// # Errors
    /// As a build's container.
    ///
    /// # Cancel
    /// As [`Ready::start`].
    pub(super) async fn start_holder(
        tools: Tools<'_>,
        recipe: &Recipe,
        image: &Image,
    ) -> Result<Self, Error> {
        Self::stand(tools, recipe, image, Use::Network).await
    }

    async fn stand(
        tools: Tools<'_>,
        recipe: &Recipe,
        image: &Image,
        purpose: Use,
    ) -> Result<Self, Error> {
        let name = Uuid::new_v4().to_string();
        let scratch = scratch(tools.home.clone(), name.clone()).await?;
        // A build that has nothing yet.
        let nothing = Request {
            build_id: format!("{WARM}:{name}"),
            directory: scratch.path.clone(),
            sources: Vec::new(),
            hidden: Vec::new(),
            extra: Vec::new(),
        };
        let (options, home) = (recipe.options(), tools.home.path());
        let mut body = create::body(options, image, home, tools.runner, &nothing, &[]);
        let labelled = label(&mut body, name, &purpose, &scratch.path);
        labelled.map_err(Error::at("cannot make the container's files"))?;
        let doors =
            Doors::open(&scratch.path).map_err(Error::at("cannot make the container's socket"))?;
        let id = match start::create(&tools.engine, body).await {
            Ok(id) => id,
            Err(error) => return Err(not_created(tools.home, scratch, error).await),
        };
        let network = match purpose {
            Use::Build(network) => network,
            Use::Network => None,
        };
        let (yard, engine) = (Arc::clone(tools.yard), tools.engine.clone());
        let mut lodging = Lodging::new(yard, engine, id.clone(), scratch, network);
        let mut started = start::start(&tools.engine, &id, doors, start::patience(false)).await?;
        if let Some(lease) = options.lease {
            started.link.renew(lease);
        }
        let gone = "cannot find the container's first process";
        let occupied = lodging.occupied_by(started.process);
        occupied.map_err(Error::at(gone))?;
        let place = Place::of(
            started.process,
            tools.runner,
            &nothing.directory,
            Vec::new(),
        );
        let place = place.map_err(Error::at(gone))?;
        if !started.link.is_open() {
            return Err(Error::at(gone)(std::io::ErrorKind::NotConnected.into()));
        }
        Ok(Self {
            started,
            place,
            lodging,
        })
    }

    /// Whether its runner is still there.
    pub(super) fn is_alive(&self) -> bool {
        self.started.link.is_open()
    }

    /// Its runner, as this machine numbers it.
    pub(super) fn process(&self) -> u32 {
        self.started.process
    }

    /// What it sees as its root.
    pub(super) fn root(&self) -> &Root {
        &self.started.root
    }

    /// By which the engine knows it.
    pub(super) fn id(&self) -> &str {
        self.lodging.id()
    }

    /// Makes it that build's place.
    pub(super) async fn occupy(self, request: &Request, image: &str) -> Result<Slot, Unfit> {
        let Self {
            started,
            place,
            lodging,
        } = self;
        let named = async {
            let Some(folder) = lodging.folder() else {
                return Ok(());
            };
            tokio::fs::write(folder.join(BUILD_FILE), &request.build_id).await
        };
        let (named, place) = tokio::join!(named, place.furnish(&started.root, request));
        let named = named.map_err(NotLayered::failed("the container's folder"));
        match named.and(place) {
            Ok(place) => Ok(slot(started, place, image, lodging)),
            Err(error) => {
                let is_alive = started.link.is_open();
                put_out(started, lodging).await;
                Err(if is_alive {
                    Unfit::NotFurnished(error)
                } else {
                    Unfit::Died
                })
            }
        }
    }

    /// Ends it unused.
    pub(super) async fn put_out(self) {
        put_out(self.started, self.lodging).await;
    }
}

/// What a sweep finds it by, and the network it is to be on.
fn label(
    body: &mut ContainerCreateBody,
    name: String,
    purpose: &Use,
    directory: &Path,
) -> std::io::Result<()> {
    let labels = body.labels.get_or_insert_default();
    labels.insert(LABEL_WARM.to_string(), name);
    match purpose {
        Use::Build(Some(network)) => network.join(body, directory),
        Use::Build(None) => Ok(()),
        Use::Network => {
            labels.insert(LABEL_NETWORK.to_string(), String::new());
            Ok(())
        }
    }
}

async fn put_out(mut started: Started, lodging: Lodging) {
    started.link.quit().await;
    drop(started);
    if let Err(error) = lodging.end().await {
        let error = crate::chain(&error);
        tracing::warn!(%error, "a warm container is left for the next sweep");
    }
}

fn slot(started: Started, place: Place, image: &str, lodging: Lodging) -> Slot {
    Slot {
        link: started.link,
        output: started.output,
        root: started.root,
        environment: started.environment,
        runtimes: started.runtimes,
        image: image.to_string(),
        confine: false,
        place,
        hold: Box::new(Held { lodging }),
    }
}

async fn scratch(home: Home, name: String) -> Result<Scratch, Error> {
    let made = tokio::task::spawn_blocking(move || home.scratch(&name));
    let made = made.await.map_err(std::io::Error::other);
    made.and_then(|made| made)
        .map_err(Error::at("cannot make the container's folder"))
}

/// The engine may still be making it: the next start looks for it.
async fn not_created(home: &Home, scratch: Scratch, error: Error) -> Error {
    home.expect_containers().unwrap_or_default();
    let removed = tokio::task::spawn_blocking(move || crate::sweep::remove(&scratch.path));
    match removed.await.map_err(std::io::Error::other) {
        Ok(Ok(())) => {}
        Ok(Err(left)) | Err(left) => {
            tracing::debug!(%left, "a folder is left for the next sweep");
        }
    }
    error
}

/// A used container.
#[derive(Debug)]
struct Held {
    lodging: Lodging,
}

impl Hold for Held {
    fn release(self: Box<Self>) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        Box::pin(self.lodging.end())
    }
}
