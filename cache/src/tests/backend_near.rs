//! The near copies: when they are made, which are thrown away, and what is done about damaged ones.

use std::fs;
use std::time::Duration;

use object_store::path::Path;

use super::backend_tier::{MIB, Tiers, gone};
use super::noise;
use crate::backend::Objects;
use crate::backend::faults::Faults;

#[test]
fn a_damaged_near_copy_is_fetched_again_and_a_damaged_far_one_is_believed() {
    let tiers = Tiers::new();
    let pack = Path::from("v2/packs/p");
    tiers.put("v2/packs/p", b"whole");
    fs::write(tiers.near_path("v2/packs/p"), b"whale").unwrap();
    assert_eq!(tiers.get("v2/packs/p").unwrap(), b"whale");
    assert!(tiers.objects.distrust(&pack));
    assert_eq!(tiers.get("v2/packs/p").unwrap(), b"whole");
    // The same complaint again can only be about the far store's bytes.
    assert!(!tiers.objects.distrust(&pack));
    assert!(!tiers.objects.distrust(&Path::from("v2/packs/unknown")));
    assert!(!tiers.beyond.distrust(&pack));
}

#[test]
fn a_torn_near_copy_is_not_served_in_parts() {
    let tiers = Tiers::new();
    let pack = Path::from("v2/packs/p");
    let bytes = noise(1, MIB);
    tiers.put("v2/packs/p", &bytes);
    fs::write(tiers.near_path("v2/packs/p"), &bytes[..1_000]).unwrap();
    let parts = tiers
        .objects
        .get_ranges(&pack, &[0..10, 990..1_010])
        .unwrap();
    assert_eq!(parts[1], &bytes[990..1_010]);
    let part = tiers.objects.get_range(&pack, 500_000..500_010).unwrap();
    assert_eq!(part, &bytes[500_000..500_010]);
}

#[test]
fn eviction_keeps_what_is_dear_to_fetch() {
    let tiers = Tiers::holding(10 * MIB as u64);
    // Fetching a small tree costs the round trip alone, so it is by far the dearest per byte.
    for index in 0..20 {
        tiers.put(&format!("v2/trees/{index}"), b"a small tree");
    }
    for index in 0..15 {
        tiers.pass(1_000);
        tiers.put(&format!("v2/packs/{index}"), &noise(index, MIB));
    }
    for index in 0..20 {
        assert!(tiers.is_near(&format!("v2/trees/{index}")));
    }
    // Alike in cost, so the packs used last are those kept.
    assert!(!tiers.is_near("v2/packs/0") && tiers.is_near("v2/packs/14"));
    let near = Objects::folder(tiers.near.path()).unwrap();
    let held = near.list(&Path::from("v2")).unwrap();
    let held_bytes: u64 = held.iter().map(|object| object.size_bytes).sum();
    assert!(held_bytes <= 10 * MIB as u64, "{held_bytes}");
    assert!(held_bytes >= 8 * MIB as u64, "{held_bytes}");
    // Nothing is lost by it.
    assert_eq!(tiers.get("v2/packs/0").unwrap(), noise(0, MIB));
}

#[test]
fn what_was_learned_of_costs_outlives_the_process_and_may_be_damaged() {
    let tiers = Tiers::new();
    tiers.put("v2/packs/p", b"pack");
    drop(tiers.reopened());
    let costs = tiers.near_path("fetch-costs");
    assert!(costs.exists());
    fs::write(costs, b"{").unwrap();
    let objects = tiers.reopened();
    assert_eq!(objects.get(&Path::from("v2/packs/p"), 9).unwrap(), "pack");
}

#[test]
fn half_an_object_brings_it_near_whole_and_less_does_not() {
    let tiers = Tiers::new();
    for name in ["v2/packs/half", "v2/packs/less"] {
        let bytes = noise(1, 4 * MIB);
        tiers.beyond.put(&Path::from(name), bytes).unwrap();
    }
    let (half, mebibyte) = (Path::from("v2/packs/half"), MIB as u64);
    let parts = tiers
        .objects
        .get_ranges(&half, &[0..mebibyte, 2 * mebibyte..3 * mebibyte]);
    assert_eq!(parts.unwrap()[1].len(), MIB);
    assert!(tiers.is_near("v2/packs/half"));
    let less = Path::from("v2/packs/less");
    tiers.objects.get_range(&less, 0..mebibyte).unwrap();
    assert!(!tiers.is_near("v2/packs/less"));
    // Known from a listing, the size is not asked for again.
    tiers.objects.list(&Path::from("v2/packs")).unwrap();
    let calls = tiers.far.calls();
    tiers.objects.get_range(&less, 0..mebibyte).unwrap();
    assert_eq!(tiers.far.calls(), calls + 1);
    tiers.objects.get_range(&half, 0..mebibyte).unwrap();
    assert_eq!(tiers.far.calls(), calls + 1);
}

#[test]
fn threads_that_want_the_same_object_fetch_it_once() {
    let tiers = Tiers::new();
    let pack = Path::from("v2/packs/p");
    tiers.beyond.put(&pack, noise(1, MIB)).unwrap();
    tiers.far_is(Faults {
        latency: Duration::from_millis(10),
        ..Faults::default()
    });
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(tiers.get("v2/packs/p").unwrap() == noise(1, MIB)));
        }
    });
    assert_eq!(tiers.far.calls(), 1);
}

#[test]
fn a_full_near_disk_only_costs_the_copy() {
    let tiers = Tiers::new();
    // A file where the folder of packs should be: no copy can be written.
    fs::create_dir_all(tiers.near_path("v2")).unwrap();
    fs::write(tiers.near_path("v2/packs"), b"").unwrap();
    tiers.put("v2/packs/p", b"pack");
    assert!(tiers.is_far("v2/packs/p"));
    assert_eq!(tiers.get("v2/packs/p").unwrap(), b"pack");
    tiers.far_is(gone());
    let refused = tiers.objects.put(&Path::from("v2/packs/q"), b"q".to_vec());
    refused.unwrap_err();
}
