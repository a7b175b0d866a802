//! The faults that other tests rely on happen, and are the same for the same seed.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;

use super::noise;
use crate::backend::Objects;
use crate::backend::faults::{Faults, FaultyStore};

fn faulty(seed: u64, faults: Faults) -> (FaultyStore, Objects) {
    let store = FaultyStore::new(Arc::new(InMemory::new()), seed, faults);
    let objects = Objects::new(Arc::new(store.clone()));
    (store, objects)
}

fn pack(text: &str) -> Path {
    Path::from(format!("v2/packs/{text}"))
}

#[test]
fn without_faults_it_is_a_plain_store() {
    let (_, objects) = faulty(1, Faults::default());
    objects.put(&pack("a"), b"bytes".to_vec()).unwrap();
    assert_eq!(objects.get(&pack("a"), 9).unwrap(), "bytes");
    assert_eq!(objects.list(&Path::from("v2")).unwrap().len(), 1);
}

#[test]
fn a_torn_put_fails_and_leaves_a_beginning() {
    let torn = Faults {
        torn: 1_000,
        ..Faults::default()
    };
    let (_, objects) = faulty(1, torn);
    objects.put(&pack("a"), b"bytes!".to_vec()).unwrap_err();
    assert_eq!(objects.get(&pack("a"), 9).unwrap(), "byt");
}

#[test]
fn a_lost_tail_and_a_lost_write_say_that_all_is_well() {
    let cut = Faults {
        cut: 1_000,
        ..Faults::default()
    };
    let (store, objects) = faulty(1, cut);
    objects.put(&pack("a"), b"bytes!".to_vec()).unwrap();
    assert_eq!(objects.get(&pack("a"), 9).unwrap(), "byt");
    store.set(Faults {
        lost: 1_000,
        ..Faults::default()
    });
    objects.put(&pack("b"), b"bytes!".to_vec()).unwrap();
    assert_eq!(objects.size_bytes(&pack("b")).unwrap(), None);
}

#[test]
fn a_read_has_one_wrong_bit() {
    let flips = Faults {
        flips: 1_000,
        ..Faults::default()
    };
    let (_, objects) = faulty(1, flips);
    let bytes = noise(1, 1_000);
    objects.put(&pack("a"), bytes.clone()).unwrap();
    let read = objects.get(&pack("a"), 1_000).unwrap();
    let wrong: u32 = bytes
        .iter()
        .zip(&read)
        .map(|(a, b)| (a ^ b).count_ones())
        .sum();
    assert_eq!(wrong, 1);
}

#[test]
fn a_stale_listing_is_that_of_some_changes_ago() {
    let (store, objects) = faulty(1, Faults::default());
    objects.put(&pack("a"), b"x".to_vec()).unwrap();
    objects.put(&pack("b"), b"x".to_vec()).unwrap();
    objects.delete(&pack("a")).unwrap();
    let names = |stale_by| {
        store.set(Faults {
            stale_by,
            ..Faults::default()
        });
        let listed = objects.list(&Path::from("v2/packs")).unwrap();
        let names = listed
            .iter()
            .map(|object| object.name.filename().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(0), ["b"]);
    assert_eq!(names(1), ["a", "b"]);
    assert_eq!(names(2), ["a"]);
    assert!(names(3).is_empty());
    assert!(names(9).is_empty());
}

#[test]
fn a_full_disk_takes_what_fits() {
    let full = Faults {
        full_after: Some(10),
        ..Faults::default()
    };
    let (_, objects) = faulty(1, full);
    objects.put(&pack("a"), vec![0; 10]).unwrap();
    let error = objects.put(&pack("b"), vec![0; 1]).unwrap_err();
    assert!(format!("{error:?}").contains("no space left"), "{error:?}");
    assert_eq!(objects.get(&pack("a"), 10).unwrap().len(), 10);
}

#[test]
fn the_same_seed_fails_the_same_calls() {
    let outcomes = |seed| {
        let errors = Faults {
            errors: 300,
            ..Faults::default()
        };
        let (_, objects) = faulty(seed, errors);
        let outcomes: Vec<bool> = (0..200)
            .map(|index: u32| {
                objects
                    .put(&pack(&index.to_string()), b"x".to_vec())
                    .is_ok()
            })
            .collect();
        outcomes
    };
    assert_eq!(outcomes(7), outcomes(7));
    assert_ne!(outcomes(7), outcomes(8));
    let failed = outcomes(7).iter().filter(|ok| !**ok).count();
    assert!((30..90).contains(&failed), "{failed}");
}
