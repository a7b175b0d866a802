//! Notes of what waits to be sent: an object each, beside the near copies, so that a crash or a reboot forgets none.
//! Received from `Tiered`; read again whenever it matters, since other processes share the folder.

use bytes::Bytes;
use object_store::Result;
use object_store::path::Path;

use super::super::answer::is_missing;
use super::super::lane::Lane;

/// The folder of notes, beside the layout's.
const FOLDER: &str = "pending";

/// A note is one or two hashes in hexadecimal, a line each: of the bytes that wait and, before it, of those that waited
/// until then. Whichever of the two a crash leaves under the name is whole.
const NOTE_BYTES_MAX: u64 = 2 * 65;

/// What waits.
#[derive(Debug)]
pub(super) struct Pending {
    lane: Lane,
}

impl Pending {
    pub(super) fn new(lane: Lane) -> Self {
        Self { lane }
    }

    /// Notes, durably, that this object with these bytes waits. To be called before they are written.
    pub(super) fn note(&self, name: &Path, bytes: &Bytes) -> Result<()> {
        let mut text = hash(bytes);
        if let Some(before) = self.hashes(name)?.pop() {
            text = format!("{before}\n{text}");
        }
        self.lane.put(&note(name), Bytes::from(text))
    }

    /// The hashes noted, the newest last.
    fn hashes(&self, name: &Path) -> Result<Vec<String>> {
        match self.lane.get(&note(name), NOTE_BYTES_MAX) {
            Ok(noted) => {
                let text = String::from_utf8_lossy(&noted);
                Ok(text.lines().map(str::to_owned).collect())
            }
            Err(error) if is_missing(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn has(&self, name: &Path) -> bool {
        matches!(self.lane.size_bytes(&note(name)), Ok(Some(_)))
    }

    /// The names of what waits: leases first, which keep the rest alive; then each thing before what may name it.
    pub(super) fn in_order(&self) -> Result<Vec<Path>> {
        let notes = self.lane.list(&Path::from(FOLDER))?;
        let mut names: Vec<Path> = notes
            .into_iter()
            .map(|listed| listed.name.parts().skip(1).collect())
            .collect();
        names.sort_by(|a, b| (rank(a), a).cmp(&(rank(b), b)));
        Ok(names)
    }

    /// The bytes that wait under this name; none when they are gone or not those noted.
    pub(super) fn bytes(&self, name: &Path) -> Result<Option<Bytes>> {
        let noted = self.hashes(name)?;
        match self.lane.get(name, u64::MAX) {
            Ok(bytes) => Ok(noted.contains(&hash(&bytes)).then_some(bytes)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes the note away, unless something newer waits under this name by now.
    pub(super) fn sent(&self, name: &Path, bytes: &Bytes) -> Result<()> {
        if self.hashes(name)?.last() == Some(&hash(bytes)) {
            self.forget(name)?;
        }
        Ok(())
    }

    /// Takes the note away.
    pub(super) fn forget(&self, name: &Path) -> Result<()> {
        if self.has(name) {
            self.lane.delete(&note(name))?;
        }
        Ok(())
    }
}

fn note(name: &Path) -> Path {
    Path::from(FOLDER).parts().chain(name.parts()).collect()
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn rank(name: &Path) -> u8 {
    for part in name.parts().take(2) {
        match part.as_ref() {
            "leases" => return 0,
            "packs" => return 1,
            "trees" => return 2,
            "entries" => return 3,
            _ => {}
        }
    }
    4
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    fn pending() -> Pending {
        Pending::new(Lane::here(Arc::new(InMemory::new())))
    }

    #[test]
    fn what_is_named_comes_before_what_names_it() {
        let pending = pending();
        for name in [
            "v2/used/u",
            "v2/entries/e",
            "v2/trees/t",
            "v2/packs/q",
            "v2/packs/p",
            "v2/leases/l",
        ] {
            pending.note(&Path::from(name), &Bytes::new()).unwrap();
        }
        let order: Vec<String> = pending
            .in_order()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            order,
            [
                "v2/leases/l",
                "v2/packs/p",
                "v2/packs/q",
                "v2/trees/t",
                "v2/entries/e",
                "v2/used/u",
            ]
        );
    }

    #[test]
    fn bytes_that_are_not_those_noted_do_not_wait() {
        let pending = pending();
        let name = Path::from("v2/packs/p");
        assert_eq!(pending.bytes(&name).unwrap(), None);
        let bytes = Bytes::from_static(b"whole");
        pending.note(&name, &bytes).unwrap();
        assert_eq!(pending.bytes(&name).unwrap(), None);
        pending
            .lane
            .put(&name, Bytes::from_static(b"torn"))
            .unwrap();
        assert_eq!(pending.bytes(&name).unwrap(), None);
        pending.lane.put(&name, bytes.clone()).unwrap();
        assert_eq!(pending.bytes(&name).unwrap(), Some(bytes));
    }

    #[test]
    fn a_crash_while_one_version_replaces_another_leaves_either_waiting() {
        let pending = pending();
        let name = Path::from("v2/entries/e");
        let (old, new) = (Bytes::from_static(b"old"), Bytes::from_static(b"new"));
        pending.note(&name, &old).unwrap();
        pending.lane.put(&name, old.clone()).unwrap();
        pending.note(&name, &new).unwrap();
        assert_eq!(pending.bytes(&name).unwrap(), Some(old));
        pending.lane.put(&name, new.clone()).unwrap();
        assert_eq!(pending.bytes(&name).unwrap(), Some(new));
    }

    #[test]
    fn a_note_renewed_while_its_object_was_sent_stays() {
        let pending = pending();
        let name = Path::from("v2/entries/e");
        let (old, new) = (Bytes::from_static(b"old"), Bytes::from_static(b"new"));
        pending.note(&name, &new).unwrap();
        pending.sent(&name, &old).unwrap();
        assert!(pending.has(&name));
        pending.sent(&name, &new).unwrap();
        assert!(!pending.has(&name));
    }
}
