//! Trees as folders of this machine, to be mounted beneath builds. Received from the engine, which wants to mount; made from
//! chunks once a machine, every hash checked; used by any number of builds at once, changed by none.
//!
//! **Shape.** `live/<id>/source` and `live/<id>/root` hold what a tree has under either anchor; `<id>.list` is the tree's list,
//! whose hash is the id; `<id>.json` is written last and says that the folder is whole; builds hold `<id>.lock` shared while
//! they use it (`flock`: the kernel lets go when they die), whoever makes or removes the folder holds it alone.
//!
//! What was made before this machine last started is checked anew before it is used: nothing was flushed for it. Who checks
//! holds the list alone meanwhile, and shares the folder: a build that runs is in nobody's way. `<id>.bad` forbids to begin
//! using a folder that was found damaged.

/// What lies around one tree's folder.
mod names;
/// Looking whether a folder is still what it was made as.
mod scrub;
/// Which folders stay.
mod trim;
/// How long builds wait for each other.
mod wait;

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use croft_beneath::Root;
use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

use crate::content::{Content, Reader};
use crate::replace::name_beside;
use crate::restore::parse_list;
use crate::selection::Selection;
use crate::tree::{Anchor, LIST_BYTES_MAX, Tree};
use crate::unpack::{check_selected, unpack};
use crate::walk::Anchors;
use crate::{Error, Id, Store};
use names::{Names, Note, is_taken, name_of};
use scrub::scrub;
pub(crate) use wait::Patience;
use wait::Whom;

/// A tree that is used is looked through again after this time: disks rot.
const SCRUB_MS: u64 = 7 * 24 * 3600 * 1000;

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

enum WasThere {
    Yes,
    No,
}

impl Live {
    fn of(names: &Names, lock: File, was_there: WasThere) -> Self {
        Self {
            folder: names.folder.clone(),
            list: names.list.clone(),
            was_there: matches!(was_there, WasThere::Yes),
            _lock: lock,
        }
    }

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

/// What came of a try to use a tree's folder.
enum Tried {
    Held(Live),
    Busy(Whom),
}

/// What a folder is found to be.
enum Sight {
    Whole,
    /// Nobody knows yet; somebody looks.
    LookedThrough,
    NotWhole,
}

impl Store {
    /// The tree as a folder, made if it is not there yet. When it was made, folders that nobody uses make room for it.
    ///
    /// Waits at most a minute for another build that makes the same one, and for none that uses it.
    ///
    /// # Errors
    /// [`Error::NoFolder`] when this store has no folder on this machine; [`Error::Busy`] after that minute;
    /// [`Error::Unusable`] when the folder changed and cannot be made anew, since a build still uses it; as
    /// [`Store::unpack`] when it has to be made.
    pub fn materialise(&self, tree: &TreeRef, now: Timestamp) -> Result<Live, Error> {
        self.materialise_within(Patience::of_a_build(), tree, now)
    }

    pub(crate) fn materialise_within(
        &self,
        mut patience: Patience,
        tree: &TreeRef,
        now: Timestamp,
    ) -> Result<Live, Error> {
        let live = self.near_folder("live").ok_or(Error::NoFolder)?;
        let names = Names::of(&live, &tree.id);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&live)
            .map_err(|source| names.failed(source))?;
        loop {
            match self.try_materialise(&names, tree, now)? {
                Tried::Held(live) => return Ok(live),
                Tried::Busy(whom) => patience.step(whom)?,
            }
        }
    }

    fn try_materialise(
        &self,
        names: &Names,
        tree: &TreeRef,
        now: Timestamp,
    ) -> Result<Tried, Error> {
        let failed = |source| names.failed(source);
        let Some(lock) = names.shared().map_err(failed)? else {
            return Ok(Tried::Busy(Whom::Maker));
        };
        let boot = boot_id();
        match look(names, &tree.id, &boot, now) {
            Sight::Whole => return Ok(Tried::Held(Live::of(names, lock, WasThere::Yes))),
            Sight::LookedThrough => return Ok(Tried::Busy(Whom::Maker)),
            Sight::NotWhole => {}
        }
        // Not raised: the kernel lets go of a shared lock first, and does not give it back.
        lock.unlock().map_err(failed)?;
        if !is_taken(lock.try_lock()).map_err(failed)? {
            if names.is_distrusted() {
                return Err(Error::Unusable(
                    "its folder on this machine is damaged, and a build still uses it".into(),
                ));
            }
            return Ok(Tried::Busy(Whom::User));
        }
        if names.note().is_some() {
            // Somebody else made it in between.
            return Ok(Tried::Busy(Whom::User));
        }
        names.remove().map_err(failed)?;
        self.make(names, tree, &boot, now)
            .inspect_err(|error| self.heal(error))?;
        // Sharing it lets go of it for a moment, in which somebody may have removed it.
        if !is_taken(lock.try_lock_shared()).map_err(failed)? || names.note().is_none() {
            return Ok(Tried::Busy(Whom::Maker));
        }
        self.trim_live(self.live_bytes_max);
        Ok(Tried::Held(Live::of(names, lock, WasThere::No)))
    }

    /// Whether the tree's folder is there. It may be gone by the time it is used: then it is made again, or that fails.
    pub(crate) fn is_live(&self, id: &Id) -> bool {
        let live = self.near_folder("live");
        live.is_some_and(|live| Names::of(&live, id).note().is_some())
    }

    fn make(&self, names: &Names, tree: &TreeRef, boot: &str, now: Timestamp) -> Result<(), Error> {
        let failed = |source| names.failed(source);
        // Else a collection alone in the folder could move chunks to other packs meanwhile.
        let held = self.share()?;
        let index = self.index()?;
        let mut reader = Reader::new(&self.objects, &index)?;
        let bytes = tree.list.read_whole(&mut reader, LIST_BYTES_MAX)?;
        let parsed = parse_list(&tree.list, Some(&tree.id), &mut reader)?;
        let staged = name_beside(&names.folder);
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

/// Whether a folder is what it was made as; the caller shares it. Looks through it unless that was done lately.
fn look(names: &Names, id: &Id, boot: &str, now: Timestamp) -> Sight {
    let is_fresh = |note: &Note| {
        note.boot == boot && now.millis() < note.checked.millis().saturating_add(SCRUB_MS)
    };
    let Some(note) = names.note() else {
        return Sight::NotWhole;
    };
    if is_fresh(&note) {
        touch(names, note, now);
        return Sight::Whole;
    }
    // Locked until what was found is noted.
    let looking = File::open(&names.list);
    if let Ok(list) = &looking
        && let Ok(false) = is_taken(list.try_lock())
    {
        // Somebody does so now. What this start of the machine has written is good enough until then.
        return if note.boot == boot {
            touch(names, note, now);
            Sight::Whole
        } else {
            Sight::LookedThrough
        };
    }
    // Several builds that begin at once read it only once.
    if let Some(note) = names.note().filter(is_fresh) {
        touch(names, note, now);
        return Sight::Whole;
    }
    let scrubbed = scrub(&names.folder, &names.list, id);
    if let Err(reason) = scrubbed {
        tracing::warn!(tree = %id, reason, "a mounted tree had changed and is made anew");
        names.distrust();
        return Sight::NotWhole;
    }
    let checked = Note {
        boot: boot.to_string(),
        checked: now,
        ..note
    };
    touch(names, checked, now);
    Sight::Whole
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
