//! Folders made for mounting: how many stay, who waits for whom, and what a crash leaves.

use std::path::Path;

use super::backend_tier::Tiers;
use super::{ROOMY, Site, Use, at, noise};
use crate::tree::Anchor;
use crate::{Live, Place, Put, Store, TreeRef, Trust};

/// Any moment.
const NOW: u64 = 1_700_000_000_000;

/// A tree of one file of that many bytes.
fn tree(store: &Store, seed: u64, length: usize) -> TreeRef {
    let from = Site::with(&[("file", &noise(seed, length))]);
    let directory = from.path("");
    let put = Put {
        directory: &directory,
        now: at(NOW),
    };
    store.put(&put).unwrap().tree
}

fn is_there(store: &Store, tree: &TreeRef) -> bool {
    store.is_live(&tree.id)
}

fn used(store: &Store, tree: &TreeRef, now_ms: u64) -> Live {
    store.materialise(tree, at(now_ms)).unwrap()
}

/// A store over object storage, whose pool has no cap.
fn far(near: &Path, tiers: &Tiers, live_bytes_max: u64) -> Store {
    let trust = Trust::of_folder(near).unwrap();
    let mut store = Store::over(tiers.reopened(), near, trust);
    store.live_bytes_max = live_bytes_max;
    store
}

#[test]
fn making_a_folder_lets_the_one_go_that_was_not_used_for_longest_over_object_storage_too() {
    let tiers = Tiers::new();
    let folder = tempfile::tempdir().unwrap();
    let in_folder = Store::open(folder.path(), 250_000).unwrap();
    let here = tiers.near.path().join("here");
    for store in [in_folder, far(&here, &tiers, 250_000)] {
        let trees: Vec<TreeRef> = (1..=3).map(|seed| tree(&store, seed, 100_000)).collect();
        drop(used(&store, &trees[0], NOW));
        drop(used(&store, &trees[1], NOW + 1));
        drop(used(&store, &trees[0], NOW + 2));
        drop(used(&store, &trees[2], NOW + 3));
        let there: Vec<bool> = trees.iter().map(|tree| is_there(&store, tree)).collect();
        assert_eq!(there, [true, false, true]);
    }
}

#[test]
fn folders_in_use_stay_and_go_by_the_first_save_after_that() {
    let tiers = Tiers::new();
    let store = far(&tiers.near.path().join("here"), &tiers, 150_000);
    let trees: Vec<TreeRef> = (1..=2).map(|seed| tree(&store, seed, 100_000)).collect();
    let one = used(&store, &trees[0], NOW);
    let other = used(&store, &trees[1], NOW + 1);
    assert!(one.folder(Anchor::Source).join("file").exists());
    drop((one, other));
    let site = Site::with(&[("target/a", b"bytes")]);
    Use::key("k").at(NOW + 2).save(&store, &site).unwrap();
    assert!(!is_there(&store, &trees[0]) && is_there(&store, &trees[1]));
}

#[test]
fn object_storage_has_no_cap_but_its_folders_on_this_machine_have() {
    let near = tempfile::tempdir().unwrap();
    let place: Place = "s3://bucket/prefix?endpoint=http://127.0.0.1:1&allow_http=true"
        .parse()
        .unwrap();
    let store = Store::open_at(&place, near.path(), ROOMY).unwrap();
    assert_eq!((store.cap_bytes, store.live_bytes_max), (u64::MAX, ROOMY));
}
