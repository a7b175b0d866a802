//! One file of a stored tree, read without the rest. Received from whoever serves artifacts and logs; every byte handed out was
//! checked.

use std::ops::{ControlFlow, Range};
use std::path::Path;

use crate::content::{Content, Reader};
use crate::index::Index;
use crate::restore::parse_list;
use crate::tree::{Anchor, Node, Tree};
use crate::{Error, Id, Packs, Store, TreeRef};

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
    /// The list of a tree's files, which may be in `packs`.
    ///
    /// # Errors
    /// When the list cannot be read, or is not what its id says.
    pub fn files(&self, tree: &TreeRef, packs: &Packs) -> Result<Tree, Error> {
        let index = self.index_for(packs, &tree.list)?;
        let mut reader = Reader::new(&self.objects, &index)?;
        parse_list(&tree.list, Some(&tree.id), &mut reader)
    }

    /// A file of a tree, whose contents may be in `packs`; none when there is no regular file of that path.
    ///
    /// # Errors
    /// As [`Store::files`].
    pub fn open_file(
        &self,
        tree: &TreeRef,
        packs: &Packs,
        path: &Path,
    ) -> Result<Option<StoredFile>, Error> {
        let index = self.index_for(packs, &tree.list)?;
        let mut reader = Reader::new(&self.objects, &index)?;
        let list = parse_list(&tree.list, Some(&tree.id), &mut reader)?;
        drop(reader);
        let Some(content) = find(&list, path) else {
            return Ok(None);
        };
        let index = match index.missing(&content.chunks) {
            None => index,
            Some(_elsewhere) => self.index()?,
        };
        Ok(Some(StoredFile {
            store: self.clone(),
            index,
            size_bytes: content.size_bytes,
            chunks: content.chunks,
        }))
    }
}

fn find(list: &Tree, path: &Path) -> Option<Content> {
    let content = |size_bytes: &u64, chunks: &Vec<Id>| Content {
        size_bytes: *size_bytes,
        chunks: chunks.clone(),
    };
    let anchors = [Anchor::Source, Anchor::Root];
    let (anchor, entry) = anchors
        .into_iter()
        .find_map(|anchor| Some((anchor, list.find(anchor, path)?)))?;
    match &entry.node {
        Node::File { size_bytes, chunks } => Some(content(size_bytes, chunks)),
        // The file it is another name of is no link itself.
        Node::HardLink(first) => match &list.find(anchor, first)?.node {
            Node::File { size_bytes, chunks } => Some(content(size_bytes, chunks)),
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
    pub fn read(&self, each: impl FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), Error> {
        self.read_range(0..self.size_bytes, each)
    }

    /// The same of those bytes only, as far as the file has them. What is before and behind them is not fetched.
    ///
    /// # Errors
    /// As [`StoredFile::read`].
    pub fn read_range(
        &self,
        range: Range<u64>,
        mut each: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let held = self.store.share()?;
        let mut reader = Reader::new(&self.store.objects, &self.index)?;
        let (chunks, mut at) = self.chunks_of(&range)?;
        let mut is_enough = false;
        for chunks in chunks.chunks(CHUNKS_AT_ONCE) {
            reader.read(chunks, |bytes| {
                let piece = overlap(&range, at, bytes);
                at += bytes.len() as u64;
                is_enough = is_enough || (!piece.is_empty() && each(piece).is_break());
                Ok(())
            })?;
            if is_enough {
                break;
            }
        }
        drop(held);
        Ok(())
    }

    /// The chunks that have some of those bytes, and where the first of them begins.
    fn chunks_of(&self, range: &Range<u64>) -> Result<(&[Id], u64), Error> {
        let (mut first, mut begins, mut end, mut at) = (0, 0, 0, 0);
        for (number, id) in self.chunks.iter().enumerate() {
            if at >= range.end {
                break;
            }
            if at <= range.start {
                (first, begins) = (number, at);
            }
            let place = self.index.place(id).ok_or_else(|| self.index.lost(id))?;
            at += u64::from(place.raw_bytes);
            end = number + 1;
        }
        Ok((&self.chunks[first..end], begins))
    }
}

/// What of a piece that begins there lies in the range.
fn overlap<'a>(range: &Range<u64>, at: u64, bytes: &'a [u8]) -> &'a [u8] {
    let within = |place: u64| {
        let place = usize::try_from(place.saturating_sub(at)).unwrap_or(usize::MAX);
        place.min(bytes.len())
    };
    let (from, to) = (within(range.start), within(range.end));
    &bytes[from.min(to)..to]
}

#[cfg(test)]
mod tests {
    use croft_proto::Timestamp;

    use super::*;
    use crate::Put;

    #[test]
    fn any_range_of_a_file_is_read_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store"), 1 << 30).unwrap();
        let source = folder.path().join("source");
        std::fs::create_dir(&source).unwrap();
        let bytes: Vec<u8> = (0..900_000_u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        std::fs::write(source.join("file"), &bytes).unwrap();
        std::fs::write(source.join("empty"), b"").unwrap();
        let now = Timestamp::from_millis(1_700_000_000_000);
        let put = Put {
            directory: &source,
            now,
        };
        let tree = store.put(&put).unwrap().tree;
        let file = store
            .open_file(&tree, &Packs::default(), Path::new("file"))
            .unwrap()
            .unwrap();
        assert!(file.chunks.len() > 3, "{}", file.chunks.len());
        let read = |file: &StoredFile, range: Range<u64>| {
            let mut found = Vec::new();
            let each = |piece: &[u8]| {
                found.extend_from_slice(piece);
                ControlFlow::Continue(())
            };
            file.read_range(range, each).unwrap();
            found
        };
        let size = bytes.len() as u64;
        let mut places = vec![0, 1, 2, size - 1, size, size + 9];
        let mut at = 0;
        for id in &file.chunks {
            at += u64::from(file.index.place(id).unwrap().raw_bytes);
            places.extend([at - 1, at, at + 1]);
        }
        for from in &places {
            for to in places.iter().filter(|to| from <= to) {
                let within = |place: u64| usize::try_from(place.min(size)).unwrap();
                let wanted = &bytes[within(*from)..within(*to)];
                assert!(read(&file, *from..*to) == wanted, "{from}..{to}");
            }
        }
        let empty = store
            .open_file(&tree, &Packs::default(), Path::new("empty"))
            .unwrap()
            .unwrap();
        assert_eq!(read(&empty, 0..9), b"");
    }
}
