//! What an action's result names: the blobs that a client will ask for next. Received from `fetch` and `upload`, which have
//! the result's bytes; handed back are digests, or why the bytes are no result.
//!
//! **Source.** `build/bazel/remote/execution/v2/remote_execution.proto`: `ActionResult`, `OutputFile`, `OutputDirectory`,
//! `Tree`, `Directory`, `FileNode` and `Digest`. Fields that are not looked at are skipped, whatever they are.

/// Protobuf's fields, one after the other.
mod wire;

use std::collections::HashSet;

use tokio::time::Instant;

use super::fetch::{EMPTY, gather};
use super::front::key;
use super::limits::TREES_BYTES_MAX;
use super::pool::{Name, Pool, Trouble};
use wire::Fields;

pub(super) use wire::Malformed;
#[cfg(test)]
pub(super) use wire::tests::{message, varint};

/// A blob's SHA-256.
pub(super) type Digest = [u8; 32];

/// What a result names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Files, and what was printed.
    blobs: Vec<Digest>,
    /// Lists of the files in a directory.
    trees: Vec<Digest>,
}

impl Named {
    /// What an encoded `ActionResult` names.
    pub(super) fn of_result(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut named = Self::default();
        for field in Fields::of(bytes) {
            let (number, value) = field?;
            match number {
                2 => named.blobs.push(file(value.message()?)?),
                3 => named.add_directory(value.message()?)?,
                6 | 8 => named.blobs.extend(digest(value.message()?)?),
                _ => {}
            }
        }
        Ok(named)
    }

    /// An `OutputDirectory`: its tree, or, as newer clients may choose, its root alone.
    fn add_directory(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let before = self.blobs.len() + self.trees.len();
        for field in Fields::of(bytes) {
            match field? {
                (3, value) => self.trees.extend(digest(value.message()?)?),
                (5, value) => self.blobs.extend(digest(value.message()?)?),
                _ => {}
            }
        }
        if self.blobs.len() + self.trees.len() == before {
            return Err(Malformed("an output directory has no digest"));
        }
        Ok(())
    }
}

/// The files that an encoded `Tree` names.
fn of_tree(bytes: &[u8]) -> Result<Vec<Digest>, Malformed> {
    let mut files = Vec::new();
    for field in Fields::of(bytes) {
        if let (1 | 2, value) = field? {
            for field in Fields::of(value.message()?) {
                if let (1, value) = field? {
                    files.push(file(value.message()?)?);
                }
            }
        }
    }
    Ok(files)
}

/// The digest of an `OutputFile` or a `FileNode`, which have it at the same number.
fn file(bytes: &[u8]) -> Result<Digest, Malformed> {
    let mut found = None;
    for field in Fields::of(bytes) {
        if let (2, value) = field? {
            found = digest(value.message()?)?;
        }
    }
    found.ok_or(Malformed("a file has no digest"))
}

/// A `Digest`; an empty one names nothing.
fn digest(bytes: &[u8]) -> Result<Option<Digest>, Malformed> {
    let mut found = None;
    for field in Fields::of(bytes) {
        if let (1, value) = field? {
            let digits = std::str::from_utf8(value.message()?).unwrap_or_default();
            let digest = key::sha256(digits);
            found = Some(digest.ok_or(Malformed("a digest is no SHA-256"))?);
        }
    }
    Ok(found)
}

/// Whether everything that a result names is in the pool: itself, and what its trees name, as far as those are small enough
/// to be read here. No longer than `until`: what is not known by then counts as missing, since a client that waits longer would
/// rather have run its action.
///
/// # Errors
/// [`Trouble::Damaged`] when the bytes are no result; else what the pool says.
pub(super) fn is_whole(
    pool: &dyn Pool,
    blobs: &dyn Fn(&Digest) -> Name,
    result: &[u8],
    until: Instant,
) -> Result<bool, Trouble> {
    let named = Named::of_result(result).map_err(damaged)?;
    let mut known = HashSet::from([EMPTY]);
    let mut is_there = |digests: &[Digest]| -> Result<bool, Trouble> {
        for digest in digests {
            if Instant::now() >= until {
                return Ok(false);
            }
            if known.insert(*digest) && pool.size_bytes(&blobs(digest))?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    };
    if !is_there(&named.blobs)? {
        return Ok(false);
    }
    let mut left_bytes = TREES_BYTES_MAX;
    let mut trees = HashSet::from([EMPTY]);
    for tree in named.trees.iter().filter(|tree| trees.insert(**tree)) {
        let Some(found) = pool.find(&blobs(tree))? else {
            return Ok(false);
        };
        if found.size_bytes > left_bytes {
            continue;
        }
        left_bytes -= found.size_bytes;
        let bytes = gather(found, Some(tree))?;
        if !is_there(&of_tree(&bytes).map_err(damaged)?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn damaged(malformed: Malformed) -> Trouble {
    Trouble::Damaged(format!("it is no action's result: {malformed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_in_time_counts_as_missing() {
        let pool = super::super::MemoryPool::default();
        let name = |digest: &Digest| Name {
            scope: "trusted".into(),
            space: "bazel/cas",
            key: super::super::upload::hex(digest),
        };
        let result = message(6, &encoded(7));
        let whole = |until| is_whole(&pool, &name, &result, until).unwrap();
        let later = Instant::now() + std::time::Duration::from_secs(3600);
        assert!(!whole(later), "the blob is missing");
        let digest: Digest = [7; 32];
        pool.put(&name(&digest), &mut b"12345".as_slice()).unwrap();
        assert!(whole(later));
        assert!(!whole(Instant::now()));
    }

    fn encoded(byte: u8) -> Vec<u8> {
        let size = varint(2, 5);
        [
            message(1, format!("{byte:02x}").repeat(32).as_bytes()),
            size,
        ]
        .concat()
    }

    #[test]
    fn every_digest_of_a_result_is_found_among_fields_that_are_skipped() {
        let file = [message(1, b"out/a"), message(2, &encoded(1)), varint(4, 1)].concat();
        let tree = [message(1, b"out/d"), message(3, &encoded(2))].concat();
        let root = [message(1, b"out/e"), message(5, &encoded(3))].concat();
        let result = [
            message(2, &file),
            message(3, &tree),
            message(3, &root),
            varint(4, 0),
            message(5, b"printed"),
            message(6, &encoded(4)),
            message(8, &encoded(5)),
            message(8, b""),
            message(900, b"of a later version"),
        ];
        let named = Named::of_result(&result.concat()).unwrap();
        assert_eq!(named.blobs, [[1; 32], [3; 32], [4; 32], [5; 32]]);
        assert_eq!(named.trees, [[2; 32]]);
    }

    #[test]
    fn every_file_of_a_tree_is_found() {
        let node = |byte| message(1, &[message(1, b"f"), message(2, &encoded(byte))].concat());
        let below = message(2, &[message(1, b"d"), message(2, &encoded(9))].concat());
        let tree = [
            message(1, &[node(1), below].concat()),
            message(2, &[node(2), node(3)].concat()),
        ];
        let files = of_tree(&tree.concat()).unwrap();
        assert_eq!(files, [[1; 32], [2; 32], [3; 32]]);
    }

    #[test]
    fn what_names_no_blob_where_it_should_is_no_result() {
        for odd in [
            message(2, b""),
            message(2, &message(2, b"")),
            message(3, &message(1, b"path")),
            message(6, &message(1, b"sha")),
            message(6, &message(1, "A".repeat(64).as_bytes())),
            varint(6, 1),
            b"any text".to_vec(),
        ] {
            Named::of_result(&odd).unwrap_err();
        }
        assert_eq!(Named::of_result(b"").unwrap(), Named::default());
    }
}
