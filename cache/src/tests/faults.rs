use std::sync::Arc;

use croft_proto::Timestamp;
use object_store::memory::InMemory;

use super::{ROOMY, Site, Use, noise, skip};
use crate::backend::faults::{Faults, FaultyStore};
use crate::{Found, Mode, Policy, Repair, Store};

const KEYS: [&str; 3] = ["a", "b", "c"];

/// Histories of each sort of fault.
const SEEDS: u64 = 12;

fn site(seed: u64) -> Site {
    let site = Site::new();
    for number in 0..6 {
        // Shared by all, and its own.
        site.write(&format!("target/shared{number}"), &noise(number, 40_000));
        site.write(
            &format!("target/own{number}"),
            &noise(seed * 100 + number, 90_000),
        );
    }
    site
}

/// A hit gives what was saved; anything else leaves nothing.
#[track_caller]
fn gives_right_bytes_or_none(store: &Store, key: &'static str, seed: u64) -> bool {
    let to = Site::new();
    let restored = Use::key(key).restore(store, &to);
    match restored {
        Ok(restored) if restored.found != Found::Miss => {
            for number in 0..6 {
                assert_eq!(
                    to.read(&format!("target/shared{number}")),
                    noise(number, 40_000)
                );
                assert_eq!(
                    to.read(&format!("target/own{number}")),
                    noise(seed * 100 + number, 90_000)
                );
            }
            true
        }
        Ok(_) | Err(_) => {
            assert!(!to.has("target"), "half of an entry was left");
            false
        }
    }
}

/// Saves, restores and collects under faults, then without.
fn suffers(faults: &Faults, keeps_what_was_there: bool) {
    for seed in 1..=SEEDS {
        let faulty = FaultyStore::new(Arc::new(InMemory::new()), seed, Faults::default());
        let store = Store::new(Arc::new(faulty.clone()), ROOMY).unwrap();
        Use::key("before").save(&store, &site(99)).unwrap();
        faulty.set(faults.clone());
        for (key, own) in KEYS.into_iter().zip(1..) {
            // Whatever it says: the next lines look at what holds.
            drop(Use::key(key).save(&store, &site(own)));
            gives_right_bytes_or_none(&store, key, own);
            gives_right_bytes_or_none(&store, "before", 99);
        }
        let later = Timestamp::from_millis(3_600_000);
        drop(store.collect(&Policy::default(), Mode::Act, later));
        faulty.set(Faults::default());
        let is_there = gives_right_bytes_or_none(&store, "before", 99);
        assert!(is_there || !keeps_what_was_there, "seed {seed}: {faults:?}");
        for (key, own) in KEYS.into_iter().zip(1..) {
            if !gives_right_bytes_or_none(&store, key, own) {
                // The look-up has removed what was useless, and so the next save stores it.
                Use::key(key).save(&store, &site(own)).unwrap();
            }
            assert!(
                gives_right_bytes_or_none(&store, key, own),
                "seed {seed}, {key}: {faults:?}"
            );
        }
        store.verify(Repair::Yes, later).unwrap();
        let left = store.verify(Repair::No, later).unwrap().damaged;
        assert_eq!(left, [], "seed {seed}: {faults:?}");
    }
}

#[test]
fn calls_that_fail_cost_a_miss() {
    for errors in [50, 300] {
        let faults = Faults {
            errors,
            ..Faults::default()
        };
        suffers(&faults, true);
    }
}

#[test]
fn a_torn_write_that_says_so_costs_a_miss() {
    let faults = Faults {
        torn: 300,
        ..Faults::default()
    };
    suffers(&faults, true);
}

#[test]
fn a_write_cut_short_without_a_word_is_found() {
    let faults = Faults {
        cut: 300,
        ..Faults::default()
    };
    suffers(&faults, true);
}

#[test]
fn a_write_that_was_lost_without_a_word_is_found() {
    let faults = Faults {
        lost: 300,
        ..Faults::default()
    };
    suffers(&faults, true);
}

#[test]
fn bits_that_flip_on_the_way_are_never_served() {
    // Two flips in a row look like damage, and what they hit is taken for lost.
    for (flips, keeps) in [(20, false), (300, false)] {
        let faults = Faults {
            flips,
            ..Faults::default()
        };
        suffers(&faults, keeps);
    }
}

#[test]
fn listings_that_are_late_never_give_wrong_bytes() {
    for stale_by in [1, 5, 20] {
        let faults = Faults {
            stale_by,
            ..Faults::default()
        };
        // An entry whose packs are not listed yet looks incomplete, and is removed as such: a miss, and saved anew.
        suffers(&faults, false);
    }
}

#[test]
fn a_store_that_is_full_keeps_what_it_has() {
    for full_after in [0, 100_000, 700_000] {
        let faults = Faults {
            full_after: Some(full_after),
            ..Faults::default()
        };
        suffers(&faults, true);
    }
}

/// A small file system in memory; gone with this value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = std::ffi::CString::new(format!("size={bytes}")).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        let mounted =
            rustix::mount::mount("tmpfs", folder.path(), "tmpfs", flags, options.as_c_str());
        mounted.ok().map(|()| Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let flags = rustix::mount::UnmountFlags::DETACH;
        rustix::mount::unmount(self.0.path(), flags).unwrap();
    }
}

#[test]
fn a_full_disk_fails_the_save_alone_and_is_emptied_of_what_it_wrote() {
    let Some(disk) = SmallDisk::mount(6 << 20) else {
        skip("only root can mount a small disk");
        return;
    };
    let store = Store::open(&disk.0.path().join("cache"), ROOMY).unwrap();
    Use::key("before").save(&store, &site(99)).unwrap();
    let big = Site::with(&[("target/big", &noise(7, 20 << 20))]);
    let error = Use::key("big").save(&store, &big).unwrap_err();
    assert!(error.to_string().starts_with("failed to write"), "{error}");
    assert!(gives_right_bytes_or_none(&store, "before", 99));
    assert!(!gives_right_bytes_or_none(&store, "big", 0));
    Use::key("a").save(&store, &site(1)).unwrap();
    assert!(gives_right_bytes_or_none(&store, "a", 1));
    let now = Timestamp::from_millis(5_000);
    assert_eq!(store.verify(Repair::No, now).unwrap().damaged, []);
}
