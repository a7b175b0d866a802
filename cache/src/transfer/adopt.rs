//! Making a tree visible whose chunks have come. Received from a server when its client says that it has sent all; leaves a signed
//! record, as `put` does, or says what is missing.

use std::collections::HashSet;

use croft_proto::Timestamp;

use super::receive::{KEPT_MS, lacking};
use super::{OFFER_LIST_BYTES_MAX, Offer, Refusal};
use crate::content::Reader;
use crate::id::Short;
use crate::index::Index;
use crate::layout::id_of;
use crate::live::TreeRef;
use crate::records::record::Outcome;
use crate::tree::{Anchor, Tree};
use crate::unpack::check_lengths;
use crate::writing::Writing;
use crate::{Error, Id, Store};

/// What came of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// [`Store::tree`] finds it now. It is kept for an hour at least; what keeps it longer is [`Store::hold_tree`].
    Visible {
        /// The tree.
        tree: TreeRef,
        /// Files and links.
        files: u64,
        /// Bytes of all those files.
        size_bytes: u64,
    },
    /// These chunks are not here, or about to go: to be sent (again). Never empty.
    Missing(Vec<Id>),
}

impl Store {
    /// Makes the offered tree visible to whoever reads the scope that this store writes, when everything it needs is here.
    ///
    /// It does not matter who sent the chunks, or when. So a tree can be adopted, and then read, whose chunks another client
    /// sent, by whoever knows all their hashes.
    ///
    /// # Errors
    /// [`Error::Sent`] when the list is not the offered one, is no list of files, or has files outside of a source;
    /// [`Error::TooLarge`] when it would take more than nine tenths of the cap; else when the store cannot be read or written. Then nothing became visible.
    pub fn adopt(&self, offer: &Offer, now: Timestamp) -> Result<Adoption, Error> {
        let error = match self.adopt_writing(offer, now) {
            Err(error) if error.is_damage() => error,
            adopted => {
                if matches!(adopted, Ok(Adoption::Visible { .. })) {
                    self.make_room(now);
                }
                return adopted;
            }
        };
        // What is damaged in the store is taken out of it, so that it counts as missing, and a whole one is sent.
        self.heal(&error);
        let missing = self.wanting(&offer.ids())?;
        if missing.is_empty() {
            return Err(refused(error));
        }
        Ok(Adoption::Missing(missing))
    }

    fn adopt_writing(&self, offer: &Offer, now: Timestamp) -> Result<Adoption, Error> {
        // From here on a collection waits with whatever the index says is here for good.
        let writing = Writing::begin(self, now)?;
        let index = &writing.index;
        let missing = lacking(index, offer.chunks().iter().map(|chunk| &chunk.id));
        if !missing.is_empty() {
            return Ok(Adoption::Missing(missing));
        }
        let tree = offer.tree();
        let files = self.offered_files(index, tree)?;
        let missing = lacking(index, files.chunks());
        if !missing.is_empty() {
            return Ok(Adoption::Missing(missing));
        }
        check_lengths(&files, index)?;
        let stored_bytes = stored_bytes(index, tree, &files);
        // Everything else would have to go for it.
        if stored_bytes > self.low_water_bytes() {
            return Err(Error::TooLarge {
                cap_bytes: self.cap_bytes,
            });
        }
        let record = self.tree_record(tree, &files, stored_bytes, now);
        let root = Outcome::Tree {
            id: tree.id,
            list: tree.list.clone(),
        };
        // Before the record: a prune would find nothing worth less than a tree that nobody has used yet.
        self.keep(root, KEPT_MS, now)?;
        writing.check()?;
        self.write_record(&record)?;
        Ok(Adoption::Visible {
            tree: tree.clone(),
            files: files.files(),
            size_bytes: files.logical_bytes(),
        })
    }

    /// The list of files, every rule checked.
    fn offered_files(&self, index: &Index, tree: &TreeRef) -> Result<Tree, Error> {
        let mut reader = Reader::new(&self.objects, index)?;
        let bytes = tree.list.read_whole(&mut reader, OFFER_LIST_BYTES_MAX)?;
        if Id::of(&bytes) != tree.id {
            return Err(Refusal::malformed("its list of files does not match its id").into());
        }
        let files = Tree::parse_bytes(&bytes)?;
        // A folder that is put has none, and whoever mounts a source would not see it.
        if let Some(outside) = files
            .entries()
            .iter()
            .find(|one| one.anchor != Anchor::Source)
        {
            let path = outside.path.display();
            return Err(Refusal::malformed(format!("`/{path}` is outside of its source")).into());
        }
        Ok(files)
    }
}

/// What is at fault in what was sent, when nothing is in the store.
fn refused(error: Error) -> Error {
    let reason = if let Error::Refused(reason) = &error {
        format!("its list of files is refused at {reason}")
    } else if let Error::Damaged { object, reason } = &error
        && id_of(&object.as_str().into()).is_none()
    {
        format!("{object}: {reason}")
    } else {
        return error;
    };
    Refusal::malformed(reason).into()
}

/// Compressed bytes of what the tree uses, each chunk once.
fn stored_bytes(index: &Index, tree: &TreeRef, files: &Tree) -> u64 {
    let chunks = files.chunks().chain(&tree.list.chunks);
    let shorts: HashSet<Short> = chunks.map(Id::short).collect();
    shorts
        .iter()
        .filter_map(|short| index.stored_bytes(short))
        .sum()
}
