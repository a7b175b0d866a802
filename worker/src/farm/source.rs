//! The source's folder: an uploaded tree, made once for all builds of it on this machine; a repository, left to the engine to
//! fetch; or nothing.

use std::path::PathBuf;
use std::sync::Arc;

use croft_cache::{Anchor, Id, Live, Store};
use croft_proto::Timestamp;
use croft_proto::farm::{Requested, Source};

use super::request::Folders;
use crate::{PrimarySource, chain};

/// Where the sources are. The trees stay as long as this is held.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) primary: PrimarySource,
    pub(crate) secondary: Vec<(String, PathBuf)>,
    _held: Vec<Live>,
}

/// Why there is no source.
#[derive(Debug)]
pub(crate) enum NoSource {
    /// The user's to mend.
    User(String),
    /// The store's or this machine's fault; elsewhere, or later, it may work.
    Machine(String),
}

pub(crate) async fn bring(
    requested: &Requested,
    kept: &Arc<Store>,
    folders: &Folders,
    now: Timestamp,
) -> Result<Sources, NoSource> {
    let mut held = Vec::new();
    let primary = match place(&requested.source, kept, now).await? {
        Place::Tree(live) => {
            let folder = live.folder(Anchor::Source);
            held.push(live);
            PrimarySource::Folder(folder)
        }
        Place::Git(url) => PrimarySource::Git {
            url,
            revision: requested.source_version.clone(),
        },
        Place::Nothing => PrimarySource::Folder(empty(folders)?),
    };
    let mut secondary = Vec::new();
    for source in &requested.secondary_sources {
        let identifier = source.source_identifier.clone().unwrap_or_default();
        match place(source, kept, now).await? {
            Place::Tree(live) => {
                secondary.push((identifier, live.folder(Anchor::Source)));
                held.push(live);
            }
            Place::Nothing => secondary.push((identifier, empty(folders)?)),
            Place::Git(url) => {
                return Err(NoSource::User(format!(
                    "secondary source {identifier} ({url}): a farm's workers fetch repositories as primary sources only"
                )));
            }
        }
    }
    Ok(Sources {
        primary,
        secondary,
        _held: held,
    })
}

enum Place {
    Tree(Live),
    Git(String),
    Nothing,
}

async fn place(source: &Source, kept: &Arc<Store>, now: Timestamp) -> Result<Place, NoSource> {
    if let Some(tree) = source.tree() {
        return tree_of(tree, kept, now).await.map(Place::Tree);
    }
    match &source.location {
        Some(url) if source.source_type.is_git() => Ok(Place::Git(url.clone())),
        Some(location) => Err(NoSource::User(format!(
            "source {location}: a farm's workers do not fetch archives from object storage yet"
        ))),
        None => Ok(Place::Nothing),
    }
}

async fn tree_of(tree: &str, kept: &Arc<Store>, now: Timestamp) -> Result<Live, NoSource> {
    let id = Id::parse(tree)
        .ok_or_else(|| NoSource::User(format!("source tree {tree} is no digest")))?;
    let kept = Arc::clone(kept);
    let made = tokio::task::spawn_blocking(move || match kept.tree(&id, now)? {
        Some(found) => kept.materialise(&found, now).map(Some),
        None => Ok(None),
    });
    match made.await {
        Ok(Ok(Some(live))) => Ok(live),
        Ok(Ok(None)) => Err(NoSource::User(format!(
            "source tree {tree} is not in the farm's store: upload it again, as `croft submit` does"
        ))),
        Ok(Err(error)) => Err(NoSource::Machine(chain(&error))),
        Err(gone) => Err(NoSource::Machine(gone.to_string())),
    }
}

fn empty(folders: &Folders) -> Result<PathBuf, NoSource> {
    let folder = folders.scratch.join("no-source");
    std::fs::create_dir_all(&folder)
        .map_err(|error| NoSource::Machine(format!("cannot make an empty source: {error}")))?;
    Ok(folder)
}
