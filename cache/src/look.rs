//! Looking at what there is: entries, the room they take, how two trees differ. Received from `croft cache ls`, `du`, `diff`.

use std::collections::HashSet;

use croft_proto::Timestamp;

use crate::content::Reader;
use crate::gc::used_name;
use crate::id::Short;
use crate::index::Index;
use crate::layout::folder;
use crate::live::TreeRef;
use crate::records::record::{Outcome, Record};
use crate::restore::parse_list;
use crate::tree::{Anchor, Entry, Node, Tree};
use crate::{Error, Id, Store};

/// One entry, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntrySummary {
    /// Who may read it.
    pub scope: String,
    /// Whose protocol: `build` for the caches of builds, `tree` for folders stored as they are.
    pub space: String,
    /// Whose it is.
    pub project: String,
    /// The exact key; none for the one entry of a project without keys.
    pub key: Option<String>,
    /// The configured paths in their plain form, sorted.
    pub paths: Vec<String>,
    /// Its tree; none for contents of other tools.
    pub tree: Option<Id>,
    /// Files and links.
    pub files: u64,
    /// Bytes of all files.
    pub logical_bytes: u64,
    /// Compressed bytes of what the entry uses, each chunk once; other entries may use the same.
    pub stored_bytes: u64,
    /// When it was saved.
    pub created: Timestamp,
    /// When it was last saved or restored.
    pub last_used: Timestamp,
    /// Who made it, in its own words.
    pub producer: String,
}

/// The room a store takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Entries.
    pub entries: u64,
    /// Bytes of all entries' files, as often as they are there.
    pub logical_bytes: u64,
    /// Bytes of their chunks before compression, each once.
    pub unique_bytes: u64,
    /// Bytes of all objects.
    pub stored_bytes: u64,
    /// Objects that hold chunks.
    pub packs: u64,
    /// Bytes of folders made for mounting on this machine.
    pub live_bytes: u64,
}

/// How a path differs between two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Only in the second.
    Added(String),
    /// Only in the first.
    Removed(String),
    /// Other bytes, kind or target.
    Contents(String),
    /// Other mode, owner or time, same contents.
    Metadata(String),
}

impl Store {
    /// Every entry that counts here, in all scopes this store reads, the last used first.
    ///
    /// # Errors
    /// When the store cannot be read. Damaged entries are left out: see [`Store::verify`].
    pub fn list(&self, now: Timestamp) -> Result<Vec<EntrySummary>, Error> {
        let held = self.share()?;
        let mut entries: Vec<EntrySummary> = self
            .records_here(now)?
            .into_iter()
            .map(|record| self.summarise(record))
            .collect();
        drop(held);
        entries.sort_by(|a, b| {
            (b.last_used, &a.project, &a.key).cmp(&(a.last_used, &b.project, &b.key))
        });
        Ok(entries)
    }

    /// The records of every scope this store reads.
    pub(crate) fn records_here(&self, now: Timestamp) -> Result<Vec<Record>, Error> {
        let seen = self.seen();
        let reader = self.records(seen.as_ref(), now);
        let mut records = Vec::new();
        for scope in self.trust.scopes.reads() {
            let folder = crate::records::name::scopes_folder(scope);
            let read = reader.read_all(&folder)?;
            records.extend(read.into_iter().filter_map(|(_, record)| record.ok()));
        }
        Ok(records)
    }

    fn summarise(&self, record: Record) -> EntrySummary {
        let used = self.objects.get(&used_name(&record.name()), 32).ok();
        let used = used.and_then(|bytes| str::from_utf8(&bytes).ok()?.parse().ok());
        let last_used = used.map_or(record.created, |millis| {
            record.created.max(Timestamp::from_millis(millis))
        });
        EntrySummary {
            scope: record.scope.as_str().to_string(),
            space: record.space.as_str().to_string(),
            project: record.project,
            key: record.key,
            paths: record.paths,
            tree: match record.outcome {
                Outcome::Tree { id, .. } => Some(id),
                Outcome::Content { .. } => None,
            },
            files: record.files,
            logical_bytes: record.logical_bytes,
            stored_bytes: record.stored_bytes,
            created: record.created,
            last_used,
            producer: record.producer,
        }
    }

    /// The room that everything takes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn space(&self, now: Timestamp) -> Result<Space, Error> {
        let held = self.share()?;
        let index = self.index()?;
        let records = self.records_here(now)?;
        let mut seen: HashSet<Short> = HashSet::new();
        let mut space = Space {
            entries: records.len() as u64,
            stored_bytes: self.stored_bytes()?,
            packs: self.objects.list(&folder("packs"))?.len() as u64,
            live_bytes: self.live_bytes(),
            ..Space::default()
        };
        for record in &records {
            space.logical_bytes += record.logical_bytes;
            for short in self.chunks_of(&index, &record.outcome)? {
                if seen.insert(short)
                    && let Some(place) = index.place_of(&short)
                {
                    space.unique_bytes += u64::from(place.raw_bytes);
                }
            }
        }
        drop(held);
        Ok(space)
    }

    fn chunks_of(&self, index: &Index, outcome: &Outcome) -> Result<Vec<Short>, Error> {
        match outcome {
            Outcome::Content { chunks, .. } => Ok(chunks.iter().map(Id::short).collect()),
            Outcome::Tree { id, list } => {
                match self.load(index, id, list) {
                    Ok(tree) => Ok(tree.chunks().map(Id::short).collect()),
                    // What is not whole takes no room worth naming.
                    Err(error) if error.is_damage() => Ok(Vec::new()),
                    Err(error) => Err(error),
                }
            }
        }
    }

    fn load(&self, index: &Index, id: &Id, list: &crate::Content) -> Result<Tree, Error> {
        let mut reader = Reader::new(&self.objects, index)?;
        parse_list(list, Some(id), &mut reader)
    }

    /// A tree's entries.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::Damaged`] when its list is not there or not whole.
    pub fn entries(&self, tree: &TreeRef) -> Result<Tree, Error> {
        let held = self.share()?;
        let index = self.index()?;
        let loaded = self.load(&index, &tree.id, &tree.list);
        drop(held);
        loaded
    }

    /// How the second tree differs from the first, by path.
    ///
    /// # Errors
    /// As [`Store::entries`].
    pub fn diff(&self, from: &TreeRef, to: &TreeRef) -> Result<Vec<Difference>, Error> {
        Ok(differences(&self.entries(from)?, &self.entries(to)?))
    }
}

fn differences(from: &Tree, to: &Tree) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut before = from.entries().iter().peekable();
    for entry in to.entries() {
        while let Some(gone) = before.next_if(|old| place(old) < place(entry)) {
            found.push(Difference::Removed(shown(gone)));
        }
        match before.next_if(|old| place(old) == place(entry)) {
            None => found.push(Difference::Added(shown(entry))),
            Some(old) if old.node != entry.node => found.push(Difference::Contents(shown(entry))),
            Some(old) if old != entry => found.push(Difference::Metadata(shown(entry))),
            Some(_) => {}
        }
    }
    found.extend(before.map(|gone| Difference::Removed(shown(gone))));
    found
}

fn place(entry: &Entry) -> (Anchor, &std::path::Path) {
    (entry.anchor, entry.path.as_path())
}

fn shown(entry: &Entry) -> String {
    let start = match entry.anchor {
        Anchor::Source => "",
        Anchor::Root => "/",
    };
    let end = match entry.node {
        Node::Directory => "/",
        Node::File { .. } | Node::Symlink(_) | Node::HardLink(_) => "",
    };
    format!("{start}{}{end}", entry.path.display())
}
