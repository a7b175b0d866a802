//! The DownloadBundle event: old revisions go, the new one comes, and is whole as soon as it has its name. Receives a bundle,
//! leaves the deployment's `deployment-archive`; run again, it begins again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use croft_proto::deploy::{Colour, DeploymentId, HostCommand};

use super::{Bundle, BundleError, EarlierRevision, Site, prune};
use crate::state::layout::{DeploymentFolder, GroupFolder};
use crate::state::{ahead, durable};

/// Why the event failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    State(#[from] durable::Error),
}

/// Brings the revision into `folder` of the group, unless it is there.
pub(crate) fn download(
    group: &GroupFolder,
    folder: &DeploymentFolder,
    command: &HostCommand,
    bundle: &dyn Bundle,
    is_over: &AtomicBool,
) -> Result<(), Error> {
    let (partial, archive) = (folder.partial(), folder.archive());
    durable::write(&folder.record(), command)?;
    if archive.is_dir() {
        return Ok(());
    }
    let removing = durable::Error::io("remove", &partial);
    remove_tree(&partial).map_err(removing)?;
    let site = Site {
        into: &partial,
        notes: &folder.notes(),
        earlier: &earlier(group, &command.deployment_id),
    };
    let disk = File::open(folder.path()).map_err(durable::Error::io("open", folder.path()))?;
    let unwritten = durable::Error::io("write to the disk of", &partial);
    ahead::written(
        &|| Ok(rustix::fs::syncfs(&disk)?),
        |error| unwritten(error).into(),
        || Ok::<_, Error>(bundle.bring(&site, is_over)?),
    )?;
    // Its name says that it is whole, also after a loss of power.
    std::fs::rename(&partial, &archive)
        .and_then(|()| durable::sync_folder(&archive))
        .map_err(durable::Error::io("write", &archive))?;
    Ok(())
}

/// What is here of other deployments of the group, the newest first.
fn earlier(group: &GroupFolder, current: &DeploymentId) -> Vec<EarlierRevision> {
    let mut found = deployments(group.path()).unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot look for earlier revisions");
        Vec::new()
    });
    found.sort();
    found
        .into_iter()
        .rev()
        .filter(|(_, id)| id != current)
        .map(|(_, id)| {
            let folder = group.deployment(&id);
            EarlierRevision {
                folder: folder.archive(),
                notes: folder.notes(),
            }
        })
        .collect()
}

/// Removes the folders of old deployments. What cannot be removed stays for the next time.
pub(crate) fn prune(
    group: &GroupFolder,
    current: &DeploymentId,
    last_successful: Option<&DeploymentId>,
    serving: &BTreeMap<Colour, DeploymentId>,
    keep: usize,
) {
    let found = match deployments(group.path()) {
        // Those of containers that are there have their scripts still to be run.
        Ok(found) => found
            .into_iter()
            .filter(|(_, id)| !serving.values().any(|serving| serving == id))
            .collect(),
        Err(error) => {
            tracing::warn!(%error, "cannot look for old revisions");
            return;
        }
    };
    for id in prune::gone(found, current, last_successful, keep) {
        if let Err(error) = remove_tree(group.deployment(&id).path()) {
            tracing::warn!(%error, deployment = %id, "cannot remove an old revision");
        }
    }
}

fn deployments(group: &Path) -> io::Result<Vec<(std::time::SystemTime, DeploymentId)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(group)? {
        let entry = entry?;
        let id = entry.file_name().to_str().map(str::parse::<DeploymentId>);
        if let Some(Ok(id)) = id {
            found.push((entry.metadata()?.modified()?, id));
        }
    }
    Ok(found)
}

/// Removes a folder with all in it; a missing one is no error.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
