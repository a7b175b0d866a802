//! Build to store. Received from the engine after a build's phases; leaves packs and, as the last step, a record.

/// Findings to entries.
mod gather;
/// Knowing what changed from a build's own layers.
mod layers;
/// A folder as it is, under no key.
mod put;
/// A folder of a tree, as a tree.
mod part;
/// Findings to a stored tree.
mod written;

use std::path::{Path, PathBuf};

use croft_beneath::Root;
use croft_proto::Timestamp;

use crate::content::Reader;
use crate::gc::Pruned;
use crate::index::Index;
use crate::live::TreeRef;
use crate::records::name::{Name, Space};
use crate::records::record::{Format, Input, Outcome, Record};
use crate::records::write::Writer;
use crate::restore::parse_list;
use crate::selection::Selection;
use crate::stat;
use crate::tree::Anchor;
use crate::walk::{Anchors, Warnings};
use crate::writing::Writing;
use crate::{Error, Id, Store};
pub use put::{Put, Stored};
pub(crate) use written::{Place, Written, write_place};

/// What to save, and as what.
#[derive(Clone, Copy, Debug)]
pub struct Save<'a> {
    /// Whose entry it is: entries of other projects never match.
    pub project: &'a str,
    /// The key, expanded. None means the one entry of the project, which each save replaces.
    pub key: Option<&'a str>,
    /// `cache.paths`, with variables and `~` expanded.
    pub paths: &'a [String],
    /// What the build sees as `/`.
    pub root: &'a Root,
    /// The source directory inside the root; relative paths start there.
    pub base: &'a Path,
    /// What time it is.
    pub now: Timestamp,
    /// What the key was made of, to say later what changed.
    pub origin: Origin<'a>,
    /// When an entry is mounted beneath the build: then only what the build changed is looked at.
    pub mounted: Option<&'a Mounted<'a>>,
}

/// Where a key comes from, and what its result cost. All of it may be empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// The key before its variables and helpers were expanded.
    pub key_template: Option<&'a str>,
    /// The files, variables and so on that it was made of.
    pub made_of: &'a [Input],
    /// How long making the files took, in milliseconds: what is dear is kept longer.
    pub cost_ms: u64,
}

/// An entry that was mounted beneath a build.
#[derive(Clone, Debug)]
pub struct Mounted<'a> {
    /// Its tree.
    pub tree: &'a TreeRef,
    /// Every mount of it.
    pub layers: &'a [Layer],
}

/// One overlay with a part of an entry's tree as its topmost lower layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Where `at` starts.
    pub anchor: Anchor,
    /// The directory it is mounted at, relative to the anchor; empty for the anchor itself.
    pub at: PathBuf,
    /// The overlay's upper directory, on this machine.
    pub upper: PathBuf,
    /// Its lower directories beneath the entry's own, on this machine.
    pub below: Vec<PathBuf>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveOutcome {
    /// The entry is new, or replaced the one without a key.
    Saved,
    /// There is an entry with this key already, or the entry without a key has the same contents.
    Unchanged,
    /// The paths lead to nothing; no entry was made.
    NothingFound,
}

/// The report of a save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// What became of it.
    pub outcome: SaveOutcome,
    /// Files and links of the entry; 0 when nothing was looked at because the key exists.
    pub files: u64,
    /// Bytes of all those files.
    pub size_bytes: u64,
    /// Bytes of files that were read: those that could have changed.
    pub read_bytes: u64,
    /// Bytes newly written to the store.
    pub stored_bytes: u64,
    /// What was left out, and anything else a person should know. May be empty.
    pub warnings: Vec<String>,
    /// What had to go to stay under the cap, when something had to.
    pub pruned: Option<Pruned>,
}

impl Store {
    /// Stores the files that the paths mean.
    ///
    /// A file that cannot be read, or that changes while it is read, is left out with a warning. When this fails, or the
    /// process dies on the way, the old state stays; what was already written is removed by a later collection.
    ///
    /// # Errors
    /// When a path or name cannot be used (the buildspec's author can fix it), the store cannot be written, the files are
    /// larger than the cap, or the cache is locked for too long.
    pub fn save(&self, request: &Save<'_>) -> Result<Saved, Error> {
        if request.project.is_empty() || request.key == Some("") {
            return Err(Error::Name("project and key may not be empty".into()));
        }
        let selection = Selection::parse(request.paths, request.base)?;
        let saved = self.save_written(request, &selection);
        self.send_pending();
        match saved {
            Ok(mut saved) => {
                if saved.stored_bytes > 0 && self.is_over_cap()? {
                    saved.pruned = self.prune_after_save(self.low_water_bytes(), request.now);
                }
                // What an earlier build of this machine mounted may have been let go since.
                self.trim_live(self.live_bytes_max);
                Ok(saved)
            }
            Err(error) => {
                // It may have left packs that nobody uses, on a disk that may be full.
                self.prune_after_save(self.cap_bytes, request.now);
                Err(error)
            }
        }
    }

    /// Brings a store that is over its cap a tenth below it.
    ///
    /// # Errors
    /// As [`Store::collect`].
    pub(crate) fn prune_if_over_cap(&self, now: Timestamp) -> Result<(), Error> {
        if self.is_over_cap()? {
            self.prune(self.low_water_bytes(), now)?;
        }
        Ok(())
    }

    fn is_over_cap(&self) -> Result<bool, Error> {
        Ok(self.cap_bytes < u64::MAX && self.stored_bytes()? > self.cap_bytes)
    }

    /// What a prune after a save leaves: a tenth below the cap, so that not every save has to prune.
    pub(crate) fn low_water_bytes(&self) -> u64 {
        self.cap_bytes - self.cap_bytes / 10
    }

    /// The save is done either way, so trouble here is only logged.
    fn prune_after_save(&self, cap_bytes: u64, now: Timestamp) -> Option<Pruned> {
        self.prune(cap_bytes, now)
            .inspect_err(|error| tracing::warn!(%error, "the cache is not pruned"))
            .ok()
    }

    fn save_written(&self, request: &Save<'_>, selection: &Selection) -> Result<Saved, Error> {
        let version = selection.version();
        let name = Name {
            scope: self.trust.scopes.write(),
            space: &Space::BUILD,
            project: request.project,
            version: &version,
            key: request.key,
        };
        let before = self.own_record(&name, request.now)?;
        if request.key.is_some()
            && let Some(before) = &before
            && self.names_what_exists(before)?
        {
            return Ok(unchanged(Vec::new()));
        }
        let anchors = Anchors::open(request.root, request.base)?;
        let warnings = Warnings::default();
        let writing = Writing::begin(self, request.now)?;
        let written = self.write_tree(request, selection, &anchors, &warnings, &writing)?;
        let warnings = warnings.into_sentences();
        if written.tree.entries().is_empty() {
            return Ok(Saved {
                outcome: SaveOutcome::NothingFound,
                ..unchanged(warnings)
            });
        }
        let mut saved = saved(&written, warnings);
        if before.is_some_and(|before| names_tree(&before, &written.id)) {
            self.touch(&name.path(), request.now);
            saved.outcome = SaveOutcome::Unchanged;
            return Ok(saved);
        }
        let record = self.record(request, selection, &name, &written, &writing.index);
        // The prune that follows would take it away again.
        if record.stored_bytes > self.low_water_bytes() {
            return Err(Error::TooLarge {
                cap_bytes: self.cap_bytes,
            });
        }
        writing.check()?;
        self.write_record(&record)?;
        Ok(saved)
    }

    fn write_tree(
        &self,
        request: &Save<'_>,
        selection: &Selection,
        anchors: &Anchors,
        warnings: &Warnings,
        writing: &Writing<'_>,
    ) -> Result<Written, Error> {
        if let Some(mounted) = request.mounted {
            let from = layers::From {
                meter: &self.meter,
                selection,
                anchors,
                warnings,
                mounted,
                now: request.now,
            };
            return layers::write_changes(self, &writing.index, &from);
        }
        // Only a build in place, or a source that was copied once, has files with the inodes they had last time.
        let saved_from =
            Path::new(request.project).join(request.base.strip_prefix("/").unwrap_or(request.base));
        let stat_file = stat_file(self, &saved_from, selection);
        let place = Place {
            selection,
            anchors,
            warnings,
            stat_file: stat_file.as_deref(),
            now: request.now,
        };
        write_place(self, &writing.index, &place)
    }

    /// The record of that name in the own scope, if there is one that counts.
    pub(crate) fn own_record(
        &self,
        name: &Name<'_>,
        now: Timestamp,
    ) -> Result<Option<Record>, Error> {
        let seen = self.seen();
        match self.records(seen.as_ref(), now).read(&name.path()) {
            Err(error) if error.is_unusable() => Ok(None),
            // Nobody can tell while the far tier is away. If there is one, it is as good as the one that is saved now.
            Err(error) if self.objects.is_tiered() => {
                tracing::debug!(%error, "it is not known whether the key exists");
                Ok(None)
            }
            read => read,
        }
    }

    /// Whether everything the record names is stored. A folder of this machine does not count: others have none.
    fn names_what_exists(&self, record: &Record) -> Result<bool, Error> {
        let Outcome::Tree { id, list } = &record.outcome else {
            return Ok(false);
        };
        let index = self.index()?;
        let tree = Reader::new(&self.objects, &index)
            .and_then(|mut reader| parse_list(list, Some(id), &mut reader));
        match tree {
            Ok(tree) => Ok(index.missing(tree.chunks()).is_none()),
            Err(error) if error.is_damage() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn record(
        &self,
        request: &Save<'_>,
        selection: &Selection,
        name: &Name<'_>,
        written: &Written,
        index: &Index,
    ) -> Record {
        Record {
            format: Format,
            scope: name.scope.clone(),
            space: name.space.clone(),
            project: request.project.to_string(),
            key: request.key.map(str::to_string),
            paths: selection.texts().to_vec(),
            version: *name.version,
            outcome: Outcome::Tree {
                id: written.id,
                list: written.list.clone(),
            },
            files: written.tree.files(),
            logical_bytes: written.tree.logical_bytes(),
            stored_bytes: written.stored_bytes(index),
            created: request.now,
            cost_ms: request.origin.cost_ms,
            key_template: request.origin.key_template.map(str::to_string),
            made_of: request.origin.made_of.to_vec(),
            producer: self.trust.producer.clone(),
        }
    }

    /// Makes what was stored visible.
    pub(crate) fn write_record(&self, record: &Record) -> Result<(), Error> {
        let seen = self.seen();
        let writer = Writer {
            objects: &self.objects,
            signer: &self.trust.signer,
            scopes: &self.trust.scopes,
            seen: seen.as_ref(),
        };
        writer.write(record).map(drop)
    }

    /// Notes when an entry was used. Losing that only makes it look older.
    pub(crate) fn touch(&self, entry: &object_store::path::Path, now: Timestamp) {
        let name = crate::gc::used_name(entry);
        if let Err(error) = self
            .objects
            .put(&name, now.millis().to_string().into_bytes())
        {
            tracing::debug!(%error, "the time of use is not noted");
        }
    }
}

fn names_tree(record: &Record, tree: &Id) -> bool {
    matches!(&record.outcome, Outcome::Tree { id, .. } if id == tree)
}

fn saved(written: &Written, warnings: Vec<String>) -> Saved {
    Saved {
        outcome: SaveOutcome::Saved,
        files: written.tree.files(),
        size_bytes: written.tree.logical_bytes(),
        read_bytes: written.read_bytes,
        stored_bytes: written.brought.stored_bytes,
        warnings,
        pruned: None,
    }
}

fn unchanged(warnings: Vec<String>) -> Saved {
    Saved {
        outcome: SaveOutcome::Unchanged,
        files: 0,
        size_bytes: 0,
        read_bytes: 0,
        stored_bytes: 0,
        warnings,
        pruned: None,
    }
}

/// The stat cache's file for what a selection finds in a folder.
pub(crate) fn stat_file(store: &Store, folder: &Path, selection: &Selection) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let what = [
        folder.as_os_str().as_bytes(),
        b"\0",
        selection.version().to_string().as_bytes(),
    ]
    .concat();
    store
        .near_folder("stat")
        .map(|near| stat::file_of(&near, &what))
}
