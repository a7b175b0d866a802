//! Which folders of trees stay on this machine. Asked whenever one was made, after saves, by collections and by `verify`.

use std::fs;
use std::path::Path;

use croft_proto::Timestamp;

use super::names::Names;
use super::scrub::scrub;
use crate::{Id, Store};

impl Store {
    /// Brings the folders of trees down to `bytes_max`: those not used for longest go first, those in use stay. Returns the
    /// bytes that went. Trouble is only logged: a folder that stays is tried again by the next make or save.
    pub(crate) fn trim_live(&self, bytes_max: u64) -> u64 {
        let Some(live) = self.near_folder("live") else {
            return 0;
        };
        let mut noted: Vec<(Timestamp, u64, Id)> = live_ids(&live)
            .filter_map(|id| {
                let note = Names::of(&live, &id).note()?;
                Some((note.used, note.size_bytes, id))
            })
            .collect();
        noted.sort_unstable();
        let mut total: u64 = noted.iter().map(|(_, size, _)| size).sum();
        let mut gone = 0;
        for (_, size, id) in noted {
            if total <= bytes_max {
                break;
            }
            if remove_unused(&live, &id) {
                total -= size;
                gone += size;
            }
        }
        sweep_staged(&live);
        gone
    }

    /// Bytes of all folders of trees.
    pub(crate) fn live_bytes(&self) -> u64 {
        let Some(live) = self.near_folder("live") else {
            return 0;
        };
        live_ids(&live)
            .filter_map(|id| Some(Names::of(&live, &id).note()?.size_bytes))
            .sum()
    }

    /// Looks through every tree's folder; names those that changed, which nobody begins to use any more, and removes those
    /// that nobody uses.
    pub(crate) fn scrub_live(&self) -> Vec<(Id, String)> {
        let Some(live) = self.near_folder("live") else {
            return Vec::new();
        };
        let mut changed = Vec::new();
        for id in live_ids(&live) {
            let names = Names::of(&live, &id);
            // Whoever makes or removes it just now would look like damage.
            let Ok(Some(held)) = names.shared() else {
                continue;
            };
            if names.note().is_none() {
                continue;
            }
            if let Err(reason) = scrub(&names.folder, &names.list, &id) {
                // It may be in use, and stay.
                names.distrust();
                drop(held);
                remove_unused(&live, &id);
                changed.push((id, reason));
            }
        }
        changed
    }
}

/// Removes a tree's folder unless somebody uses it; true when it is gone.
fn remove_unused(live: &Path, id: &Id) -> bool {
    let names = Names::of(live, id);
    let alone = names
        .alone()
        .inspect_err(|error| tracing::debug!(%error, "a tree's folder cannot be locked"));
    let Ok(Some(alone)) = alone else {
        return false;
    };
    let removed = names.remove();
    if let Err(error) = &removed {
        tracing::warn!(%error, folder = %names.folder.display(), "a tree's folder stays");
    }
    drop(alone);
    removed.is_ok()
}

fn live_ids(live: &Path) -> impl Iterator<Item = Id> {
    let entries = fs::read_dir(live).into_iter().flatten().flatten();
    entries.filter_map(|entry| Id::parse(entry.file_name().to_str()?.strip_suffix(".json")?))
}

/// Folders that were being made by processes that are gone.
fn sweep_staged(live: &Path) {
    for entry in fs::read_dir(live).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let staged = name
            .to_str()
            .and_then(|name| name.split_once('.'))
            .and_then(|(id, rest)| {
                Some((Id::parse(id)?, rest.split_once('-')?.0.parse::<u32>().ok()?))
            });
        let Some((_, pid)) = staged else {
            continue;
        };
        if !Path::new(&format!("/proc/{pid}")).exists()
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::debug!(%error, "a half-made tree stays");
        }
    }
}
