//! One file of a stored tree, read without the rest. Received from whoever serves artifacts and logs; every byte handed out was
//! checked.

use std::ops::ControlFlow;
use std::path::Path;

use crate::content::Reader;
use crate::index::Index;
use crate::restore::parse_list;
use crate::tree::{Anchor, Node, Tree};
use crate::{Error, Id, Store, TreeRef};

/// Chunks fetched together: some megabytes, so that a reader that stops has not fetched all of a large file.
const CHUNKS_AT_ONCE: usize = 64;

/// A file in a store, found.
#[derive(Debug)]
pub struct StoredFile {
    store: Store,
    index: Index,
    size_bytes: u64,
    chunks: Vec<Id>,
}

impl Store {
    /// The list of a tree's files.
    ///
    /// # Errors
    /// When the list cannot be read, or is not what its id says.
    pub fn files(&self, tree: &TreeRef) -> Result<Tree, Error> {
        let index = self.index()?;
        let mut reader = Reader::new(&self.objects, &index)?;
        parse_list(&tree.list, Some(&tree.id), &mut reader)
    }

    /// A file of a tree; none when there is no regular file of that path.
    ///
    /// # Errors
    /// As [`Store::files`].
    pub fn open_file(&self, tree: &TreeRef, path: &Path) -> Result<Option<StoredFile>, Error> {
        let index = self.index()?;
        let mut reader = Reader::new(&self.objects, &index)?;
        let list = parse_list(&tree.list, Some(&tree.id), &mut reader)?;
        drop(reader);
        let Some((size_bytes, chunks)) = find(&list, path) else {
            return Ok(None);
        };
        Ok(Some(StoredFile {
            store: self.clone(),
            index,
            size_bytes,
            chunks,
        }))
    }
}

fn find(list: &Tree, path: &Path) -> Option<(u64, Vec<Id>)> {
    let anchors = [Anchor::Source, Anchor::Root];
    let (anchor, entry) = anchors
        .into_iter()
        .find_map(|anchor| Some((anchor, list.find(anchor, path)?)))?;
    match &entry.node {
        Node::File { size_bytes, chunks } => Some((*size_bytes, chunks.clone())),
        // The file it is another name of is no link itself.
        Node::HardLink(first) => match &list.find(anchor, first)?.node {
            Node::File { size_bytes, chunks } => Some((*size_bytes, chunks.clone())),
            Node::Directory | Node::Symlink(_) | Node::HardLink(_) => None,
        },
        Node::Directory | Node::Symlink(_) => None,
    }
}

impl StoredFile {
    /// How many bytes it has.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Hands its bytes to `each`, piece by piece and in order, until that has enough. Blocks.
    ///
    /// # Errors
    /// When a piece is missing, damaged, or cannot be read; those before it were handed out.
    pub fn read(&self, mut each: impl FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), Error> {
        let held = self.store.share()?;
        let mut reader = Reader::new(&self.store.objects, &self.index)?;
        let mut is_enough = false;
        for chunks in self.chunks.chunks(CHUNKS_AT_ONCE) {
            reader.read(chunks, |bytes| {
                is_enough = is_enough || each(bytes).is_break();
                Ok(())
            })?;
            if is_enough {
                break;
            }
        }
        drop(held);
        Ok(())
    }
}
