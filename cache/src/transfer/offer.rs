//! What a tree is made of: its id, its list, and every chunk it needs, each once. Made by the sender; read by the receiver, which
//! asks for what it lacks and later adopts the tree by the same offer.
//!
//! **Shape.** `croftof` and a byte of version; the tree's id (32 bytes); the size of its list (8), the number of the list's chunks
//! (4) and of all chunks (4); the ids of the list's chunks in order; then all chunks, 36 bytes each (id, size), ascending by id.

use super::wire::{ENVELOPE_BYTES, Rest, write_envelope};
use super::{LIST_CHUNKS_MAX, OFFER_CHUNKS_MAX, OFFER_LIST_BYTES_MAX, Refusal};
use crate::chunk::CHUNK_BYTES_MAX;
use crate::content::Content;
use crate::live::TreeRef;
use crate::{Error, Id};

const KIND: &[u8; 7] = b"croftof";

/// Bytes before the first id.
pub(super) const HEAD_BYTES: usize = ENVELOPE_BYTES + 32 + 8 + 4 + 4;

/// A chunk that can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offered {
    /// Its hash.
    pub id: Id,
    /// Its bytes, before compression; at most 512 KiB.
    pub size_bytes: u32,
}

/// A tree and the chunks it needs, those of its list among them. Every limit has been checked; whether the tree really needs just
/// those shows when it is adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    tree: TreeRef,
    chunks: Vec<Offered>,
}

impl Offer {
    /// The offer of a tree that needs these chunks, in any order.
    ///
    /// # Errors
    /// [`Error::Sent`] when the tree is larger than one that is sent.
    pub(super) fn new(tree: TreeRef, mut chunks: Vec<Offered>) -> Result<Self, Error> {
        chunks.sort_unstable();
        chunks.dedup();
        let offer = Self { tree, chunks };
        offer.check()?;
        Ok(offer)
    }

    /// The tree.
    #[must_use]
    pub fn tree(&self) -> &TreeRef {
        &self.tree
    }

    /// Every chunk once, ascending by id.
    #[must_use]
    pub fn chunks(&self) -> &[Offered] {
        &self.chunks
    }

    /// The same by their ids alone.
    #[must_use]
    pub fn ids(&self) -> Vec<Id> {
        self.chunks.iter().map(|chunk| chunk.id).collect()
    }

    /// Bytes of all chunks, before compression.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.chunks
            .iter()
            .map(|chunk| u64::from(chunk.size_bytes))
            .sum()
    }

    #[must_use]
    pub fn find(&self, id: &Id) -> Option<&Offered> {
        let found = self.chunks.binary_search_by(|chunk| chunk.id.cmp(id));
        found.ok().map(|at| &self.chunks[at])
    }

    /// What holds of every offer, whoever made it.
    fn check(&self) -> Result<(), Refusal> {
        let list = &self.tree.list;
        check_counts(list.size_bytes, list.chunks.len(), self.chunks.len())?;
        let is_ascending = self.chunks.is_sorted_by(|a, b| a.id < b.id);
        if !is_ascending {
            return Err(Refusal::malformed("its chunks are out of order"));
        }
        let is_sized = |chunk: &Offered| {
            usize::try_from(chunk.size_bytes)
                .is_ok_and(|size| (1..=CHUNK_BYTES_MAX).contains(&size))
        };
        if let Some(chunk) = self.chunks.iter().find(|chunk| !is_sized(chunk)) {
            return Err(Refusal::malformed(format!(
                "the chunk {} cannot have {} bytes",
                chunk.id, chunk.size_bytes
            )));
        }
        let sizes = list.chunks.iter().map(|id| self.find(id));
        let sum: Option<u64> = sizes
            .map(|chunk| chunk.map(|chunk| u64::from(chunk.size_bytes)))
            .sum();
        if sum != Some(list.size_bytes) {
            return Err(Refusal::malformed(
                "its chunks do not make up its list of files",
            ));
        }
        Ok(())
    }

    /// The offer as bytes, at most [`OFFER_BYTES_MAX`](super::OFFER_BYTES_MAX).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let count = |count: usize| u32::try_from(count).expect("both counts were checked");
        let list = &self.tree.list;
        let ids_bytes = list.chunks.len() * 32 + self.chunks.len() * 36;
        let mut bytes = Vec::with_capacity(HEAD_BYTES + ids_bytes);
        write_envelope(&mut bytes, KIND);
        bytes.extend_from_slice(self.tree.id.bytes());
        bytes.extend_from_slice(&list.size_bytes.to_le_bytes());
        bytes.extend_from_slice(&count(list.chunks.len()).to_le_bytes());
        bytes.extend_from_slice(&count(self.chunks.len()).to_le_bytes());
        for id in &list.chunks {
            bytes.extend_from_slice(id.bytes());
        }
        for chunk in &self.chunks {
            bytes.extend_from_slice(chunk.id.bytes());
            bytes.extend_from_slice(&chunk.size_bytes.to_le_bytes());
        }
        bytes
    }

    /// The offer that those bytes are.
    ///
    /// # Errors
    /// [`Refusal`] when no croft would write them.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut rest = Rest::of(bytes, KIND)?;
        let id = rest.id()?;
        let size_bytes = rest.u64()?;
        let (in_list, in_all) = (rest.u32()? as usize, rest.u32()? as usize);
        check_counts(size_bytes, in_list, in_all)?;
        if rest.len() != in_list * 32 + in_all * 36 {
            return Err(Refusal::malformed("its length is not the one it names"));
        }
        let list: Result<Vec<Id>, Refusal> = (0..in_list).map(|_| rest.id()).collect();
        let chunks: Result<Vec<Offered>, Refusal> = (0..in_all)
            .map(|_| {
                Ok(Offered {
                    id: rest.id()?,
                    size_bytes: rest.u32()?,
                })
            })
            .collect();
        let list = Content {
            size_bytes,
            chunks: list?,
        };
        let offer = Self {
            tree: TreeRef { id, list },
            chunks: chunks?,
        };
        offer.check()?;
        Ok(offer)
    }
}

/// Before anything is read by them.
fn check_counts(list_bytes: u64, in_list: usize, in_all: usize) -> Result<(), Refusal> {
    let too_much = |what, limit| Err(Refusal::TooMuch { what, limit });
    if list_bytes > OFFER_LIST_BYTES_MAX {
        return too_much("bytes of a list of files", OFFER_LIST_BYTES_MAX);
    }
    if in_list > LIST_CHUNKS_MAX {
        return too_much("chunks of a list of files", LIST_CHUNKS_MAX as u64);
    }
    if in_all > OFFER_CHUNKS_MAX {
        return too_much("chunks", OFFER_CHUNKS_MAX as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offer() -> Offer {
        let chunk = |name: &[u8], size_bytes| Offered {
            id: Id::of(name),
            size_bytes,
        };
        let list = Content {
            size_bytes: 300,
            chunks: vec![Id::of(b"list 1"), Id::of(b"list 2"), Id::of(b"list 1")],
        };
        let tree = TreeRef {
            id: Id::of(b"tree"),
            list,
        };
        let chunks = vec![
            chunk(b"list 1", 100),
            chunk(b"list 2", 100),
            chunk(b"a file", 5),
            chunk(b"a file", 5),
        ];
        Offer::new(tree, chunks).unwrap()
    }

    #[test]
    fn an_offer_is_its_golden_bytes() {
        let bytes = offer().encode();
        let hex: Vec<String> = bytes
            .chunks(32)
            .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect())
            .collect();
        insta::assert_snapshot!(hex.join("\n"));
        assert_eq!(Offer::decode(&bytes).unwrap(), offer());
    }

    #[test]
    fn an_offer_names_each_chunk_once() {
        assert_eq!(offer().chunks().len(), 3);
        assert_eq!(offer().size_bytes(), 205);
    }

    #[test]
    fn an_offer_that_is_cut_short_or_too_long_is_refused() {
        let bytes = offer().encode();
        for end in 0..bytes.len() {
            assert!(Offer::decode(&bytes[..end]).is_err(), "{end}");
        }
        assert!(Offer::decode(&[&bytes[..], b"x"].concat()).is_err());
    }

    #[test]
    fn a_later_version_is_told_from_nonsense() {
        let mut bytes = offer().encode();
        bytes[7] = 2;
        assert_eq!(Offer::decode(&bytes), Err(Refusal::Newer { version: 2 }));
        bytes[0] = b'x';
        assert!(matches!(Offer::decode(&bytes), Err(Refusal::Malformed(_))));
    }

    /// The bytes of a head that names these sizes, and nothing after it.
    fn head(list_bytes: u64, in_list: u32, in_all: u32) -> Vec<u8> {
        let mut bytes = offer().encode();
        bytes.truncate(40);
        bytes.extend_from_slice(&list_bytes.to_le_bytes());
        bytes.extend_from_slice(&in_list.to_le_bytes());
        bytes.extend_from_slice(&in_all.to_le_bytes());
        bytes
    }

    #[test]
    fn made_up_sizes_are_refused_before_any_memory_is_taken() {
        for bytes in [
            head(u64::MAX, 1, 1),
            head(1, u32::MAX, 1),
            head(1, 1, u32::MAX),
        ] {
            let refused = Offer::decode(&bytes);
            assert!(
                matches!(refused, Err(Refusal::TooMuch { .. })),
                "{refused:?}"
            );
        }
        assert!(Offer::decode(&head(1, 1, 1)).is_err());
    }

    #[test]
    fn an_offer_that_contradicts_itself_is_refused() {
        let good = offer();
        let mut unsorted = good.clone();
        unsorted.chunks.swap(0, 1);
        let mut twice = good.clone();
        twice.chunks[1] = twice.chunks[0];
        let mut without_list = good.clone();
        without_list.tree.list.chunks[0] = Id::of(b"nowhere");
        let mut longer_list = good.clone();
        longer_list.tree.list.size_bytes += 1;
        let mut empty = good.clone();
        empty.chunks[0].size_bytes = 0;
        let mut large = good;
        large.chunks[0].size_bytes = 512 * 1024 + 1;
        for wrong in [unsorted, twice, without_list, longer_list, empty, large] {
            let refused = Offer::decode(&wrong.encode());
            assert!(matches!(refused, Err(Refusal::Malformed(_))), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_more_than_refused(
            mut bytes in prop::collection::vec(any::<u8>(), 0..300),
            is_dressed in any::<bool>(),
        ) {
            if is_dressed && bytes.len() >= 8 {
                bytes[..8].copy_from_slice(b"croftof\x01");
            }
            if let Ok(offer) = Offer::decode(&bytes) {
                prop_assert_eq!(offer.encode(), bytes);
            }
        }

        #[test]
        fn a_changed_byte_gives_an_error_or_another_offer(at in 0_usize..250, change in 1_u8..=255) {
            let mut bytes = offer().encode();
            let at = at % bytes.len();
            bytes[at] ^= change;
            if let Ok(changed) = Offer::decode(&bytes) {
                prop_assert_ne!(&changed, &offer());
                prop_assert_eq!(changed.encode(), bytes);
            }
        }
    }
}
