use super::transfer::{LIMITS, NOW, batches, put, send};
use super::{DAY, HALF_AN_HOUR, ROOMY, Site, at, in_memory, noise};
use crate::layout::folder;
use crate::records::RemovalReason;
use crate::writing::Writing;
use crate::{Adoption, Error, Mode, Offer, Policy, Selector, Store, TreeRef};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// A tree in a store of its own, and its offer.
fn source() -> (Site, Store, TreeRef, Offer) {
    let site = Site::with(&[("a", &noise(1, 50_000)), ("b/c", &noise(2, 300_000))]);
    let from = in_memory();
    let tree = put(&from, &site.path(""));
    let offer = from.offer(&tree).unwrap();
    (site, from, tree, offer)
}

fn receive_at(store: &Store, from: &Store, offer: &Offer, now_ms: u64) {
    let wanted = store.wanting(&offer.ids()).unwrap();
    let sent = batches(from, offer, &wanted);
    let now = || at(now_ms);
    store.receive(&mut sent.as_slice(), &LIMITS, &now).unwrap();
}

fn collect(store: &Store, policy: &Policy, now_ms: u64) {
    store.collect(policy, Mode::Act, at(now_ms)).unwrap();
}

fn nothing_stays() -> Policy {
    Policy {
        idle_ms_max: Some(0),
        bytes_max: Some(0),
        ..Policy::default()
    }
}

fn is_whole(store: &Store, tree: &TreeRef, now_ms: u64) -> bool {
    let Some(found) = store.tree(&tree.id, at(now_ms)).unwrap() else {
        return false;
    };
    let into = tempfile::tempdir().unwrap();
    store.get(&found, into.path()).unwrap();
    true
}

fn is_adopted(store: &Store, offer: &Offer, now_ms: u64) -> bool {
    match store.adopt(offer, at(now_ms)).unwrap() {
        Adoption::Visible { .. } => true,
        Adoption::Missing(missing) => {
            assert!(!missing.is_empty());
            false
        }
    }
}

/// A store whose collections wait, and one whose collections remove at once.
fn stores() -> (tempfile::TempDir, [Store; 2]) {
    let place = tempfile::tempdir().unwrap();
    let alone = Store::open(place.path(), ROOMY).unwrap();
    (place, [in_memory(), alone])
}

#[test]
fn what_was_received_survives_every_collection_of_an_hour() {
    let (_site, from, tree, offer) = source();
    let (_place, stores) = stores();
    for store in stores {
        receive_at(&store, &from, &offer, NOW);
        for minutes in [0, 31, 59] {
            collect(&store, &nothing_stays(), NOW + minutes * MINUTE);
        }
        let now_ms = NOW + 60 * MINUTE;
        assert!(is_adopted(&store, &offer, now_ms));
        assert!(is_whole(&store, &tree, now_ms));
    }
}

#[test]
fn what_nobody_adopted_goes_and_adopting_it_later_says_so() {
    let (_site, from, tree, offer) = source();
    let (_place, stores) = stores();
    for store in stores {
        receive_at(&store, &from, &offer, NOW);
        // An hour, and ten minutes for clocks that differ.
        let mut now_ms = NOW + 70 * MINUTE + 1;
        for _ in 0..3 {
            collect(&store, &Policy::default(), now_ms);
            now_ms += HALF_AN_HOUR;
        }
        assert_eq!(store.stored_bytes().unwrap(), 0);
        let adopted = store.adopt(&offer, at(now_ms)).unwrap();
        assert_eq!(adopted, Adoption::Missing(offer.ids()));
        receive_at(&store, &from, &offer, now_ms);
        assert!(is_adopted(&store, &offer, now_ms));
        assert!(is_whole(&store, &tree, now_ms));
    }
}

#[test]
fn what_is_condemned_between_is_missing_until_it_is_sent_again() {
    let (_site, from, tree, offer) = source();
    let store = in_memory();
    receive_at(&store, &from, &offer, NOW);
    // As if the lease had ended while the client was away.
    for lease in store.objects.list(&folder("leases")).unwrap() {
        store.objects.delete(&lease.name).unwrap();
    }
    collect(&store, &Policy::default(), NOW);
    assert!(!is_adopted(&store, &offer, NOW), "it is about to go");
    receive_at(&store, &from, &offer, NOW);
    assert!(is_adopted(&store, &offer, NOW));
    for halves in 1..5 {
        let now_ms = NOW + halves * HALF_AN_HOUR;
        collect(&store, &Policy::default(), now_ms);
        assert!(is_whole(&store, &tree, now_ms));
    }
}

#[test]
fn an_adoption_beside_another_machines_collection_loses_nothing() {
    let (_site, from, tree, offer) = source();
    let store = in_memory();
    let mut other = store.clone();
    other.lock = crate::lock::Lock::in_memory();
    receive_at(&store, &from, &offer, NOW);
    for lease in store.objects.list(&folder("leases")).unwrap() {
        store.objects.delete(&lease.name).unwrap();
    }
    // It has looked at what is here and is about to write the record, while another machine condemns what nothing uses.
    let writing = Writing::begin(&store, at(NOW)).unwrap();
    collect(&other, &Policy::default(), NOW);
    assert_eq!(store.wanting(&offer.ids()).unwrap(), offer.ids());
    let files = from.entries(&tree).unwrap();
    let record = store.tree_record(&tree, &files, 0, at(NOW));
    for halves in 0..3 {
        collect(&other, &Policy::default(), NOW + halves * HALF_AN_HOUR);
    }
    store.write_record(&record).unwrap();
    drop(writing);
    for halves in 3..8 {
        let now_ms = NOW + halves * HALF_AN_HOUR;
        collect(&other, &Policy::default(), now_ms);
        assert!(is_whole(&store, &tree, now_ms));
    }
}

#[test]
fn an_adopted_tree_stays_for_an_hour_whatever_the_policy() {
    let (_site, from, tree, _) = source();
    let (_place, stores) = stores();
    for store in stores {
        send(&from, &store, &tree);
        for minutes in [1, 30, 60] {
            let now_ms = NOW + minutes * MINUTE;
            collect(&store, &nothing_stays(), now_ms);
            assert!(is_whole(&store, &tree, now_ms));
        }
        let late = NOW + 3 * HOUR;
        collect(&store, &nothing_stays(), late);
        assert!(!is_whole(&store, &tree, late));
    }
}

#[test]
fn the_source_of_a_build_that_waits_for_hours_is_still_there() {
    let (_site, from, tree, _) = source();
    let (_place, stores) = stores();
    for store in stores {
        send(&from, &store, &tree);
        let until = at(NOW + 8 * HOUR);
        assert_eq!(store.hold_tree(&tree.id, until, at(NOW)).unwrap(), until);
        for hours in 1..=8 {
            let now_ms = NOW + hours * HOUR;
            collect(&store, &nothing_stays(), now_ms);
            assert!(is_whole(&store, &tree, now_ms), "after {hours} hours");
        }
        let mut now_ms = NOW + 8 * HOUR + 11 * MINUTE;
        for _ in 0..3 {
            collect(&store, &nothing_stays(), now_ms);
            now_ms += HALF_AN_HOUR;
        }
        assert!(store.tree(&tree.id, at(now_ms)).unwrap().is_none());
        assert_eq!(store.objects.list(&folder("packs")).unwrap().len(), 0);
    }
}

#[test]
fn a_hold_ends_after_a_day_unless_it_is_asked_for_again() {
    let (_site, from, tree, _) = source();
    let store = in_memory();
    send(&from, &store, &tree);
    let until = at(NOW + 3 * DAY);
    let day = store.hold_tree(&tree.id, until, at(NOW)).unwrap();
    assert_eq!(day, at(NOW + DAY));
    let later = NOW + DAY - HOUR;
    let second = store.hold_tree(&tree.id, until, at(later)).unwrap();
    assert_eq!(second, at(later + DAY));
    for hours in [25, 36, 46] {
        let now_ms = NOW + hours * HOUR;
        collect(&store, &nothing_stays(), now_ms);
        assert!(is_whole(&store, &tree, now_ms));
    }
}

#[test]
fn a_person_who_removes_a_held_tree_is_obeyed() {
    let (_site, from, tree, _) = source();
    let store = in_memory();
    send(&from, &store, &tree);
    store.hold_tree(&tree.id, at(NOW + HOUR), at(NOW)).unwrap();
    let all = Policy {
        asked: Some(Selector::All),
        ..nothing_stays()
    };
    let collected = store.collect(&all, Mode::Act, at(NOW)).unwrap();
    assert_eq!(collected.departures[0].reason, RemovalReason::Asked);
    assert!(store.tree(&tree.id, at(NOW)).unwrap().is_none());
}

#[test]
fn a_tree_that_is_not_whole_cannot_be_held() {
    let (_site, from, tree, offer) = source();
    let store = in_memory();
    let hold = |now_ms| store.hold_tree(&tree.id, at(now_ms + HOUR), at(now_ms));
    assert!(matches!(hold(NOW), Err(Error::Missing { .. })));
    receive_at(&store, &from, &offer, NOW);
    assert!(matches!(hold(NOW), Err(Error::Missing { .. })));
    assert!(is_adopted(&store, &offer, NOW));
    hold(NOW).unwrap();
    for pack in store.objects.list(&folder("packs")).unwrap() {
        store.objects.delete(&pack.name).unwrap();
    }
    let leases = store.objects.list(&folder("leases")).unwrap().len();
    assert!(matches!(hold(NOW), Err(Error::Missing { .. })));
    let after = store.objects.list(&folder("leases")).unwrap().len();
    assert_eq!(after, leases, "a hold in vain leaves no lease");
}

#[test]
fn a_store_over_its_cap_keeps_what_was_just_sent() {
    let place = tempfile::tempdir().unwrap();
    let (_site, from, tree, _) = source();
    let store = Store::open(place.path(), 800_000).unwrap();
    let old = Site::with(&[("old", &noise(7, 600_000))]);
    put(&store, &old.path(""));
    send(&from, &store, &tree);
    assert!(is_whole(&store, &tree, NOW));
    let usage = store.usage().unwrap();
    assert_eq!(usage.entries, 1, "the old one made room");
    assert!(usage.stored_bytes < 800_000);
}

#[test]
fn a_tree_that_fills_the_cap_is_not_adopted() {
    let place = tempfile::tempdir().unwrap();
    let (_site, from, tree, offer) = source();
    let store = Store::open(place.path(), 360_000).unwrap();
    receive_at(&store, &from, &offer, NOW);
    let refused = store.adopt(&offer, at(NOW));
    assert!(matches!(refused, Err(Error::TooLarge { .. })));
    assert!(store.tree(&tree.id, at(NOW)).unwrap().is_none());
}
