//! One suite for every kind of store: a list of named cases, each a test of its own for each store that starts at once.
//! A real server runs the same list in one test (`backend_s3`), since starting it takes longer than all of them.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use tempfile::TempDir;

use super::noise;
use crate::Error;
use crate::backend::Objects;
use crate::backend::guard::Limits;
use crate::backend::ticks::Ticks;

/// One thing a store must do.
pub(super) type Case = fn(&Objects);

macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        /// Every case, by name.
        pub(super) const CASES: &[(&str, Case)] = &[$((stringify!($case), $case)),*];
        cases!(@store memory, $($case),*);
        cases!(@store folder, $($case),*);
        cases!(@store far, $($case),*);
        cases!(@store tiers, $($case),*);
    };
    (@store $store:ident, $($case:ident),*) => {
        mod $store {
            $(#[test]
            fn $case() {
                let store = super::$store();
                super::$case(&store.objects);
            })*
        }
    };
}

cases!(
    what_is_put_is_got,
    the_last_put_wins,
    a_missing_object_is_missing,
    ranges_come_in_the_order_asked_for,
    ranges_far_apart_are_right,
    a_range_across_the_end_is_short_and_one_behind_it_is_damage,
    a_too_large_object_is_refused,
    a_listing_is_what_lies_below_a_folder,
    a_listing_sees_a_put_and_a_delete_at_once,
    deleting_twice_is_no_error,
    an_object_of_eight_mebibytes_comes_back,
    an_empty_object_comes_back,
    names_as_this_crate_writes_them_come_back,
);

/// A store, and what it needs while it is used.
struct Kept {
    objects: Objects,
    _folder: Option<TempDir>,
}

fn memory() -> Kept {
    Kept {
        objects: Objects::new(Arc::new(InMemory::new())),
        _folder: None,
    }
}

fn folder() -> Kept {
    let folder = tempfile::tempdir().unwrap();
    Kept {
        objects: Objects::folder(folder.path()).unwrap(),
        _folder: Some(folder),
    }
}

fn far() -> Kept {
    Kept {
        objects: Objects::far_of(Arc::new(InMemory::new()), Limits::default(), Ticks::real()),
        _folder: None,
    }
}

fn tiers() -> Kept {
    let folder = tempfile::tempdir().unwrap();
    let far = Arc::new(InMemory::new());
    let (limits, ticks) = (Limits::default(), Ticks::real());
    Kept {
        objects: Objects::tiers_of(folder.path(), super::ROOMY, far, limits, ticks),
        _folder: Some(folder),
    }
}

fn name(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn names(objects: &Objects, folder: &str) -> Vec<String> {
    let listed = objects.list(&name(folder)).unwrap();
    listed
        .iter()
        .map(|object| object.name.to_string())
        .collect()
}

fn what_is_put_is_got(objects: &Objects) {
    for text in ["v2/packs/a", "v2/entries/a", "v2/condemned/a"] {
        objects.put(&name(text), b"bytes".to_vec()).unwrap();
        assert_eq!(objects.get(&name(text), 5).unwrap(), "bytes");
        assert_eq!(objects.size_bytes(&name(text)).unwrap(), Some(5));
    }
}

fn the_last_put_wins(objects: &Objects) {
    let entry = name("v2/entries/a");
    objects.put(&entry, b"one".to_vec()).unwrap();
    objects.put(&entry, b"other".to_vec()).unwrap();
    assert_eq!(objects.get(&entry, 9).unwrap(), "other");
    assert_eq!(objects.size_bytes(&entry).unwrap(), Some(5));
}

fn a_missing_object_is_missing(objects: &Objects) {
    for text in ["v2/packs/none", "v2/entries/none"] {
        let none = name(text);
        assert_eq!(objects.size_bytes(&none).unwrap(), None);
        let read = objects.get(&none, 9).unwrap_err();
        assert!(matches!(read, Error::Missing { .. }), "{read:?}");
        let read = objects.get_range(&none, 0..1).unwrap_err();
        assert!(matches!(read, Error::Missing { .. }), "{read:?}");
    }
    assert!(names(objects, "v2/packs").is_empty());
}

fn ranges_come_in_the_order_asked_for(objects: &Objects) {
    let pack = name("v2/packs/a");
    let bytes = noise(1, 100_000);
    objects.put(&pack, bytes.clone()).unwrap();
    // The first reading is of a small part, the last of nearly all, so that a tier reads in all its ways.
    let ways = [
        vec![50_000..50_010, 3..5],
        vec![5..5, 90_000..100_000, 10..20, 15..40, 10..20, 20..21],
        vec![0..100_000, 99_999..100_000],
    ];
    for ranges in ways {
        let parts = objects.get_ranges(&pack, &ranges).unwrap();
        let expected: Vec<&[u8]> = ranges
            .iter()
            .map(|range| {
                let (from, to) = (
                    range.start.try_into().unwrap(),
                    range.end.try_into().unwrap(),
                );
                &bytes[from..to]
            })
            .collect();
        assert_eq!(parts, expected, "{ranges:?}");
    }
    assert!(objects.get_ranges(&pack, &[]).unwrap().is_empty());
}

fn ranges_far_apart_are_right(objects: &Objects) {
    let pack = name("v2/packs/a");
    let bytes = noise(2, 5 << 20);
    objects.put(&pack, bytes.clone()).unwrap();
    let ranges: Vec<_> = [4_u64, 0, 2]
        .iter()
        .map(|mebibyte| (mebibyte << 20)..((mebibyte << 20) + 100))
        .collect();
    let parts = objects.get_ranges(&pack, &ranges).unwrap();
    for (part, range) in parts.iter().zip(ranges) {
        let from = usize::try_from(range.start).unwrap();
        assert_eq!(part, &bytes[from..from + 100]);
    }
}

fn a_range_across_the_end_is_short_and_one_behind_it_is_damage(objects: &Objects) {
    for text in ["v2/packs/a", "v2/entries/a"] {
        let short = name(text);
        objects.put(&short, b"0123456789".to_vec()).unwrap();
        assert_eq!(objects.get_range(&short, 8..20).unwrap(), "89");
        for behind in [10..11, 10..4_000_000, 3_000_000..3_000_001] {
            let read = objects.get_ranges(&short, &[0..1, behind]).unwrap_err();
            assert!(matches!(read, Error::Damaged { .. }), "{read:?}");
        }
    }
}

fn a_too_large_object_is_refused(objects: &Objects) {
    for text in ["v2/packs/a", "v2/entries/a"] {
        objects.put(&name(text), b"bytes".to_vec()).unwrap();
        let read = objects.get(&name(text), 4).unwrap_err();
        assert!(read.is_damage(), "{read:?}");
        assert!(read.to_string().contains("larger than 4 bytes"), "{read}");
    }
}

fn a_listing_is_what_lies_below_a_folder(objects: &Objects) {
    for text in [
        "v2/packs/b",
        "v2/packs/a",
        "v2/packs-2/c",
        "v2/packs/d/e",
        "v2/trees/f",
    ] {
        objects.put(&name(text), b"x".to_vec()).unwrap();
    }
    assert_eq!(
        names(objects, "v2/packs"),
        ["v2/packs/a", "v2/packs/b", "v2/packs/d/e"]
    );
    assert_eq!(names(objects, "v2").len(), 5);
    assert!(names(objects, "v2/pack").is_empty());
    assert!(names(objects, "v2/entries").is_empty());
    let listed = objects.list(&name("v2/trees")).unwrap();
    assert_eq!(listed[0].size_bytes, 1);
}

fn a_listing_sees_a_put_and_a_delete_at_once(objects: &Objects) {
    for round in 0..20 {
        let pack = format!("v2/packs/{round}");
        objects.put(&name(&pack), b"x".to_vec()).unwrap();
        assert_eq!(names(objects, "v2/packs"), [pack.as_str()]);
        objects.delete(&name(&pack)).unwrap();
        assert!(names(objects, "v2/packs").is_empty());
    }
}

fn deleting_twice_is_no_error(objects: &Objects) {
    let pack = name("v2/packs/a");
    objects.put(&pack, b"x".to_vec()).unwrap();
    objects.delete(&pack).unwrap();
    objects.delete(&pack).unwrap();
    assert_eq!(objects.size_bytes(&pack).unwrap(), None);
    let read = objects.get(&pack, 9).unwrap_err();
    assert!(matches!(read, Error::Missing { .. }), "{read:?}");
}

fn an_object_of_eight_mebibytes_comes_back(objects: &Objects) {
    let pack = name("v2/packs/a");
    let bytes = noise(3, 8 << 20);
    objects.put(&pack, bytes.clone()).unwrap();
    assert!(objects.get(&pack, 8 << 20).unwrap() == bytes);
}

fn an_empty_object_comes_back(objects: &Objects) {
    let empty = name("v2/entries/empty");
    objects.put(&empty, Vec::new()).unwrap();
    assert_eq!(objects.get(&empty, 0).unwrap(), "");
    assert_eq!(objects.size_bytes(&empty).unwrap(), Some(0));
    assert_eq!(names(objects, "v2/entries"), ["v2/entries/empty"]);
}

fn names_as_this_crate_writes_them_come_back(objects: &Objects) {
    let hexadecimal = "0123456789abcdef".repeat(4);
    let texts = [
        format!("v2/packs/{hexadecimal}"),
        "v2/entries/a=20b=2Fc/x_y-z/=00".to_owned(),
        "v2/leases/0198c0de-0000-7000-8000-000000000001".to_owned(),
    ];
    for text in &texts {
        objects.put(&name(text), text.clone()).unwrap();
    }
    for text in &texts {
        assert_eq!(objects.get(&name(text), 100).unwrap(), text.as_bytes());
    }
    let mut sorted = texts.to_vec();
    sorted.sort();
    assert_eq!(names(objects, "v2"), sorted);
}

/// Not among the cases of a real server, where it would take as long as all others together.
fn a_listing_of_a_thousand_is_complete(objects: &Objects) {
    for index in 0..1_000 {
        let entry = name(&format!("v2/entries/{index:04}"));
        objects.put(&entry, vec![0; index % 7]).unwrap();
    }
    let listed = objects.list(&name("v2/entries")).unwrap();
    assert_eq!(listed.len(), 1_000);
    for (index, object) in listed.iter().enumerate() {
        assert_eq!(object.name, name(&format!("v2/entries/{index:04}")));
        assert_eq!(object.size_bytes, index as u64 % 7);
    }
}

#[test]
fn a_thousand_objects_in_memory_are_listed() {
    a_listing_of_a_thousand_is_complete(&memory().objects);
}

#[test]
fn a_thousand_objects_in_a_folder_are_listed() {
    // On memory: a thousand writes to the disk itself take seconds.
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    a_listing_of_a_thousand_is_complete(&Objects::folder(folder.path()).unwrap());
}

#[test]
fn a_thousand_objects_in_two_tiers_are_listed() {
    a_listing_of_a_thousand_is_complete(&tiers().objects);
}

#[test]
fn a_folder_is_read_the_same_from_a_blocking_thread_of_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let joined = runtime.block_on(async {
        tokio::task::spawn_blocking(|| {
            for store in [folder(), tiers()] {
                for (_, case) in &CASES[..4] {
                    case(&store.objects);
                    for listed in store.objects.list(&name("v2")).unwrap() {
                        store.objects.delete(&listed.name).unwrap();
                    }
                }
            }
        })
        .await
    });
    joined.unwrap();
}

#[test]
fn a_place_is_opened_as_what_it_names_and_only_a_far_one_has_a_folder_in_front() {
    let folder = tempfile::tempdir().unwrap();
    let (near, plain) = (folder.path().join("near"), folder.path().join("plain"));
    let local = crate::Place::from(plain.clone());
    let objects = Objects::tiered(&near, super::ROOMY, &local).unwrap();
    what_is_put_is_got(&objects);
    assert!(plain.join("v2/packs/a").exists() && !near.exists());
    what_is_put_is_got(&Objects::open(&"memory:".parse().unwrap()).unwrap());
    let far = "s3://shelf/x?endpoint=https://shelf.invalid&region=here"
        .parse()
        .unwrap();
    let objects = Objects::tiered(&near, super::ROOMY, &far).unwrap();
    assert!(near.exists());
    assert_eq!(objects.waiting().unwrap(), 0);
}
