//! A folder as it is, stored as a tree under its own id. Received from `croft cache put` and from whoever hands a source tree
//! over; the id is all that is needed to get it back.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use croft_beneath::Root;
use croft_proto::Timestamp;

use super::{Place, stat_file, write_place};
use crate::live::TreeRef;
use crate::records::lookup::Wanted;
use crate::records::name::{Space, version_of_paths};
use crate::records::record::{Format, Outcome, Record};
use crate::selection::Selection;
use crate::tree::Tree;
use crate::unpack::{Unpacked, unpack};
use crate::walk::{Anchors, Warnings};
use crate::writing::Writing;
use crate::{Error, Id, Packs, Store};

/// Whose trees these are: everybody's who may read the scope.
const PROJECT: &str = "tree";

/// A folder to store.
#[derive(Clone, Copy, Debug)]
pub struct Put<'a> {
    /// On this machine.
    pub directory: &'a Path,
    /// What time it is.
    pub now: Timestamp,
}

/// What was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The tree, by its id.
    pub tree: TreeRef,
    /// Files and links.
    pub files: u64,
    /// Bytes of all those files.
    pub size_bytes: u64,
    /// Bytes of files that were read: those that could have changed since the folder was last stored.
    pub read_bytes: u64,
    /// Bytes newly written to the store.
    pub stored_bytes: u64,
    /// What was written of it. Not all of it when it shares some with what was stored before.
    pub packs: Packs,
    /// What was left out. May be empty.
    pub warnings: Vec<String>,
}

/// The space of trees that are named by their ids.
pub(crate) fn tree_space() -> Space {
    Space::from_str("tree").expect("a plain name is a space")
}

impl Store {
    /// Stores a folder. The mode and times of the folder itself are not kept.
    ///
    /// # Errors
    /// When the folder or the store cannot be read, or the store cannot be written.
    pub fn put(&self, request: &Put<'_>) -> Result<Stored, Error> {
        let writing = Writing::begin(self, request.now)?;
        self.put_in(&writing, request, stat_file)
    }

    /// The same for a folder that nothing else resembles and that is stored once, such as a build's log: it shares no chunk with
    /// what is stored, nothing is remembered of it, and a full store takes no longer than an empty one.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn put_alone(&self, request: &Put<'_>) -> Result<Stored, Error> {
        let writing = Writing::begin_alone(self, request.now)?;
        self.put_in(&writing, request, |_, _, _| None)
    }

    fn put_in(
        &self,
        writing: &Writing<'_>,
        request: &Put<'_>,
        stat_file: fn(&Self, &Path, &Selection) -> Option<PathBuf>,
    ) -> Result<Stored, Error> {
        let unreadable = |source| Error::Read {
            path: request.directory.to_path_buf(),
            source,
        };
        let directory = std::fs::canonicalize(request.directory).map_err(unreadable)?;
        let root = Root::open(&directory).map_err(unreadable)?;
        let base = PathBuf::from("/");
        let selection = Selection::parse(&[".".to_string()], &base)?;
        let anchors = Anchors::open(&root, &base)?;
        let warnings = Warnings::default();
        let stat_file = stat_file(self, &directory, &selection);
        let place = Place {
            selection: &selection,
            anchors: &anchors,
            warnings: &warnings,
            stat_file: stat_file.as_deref(),
            now: request.now,
        };
        let written = write_place(self, &writing.index, &place)?;
        let tree = TreeRef {
            id: written.id,
            list: written.list.clone(),
        };
        let stored_bytes = written.stored_bytes(&writing.index);
        let record = self.tree_record(&tree, &written.tree, stored_bytes, request.now);
        writing.check()?;
        self.write_record(&record)?;
        Ok(Stored {
            tree,
            files: written.tree.files(),
            size_bytes: written.tree.logical_bytes(),
            read_bytes: written.read_bytes,
            stored_bytes: written.brought.stored_bytes,
            packs: Packs::new(written.brought.packs),
            warnings: warnings.into_sentences(),
        })
    }

    /// What makes a tree visible under its own id.
    pub(crate) fn tree_record(
        &self,
        tree: &TreeRef,
        files: &Tree,
        stored_bytes: u64,
        now: Timestamp,
    ) -> Record {
        Record {
            format: Format,
            scope: self.trust.scopes.write().clone(),
            space: tree_space(),
            project: PROJECT.into(),
            key: Some(tree.id.to_string()),
            paths: Vec::new(),
            version: version_of_paths(&[]),
            outcome: Outcome::Tree {
                id: tree.id,
                list: tree.list.clone(),
            },
            files: files.files(),
            logical_bytes: files.logical_bytes(),
            stored_bytes,
            created: now,
            cost_ms: 0,
            key_template: None,
            made_of: Vec::new(),
            producer: self.trust.producer.clone(),
        }
    }

    /// The tree of that id, as far as this store's scopes may read it.
    ///
    /// # Errors
    /// [`Error::Unusable`] when it is there, but damaged or not trusted here; else when the store cannot be read. None when
    /// there is no such tree; what it needs may still be missing.
    pub fn tree(&self, id: &Id, now: Timestamp) -> Result<Option<TreeRef>, Error> {
        let (space, version, key) = (tree_space(), version_of_paths(&[]), id.to_string());
        let wanted = Wanted {
            scopes: &self.trust.scopes,
            space: &space,
            project: PROJECT,
            key: Some(&key),
            fallback_keys: &[],
            version: &version,
        };
        let looked = self.look_up(wanted, now, &mut |record| {
            Ok(matches!(&record.outcome, Outcome::Tree { id: found, .. } if found == id))
        })?;
        let Some(found) = looked.found else {
            let tree = self.tree_of_an_entry(id, now)?;
            let reason = looked
                .skipped
                .into_iter()
                .next()
                .map(|skipped| skipped.reason);
            return match (tree, reason) {
                (None, Some(reason)) => Err(Error::Unusable(reason)),
                (tree, _) => Ok(tree),
            };
        };
        self.note_use(&found.name, now);
        Ok(tree_of(&found.record))
    }

    /// A tree that an entry of a build names.
    fn tree_of_an_entry(&self, id: &Id, now: Timestamp) -> Result<Option<TreeRef>, Error> {
        let seen = self.seen();
        let reader = self.records(seen.as_ref(), now);
        for scope in self.trust.scopes.reads() {
            let folder = crate::records::name::scopes_folder(scope);
            let records = reader.read_all(&folder)?;
            let trees = records
                .iter()
                .filter_map(|(_, record)| tree_of(record.as_ref().ok()?));
            if let Some(tree) = trees.into_iter().find(|tree| tree.id == *id) {
                return Ok(Some(tree));
            }
        }
        Ok(None)
    }

    /// Writes a tree's files into a folder, which is made if it is missing.
    ///
    /// # Errors
    /// As [`Store::unpack`]; whatever was written by then is removed.
    pub fn get(&self, tree: &TreeRef, into: &Path) -> Result<Unpacked, Error> {
        let unwritable = |source| Error::Write {
            path: into.to_path_buf(),
            source,
        };
        std::fs::create_dir_all(into).map_err(unwritable)?;
        let root = Root::open(into).map_err(unwritable)?;
        let held = self.share()?;
        let index = self.index()?;
        let parsed = crate::content::Reader::new(&self.objects, &index)
            .and_then(|mut reader| {
                crate::restore::parse_list(&tree.list, Some(&tree.id), &mut reader)
            })
            .inspect_err(|error| self.heal(error))?;
        let anchors = Anchors::of_folder(&root)?;
        let written = unpack(self, &index, &parsed, &anchors).inspect_err(|error| self.heal(error));
        drop(held);
        written
    }
}

fn tree_of(record: &Record) -> Option<TreeRef> {
    match &record.outcome {
        Outcome::Tree { id, list } => Some(TreeRef {
            id: *id,
            list: list.clone(),
        }),
        Outcome::Content { .. } => None,
    }
}
