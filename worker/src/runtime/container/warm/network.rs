//! Networks that containers join one after the other, since making one is half the cost of a start: the engine runs itself
//! anew to set it up. Each is held by a container of its own that does nothing (a runner that nobody asks for anything) and
//! goes like any other: when its worker is not heard, when a sweep finds its label, when the pool ends.
//!
//! What holds: a network is one container's at a time, and nobody's before every process of the last one has ended. It is given on only
//! if it is as it was: nothing was sent by any of its interfaces, no socket was left, no address, route or neighbour came
//! or went ([`trace::Trace`]). So a build never finds another one's connections, listeners or neighbours, and what it has is
//! as the engine made it. The files that the engine keeps for a network (hosts, name servers, the machine's name) are not
//! shared: each container has copies. Privileged containers never join one, for they could change it.

/// Which there are and which should be.
mod stock;
/// Whether one was used.
mod trace;

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::models::{ContainerCreateBody, Mount, MountType};
use croft_beneath::Root;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::super::Error;
use super::super::image::Image;
use super::counts::{Tally, count};
use super::ready::{Ready, Tools};
use super::shelf::Recipe;
use stock::{Came, Stock, Ticket};
use trace::Trace;

/// The files of a network that the engine puts into every container on it.
const FILES: [&str; 3] = ["hosts", "resolv.conf", "hostname"];
/// The folder of a container's copies, beside its other ones.
const COPIES: &str = "network";
/// Some lines each; an engine writes a line for every name it was told.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// How long the sockets of an ended container may be counted still. Who waits has a thread of its own.
const CLOSING_MAX: Duration = Duration::from_millis(250);
/// How often is looked meanwhile.
const CLOSING_STEP: Duration = Duration::from_millis(5);

/// A container that holds a network.
#[derive(Debug)]
pub(super) struct Holder {
    ready: Ready,
    files: Vec<Kept>,
}

/// A file as the engine wrote it.
#[derive(Debug)]
struct Kept {
    name: &'static str,
    content: Vec<u8>,
    /// The build's root, as this machine numbers it.
    owner: (u32, u32),
}

impl Holder {
    /// Starts one.
    ///
    /// # Errors
    /// As a build's container, or when the engine's files cannot be read.
    pub(super) async fn start(
        tools: Tools<'_>,
        recipe: &Recipe,
        image: &Image,
    ) -> Result<Self, Error> {
        let ready = Ready::start_holder(tools, recipe, image).await?;
        let files = FILES
            .iter()
            .map(|name| kept(ready.root(), name))
            .collect::<io::Result<_>>();
        let files = files.map_err(Error::at("cannot read the network's files"))?;
        let holder = Self { ready, files };
        // Where the kernel does not tell, none is made.
        let trace = holder.trace();
        trace.map_err(Error::at("cannot see whether a network was used"))?;
        Ok(holder)
    }

    fn trace(&self) -> io::Result<Trace> {
        let trace = Trace::of(self.ready.process());
        // Then it was the namespace of that process, and not of one that has its number now.
        if self.ready.is_alive() {
            trace
        } else {
            Err(io::ErrorKind::NotConnected.into())
        }
    }

    /// Ends it.
    pub(super) async fn put_out(self) {
        self.ready.put_out().await;
    }
}

fn kept(root: &Root, name: &'static str) -> io::Result<Kept> {
    let file = root.open_file(&Path::new("etc").join(name))?;
    let found = file.metadata()?;
    let mut content = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut content)?;
    let owner = {
        use std::os::unix::fs::MetadataExt;
        (found.uid(), found.gid())
    };
    Ok(Kept {
        name,
        content,
        owner,
    })
}

/// A network that is one container's. Dropped, it goes: nobody else shall have it.
#[derive(Debug)]
pub(in super::super) struct Lent {
    networks: Arc<Networks>,
    holder: Holder,
    ticket: Ticket,
    before: Trace,
}

impl Lent {
    /// Has the container that `body` describes join it, with copies of its files in the build's `directory`.
    ///
    /// # Errors
    /// When the copies cannot be made.
    pub(in super::super) fn join(
        &self,
        body: &mut ContainerCreateBody,
        directory: &Path,
    ) -> io::Result<()> {
        let folder = directory.join(COPIES);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::DirBuilder::new().mode(0o755).create(&folder)?;
        let host = body.host_config.get_or_insert_default();
        host.network_mode = Some(format!("container:{}", self.holder.ready.id()));
        for file in &self.holder.files {
            let copy = folder.join(file.name);
            fs::write(&copy, &file.content)?;
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o644))?;
            std::os::unix::fs::chown(&copy, Some(file.owner.0), Some(file.owner.1))?;
            host.mounts.get_or_insert_default().push(Mount {
                typ: Some(MountType::BIND),
                source: Some(copy.to_string_lossy().into_owned()),
                target: Some(format!("/etc/{}", file.name)),
                ..Mount::default()
            });
        }
        Ok(())
    }

    /// Every process of the container that had it has ended: the next one may have it, if nothing was done with it. Whom the
    /// caller has to put out, if the pool has ended meanwhile.
    pub(super) fn give_back(self) -> Option<Holder> {
        let Self {
            networks,
            holder,
            ticket,
            before,
        } = self;
        let came = came(&holder, &before);
        if came == Came::Used {
            count(&networks.tally.networks_used);
        }
        let mut stock = networks.stock();
        if networks.is_closed.load(Ordering::Acquire) {
            return Some(holder);
        }
        let back = stock.back(ticket, holder, came, Instant::now());
        drop(stock);
        // Dropped, it is the yard's.
        drop(back);
        None
    }
}

/// Waits a little for sockets that are on their way out; where something was sent, nothing is waited for.
fn came(holder: &Holder, before: &Trace) -> Came {
    let start = Instant::now();
    loop {
        match holder.trace() {
            Ok(after) if after == *before => return Came::Untouched,
            Ok(after) if after.differs_in_sockets(before) && start.elapsed() < CLOSING_MAX => {
                std::thread::sleep(CLOSING_STEP);
            }
            Ok(_) | Err(_) => return Came::Used,
        }
    }
}

impl Lent {
    /// [`Lent::give_back`] from where nothing may block.
    pub(in super::super) async fn back(self: Box<Self>) {
        let given = tokio::task::spawn_blocking(move || self.give_back());
        if let Ok(Some(holder)) = given.await {
            holder.put_out().await;
        }
    }
}

/// All networks of a pool.
#[derive(Debug)]
pub(super) struct Networks {
    stock: Mutex<Stock<Holder>>,
    is_closed: AtomicBool,
    /// Told when one is missed.
    stirred: Arc<Notify>,
    tally: Arc<Tally>,
}

impl Networks {
    pub(super) fn new(stirred: Arc<Notify>, tally: Arc<Tally>) -> Self {
        Self {
            stock: Mutex::default(),
            is_closed: AtomicBool::new(false),
            stirred,
            tally,
        }
    }

    /// One for a container of that kind, if there is one; otherwise one is made for those that come later.
    pub(super) fn take(self: &Arc<Self>, recipe: &Recipe) -> Option<Box<Lent>> {
        if self.is_closed.load(Ordering::Acquire) {
            return None;
        }
        loop {
            let taken = self.stock().take(recipe, Instant::now());
            let Some((ticket, holder)) = taken else {
                self.stirred.notify_one();
                return None;
            };
            match holder.trace() {
                Ok(before) => {
                    count(&self.tally.networks_joined);
                    return Some(Box::new(Lent {
                        networks: Arc::clone(self),
                        holder,
                        ticket,
                        before,
                    }));
                }
                // Its container is gone. Dropped, the rest is the yard's.
                Err(_gone) => drop(holder),
            }
        }
    }

    /// What is to be made now.
    pub(super) fn wanted(&self) -> Vec<Recipe> {
        self.stock().wanted(Instant::now())
    }

    pub(super) fn made(&self, recipe: &Recipe, holder: Holder) {
        count(&self.tally.networks_made);
        self.stock().made(recipe, holder, Instant::now());
    }

    pub(super) fn failed(&self, recipe: &Recipe) {
        self.stock().failed(recipe, Instant::now());
    }

    pub(super) fn too_old(&self) -> Vec<Holder> {
        self.stock().too_old(Instant::now())
    }

    /// From now on none is had, and those that come back are their bearers' to end; all that nobody has.
    pub(super) fn close(&self) -> Vec<Holder> {
        let mut stock = self.stock();
        self.is_closed.store(true, Ordering::Release);
        stock.clear()
    }

    fn stock(&self) -> MutexGuard<'_, Stock<Holder>> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
