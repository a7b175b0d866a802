//! Store to build: which entry. Received from the engine before a build's phases; hands the entry's tree to `unpack`.

use std::io::{BufReader, Read as _};
use std::path::Path;

use croft_beneath::Root;
use croft_proto::Timestamp;

use crate::backend::Objects;
use crate::layout::tree_name;
use crate::lock::STEPS_SHARED;
use crate::pack::damaged;
use crate::record::{self, Record};
use crate::selection::Selection;
use crate::tree::Tree;
use crate::unpack::{Unpack, unpack};
use crate::{Error, Id, Store};

/// Bytes of a stored tree: a million files fit several times.
const TREE_BYTES_MAX: u64 = 256 << 20;

/// Bytes of its text. More would not be a list of files but an attempt to fill the memory.
const TREE_TEXT_BYTES_MAX: u64 = 512 << 20;

/// A zstd window of 8 MiB, what the level used for trees needs at most.
const TREE_WINDOW_LOG_MAX: u32 = 23;

/// What to look for, and where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Restore<'a> {
    /// Whose entry.
    pub project: &'a str,
    /// The key, expanded. None means the one entry of the project without a key.
    pub key: Option<&'a str>,
    /// Prefixes of keys to try when there is no entry with the key, in order. Ignored without a key; an empty one, which
    /// would match anything, is skipped.
    pub fallback_keys: &'a [String],
    /// `cache.paths`, with variables and `~` expanded. Entries of other paths never match, and nothing outside these
    /// paths is written.
    pub paths: &'a [String],
    /// What the build will see as `/`.
    pub root: &'a Root,
    /// The source directory inside the root.
    pub base: &'a Path,
    /// What time it is.
    pub now: Timestamp,
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

impl Store {
    /// Writes the files of the best matching entry into the root: that of the exact key, else the newest whose key starts
    /// with the first fallback key, else with the second, and so on.
    ///
    /// Existing files and links are replaced, other files stay. When this fails, what it wrote is removed again; a file
    /// that was replaced is gone.
    ///
    /// # Errors
    /// When the entry is damaged ([`Error::is_damage`]): it and the damaged object are removed, so that the next save makes
    /// a good one. When the store cannot be read, the root cannot be written, or the cache is locked for too long.
    pub fn restore(&self, request: &Restore<'_>) -> Result<Restored, Error> {
        let selection = Selection::parse(request.paths, request.base)?;
        let held = self.lock.shared(STEPS_SHARED)?;
        let restored = self.restore_held(request, &selection);
        drop(held);
        restored
    }

    fn restore_held(
        &self,
        request: &Restore<'_>,
        selection: &Selection,
    ) -> Result<Restored, Error> {
        let name = record::name(request.project, &selection.version(), request.key);
        let exact = record::read(&self.objects, &name);
        let exact = exact.inspect_err(|error| self.discard(&name, error))?;
        let (found, record) = match exact {
            Some(record) => (Found::Exact, record),
            None => match self.fallback(request, selection)? {
                Some(record) => (Found::Fallback, record),
                None => return Ok(miss()),
            },
        };
        let name = record.name();
        let written = load_tree(&self.objects, &record.tree).and_then(|tree| {
            let place = Unpack {
                paths: request.paths,
                root: request.root,
                base: request.base,
            };
            unpack(&self.objects, &tree, selection, &place)
        });
        let written = written.inspect_err(|error| self.discard(&name, error))?;
        record::touch(&self.objects, &name, request.now);
        Ok(Restored {
            found,
            key: record.key,
            files: written.files,
            size_bytes: written.size_bytes,
            warnings: written.warnings,
        })
    }

    /// The newest entry whose key starts with the first fallback key that matches any.
    fn fallback(
        &self,
        request: &Restore<'_>,
        selection: &Selection,
    ) -> Result<Option<Record>, Error> {
        let prefixes: Vec<&String> = request
            .fallback_keys
            .iter()
            .filter(|key| !key.is_empty())
            .collect();
        if request.key.is_none() || prefixes.is_empty() {
            return Ok(None);
        }
        let scope = record::scope(request.project, &selection.version());
        let mut records = Vec::new();
        for (listed, record) in record::read_all(&self.objects, &scope)? {
            match record {
                Ok(record) => records.push(record),
                Err(error) => {
                    tracing::warn!(%error, "a damaged cache entry is removed");
                    self.discard(&listed.name, &error);
                }
            }
        }
        let matching = prefixes.into_iter().find_map(|prefix| {
            let matches = records.iter().filter(|record| {
                let key = record.key.as_deref();
                key.is_some_and(|key| key.starts_with(prefix.as_str()))
            });
            matches.max_by(|a, b| (a.created, &a.key).cmp(&(b.created, &b.key)))
        });
        Ok(matching.cloned())
    }

    /// Removes an entry whose bytes are at fault, and the object at fault: otherwise it would stay a miss for ever, since
    /// saving finds the key taken and the chunk stored.
    fn discard(&self, entry: &object_store::path::Path, error: &Error) {
        if !error.is_damage() {
            return;
        }
        let mut names = vec![entry.clone()];
        if let Error::Damaged { object, .. } = error {
            names.push(object_store::path::Path::from(object.as_str()));
        }
        for name in names {
            if let Err(error) = self.objects.delete(&name) {
                tracing::debug!(%error, "a damaged cache object stays");
            }
        }
    }
}

fn miss() -> Restored {
    Restored {
        found: Found::Miss,
        key: None,
        files: 0,
        size_bytes: 0,
        warnings: Vec::new(),
    }
}

/// The tree of that id, its hash and every rule checked.
pub(crate) fn load_tree(objects: &Objects, id: &Id) -> Result<Tree, Error> {
    let name = tree_name(id);
    let bytes = objects.get(&name, TREE_BYTES_MAX)?;
    if Id::of(&bytes) != *id {
        return Err(damaged(&name, "it does not match its hash"));
    }
    let failed = |error: std::io::Error| damaged(&name, error.to_string());
    let mut text = zstd::stream::read::Decoder::with_buffer(bytes.as_ref()).map_err(failed)?;
    text.window_log_max(TREE_WINDOW_LOG_MAX).map_err(failed)?;
    let text = BufReader::new(text.take(TREE_TEXT_BYTES_MAX));
    Tree::parse(text).map_err(|error| damaged(&name, error.to_string()))
}
