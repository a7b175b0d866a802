use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::{DAY, ROOMY, Site, Use, at, noise};
use crate::{Error, Found, Repair, Selector, Store};

const SHARED: u64 = 999;

/// When everything has been saved.
const NOW: u64 = 10 * DAY;

/// A tree of 3 MB: 1 MB that all have, 2 MB of its own.
fn site(seed: u64) -> Site {
    let site = Site::new();
    for number in 0..10 {
        site.write(
            &format!("target/shared{number}"),
            &noise(SHARED + number, 100_000),
        );
        site.write(
            &format!("target/own{number}"),
            &noise(seed * 100_000 + number, 200_000),
        );
    }
    site
}

fn keys(store: &Store) -> Vec<String> {
    store
        .list(at(NOW))
        .unwrap()
        .into_iter()
        .filter_map(|entry| entry.key)
        .collect()
}

fn is_whole(store: &Store, key: &'static str, seed: u64) {
    let to = Site::new();
    // A look must not count as a use.
    let restored = Use::key(key).at(0).restore(store, &to).unwrap();
    assert_eq!(restored.found, Found::Exact);
    assert_eq!(to.read("target/own3"), noise(seed * 100_000 + 3, 200_000));
    assert_eq!(to.read("target/shared4"), noise(SHARED + 4, 100_000));
}

#[test]
fn the_longest_unused_go_first_and_what_others_share_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), ROOMY).unwrap();
    for (key, seed) in [("a", 1), ("b", 2), ("c", 3)] {
        Use::key(key)
            .at(seed * DAY)
            .save(&store, &site(seed))
            .unwrap();
    }
    Use::key("a")
        .at(9 * DAY)
        .restore(&store, &Site::new())
        .unwrap();
    let before = store.usage().unwrap().stored_bytes;
    assert!((7_000_000..7_200_000).contains(&before), "{before}");
    let cap = 5_200_000;
    let pruned = store.prune(cap, at(NOW)).unwrap();
    assert_eq!(keys(&store), ["a", "c"]);
    assert_eq!(pruned.entries, 1);
    assert!(pruned.stored_bytes <= cap, "{pruned:?}");
    assert_eq!(pruned.freed_bytes, before - pruned.stored_bytes);
    is_whole(&store, "a", 1);
    is_whole(&store, "c", 3);
    assert_eq!(store.verify(Repair::No, at(NOW)).unwrap().damaged, []);
}

#[test]
fn a_save_that_fills_the_cache_makes_room_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), 6_000_000).unwrap();
    for (key, seed) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        Use::key(key)
            .at(seed * DAY)
            .save(&store, &site(seed))
            .unwrap();
        assert!(store.usage().unwrap().stored_bytes <= 6_000_000);
    }
    assert_eq!(keys(&store), ["d", "c"]);
    is_whole(&store, "d", 4);
}

#[test]
fn a_replaced_entry_does_not_fill_the_cache_with_its_past() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), 8_000_000).unwrap();
    for seed in 1..12 {
        Use::new(None)
            .at(seed * DAY)
            .save(&store, &site(seed))
            .unwrap();
        let to = Site::new();
        assert_eq!(
            Use::new(None).restore(&store, &to).unwrap().found,
            Found::Exact,
            "save {seed}"
        );
        assert_eq!(to.read("target/own0"), noise(seed * 100_000, 200_000));
    }
    assert!(store.usage().unwrap().stored_bytes <= 8_000_000);
}

#[test]
fn files_larger_than_the_cap_are_refused_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), 3_500_000).unwrap();
    Use::key("small")
        .save(&store, &Site::with(&[("target/a", b"x")]))
        .unwrap();
    // Far beyond it, and so close to it that the next prune would take it away again.
    for length in [9_000_000, 3_400_000] {
        let big = Site::with(&[("target/big", &noise(5, length))]);
        let error = Use::key("big").save(&store, &big).unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    }
    assert_eq!(keys(&store), ["small"]);
    assert_eq!(store.verify(Repair::No, at(NOW)).unwrap().damaged, []);
    assert!(store.usage().unwrap().stored_bytes < 10_000);
}

#[test]
fn pruning_packs_of_any_size_again_and_again_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), ROOMY).unwrap();
    let tiny = Site::with(&[("target/a", b"x")]);
    Use::key("tiny").at(1).save(&store, &tiny).unwrap();
    tiny.write("target/b", b"y");
    Use::key("two").at(2).save(&store, &tiny).unwrap();
    Use::key("large").at(3).save(&store, &site(1)).unwrap();
    for cap in [ROOMY, 3_200_000, 3_100_000, ROOMY] {
        store.prune(cap, at(NOW)).unwrap();
        assert_eq!(
            store.verify(Repair::No, at(NOW)).unwrap().damaged,
            [],
            "{cap}"
        );
        assert_eq!(keys(&store), ["large", "two", "tiny"], "{cap}");
    }
    assert_eq!(store.prune(3_100_000, at(NOW)).unwrap().freed_bytes, 0);
    is_whole(&store, "large", 1);
    let to = Site::new();
    Use::key("two").restore(&store, &to).unwrap();
    assert_eq!(
        (to.read("target/a"), to.read("target/b")),
        (b"x".to_vec(), b"y".to_vec())
    );
}

#[test]
fn a_pack_that_is_rewritten_keeps_every_chunk_that_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), ROOMY).unwrap();
    for seed in 1..5 {
        Use::new(None)
            .at(seed * DAY)
            .save(&store, &site(seed))
            .unwrap();
        let key = ["a", "b", "c", "d"][usize::try_from(seed).unwrap() - 1];
        let some = Site::new();
        for number in 0..3 {
            some.write(
                &format!("target/own{number}"),
                &noise(seed * 100_000 + number, 200_000),
            );
        }
        Use::key(key).at(seed * DAY).save(&store, &some).unwrap();
    }
    let pruned = store.prune(ROOMY, at(NOW)).unwrap();
    assert!(
        pruned.freed_bytes > 2_000_000 && pruned.entries == 0,
        "{pruned:?}"
    );
    assert_eq!(store.verify(Repair::No, at(NOW)).unwrap().damaged, []);
    for (seed, key) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
        let to = Site::new();
        Use::key(key).restore(&store, &to).unwrap();
        assert_eq!(to.read("target/own2"), noise(seed * 100_000 + 2, 200_000));
    }
}

#[test]
fn removing_takes_entries_and_their_bytes_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), ROOMY).unwrap();
    for (key, seed) in [("a", 1), ("b", 2)] {
        Use::key(key)
            .at(seed * DAY)
            .save(&store, &site(seed))
            .unwrap();
    }
    Use::new(None).save(&store, &site(1)).unwrap();
    let one = Selector::Entry {
        project: "project".into(),
        key: Some("b".into()),
    };
    let removed = store.remove(&one, at(NOW)).unwrap();
    assert_eq!(removed.entries, 1);
    assert!(removed.freed_bytes > 1_900_000, "{removed:?}");
    assert_eq!(keys(&store), ["a"]);
    is_whole(&store, "a", 1);
    assert_eq!(
        store
            .remove(&Selector::Project("other".into()), at(NOW))
            .unwrap()
            .entries,
        0
    );
    assert_eq!(
        store
            .remove(&Selector::Project("project".into()), at(NOW))
            .unwrap()
            .entries,
        2
    );
    assert_eq!(store.usage().unwrap().stored_bytes, 0);
    Use::key("a").save(&store, &site(1)).unwrap();
    assert_eq!(store.remove(&Selector::All, at(NOW)).unwrap().entries, 1);
}

#[test]
fn the_folder_is_made_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("deep/cache");
    drop(Store::open(&dir, ROOMY).unwrap());
    assert_eq!(
        fs::metadata(&dir).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn a_folder_that_is_a_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    fs::write(&path, "").unwrap();
    let error = Store::open(&path, ROOMY).unwrap_err();
    assert!(
        error.to_string().contains(&path.display().to_string()),
        "{error}"
    );
}
