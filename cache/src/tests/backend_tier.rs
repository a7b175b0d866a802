//! A near folder in front of a far store that is slow, failing, gone, full of holes: nothing is lost, nothing is served that
//! was not stored, and an outage is said once.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use object_store::memory::InMemory;
use object_store::path::Path;
use tempfile::TempDir;

use super::{ROOMY, noise};
use crate::Error;
use crate::backend::Objects;
use crate::backend::faults::{Faults, FaultyStore};
use crate::backend::guard::Limits;
use crate::backend::ticks::Ticks;

/// A far store, a near folder, and time that stands still until it is moved.
pub(super) struct Tiers {
    pub(super) far: FaultyStore,
    /// The far store as others see it: without faults.
    pub(super) beyond: Objects,
    pub(super) near: TempDir,
    pub(super) now: Arc<AtomicU64>,
    pub(super) objects: Objects,
}

pub(super) const MIB: usize = 1 << 20;

impl Tiers {
    pub(super) fn new() -> Self {
        Self::holding(ROOMY)
    }

    pub(super) fn holding(near_bytes_max: u64) -> Self {
        let shelf = Arc::new(InMemory::new());
        let far = FaultyStore::new(Arc::<InMemory>::clone(&shelf), 1, Faults::default());
        let near = in_memory_folder();
        let now = Arc::new(AtomicU64::new(0));
        let objects = open(&near, near_bytes_max, &far, &now);
        Self {
            far,
            beyond: Objects::new(shelf),
            near,
            now,
            objects,
        }
    }

    /// As another process, or the same after a crash, sees it.
    pub(super) fn reopened(&self) -> Objects {
        open(&self.near, ROOMY, &self.far, &self.now)
    }

    pub(super) fn far_is(&self, faults: Faults) {
        self.far.set(faults);
    }

    pub(super) fn far_is_well(&self) {
        self.far.set(Faults::default());
    }

    pub(super) fn pass(&self, ms: u64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }

    pub(super) fn near_path(&self, name: &str) -> std::path::PathBuf {
        self.near.path().join(name)
    }

    pub(super) fn is_near(&self, name: &str) -> bool {
        self.near_path(name).exists()
    }

    pub(super) fn is_far(&self, name: &str) -> bool {
        self.beyond.size_bytes(&Path::from(name)).unwrap().is_some()
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        self.objects.put(&Path::from(name), bytes.to_vec()).unwrap();
    }

    pub(super) fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        let read = self.objects.get(&Path::from(name), 64 << 20);
        read.map(|bytes| bytes.to_vec())
    }
}

/// A folder whose disk is memory, where there is one: what waits is written through to the disk, which takes its time.
fn in_memory_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

fn open(near: &TempDir, bytes_max: u64, far: &FaultyStore, now: &Arc<AtomicU64>) -> Objects {
    let limits = Limits {
        call_ms: 30,
        ..Limits::default()
    };
    let ticks = Ticks::Hand(Arc::clone(now));
    Objects::tiers_of(near.path(), bytes_max, Arc::new(far.clone()), limits, ticks)
}

pub(super) fn gone() -> Faults {
    Faults {
        down: true,
        ..Faults::default()
    }
}

fn slow() -> Faults {
    Faults {
        latency: Duration::from_secs(3_600),
        ..Faults::default()
    }
}

/// A save, a listing and a restore, with the far store in that state all the while.
fn works_on_and_says_so_once(faults: Faults) {
    let tiers = Tiers::new();
    tiers.put("v2/packs/old", b"old pack");
    tiers.put("v2/entries/old", b"old entry");
    tiers.far_is(faults);
    let started = Instant::now();
    for index in 0..30 {
        tiers.put(&format!("v2/packs/{index}"), b"pack");
    }
    tiers.put("v2/trees/t", b"tree");
    tiers.put("v2/entries/e", b"entry");
    assert_eq!(tiers.get("v2/packs/old").unwrap(), b"old pack");
    assert_eq!(tiers.get("v2/entries/old").unwrap(), b"old entry");
    assert_eq!(tiers.get("v2/packs/7").unwrap(), b"pack");
    assert_eq!(tiers.get("v2/entries/e").unwrap(), b"entry");
    let listed = tiers.objects.list(&Path::from("v2")).unwrap();
    assert_eq!(listed.len(), 34);
    assert!(started.elapsed() < Duration::from_secs(20));
    let notices = tiers.objects.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(
        notices[0].contains("the cache at the shelf does not answer"),
        "{notices:?}"
    );
    assert_eq!(tiers.objects.waiting().unwrap(), 32);
    // Three failures, and nobody knocks again before the pause is over.
    assert!(tiers.far.calls() <= 4 + 3, "{}", tiers.far.calls());
}

#[test]
fn a_far_store_that_is_gone_is_said_once() {
    works_on_and_says_so_once(gone());
}

#[test]
fn a_far_store_that_is_slow_is_said_once() {
    works_on_and_says_so_once(slow());
}

#[test]
fn a_far_store_that_fails_is_said_once() {
    works_on_and_says_so_once(Faults {
        errors: 1_000,
        ..Faults::default()
    });
}

#[test]
fn what_waits_is_sent_in_order_once_the_far_store_answers() {
    let tiers = Tiers::new();
    tiers.far_is(gone());
    for name in [
        "v2/entries/e",
        "v2/used/u",
        "v2/trees/t",
        "v2/packs/q",
        "v2/packs/p",
    ] {
        tiers.put(name, name.as_bytes());
    }
    tiers.far_is_well();
    tiers.objects.flush_pending().unwrap_err();
    let asked_before = tiers.far.asked().len();
    tiers.pass(5_000);
    assert_eq!(tiers.objects.flush_pending().unwrap(), 5);
    assert_eq!(
        tiers.far.asked()[asked_before..],
        [
            "put v2/packs/p",
            "put v2/packs/q",
            "put v2/trees/t",
            "put v2/entries/e",
            "put v2/used/u"
        ]
    );
    assert_eq!(tiers.objects.waiting().unwrap(), 0);
    let read = tiers.beyond.get(&Path::from("v2/entries/e"), 99).unwrap();
    assert_eq!(read, "v2/entries/e");
    let notices = tiers.objects.notices();
    assert_eq!(notices.len(), 2, "{notices:?}");
    assert!(notices[1].ends_with("answers again"), "{notices:?}");
}

#[test]
fn what_must_be_there_at_once_fails_and_never_waits() {
    let tiers = Tiers::new();
    tiers.objects.be_prompt();
    let name = Path::from("v2/trees/t");
    tiers.far_is(gone());
    tiers.objects.put(&name, b"tree".to_vec()).unwrap_err();
    assert_eq!(tiers.objects.waiting().unwrap(), 0);
    tiers.far_is_well();
    tiers.pass(5_000);
    tiers.objects.put(&name, b"tree".to_vec()).unwrap();
    assert!(tiers.is_far("v2/trees/t"));
}

#[test]
fn what_waits_outlives_the_process() {
    let tiers = Tiers::new();
    tiers.far_is(gone());
    tiers.put("v2/packs/p", b"pack");
    tiers.far_is_well();
    let later = tiers.reopened();
    assert_eq!(later.waiting().unwrap(), 1);
    assert_eq!(later.list(&Path::from("v2/packs")).unwrap().len(), 1);
    assert_eq!(later.flush_pending().unwrap(), 1);
    assert!(tiers.is_far("v2/packs/p"));
}

#[test]
fn an_entry_is_never_far_before_the_packs_it_names() {
    let tiers = Tiers::new();
    tiers.far_is(gone());
    tiers.put("v2/packs/p", b"pack");
    tiers.put("v2/trees/t", b"tree");
    tiers.far_is_well();
    tiers.put("v2/entries/e", b"entry");
    let asked = tiers.far.asked();
    let sent = &asked[asked.len() - 3..];
    assert_eq!(
        sent,
        ["put v2/packs/p", "put v2/trees/t", "put v2/entries/e"]
    );
    assert_eq!(tiers.objects.waiting().unwrap(), 0);
}

#[test]
fn the_newest_version_is_read_and_sent_after_an_outage() {
    let tiers = Tiers::new();
    tiers.put("v2/entries/e", b"first");
    tiers.far_is(gone());
    tiers.put("v2/entries/e", b"second");
    tiers.put("v2/entries/e", b"third");
    tiers.far_is_well();
    assert_eq!(tiers.get("v2/entries/e").unwrap(), b"third");
    assert_eq!(tiers.objects.flush_pending().unwrap(), 1);
    let read = tiers.beyond.get(&Path::from("v2/entries/e"), 99).unwrap();
    assert_eq!(read, "third");
}

#[test]
fn a_crash_between_the_near_write_and_the_far_one_stores_nothing() {
    let tiers = Tiers::new();
    // What the crash leaves: a copy, no note, nothing far.
    fs::create_dir_all(tiers.near_path("v2/packs")).unwrap();
    fs::write(tiers.near_path("v2/packs/p"), b"torn").unwrap();
    let objects = tiers.reopened();
    let pack = Path::from("v2/packs/p");
    assert_eq!(objects.size_bytes(&pack).unwrap(), None);
    assert!(objects.list(&Path::from("v2")).unwrap().is_empty());
    assert_eq!(objects.flush_pending().unwrap(), 0);
    assert!(!tiers.is_far("v2/packs/p"));
    objects.put(&pack, b"whole".to_vec()).unwrap();
    assert_eq!(objects.get(&pack, 9).unwrap(), "whole");
    assert!(tiers.is_far("v2/packs/p"));
}

#[test]
fn a_crash_between_the_note_and_its_object_sends_nothing_wrong() {
    let tiers = Tiers::new();
    let hash = blake3::hash(b"whole").to_hex().to_string();
    fs::create_dir_all(tiers.near_path("pending/v2/packs")).unwrap();
    fs::create_dir_all(tiers.near_path("v2/packs")).unwrap();
    for (name, left) in [
        ("none", None),
        ("torn", Some("who")),
        ("whole", Some("whole")),
    ] {
        fs::write(tiers.near_path("pending/v2/packs").join(name), &hash).unwrap();
        if let Some(left) = left {
            fs::write(tiers.near_path("v2/packs").join(name), left).unwrap();
        }
    }
    let objects = tiers.reopened();
    assert_eq!(objects.flush_pending().unwrap(), 1);
    assert!(tiers.is_far("v2/packs/whole"));
    assert!(!tiers.is_far("v2/packs/torn") && !tiers.is_far("v2/packs/none"));
    assert_eq!(objects.waiting().unwrap(), 0);
    assert_eq!(objects.notices().len(), 2);
}

#[test]
fn what_waits_is_never_evicted_and_too_much_of_it_is_refused() {
    let tiers = Tiers::holding(4 * MIB as u64);
    tiers.put("v2/packs/sent", &noise(100, MIB));
    tiers.far_is(gone());
    for index in 0..4 {
        tiers.put(&format!("v2/packs/{index}"), &noise(index, MIB));
    }
    assert!(!tiers.is_near("v2/packs/sent"));
    let refused = tiers.objects.put(&Path::from("v2/packs/4"), noise(4, MIB));
    refused.unwrap_err();
    tiers.far_is_well();
    tiers.pass(5_000);
    assert_eq!(tiers.objects.flush_pending().unwrap(), 4);
    assert_eq!(tiers.get("v2/packs/3").unwrap(), noise(3, MIB));
}

#[test]
fn what_somebody_else_changed_or_removed_is_seen() {
    let tiers = Tiers::new();
    let entry = Path::from("v2/entries/e");
    tiers.put("v2/entries/e", b"mine");
    tiers.beyond.put(&entry, b"theirs".to_vec()).unwrap();
    assert_eq!(tiers.get("v2/entries/e").unwrap(), b"theirs");
    tiers.beyond.delete(&entry).unwrap();
    let read = tiers.get("v2/entries/e").unwrap_err();
    assert!(matches!(read, Error::Missing { .. }), "{read:?}");
    tiers.far_is(gone());
    tiers.get("v2/entries/e").unwrap_err();
}

#[test]
fn a_removed_object_does_not_come_back() {
    let tiers = Tiers::new();
    tiers.far_is(gone());
    tiers.put("v2/packs/p", b"pack");
    tiers.objects.delete(&Path::from("v2/packs/p")).unwrap_err();
    tiers.far_is_well();
    tiers.pass(5_000);
    assert_eq!(tiers.objects.flush_pending().unwrap(), 0);
    assert!(!tiers.is_far("v2/packs/p") && !tiers.is_near("v2/packs/p"));
}

#[test]
fn a_condemnation_nobody_else_sees_is_refused() {
    let tiers = Tiers::new();
    let condemned = Path::from("v2/condemned/c");
    tiers.put("v2/condemned/c", b"packs");
    assert!(!tiers.is_near("v2/condemned/c"));
    tiers.far_is(gone());
    tiers.objects.put(&condemned, b"more".to_vec()).unwrap_err();
    tiers.objects.list(&Path::from("v2/condemned")).unwrap_err();
    tiers.get("v2/condemned/c").unwrap_err();
    assert_eq!(tiers.objects.waiting().unwrap(), 0);
}

#[test]
fn whatever_fails_on_the_way_what_was_taken_is_far_in_the_end() {
    for seed in 0..20 {
        let shelf = Arc::new(InMemory::new());
        let faults = Faults {
            errors: 300,
            torn: 200,
            ..Faults::default()
        };
        let far = FaultyStore::new(Arc::<InMemory>::clone(&shelf), seed, faults);
        let (near, now) = (in_memory_folder(), Arc::default());
        let beyond = Objects::new(shelf);
        for round in 0..3 {
            let objects = open(&near, ROOMY, &far, &now);
            for index in 0..10 {
                now.fetch_add(1_000, Ordering::SeqCst);
                for folder in ["packs", "trees", "entries"] {
                    let name = Path::from(format!("v2/{folder}/{round}-{index}"));
                    objects.put(&name, name.to_string()).unwrap();
                }
                // Nothing visible names what is not there: a far entry has its pack.
                for entry in beyond.list(&Path::from("v2/entries")).unwrap() {
                    let pack = entry.name.to_string().replace("entries", "packs");
                    let read = beyond.get(&Path::from(pack.as_str()), 99);
                    assert_eq!(read.unwrap(), pack.as_bytes(), "seed {seed}");
                }
            }
        }
        far.set(Faults::default());
        now.fetch_add(200_000, Ordering::SeqCst);
        let objects = open(&near, ROOMY, &far, &now);
        objects.flush_pending().unwrap();
        let stored = beyond.list(&Path::from("v2")).unwrap();
        assert_eq!(stored.len(), 90, "seed {seed}");
        for object in stored {
            let read = beyond.get(&object.name, 99).unwrap();
            assert_eq!(read, object.name.to_string().as_bytes(), "seed {seed}");
        }
    }
}
