use std::cell::Cell;
use std::error::Error as _;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::{HALF_AN_HOUR, ROOMY, at, noise};
use crate::backend::faults::{Faults, FaultyStore};
use crate::{Error, NamedAs, Scopes, Shelf, Space, Store};

/// A shelf and a name on it.
struct Bench {
    shelf: Shelf,
    scopes: Scopes,
    space: Space,
}

impl Bench {
    fn over(store: Store) -> Self {
        Self {
            shelf: Shelf::open(store).unwrap(),
            scopes: Scopes::trusted(),
            space: "tool".parse().unwrap(),
        }
    }

    fn named<'a>(&'a self, key: &'a str) -> NamedAs<'a> {
        NamedAs {
            scopes: &self.scopes,
            space: &self.space,
            key,
        }
    }

    fn put(&self, key: &str, mut bytes: &[u8]) -> Result<u64, Error> {
        self.shelf
            .put(&self.named(key), &mut bytes, ROOMY, &|| at(0))
    }

    fn size_bytes(&self, key: &str) -> Option<u64> {
        self.shelf.size_bytes(&self.named(key), at(0)).unwrap()
    }
}

fn faulty() -> (FaultyStore, Bench) {
    let memory = Arc::new(object_store::memory::InMemory::new());
    let objects = FaultyStore::new(memory, 1, Faults::default());
    let store = Store::new(Arc::new(objects.clone()), ROOMY).unwrap();
    (objects, Bench::over(store))
}

/// A body that takes its time, and may end with an error.
struct Slow<'a> {
    bytes: &'a [u8],
    clock: &'a Cell<u64>,
    fails: bool,
}

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() && self.fails {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        self.clock.set(10 * 24 * HALF_AN_HOUR);
        self.bytes.read(buffer)
    }
}

#[test]
fn a_lease_begins_when_the_body_has_come_and_not_before() {
    for length in [100, 3 << 20] {
        let (objects, bench) = faulty();
        let (bytes, clock) = (noise(1, length), Cell::new(0));
        let mut body = Slow {
            bytes: &bytes,
            clock: &clock,
            fails: false,
        };
        let named = bench.named("slow");
        let stored = bench
            .shelf
            .put(&named, &mut body, ROOMY, &|| at(clock.get()));
        assert_eq!(stored.unwrap(), length as u64);
        let asked = objects.asked();
        let leases: Vec<_> = asked
            .iter()
            .filter_map(|call| call.strip_prefix("put v2/leases/"))
            .collect();
        assert_eq!(leases.len(), 1, "{asked:?}");
        let created = format!("{:012x}-", clock.get());
        assert!(leases[0].starts_with(&created), "{leases:?}");
    }
}

#[test]
fn why_a_small_upload_is_not_stored_is_handed_on() {
    let (objects, bench) = faulty();
    objects.set(Faults {
        full_after: Some(0),
        ..Faults::default()
    });
    let error = bench.put("small", b"bytes").unwrap_err();
    let Error::Together { source } = &error else {
        panic!("{error:?}");
    };
    assert!(matches!(**source, Error::Object { .. }), "{source:?}");
    assert!(error.source().is_some());
}

#[test]
fn what_failed_uploads_leave_goes_without_a_later_one_that_succeeds() {
    const CAP_BYTES: u64 = 20 << 20;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), CAP_BYTES).unwrap();
    let bench = Bench::over(store.clone());
    for seed in 1..=4 {
        // Large enough for a pack to be sent before the end.
        let (bytes, clock) = (noise(seed, 12 << 20), Cell::new(0));
        let mut body = Slow {
            bytes: &bytes,
            clock: &clock,
            fails: true,
        };
        let named = bench.named("hung-up");
        let failed = bench
            .shelf
            .put(&named, &mut body, ROOMY, &|| at(clock.get()));
        failed.unwrap_err();
    }
    let usage = store.usage().unwrap();
    assert!(usage.stored_bytes <= CAP_BYTES, "{usage:?}");
}

#[test]
fn contents_whose_packs_have_gone_are_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::over(Store::open(folder.path(), ROOMY).unwrap());
    bench.put("key", b"bytes").unwrap();
    assert_eq!(bench.size_bytes("key"), Some(5));
    fs::remove_dir_all(packs(folder.path())).unwrap();
    assert_eq!(bench.size_bytes("key"), None);
    // And stored again they are.
    bench.put("key", b"bytes").unwrap();
    assert_eq!(bench.size_bytes("key"), Some(5));
}

#[test]
fn what_a_collection_elsewhere_moved_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::over(Store::open(folder.path(), ROOMY).unwrap());
    bench.put("key", b"bytes").unwrap();
    let packs = packs(folder.path());
    let before: Vec<_> = fs::read_dir(&packs).unwrap().flatten().collect();
    // The same chunk in another pack, as after a rewrite.
    for pack in before {
        fs::remove_file(pack.path()).unwrap();
    }
    let elsewhere = Bench::over(Store::open(folder.path(), ROOMY).unwrap());
    elsewhere.put("other", b"bytes").unwrap();
    assert_eq!(bench.size_bytes("key"), Some(5));
}

fn packs(folder: &Path) -> std::path::PathBuf {
    folder.join("v2").join("packs")
}
