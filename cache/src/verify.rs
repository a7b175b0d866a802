//! Checking everything. Received from `croft cache verify`; reports, and changes nothing.

use std::collections::{HashMap, HashSet};

use crate::backend::Listed;
use crate::id::Short;
use crate::layout::{folder, id_of};
use crate::lock::STEPS_SHARED;
use crate::pack::{Decoder, damaged, read_slots};
use crate::record;
use crate::restore::load_tree;
use crate::tree::{Node, Tree, chunk_bytes};
use crate::{Error, Id, Store};

/// Bytes of a pack at most, with room to spare: nearly full, one more chunk, and the index.
const PACK_BYTES_MAX: u64 = 8 << 20;

/// One object that is not what was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Its name in the store.
    pub object: String,
    /// How it shows.
    pub reason: String,
}

/// The report of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Objects looked at.
    pub objects: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What is damaged, by name. Empty when all is well.
    pub damaged: Vec<Damage>,
}

impl Store {
    /// Reads every object and checks every hash: packs, each chunk in them, trees, entries, and that nothing they name is
    /// missing.
    ///
    /// # Errors
    /// When the store cannot be read, or is being pruned for too long. Damage is not an error but the answer.
    pub fn verify(&self) -> Result<Verified, Error> {
        let held = self.lock.shared(STEPS_SHARED)?;
        let mut check = Check {
            store: self,
            verified: Verified::default(),
            chunks: HashMap::new(),
            trees: HashSet::new(),
        };
        for pack in self.objects.list(&folder("packs"))? {
            let checked = check.pack(&pack);
            check.note(&pack, checked)?;
        }
        for tree in self.objects.list(&folder("trees"))? {
            let checked = check.tree(&tree);
            check.note(&tree, checked)?;
        }
        for (listed, record) in record::read_all(&self.objects, &folder("entries"))? {
            let checked = record.and_then(|record| check.names_tree(&record));
            check.note(&listed, checked)?;
        }
        drop(held);
        let mut verified = check.verified;
        verified.damaged.sort_by(|a, b| a.object.cmp(&b.object));
        Ok(verified)
    }
}

struct Check<'a> {
    store: &'a Store,
    verified: Verified,
    /// The length of every good chunk.
    chunks: HashMap<Short, u32>,
    /// Every tree that exists; a damaged one is reported by its own name.
    trees: HashSet<Id>,
}

impl Check<'_> {
    fn note(&mut self, listed: &Listed, checked: Result<(), Error>) -> Result<(), Error> {
        self.verified.objects += 1;
        self.verified.bytes += listed.size_bytes;
        let (object, reason) = match checked {
            Ok(()) => return Ok(()),
            Err(Error::Damaged { object, reason }) => (object, reason),
            Err(error) if error.is_damage() => (listed.name.to_string(), error.to_string()),
            Err(error) => return Err(error),
        };
        self.verified.damaged.push(Damage { object, reason });
        Ok(())
    }

    fn pack(&mut self, pack: &Listed) -> Result<(), Error> {
        let bytes = self.store.objects.get(&pack.name, PACK_BYTES_MAX)?;
        let whole = Some(Id::of(&bytes)) == id_of(&pack.name);
        let slots = read_slots(&self.store.objects, pack)?;
        let mut decoder = Decoder::new()?;
        let mut bad = None;
        for slot in &slots {
            let from = slot.offset as usize;
            let stored = bytes
                .get(from..from + slot.stored_bytes as usize)
                .unwrap_or_default();
            match decoder.decode(slot, stored) {
                Ok(_) => drop(self.chunks.insert(slot.id.short(), slot.raw_bytes)),
                Err(reason) => bad = Some(reason),
            }
        }
        match bad {
            Some(reason) => Err(damaged(&pack.name, reason)),
            None if whole => Ok(()),
            None => Err(damaged(&pack.name, "it does not match its hash")),
        }
    }

    fn tree(&mut self, listed: &Listed) -> Result<(), Error> {
        let Some(id) = id_of(&listed.name) else {
            return Err(damaged(&listed.name, "its name is not an id"));
        };
        self.trees.insert(id);
        let tree = load_tree(&self.store.objects, &id)?;
        match self.first_missing(&tree) {
            Some(id) => Err(damaged(
                &listed.name,
                format!("its chunk {id} is missing or damaged"),
            )),
            None => Ok(()),
        }
    }

    fn first_missing(&self, tree: &Tree) -> Option<Id> {
        tree.entries().iter().find_map(|entry| {
            let Node::File { size_bytes, chunks } = &entry.node else {
                return None;
            };
            let lengths = (0..chunks.len()).map(|position| chunk_bytes(*size_bytes, position));
            let mut pairs = chunks.iter().zip(lengths);
            let missing = pairs.find(|(id, length)| {
                self.chunks
                    .get(&id.short())
                    .is_none_or(|stored| *stored as usize != *length)
            });
            missing.map(|(id, _)| *id)
        })
    }

    fn names_tree(&self, record: &record::Record) -> Result<(), Error> {
        if self.trees.contains(&record.tree) {
            return Ok(());
        }
        Err(damaged(
            &record.name(),
            format!("its tree {} is missing", record.tree),
        ))
    }
}
