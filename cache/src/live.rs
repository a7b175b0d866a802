//! Trees as folders of this machine, to be mounted beneath builds. Received from the engine, which wants to mount; made from
//! chunks once a machine, every hash checked; used by any number of builds at once, changed by none.
//!
//! **Shape.** `live/<id>/source` and `live/<id>/root` hold what a tree has under either anchor; `<id>.list` is the tree's list,
//! whose hash is the id; `<id>.json` is written last and says that the folder is whole; builds hold `<id>.lock` shared while
//! they use it (`flock`: the kernel lets go when they die), whoever makes or removes the folder holds it alone.
//!
//! What was made before this machine last started is checked anew before it is used: nothing was flushed for it.

/// What lies around one tree's folder.
mod names;
/// Looking whether a folder is still what it was made as.
mod scrub;
/// Which folders stay.
mod trim;

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use croft_beneath::Root;
use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

use crate::content::{Content, Reader};
use crate::restore::parse_list;
use crate::selection::Selection;
use crate::tree::{Anchor, Tree};
use crate::unpack::{check_selected, unpack};
use crate::walk::Anchors;
use crate::{Error, Id, Store};
use names::{Names, Note, name_of};
use scrub::scrub;

/// A tree that is used is looked through again after this time: disks rot.
const SCRUB_MS: u64 = 7 * 24 * 3600 * 1000;

/// A list of files, in bytes; a million files fit several times.
const LIST_BYTES_MAX: u64 = 512 << 20;

/// A tree and where its list of files is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TreeRef {
    /// The BLAKE3 hash of its list.
    pub id: Id,
    /// The list's contents.
    pub list: Content,
}

/// A tree's folder on this machine, held until this is dropped.
#[derive(Debug)]
pub struct Live {
    folder: PathBuf,
    list: PathBuf,
    was_there: bool,
    _lock: File,
}

impl Live {
    /// Where the tree's entries of that anchor are: mount this read-only, or as a lower layer; never write to it.
    #[must_use]
    pub fn folder(&self, anchor: Anchor) -> PathBuf {
        self.folder.join(name_of(anchor))
    }

    /// That the tree lies within what these paths select: mounting hides what was there, and must hide nothing else.
    ///
    /// # Errors
    /// [`Error::Refused`] when it does not; when its list cannot be read, or a path not be used.
    pub fn check_within(&self, paths: &[String], base: &Path) -> Result<(), Error> {
        let selection = Selection::parse(paths, base)?;
        let bytes = fs::read(&self.list).map_err(|source| Error::System {
            action: "read the list of a tree made for mounting",
            source,
        })?;
        let tree = Tree::parse_bytes(&bytes).map_err(Error::Refused)?;
        check_selected(&tree, &selection)
    }

    /// Whether it had been made before.
    #[must_use]
    pub fn was_there(&self) -> bool {
        self.was_there
    }
}

impl Store {
    /// The tree as a folder, made if it is not there yet. When it was made, folders that nobody uses make room for it.
    ///
    /// # Errors
    /// [`Error::NoFolder`] when this store has no folder on this machine; as [`Store::unpack`] when it has to be made.
    pub fn materialise(&self, tree: &TreeRef, now: Timestamp) -> Result<Live, Error> {
        let live = self.near_folder("live").ok_or(Error::NoFolder)?;
        let names = Names::of(&live, &tree.id);
        let failed = |source| Error::Write {
            path: names.folder.clone(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&live)
            .map_err(failed)?;
        let lock = File::options()
            .create(true)
            .append(true)
            .open(&names.lock)
            .map_err(failed)?;
        lock.lock_shared().map_err(failed)?;
        let boot = boot_id();
        if let Some(note) = names.note()
            && note.boot == boot
            && now.millis() < note.checked.millis().saturating_add(SCRUB_MS)
        {
            touch(&names, note, now);
            return Ok(Live {
                folder: names.folder,
                list: names.list,
                was_there: true,
                _lock: lock,
            });
        }
        lock.unlock().map_err(failed)?;
        lock.lock().map_err(failed)?;
        let was_there = self.make_sure(&names, tree, &boot, now)?;
        // Sharing it again lets go of it for a moment, in which somebody may have removed it.
        lock.lock_shared().map_err(failed)?;
        if names.note().is_none() {
            drop(lock);
            return self.materialise(tree, now);
        }
        if !was_there {
            self.trim_live(self.live_bytes_max);
        }
        Ok(Live {
            folder: names.folder,
            list: names.list,
            was_there,
            _lock: lock,
        })
    }

    /// Whether the tree's folder is there. It may be gone by the time it is used: then it is made again, or that fails.
    pub(crate) fn is_live(&self, id: &Id) -> bool {
        let live = self.near_folder("live");
        live.is_some_and(|live| Names::of(&live, id).note().is_some())
    }

    /// Makes the folder, or checks one that is there; the caller holds it alone. True when it was there and whole.
    fn make_sure(
        &self,
        names: &Names,
        tree: &TreeRef,
        boot: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let failed = |source| Error::Write {
            path: names.folder.clone(),
            source,
        };
        if let Some(note) = names.note() {
            match scrub(&names.folder, &names.list, &tree.id) {
                Ok(()) => {
                    let note = Note {
                        boot: boot.to_string(),
                        checked: now,
                        used: now,
                        ..note
                    };
                    names.write_note(&note).map_err(failed)?;
                    return Ok(true);
                }
                Err(reason) => {
                    tracing::warn!(tree = %tree.id, reason, "a mounted tree had changed and is made anew");
                }
            }
        }
        names.remove().map_err(failed)?;
        self.make(names, tree, boot, now)
            .inspect_err(|error| self.heal(error))?;
        Ok(false)
    }

    fn make(&self, names: &Names, tree: &TreeRef, boot: &str, now: Timestamp) -> Result<(), Error> {
        let failed = |source| Error::Write {
            path: names.folder.clone(),
            source,
        };
        // Else a collection alone in the folder could move chunks to other packs meanwhile.
        let held = self.share()?;
        let index = self.index()?;
        let mut reader = Reader::new(&self.objects, &index)?;
        let bytes = tree.list.read_whole(&mut reader, LIST_BYTES_MAX)?;
        let parsed = parse_list(&tree.list, Some(&tree.id), &mut reader)?;
        let staged = names.folder.with_extension(std::process::id().to_string());
        for anchor in [Anchor::Source, Anchor::Root] {
            fs::create_dir_all(staged.join(name_of(anchor))).map_err(failed)?;
        }
        let anchors = Root::open(&staged)
            .map_err(failed)
            .and_then(|root| Anchors::of_live(&root))?;
        let written = unpack(self, &index, &parsed, &anchors).and_then(|unpacked| {
            fs::write(&names.list, bytes)
                .and_then(|()| fs::rename(&staged, &names.folder))
                .and_then(|()| {
                    names.write_note(&Note {
                        size_bytes: unpacked.size_bytes,
                        boot: boot.to_string(),
                        checked: now,
                        used: now,
                    })
                })
                .map_err(failed)
        });
        drop(held);
        if written.is_err()
            && let Err(error) = fs::remove_dir_all(&staged)
        {
            tracing::debug!(%error, "a half-made tree stays");
        }
        written
    }
}

fn touch(names: &Names, note: Note, now: Timestamp) {
    let note = Note { used: now, ..note };
    if let Err(error) = names.write_note(&note) {
        tracing::debug!(%error, "the time of use is not noted");
    }
}

/// Names this start of the machine.
fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    text.unwrap_or_default().trim().to_string()
}
