//! Where something was stored, to be kept beside its id: whoever has it reads that something without looking through all that is
//! stored. Made by [`Store::put_alone`](crate::Store::put_alone); given back to whoever opens files.
//!
//! It is a hint. A collection may have put the chunks elsewhere since, and then all packs are looked through.

use std::fmt;
use std::str::FromStr;

use crate::backend::Listed;
use crate::content::Content;
use crate::index::Index;
use crate::layout::{id_of, pack_name};
use crate::{Error, Id, Store};

/// Some packs.
///
/// **Shape.** As a word: `<id>:<bytes>` for each, with commas between them. May be empty, which says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packs(Vec<Listed>);

impl Packs {
    pub(crate) const fn new(packs: Vec<Listed>) -> Self {
        Self(packs)
    }
}

impl fmt::Display for Packs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packs = self
            .0
            .iter()
            .filter_map(|pack| Some((id_of(&pack.name)?, pack.size_bytes)));
        for (at, (id, size_bytes)) in packs.enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{id}:{size_bytes}")?;
        }
        Ok(())
    }
}

impl FromStr for Packs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pack = |word: &str| {
            let (id, size) = word.split_once(':')?;
            Some(Listed {
                name: pack_name(&Id::parse(id)?),
                size_bytes: size.parse().ok()?,
            })
        };
        let words = text.split(',').filter(|word| !word.is_empty());
        words
            .map(|word| pack(word).ok_or_else(|| format!("`{word}` names no pack")))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Store {
    /// The index of those packs where they hold all of these contents; else that of the whole store.
    pub(crate) fn index_for(&self, packs: &Packs, contents: &Content) -> Result<Index, Error> {
        if packs.0.is_empty() {
            return self.index();
        }
        let few = Index::of(&self.objects, &packs.0)?;
        match few.missing(&contents.chunks) {
            None => Ok(few),
            Some(_moved) => self.index(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use croft_proto::Timestamp;

    use super::*;
    use crate::Put;

    #[test]
    fn what_was_stored_alone_is_one_pack_and_is_read_from_it_and_from_elsewhere_when_it_has_moved()
    {
        let folder = tempfile::tempdir().unwrap();
        let (store, source) = (folder.path().join("store"), folder.path().join("source"));
        std::fs::create_dir(&source).unwrap();
        std::fs::write(source.join("build.log"), b"said").unwrap();
        let store = Store::open(&store, 1 << 30).unwrap();
        let put = Put {
            directory: &source,
            now: Timestamp::from_millis(1_700_000_000_000),
        };
        let said = |stored: &crate::Stored| {
            let file = store
                .open_file(&stored.tree, &stored.packs, Path::new("build.log"))
                .unwrap()
                .unwrap();
            let mut bytes = Vec::new();
            file.read(|piece| {
                bytes.extend_from_slice(piece);
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
            bytes
        };
        let shared = store.put(&put).unwrap();
        let alone = store.put_alone(&put).unwrap();
        assert_eq!((shared.packs.0.len(), alone.packs.0.len()), (1, 1));
        assert_ne!(shared.packs, alone.packs);
        // Nothing else is looked at.
        let others = &shared.packs.0[0].name;
        store.objects.delete(others).unwrap();
        assert_eq!(said(&alone), b"said");
        // What has moved is found where it is.
        let again = store.put_alone(&put).unwrap();
        store.objects.delete(&alone.packs.0[0].name).unwrap();
        assert_ne!(again.packs, alone.packs);
        assert_eq!(said(&alone), b"said");
    }

    #[test]
    fn packs_are_written_as_a_word_and_read_back() {
        let packs = Packs::new(
            [(b"a", 100), (b"b", 7)]
                .map(|(name, size_bytes)| Listed {
                    name: pack_name(&Id::of(name)),
                    size_bytes,
                })
                .to_vec(),
        );
        assert_eq!(packs.to_string().parse(), Ok(packs));
        assert_eq!("".parse(), Ok(Packs::default()));
        for wrong in ["x:1", "../../etc:1", "a"] {
            assert!(wrong.parse::<Packs>().is_err(), "{wrong}");
        }
    }
}
