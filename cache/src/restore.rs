//! Store to build: which entry, and its tree. Received from the engine before a build's phases; hands the tree to `unpack`,
//! which copies it, or to `live`, which makes a folder to mount.

use std::path::Path;

use croft_beneath::Root;
use croft_proto::Timestamp;

use crate::content::{Content, Reader};
use crate::index::Index;
use crate::live::TreeRef;
use crate::records::lookup::{self, By, Looked, Wanted};
use crate::records::name::Space;
use crate::records::record::{Outcome, Record};
use crate::records::{Skipped, lookup::Match};
use crate::selection::Selection;
use crate::tree::{LIST_BYTES_MAX, Tree};
use crate::unpack::{check_selected, unpack};
use crate::walk::Anchors;
use crate::{Error, Id, Store};

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// Whose entry.
    pub project: &'a str,
    /// The key, expanded. None means the one entry of the project without a key.
    pub key: Option<&'a str>,
    /// Prefixes of keys to try when there is no entry with the key, in order. Ignored without a key; an empty one, which
    /// would match anything, is skipped.
    pub fallback_keys: &'a [String],
    /// `cache.paths`, with variables and `~` expanded. Entries of other paths never match.
    pub paths: &'a [String],
    /// The source directory inside the root.
    pub base: &'a Path,
    /// What time it is.
    pub now: Timestamp,
}

/// What to look for, and where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Restore<'a> {
    /// What to look for. Nothing outside its paths is written.
    pub lookup: Lookup<'a>,
    /// What the build will see as `/`.
    pub root: &'a Root,
}

/// How the entry was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// By its exact key, or the entry without a key.
    Exact,
    /// By a fallback key.
    Fallback,
    /// Not at all: nothing was restored.
    Miss,
}

/// An entry that is whole.
#[derive(Debug)]
pub struct Hit {
    /// How it was found; never [`Found::Miss`].
    pub found: Found,
    /// Its key; none for the entry without a key.
    pub key: Option<String>,
    /// Its tree.
    pub tree: TreeRef,
    /// Files and links.
    pub files: u64,
    /// Bytes of those files.
    pub size_bytes: u64,
    /// When it was saved.
    pub created: Timestamp,
    /// Better entries that could not be used, and why: worth a warning.
    pub warnings: Vec<String>,
    /// What was read to know that it is whole; none when its folder is on this machine already.
    loaded: Option<(Index, Tree)>,
}

/// The report of a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// How.
    pub found: Found,
    /// The key of the entry; none on a miss and for the entry without a key.
    pub key: Option<String>,
    /// Files and links written.
    pub files: u64,
    /// Bytes of those files.
    pub size_bytes: u64,
    /// What a person should know. May be empty.
    pub warnings: Vec<String>,
}

/// The answer of [`Store::find`].
#[derive(Debug)]
pub struct Sought {
    /// None is a miss.
    pub hit: Option<Hit>,
    /// Entries that could not be used, and why. May be empty.
    pub warnings: Vec<String>,
}

impl Store {
    /// The entry that answers, with everything it names there; nothing is written.
    ///
    /// # Errors
    /// When a path cannot be used or the store cannot be read. Damaged or untrusted entries are no error: they are not used,
    /// and the warnings say so.
    pub fn find(&self, lookup: &Lookup<'_>) -> Result<Sought, Error> {
        let selection = Selection::parse(lookup.paths, lookup.base)?;
        let held = self.share()?;
        let sought = self.find_held(lookup, &selection);
        drop(held);
        sought
    }

    fn find_held(&self, lookup: &Lookup<'_>, selection: &Selection) -> Result<Sought, Error> {
        let version = selection.version();
        let wanted = Wanted {
            scopes: &self.trust.scopes,
            space: &Space::BUILD,
            project: lookup.project,
            key: lookup.key,
            fallback_keys: lookup.fallback_keys,
            version: &version,
        };
        let mut loaded = None;
        let looked = self.look_up(wanted, lookup.now, &mut |record| {
            self.is_whole(record, &mut loaded)
        })?;
        let warnings = self.report(&looked, lookup.now);
        let hit = match looked.found {
            Some(Match { by, name, record }) => {
                self.touch(&name, lookup.now);
                Some(hit(by, record, loaded, warnings.clone())?)
            }
            None => None,
        };
        Ok(Sought { hit, warnings })
    }

    pub(crate) fn look_up(
        &self,
        wanted: Wanted<'_>,
        now: Timestamp,
        usable: &mut dyn FnMut(&Record) -> Result<bool, Error>,
    ) -> Result<Looked, Error> {
        let seen = self.seen();
        lookup::find(self.records(seen.as_ref(), now), wanted, usable)
    }

    /// Reads records that count here.
    pub(crate) fn records<'s>(
        &'s self,
        seen: Option<&'s crate::records::seen::Seen>,
        now: Timestamp,
    ) -> lookup::Reader<'s> {
        lookup::Reader {
            objects: &self.objects,
            keyring: &self.trust.keyring,
            seen,
            now,
        }
    }

    /// True when every chunk the record's tree needs is stored, or its folder is on this machine.
    fn is_whole(&self, record: &Record, loaded: &mut Option<(Index, Tree)>) -> Result<bool, Error> {
        let Outcome::Tree { id, list } = &record.outcome else {
            return Ok(false);
        };
        if self.is_live(id) {
            // What was read for an entry that could not be used is not this one's.
            *loaded = None;
            return Ok(true);
        }
        let index = match loaded.take() {
            Some((index, _)) => index,
            None => self.index()?,
        };
        let tree = Reader::new(&self.objects, &index)
            .and_then(|mut reader| parse_list(list, Some(id), &mut reader))
            .and_then(|tree| match index.missing(tree.chunks()) {
                Some(error) => Err(error),
                None => Ok(tree),
            });
        let tree = match tree {
            Ok(tree) => tree,
            Err(error) => {
                // Else the next save would count on the damaged chunk, and this stay a miss for ever.
                self.heal(&error);
                *loaded = Some((index, Tree::default()));
                return Err(error);
            }
        };
        *loaded = Some((index, tree));
        Ok(true)
    }

    /// What to tell about entries that were not used. Damaged ones of the own scope are removed: otherwise they would stay a
    /// miss for ever, since saving finds the key taken.
    fn report(&self, looked: &Looked, now: Timestamp) -> Vec<String> {
        let mut warnings = Vec::new();
        for Skipped {
            object,
            reason,
            is_damaged,
        } in &looked.skipped
        {
            warnings.push(format!("a cache entry is not used: {reason}"));
            let name = object_store::path::Path::from(object.as_str());
            let own = crate::records::name::scopes_folder(self.trust.scopes.write());
            if *is_damaged
                && name.prefix_matches(&own)
                && self.is_still_damaged(&name, now)
                && let Err(error) = self.objects.delete(&name)
            {
                tracing::debug!(%error, "a damaged cache entry stays");
            }
        }
        warnings
    }

    /// A save may have replaced the entry since it was read.
    fn is_still_damaged(&self, name: &object_store::path::Path, now: Timestamp) -> bool {
        let seen = self.seen();
        match self.records(seen.as_ref(), now).read(name) {
            Ok(None) => false,
            Ok(Some(record)) => self
                .is_whole(&record, &mut None)
                .is_err_and(|error| error.is_damage()),
            Err(error) => error.is_damage(),
        }
    }

    /// Copies an entry's files into the build.
    ///
    /// # Errors
    /// As [`Store::find`] and [`Store::unpack`]; then nothing of the entry is left in the root.
    pub fn restore(&self, request: &Restore<'_>) -> Result<Restored, Error> {
        let selection = Selection::parse(request.lookup.paths, request.lookup.base)?;
        let held = self.share()?;
        let sought = self.find_held(&request.lookup, &selection)?;
        let restored = match sought.hit {
            None => Ok(Restored {
                found: Found::Miss,
                key: None,
                files: 0,
                size_bytes: 0,
                warnings: sought.warnings,
            }),
            Some(hit) => self.copy(hit, request, &selection),
        };
        drop(held);
        restored
    }

    /// Copies what a look-up found into the build.
    ///
    /// # Errors
    /// As [`Store::unpack`].
    pub fn restore_hit(&self, hit: Hit, request: &Restore<'_>) -> Result<Restored, Error> {
        let selection = Selection::parse(request.lookup.paths, request.lookup.base)?;
        let held = self.share()?;
        let restored = self.copy(hit, request, &selection);
        drop(held);
        restored
    }

    fn copy(
        &self,
        hit: Hit,
        request: &Restore<'_>,
        selection: &Selection,
    ) -> Result<Restored, Error> {
        let (index, tree) = match hit.loaded {
            Some(loaded) => loaded,
            None => {
                let index = self.index()?;
                let tree = Reader::new(&self.objects, &index).and_then(|mut reader| {
                    parse_list(&hit.tree.list, Some(&hit.tree.id), &mut reader)
                })?;
                (index, tree)
            }
        };
        check_selected(&tree, selection)?;
        let anchors = Anchors::open(request.root, request.lookup.base)?;
        let written =
            unpack(self, &index, &tree, &anchors).inspect_err(|error| self.heal(error))?;
        Ok(Restored {
            found: hit.found,
            key: hit.key,
            files: written.files,
            size_bytes: written.size_bytes,
            warnings: hit.warnings.into_iter().chain(written.warnings).collect(),
        })
    }
}

fn hit(
    by: By,
    record: Record,
    loaded: Option<(Index, Tree)>,
    warnings: Vec<String>,
) -> Result<Hit, Error> {
    let Outcome::Tree { id, list } = record.outcome else {
        return Err(Error::Missing {
            object: "a tree".into(),
        });
    };
    Ok(Hit {
        found: match by {
            By::Key => Found::Exact,
            By::FallbackKey => Found::Fallback,
        },
        key: record.key,
        tree: TreeRef { id, list },
        files: record.files,
        size_bytes: record.logical_bytes,
        created: record.created,
        warnings,
        loaded,
    })
}

/// The tree of that list; its hash checked when it is given, and every rule.
pub(crate) fn parse_list(
    list: &Content,
    id: Option<&Id>,
    reader: &mut Reader<'_>,
) -> Result<Tree, Error> {
    let bytes = list.read_whole(reader, LIST_BYTES_MAX)?;
    if id.is_some_and(|id| Id::of(&bytes) != *id) {
        return Err(Error::Damaged {
            object: "a list of files".into(),
            reason: "it does not match its hash".into(),
        });
    }
    Ok(Tree::parse_bytes(&bytes)?)
}
