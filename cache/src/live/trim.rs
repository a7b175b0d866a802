//! Which folders of trees stay on this machine. Asked whenever one was made, after saves, by collections and by `verify`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use croft_proto::Timestamp;

use super::names::Names;
use super::scrub::scrub;
use crate::{Id, Store};

impl Store {
    /// Brings the folders of trees down to `bytes_max`: those not used for longest go first, those in use stay. Returns the
    /// bytes that went. What a crash left half-made goes too, whatever there is room for. Trouble is only logged: a folder that stays is tried again by the next make or save.
    pub(crate) fn trim_live(&self, bytes_max: u64) -> u64 {
        let Some(live) = self.near_folder("live") else {
            return 0;
        };
        let mut noted: Vec<(Timestamp, u64, Id)> = Vec::new();
        for (id, things) in things_of(&live) {
            let names = Names::of(&live, &id);
            let note = names.note();
            if Names::has_remains(note.as_ref(), &things) {
                sweep(&names);
            }
            noted.extend(note.map(|note| (note.used, note.size_bytes, id)));
        }
        noted.sort_unstable();
        let mut total: u64 = noted.iter().map(|(_, size, _)| size).sum();
        let mut gone = 0;
        for (_, size, id) in noted {
            if total <= bytes_max {
                break;
            }
            if remove_unused(&Names::of(&live, &id)) {
                total -= size;
                gone += size;
            }
        }
        gone
    }

    /// Bytes of all folders of trees.
    pub(crate) fn live_bytes(&self) -> u64 {
        let Some(live) = self.near_folder("live") else {
            return 0;
        };
        things_of(&live)
            .into_keys()
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
        for id in things_of(&live).into_keys() {
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
                remove_unused(&names);
                changed.push((id, reason));
            }
        }
        changed
    }
}

/// Removes a tree's folder unless somebody uses it; true when it is gone.
fn remove_unused(names: &Names) -> bool {
    let Some(alone) = alone(names) else {
        return false;
    };
    let removed = names.remove();
    if let Err(error) = &removed {
        tracing::warn!(%error, folder = %names.folder.display(), "a tree's folder stays");
    }
    drop(alone);
    removed.is_ok()
}

/// Removes what a crash left of a tree, unless somebody uses or makes it. Who makes one holds its lock, which is seen from
/// other containers as well; process ids are not.
fn sweep(names: &Names) {
    let Some(alone) = alone(names) else {
        return;
    };
    let swept = match names.note() {
        // It was made whole since, or was so before.
        Some(_) => names.remove_strays(),
        None => names.remove(),
    };
    if let Err(error) = swept {
        tracing::warn!(%error, folder = %names.folder.display(), "a half-made tree stays");
    }
    drop(alone);
}

fn alone(names: &Names) -> Option<File> {
    let alone = names.alone();
    alone.unwrap_or_else(|error| {
        tracing::debug!(%error, "a tree's folder cannot be locked");
        None
    })
}

/// The endings of what lies around each tree's folder, that of the folder itself being empty.
fn things_of(live: &Path) -> BTreeMap<Id, Vec<String>> {
    let mut things: BTreeMap<Id, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(live).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            continue;
        };
        let (id, ending) = name.split_at(name.find('.').unwrap_or(name.len()));
        if let Some(id) = Id::parse(id) {
            things.entry(id).or_default().push(ending.to_string());
        }
    }
    things
}
