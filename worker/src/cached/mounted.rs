//! A restored entry that lies beneath the build: its tree, made once on this machine, mounted over the directories above the
//! cached ones. Made by the restore, asked by the save for what the build has changed, held until the place is gone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use croft_beneath::Root;
use croft_cache::{Anchor, Hold, Layer, Live, MountPoint, Store, TreeRef, mount_points};
use croft_proto::Timestamp;
use tokio::runtime::Handle;

use super::{Plan, in_background};
use crate::runtime::{Cover, Layered, Place};

/// An entry that is mounted in a build.
#[derive(Debug)]
pub(crate) struct Mounted {
    /// In a box, since futures carry it through the whole build.
    live: Box<Kept>,
    tree: TreeRef,
    layers: Vec<(Anchor, PathBuf, Layered)>,
}

/// What keeps a tree for a build: its folder on this machine, and its objects in the store.
#[derive(Debug)]
pub(crate) struct Kept {
    live: Live,
    /// None when the store cannot be written: then the folder alone keeps what the build sees.
    hold: Option<Hold>,
}

impl Kept {
    /// Lets go of both, once the store has answered or is given up. It may be far, and a thread that runs tasks must not wait.
    pub(crate) fn let_go(mut self) -> impl Future<Output = ()> + Send {
        let hold = self.hold.take();
        let released = tokio::task::spawn_blocking(move || drop(hold));
        async {
            if let Err(error) = released.await {
                tracing::debug!(%error, "a tree's lease stays until it expires");
            }
        }
    }
}

impl Drop for Kept {
    /// Where nobody waits, such as when a restore is broken off.
    fn drop(&mut self) {
        if let (Some(hold), Ok(runtime)) = (self.hold.take(), Handle::try_current()) {
            drop(runtime.spawn_blocking(move || drop(hold)));
        }
    }
}

/// How long a build may need its tree's objects; a build takes at most a day and a half, and those of the last hours of such
/// a one are read again from what is mounted.
const HOLD_MS: u64 = 24 * 3600 * 1000;

/// Why an entry has to be copied.
#[derive(Debug)]
pub(crate) enum NotMounted {
    /// Paths or source are of a kind that is always copied, or copying will tell what is wrong.
    AsExpected,
    /// It should have worked.
    Failed(String),
}

/// What a save is told about a mounted entry.
#[derive(Debug)]
pub(crate) struct Parts {
    tree: TreeRef,
    layers: Vec<Layer>,
}

impl Parts {
    pub(crate) fn borrowed(&self) -> croft_cache::Mounted<'_> {
        croft_cache::Mounted {
            tree: &self.tree,
            layers: &self.layers,
        }
    }
}

/// Mounts a tree in a place.
pub(crate) async fn mount(
    store: &Arc<Store>,
    plan: &Plan,
    root: &Root,
    place: &Place,
    tree: &TreeRef,
    now: Timestamp,
) -> Result<Mounted, NotMounted> {
    // A path that cannot be used is told by whoever copies.
    let Ok(points) = mount_points(&plan.paths, &plan.base) else {
        return Err(NotMounted::AsExpected);
    };
    if points
        .iter()
        .any(|point| place.refuses(&target(point, &plan.base)))
    {
        return Err(NotMounted::AsExpected);
    }
    let live = materialise(store, root, tree, now).await?;
    let live = within(root, plan, live).await?;
    let covers: Vec<Cover> = points
        .iter()
        .map(|point| Cover {
            target: target(point, &plan.base),
            files: live.live.folder(point.anchor).join(&point.at),
            ways: point.ways.clone(),
        })
        .collect();
    let layered = place.layer(root, &covers).await.map_err(|refused| {
        if refused.expected {
            NotMounted::Failed(crate::chain(&refused))
        } else {
            NotMounted::AsExpected
        }
    })?;
    let points = points.into_iter().zip(layered);
    Ok(Mounted {
        live,
        tree: tree.clone(),
        layers: points
            .map(|(point, layered)| (point.anchor, point.at, layered))
            .collect(),
    })
}

/// Only a tree that lies within the plan's paths is mounted; whoever copies says why another one is refused.
async fn within(root: &Root, plan: &Plan, kept: Box<Kept>) -> Result<Box<Kept>, NotMounted> {
    let (paths, base) = (plan.paths.clone(), plan.base.clone());
    let checked = in_background(root, move |_| {
        Ok(kept.live.check_within(&paths, &base).map(|()| kept))
    });
    match checked.await.map_err(NotMounted::Failed)? {
        Ok(kept) => Ok(kept),
        Err(error) => {
            tracing::debug!(%error, "a tree is not mounted");
            Err(NotMounted::AsExpected)
        }
    }
}

async fn materialise(
    store: &Arc<Store>,
    root: &Root,
    tree: &TreeRef,
    now: Timestamp,
) -> Result<Box<Kept>, NotMounted> {
    let (store, tree) = (Arc::clone(store), tree.clone());
    let made = in_background(root, move |_| {
        let hold = store.hold(&tree, HOLD_MS, now);
        let hold = hold.inspect_err(|error| tracing::debug!(%error, "a tree is not held"));
        let made = store.materialise(&tree, now);
        let hold = hold.ok();
        Ok(made.map(|live| Box::new(Kept { live, hold })))
    });
    match made.await.map_err(NotMounted::Failed)? {
        Ok(kept) => Ok(kept),
        Err(error) if error.is_damage() => Err(NotMounted::AsExpected),
        Err(error) => Err(NotMounted::Failed(crate::chain(&error))),
    }
}

fn target(point: &MountPoint, base: &Path) -> PathBuf {
    match point.anchor {
        Anchor::Source if point.at.as_os_str().is_empty() => base.to_path_buf(),
        Anchor::Source => base.join(&point.at),
        Anchor::Root => Path::new("/").join(&point.at),
    }
}

impl Mounted {
    /// For a save; good as long as this value lives.
    pub(crate) fn parts(&self) -> Parts {
        let layers = self.layers.iter();
        Parts {
            tree: self.tree.clone(),
            layers: layers
                .map(|(anchor, at, layered)| Layer {
                    anchor: *anchor,
                    at: at.clone(),
                    upper: layered.upper.clone(),
                    below: vec![layered.below()],
                })
                .collect(),
        }
    }

    /// Lets go of everything in the place. The tree's folder must be kept until the place is gone.
    pub(crate) fn into_live(self) -> Box<Kept> {
        self.live
    }
}
