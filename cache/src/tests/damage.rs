use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{ROOMY, Site, Use, files_of, noise};
use crate::{Error, Found, SaveOutcome, Store};

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
    Stored {
        folder,
        store,
        site,
    }
}

impl Stored {
    fn objects(&self, kind: &str) -> Vec<PathBuf> {
        let kind = self.folder.path().join("v1").join(kind);
        files_of(self.folder.path())
            .into_iter()
            .filter(|path| path.starts_with(&kind))
            .collect()
    }

    fn object(&self, kind: &str) -> PathBuf {
        self.objects(kind).remove(0)
    }

    /// Damage of that object is named by `verify` and `restore`, nothing is restored, and the next save heals it.
    fn expect_damage(&self, path: &Path, what: &str) {
        let name = path
            .strip_prefix(self.folder.path())
            .unwrap()
            .display()
            .to_string();
        let damaged = self.store.verify().unwrap().damaged;
        assert!(
            damaged.iter().any(|damage| damage.object == name),
            "{what}: {damaged:?}"
        );
        let to = Site::new();
        let error = Use::key("k").restore(&self.store, &to).unwrap_err();
        assert!(
            error.is_damage() && error.to_string().contains(&name),
            "{what}: {error}"
        );
        assert!(!to.has("target"), "{what}: half restored");
        assert_eq!(
            Use::key("k").restore(&self.store, &to).unwrap().found,
            Found::Miss,
            "{what}"
        );
        assert_eq!(
            Use::key("k").save(&self.store, &self.site).unwrap().outcome,
            SaveOutcome::Saved,
            "{what}"
        );
        assert_eq!(
            Use::key("k").restore(&self.store, &to).unwrap().found,
            Found::Exact,
            "{what}"
        );
        assert_eq!(to.read("target/noise"), noise(1, 300_000), "{what}");
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found_by_the_name_of_the_object() {
    for kind in ["packs", "trees", "entries"] {
        let length = fs::read(stored().object(kind)).unwrap().len();
        for at in [
            0,
            7,
            length / 3,
            length / 2,
            length - 60,
            length - 9,
            length - 1,
        ] {
            let stored = stored();
            let path = stored.object(kind);
            let mut bytes = fs::read(&path).unwrap();
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 0x10;
            fs::write(&path, bytes).unwrap();
            stored.expect_damage(&path, &format!("{kind} byte {at} of {length}"));
        }
    }
}

#[test]
fn a_truncated_object_is_found_by_its_name() {
    for kind in ["packs", "trees", "entries"] {
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
fn swapped_objects_are_found() {
    let stored = stored();
    let other = Site::with(&[("target/other", &noise(2, 100_000))]);
    Use::key("other").save(&stored.store, &other).unwrap();
    for kind in ["packs", "trees", "entries"] {
        let [one, two]: [PathBuf; 2] = stored.objects(kind).try_into().unwrap();
        let aside = stored.folder.path().join("aside");
        let swap = || {
            fs::rename(&one, &aside).unwrap();
            fs::rename(&two, &one).unwrap();
            fs::rename(&aside, &two).unwrap();
        };
        swap();
        let damaged = stored.store.verify().unwrap().damaged;
        assert!(damaged.len() >= 2, "{kind}: {damaged:?}");
        swap();
        assert!(stored.store.verify().unwrap().damaged.is_empty(), "{kind}");
    }
}

#[test]
fn a_swapped_tree_is_never_restored() {
    let stored = stored();
    let other = Site::with(&[("target/other", b"other")]);
    Use::key("other").save(&stored.store, &other).unwrap();
    let [one, two]: [PathBuf; 2] = stored.objects("trees").try_into().unwrap();
    fs::copy(&two, &one).unwrap();
    let outcomes =
        ["k", "other"].map(|key| Use::key(key).restore(&stored.store, &Site::new()).is_ok());
    assert_eq!(outcomes.iter().filter(|restored| **restored).count(), 1);
}

#[test]
fn a_missing_object_is_named_and_the_next_save_replaces_it() {
    for kind in ["packs", "trees"] {
        let stored = stored();
        fs::remove_file(stored.object(kind)).unwrap();
        assert_eq!(stored.store.verify().unwrap().damaged.len(), 1, "{kind}");
        let to = Site::new();
        let error = Use::key("k").restore(&stored.store, &to).unwrap_err();
        assert!(matches!(error, Error::Missing { .. }), "{kind}: {error}");
        assert!(!to.has("target"));
        let healed = Use::key("k").save(&stored.store, &stored.site).unwrap();
        assert_eq!(healed.outcome, SaveOutcome::Saved);
        assert_eq!(Use::key("k").restore(&stored.store, &to).unwrap().files, 2);
    }
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
}

#[test]
fn a_store_in_good_order_has_no_damage() {
    let stored = stored();
    let verified = stored.store.verify().unwrap();
    assert_eq!(verified.damaged, []);
    assert_eq!(verified.objects, 3);
    assert!(verified.bytes > 300_000);
}
