use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{ROOMY, Site, Use, at, files_of, noise};
use crate::{Damage, Found, Repair, SaveOutcome, Store};

struct Stored {
    folder: TempDir,
    store: Store,
    site: Site,
}

fn stored() -> Stored {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), ROOMY).unwrap();
    let site = Site::with(&[
        ("target/noise", &noise(1, 300_000)),
        ("target/text", &b"text ".repeat(9_000)),
    ]);
    Use::key("k").save(&store, &site).unwrap();
    // What this machine remembers of the pack would hide damage of its end.
    fs::remove_file(folder.path().join("here/index")).ok();
    Stored {
        folder,
        store,
        site,
    }
}

/// What a restore of a damaged entry came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// Found only when its files were written: an error, and nothing is left.
    Error,
    /// Found when it was looked up: a miss with a warning.
    Miss,
}

impl Stored {
    fn objects(&self, kind: &str) -> Vec<PathBuf> {
        let kind = self.folder.path().join("v2").join(kind);
        files_of(self.folder.path())
            .into_iter()
            .filter(|path| path.starts_with(&kind))
            .collect()
    }

    fn object(&self, kind: &str) -> PathBuf {
        self.objects(kind).remove(0)
    }

    fn name(&self, path: &Path) -> String {
        let inside = path.strip_prefix(self.folder.path()).unwrap();
        inside.display().to_string()
    }

    fn verify(&self, repair: Repair) -> Vec<Damage> {
        self.store.verify(repair, at(2_000)).unwrap().damaged
    }

    /// A restore of the damaged entry gives nothing, and says so.
    fn expect_nothing(&self, what: &str) -> Shown {
        let to = Site::new();
        let shown = match Use::key("k").restore(&self.store, &to) {
            Err(error) => {
                assert!(error.is_damage(), "{what}: {error}");
                Shown::Error
            }
            Ok(restored) => {
                assert_eq!(restored.found, Found::Miss, "{what}");
                let warning = restored.warnings.first();
                let said = warning.is_some_and(|text| text.contains("a cache entry is not used"));
                assert!(said, "{what}: {:?}", restored.warnings);
                Shown::Miss
            }
        };
        assert!(!to.has("target"), "{what}: half restored");
        shown
    }

    /// The next restore is a miss, the next save stores the entry again, and then all is well.
    fn expect_healing(&self, what: &str) {
        let to = Site::new();
        let restored = Use::key("k").restore(&self.store, &to).unwrap();
        assert_eq!(restored.found, Found::Miss, "{what}");
        let saved = Use::key("k").save(&self.store, &self.site).unwrap();
        assert_eq!(saved.outcome, SaveOutcome::Saved, "{what}");
        let restored = Use::key("k").restore(&self.store, &to).unwrap();
        assert_eq!(restored.found, Found::Exact, "{what}");
        assert_eq!(to.read("target/noise"), noise(1, 300_000), "{what}");
        assert_eq!(self.verify(Repair::No), [], "{what}");
    }

    fn expect_damage(&self, path: &Path, what: &str) {
        let damaged = self.verify(Repair::No);
        let name = self.name(path);
        assert!(
            damaged.iter().any(|damage| damage.object == name),
            "{what}: {damaged:?}"
        );
        self.expect_nothing(what);
        self.expect_healing(what);
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at.min(bytes.len() - 1);
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// Places in an object of that length: its start, its end, and some between.
fn places(length: usize) -> [usize; 7] {
    [
        0,
        7,
        length / 3,
        length / 2,
        length - 60,
        length - 9,
        length - 1,
    ]
}

#[test]
fn a_flipped_bit_anywhere_is_found_by_the_name_of_the_object() {
    for kind in ["packs", "entries"] {
        let length = fs::read(stored().object(kind)).unwrap().len();
        for at in places(length) {
            let stored = stored();
            let path = stored.object(kind);
            flip(&path, at);
            stored.expect_damage(&path, &format!("{kind} byte {at} of {length}"));
        }
    }
}

#[test]
fn a_truncated_object_is_found_by_its_name() {
    for kind in ["packs", "entries"] {
        for keep in [0, 1, 50, 1_000_000] {
            let stored = stored();
            let path = stored.object(kind);
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..keep.min(bytes.len() - 1)]).unwrap();
            stored.expect_damage(&path, &format!("{kind} cut to {keep}"));
        }
    }
}

#[test]
fn repairing_removes_what_is_damaged_and_the_next_save_stores_it_again() {
    for kind in ["packs", "entries"] {
        let length = fs::read(stored().object(kind)).unwrap().len();
        for at in places(length) {
            let what = format!("{kind} byte {at}");
            let stored = stored();
            let path = stored.object(kind);
            flip(&path, at);
            let damaged = stored.verify(Repair::Yes);
            let named = damaged
                .iter()
                .find(|damage| damage.object == stored.name(&path));
            let repair = named.unwrap().repair.as_deref().unwrap();
            assert!(repair.contains("removed"), "{what}: {repair}");
            assert!(!path.exists(), "{what}");
            assert_eq!(stored.verify(Repair::Yes), [], "{what}");
            // Where only the end of a pack is hit, all its chunks are whole and kept, and nothing is missing.
            let restored = Use::key("k").restore(&stored.store, &Site::new());
            let expected = match restored.unwrap().found {
                Found::Exact => SaveOutcome::Unchanged,
                Found::Fallback | Found::Miss => SaveOutcome::Saved,
            };
            let saved = Use::key("k").save(&stored.store, &stored.site).unwrap();
            assert_eq!(saved.outcome, expected, "{what}");
            let to = Site::new();
            Use::key("k").restore(&stored.store, &to).unwrap();
            assert_eq!(to.read("target/noise"), noise(1, 300_000), "{what}");
        }
    }
}

#[test]
fn swapped_objects_are_found() {
    let stored = stored();
    let other = Site::with(&[("target/other", &noise(2, 100_000))]);
    Use::key("other").save(&stored.store, &other).unwrap();
    for kind in ["packs", "entries"] {
        // A save on two processors may write more packs than one.
        let objects = stored.objects(kind);
        let (one, two) = (&objects[0], objects.last().unwrap());
        let aside = stored.folder.path().join("aside");
        let swap = || {
            fs::rename(one, &aside).unwrap();
            fs::rename(two, one).unwrap();
            fs::rename(&aside, two).unwrap();
        };
        swap();
        let damaged = stored.verify(Repair::No);
        assert!(damaged.len() >= 2, "{kind}: {damaged:?}");
        swap();
        assert_eq!(stored.verify(Repair::No), [], "{kind}");
    }
}

#[test]
fn a_missing_pack_is_a_miss_and_the_next_save_replaces_it() {
    let stored = stored();
    fs::remove_file(stored.object("packs")).unwrap();
    let damaged = stored.verify(Repair::No);
    assert!(damaged[0].reason.contains("missing"), "{damaged:?}");
    assert_eq!(stored.expect_nothing("no pack"), Shown::Miss);
    stored.expect_healing("no pack");
}

#[test]
fn damage_found_halfway_takes_back_what_was_written() {
    let stored = stored();
    let files: Vec<(String, Vec<u8>)> = (0..30)
        .map(|number| {
            (
                format!("target/{number:02}/file"),
                noise(100 + number, 200_000),
            )
        })
        .collect();
    let site = Site::new();
    for (path, bytes) in &files {
        site.write(path, bytes);
    }
    Use::key("many").save(&stored.store, &site).unwrap();
    // The last chunk of the last file: every other one is written by then, or about to be.
    for pack in stored.objects("packs") {
        let mut bytes = fs::read(&pack).unwrap();
        let wanted = noise(129, 200_000);
        if let Some(at) = bytes.windows(64).position(|window| window == &wanted[..64]) {
            bytes[at + 100] ^= 1;
            fs::write(&pack, bytes).unwrap();
        }
    }
    let to = Site::with(&[("target/mine", b"mine")]);
    let error = Use::key("many").restore(&stored.store, &to).unwrap_err();
    assert!(
        error.to_string().contains("does not match its hash"),
        "{error}"
    );
    let left: Vec<_> = fs::read_dir(to.path("target"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["mine"]);
    // Of the damaged pack, what was whole is kept: the next save writes one file and the list at most.
    let again = Use::key("many").restore(&stored.store, &to).unwrap();
    assert_eq!(again.found, Found::Miss);
    let saved = Use::key("many").save(&stored.store, &site).unwrap();
    assert_eq!(saved.outcome, SaveOutcome::Saved);
    assert!(saved.stored_bytes < 220_000, "{saved:?}");
}

#[test]
fn a_store_in_good_order_has_no_damage() {
    let stored = stored();
    let verified = stored.store.verify(Repair::No, at(2_000)).unwrap();
    assert_eq!(verified.damaged, []);
    assert_eq!(verified.objects, stored.objects("packs").len() as u64 + 1);
    assert!(verified.bytes > 300_000);
}
