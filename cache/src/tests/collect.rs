use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;

use super::{HALF_AN_HOUR, ROOMY, Site, Use, at, noise};
use crate::gc::Mode;
use crate::layout::folder;
use crate::lock::Lock;
use crate::records::RemovalReason;
use crate::records::sealed::sealed_as;
use crate::tree::Anchor;
use crate::writing::Writing;
use crate::{Collected, Error, Found, Policy, Put, Repair, Selector, Store};

/// Ten minutes.
const SKEW: u64 = 600_000;

/// When a test begins: late enough that clocks can be behind.
const START: u64 = 1_800_000_000_000;

fn shared() -> (Arc<InMemory>, Store) {
    let inner = Arc::new(InMemory::new());
    let store = Store::new(Arc::clone(&inner) as Arc<dyn ObjectStore>, ROOMY).unwrap();
    (inner, store)
}

/// The same store, as another machine sees it.
fn another(store: &Store) -> Store {
    let mut other = store.clone();
    other.lock = Lock::in_memory();
    other
}

fn site(seed: u64) -> Site {
    Site::with(&[("target/a", &noise(seed, 50_000))])
}

fn all() -> Policy {
    Policy {
        asked: Some(Selector::All),
        ..Policy::default()
    }
}

fn collect(store: &Store, policy: &Policy, now_ms: u64) -> Collected {
    store.collect(policy, Mode::Act, at(now_ms)).unwrap()
}

fn count(store: &Store, kind: &str) -> usize {
    store.objects.list(&folder(kind)).unwrap().len()
}

/// The name of the one record there is, its first line without the seal, and its JSON.
fn only_record(store: &Store) -> (Path, String, String) {
    let name = store.objects.list(&folder("entries")).unwrap()[0]
        .name
        .clone();
    let text = store.objects.get(&name, 1 << 20).unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    let (line, json) = text.split_once('\n').unwrap();
    let envelope = line.rsplit_once(' ').unwrap().0;
    (name, envelope.to_string(), json.to_string())
}

fn is_found(store: &Store, key: &'static str, seed: u64, now_ms: u64) -> bool {
    let to = Site::new();
    let restored = Use::key(key).at(now_ms).restore(store, &to).unwrap();
    if restored.found == Found::Miss {
        return false;
    }
    assert_eq!(to.read("target/a"), noise(seed, 50_000));
    true
}

#[test]
fn what_nothing_uses_is_condemned_first_and_goes_after_half_an_hour() {
    let (_, store) = shared();
    Use::key("k").at(START).save(&store, &site(1)).unwrap();
    let packs = count(&store, "packs");
    let removed = collect(&store, &all(), START);
    assert_eq!(removed.departures[0].reason, RemovalReason::Asked);
    assert_eq!(
        (count(&store, "entries"), count(&store, "packs")),
        (0, packs)
    );
    assert!(removed.condemned_bytes > 50_000, "{removed:?}");
    let early = collect(&store, &Policy::default(), START + HALF_AN_HOUR - 1);
    assert_eq!((early.condemned_bytes, count(&store, "packs")), (0, packs));
    let late = collect(&store, &Policy::default(), START + HALF_AN_HOUR);
    assert!(late.freed_bytes > 50_000, "{late:?}");
    assert_eq!(store.stored_bytes().unwrap(), 0);
}

#[test]
fn a_save_that_began_before_is_waited_for_whatever_the_clocks_say() {
    for (saver, collector) in [(0, 0), (0, 2 * SKEW), (2 * SKEW, 0)] {
        let (_, store) = shared();
        let slow = another(&store);
        Use::key("old").at(START).save(&store, &site(1)).unwrap();
        let writing = Writing::begin(&slow, at(START + saver)).unwrap();
        collect(&store, &all(), START + collector);
        // Most of the two hours that a save may take, by either clock.
        for minutes in [0, 31, 60, 90] {
            let now_ms = START + collector + minutes * 60_000;
            collect(&store, &Policy::default(), now_ms);
        }
        // It counts on what it saw, as a save does that was quick but for this.
        Use::key("new")
            .at(START + saver)
            .save(&slow, &site(1))
            .unwrap();
        assert!(is_found(&store, "new", 1, START));
        drop(writing);
        for later in [100, 131, 162] {
            let now_ms = START + collector + later * 60_000;
            collect(&store, &Policy::default(), now_ms);
            assert!(is_found(&store, "new", 1, now_ms), "{saver} {collector}");
        }
        assert_eq!(store.verify(Repair::No, at(START)).unwrap().damaged, []);
    }
}

#[test]
fn the_lease_of_a_dead_save_is_in_the_way_for_two_hours_and_ten_minutes() {
    let (_, store) = shared();
    Use::key("k").at(START).save(&store, &site(1)).unwrap();
    std::mem::forget(Writing::begin(&store, at(START)).unwrap());
    collect(&store, &all(), START);
    let over = START + 130 * 60_000;
    collect(&store, &Policy::default(), over);
    assert!(count(&store, "packs") > 0);
    collect(&store, &Policy::default(), over + 1);
    assert_eq!((count(&store, "packs"), count(&store, "leases")), (0, 0));
}

#[test]
fn a_save_after_the_condemnation_stores_anew_what_is_condemned() {
    let (_, store) = shared();
    let first = Use::key("old").at(START).save(&store, &site(1)).unwrap();
    collect(&store, &all(), START);
    let again = Use::key("new").at(START).save(&store, &site(1)).unwrap();
    assert!(again.stored_bytes + 2_000 > first.stored_bytes, "{again:?}");
    let swept = collect(&store, &Policy::default(), START + HALF_AN_HOUR);
    assert!(swept.freed_bytes > 50_000, "{swept:?}");
    assert!(is_found(&store, "new", 1, START));
}

#[test]
fn a_condemnation_whose_collection_died_is_sealed_by_the_next_and_carried_out_by_one_after() {
    let (inner, store) = shared();
    Use::key("k").at(START).save(&store, &site(1)).unwrap();
    collect(&store, &all(), START);
    let name = store.objects.list(&folder("condemned")).unwrap()[0]
        .name
        .clone();
    let text = store.objects.get(&name, 1 << 20).unwrap();
    let sealed = String::from_utf8(text.to_vec()).unwrap();
    let unsealed = sealed[65..].replace("\"waitsFor\":[]", "\"waitsFor\":null");
    assert_ne!(unsealed, sealed[65..]);
    let bytes = format!("{}\n{unsealed}", crate::Id::of(unsealed.as_bytes()));
    store.objects.put(&name, bytes.into_bytes()).unwrap();
    let other = another(&store);
    let slow = Writing::begin(&other, at(START + 1)).unwrap();
    collect(&store, &Policy::default(), START + 2 * HALF_AN_HOUR);
    assert!(
        count(&store, "packs") > 0,
        "an unsealed one is never carried out"
    );
    collect(&store, &Policy::default(), START + 2 * HALF_AN_HOUR);
    assert!(count(&store, "packs") > 0, "the save may not have seen it");
    drop(slow);
    collect(&store, &Policy::default(), START + 2 * HALF_AN_HOUR);
    assert_eq!(count(&store, "packs"), 0);
    drop(inner);
}

#[test]
fn a_torn_condemnation_is_removed_and_harms_nothing() {
    let (_, store) = shared();
    Use::key("k").at(START).save(&store, &site(1)).unwrap();
    let name = folder("condemned").join("torn");
    store.objects.put(&name, b"half".to_vec()).unwrap();
    collect(&store, &Policy::default(), START);
    assert_eq!(count(&store, "condemned"), 0);
    assert!(is_found(&store, "k", 1, START));
}

#[test]
fn packs_that_were_condemned_and_are_used_all_the_same_lose_nothing() {
    let (_, store) = shared();
    let slow = another(&store);
    Use::key("old").at(START).save(&store, &site(1)).unwrap();
    // It has looked, and counts on the packs that are condemned next.
    let writing = Writing::begin(&slow, at(START)).unwrap();
    let record = store.records_here(at(START)).unwrap().remove(0);
    collect(&store, &all(), START);
    slow.write_record(&record).unwrap();
    drop(writing);
    let mut now_ms = START;
    for _ in 0..5 {
        now_ms += HALF_AN_HOUR;
        collect(&store, &Policy::default(), now_ms);
        assert!(is_found(&store, "old", 1, now_ms));
    }
    // What was used has moved; what was condemned is gone, and nothing is condemned any more.
    assert_eq!(count(&store, "condemned"), 0);
    assert!(store.stored_bytes().unwrap() < 60_000);
    assert_eq!(store.verify(Repair::No, at(now_ms)).unwrap().damaged, []);
}

#[test]
fn a_condemned_pack_is_never_pardoned_under_a_collection_that_has_read_the_condemnation() {
    let (_, store) = shared();
    Use::key("old").at(START).save(&store, &site(1)).unwrap();
    let record = store.records_here(at(START)).unwrap().remove(0);
    collect(&store, &all(), START);
    let doomed = store.objects.list(&folder("packs")).unwrap();
    store.write_record(&record).unwrap();
    // The collection that finds them in use again; a save that begins right after it.
    collect(&store, &Policy::default(), START + HALF_AN_HOUR);
    let writing = Writing::begin(&store, at(START + HALF_AN_HOUR)).unwrap();
    for pack in doomed {
        let place = writing
            .index
            .packs()
            .iter()
            .find(|one| one.listed.name == pack.name);
        assert!(place.is_none_or(|one| one.condemned), "{}", pack.name);
    }
}

#[test]
fn a_lease_that_cannot_be_read_stops_the_sweep_until_it_must_have_ended() {
    let (_, store) = shared();
    Use::key("k").at(START).save(&store, &site(1)).unwrap();
    let name = folder("leases").join(format!("{START:012x}-{}", "ab".repeat(16)));
    store.objects.put(&name, b"not a lease".to_vec()).unwrap();
    collect(&store, &all(), START);
    collect(&store, &Policy::default(), START + 3 * HALF_AN_HOUR);
    assert!(count(&store, "packs") > 0 && count(&store, "leases") == 1);
    let day = START + 25 * 3_600_000;
    collect(&store, &Policy::default(), day);
    collect(&store, &Policy::default(), day + HALF_AN_HOUR);
    assert_eq!((count(&store, "packs"), count(&store, "leases")), (0, 0));
}

#[test]
fn a_held_tree_stays_when_its_record_is_removed() {
    let (_, store) = shared();
    let from = Site::with(&[("a", &noise(1, 50_000))]);
    let directory = from.path("");
    let put = Put {
        directory: &directory,
        now: at(START),
    };
    let tree = store.put(&put).unwrap().tree;
    let mut hold = store.hold(&tree, 3_600_000, at(START)).unwrap();
    collect(&store, &all(), START);
    for minutes in [31, 59, 90, 119, 130] {
        let now_ms = START + minutes * 60_000;
        if minutes == 59 {
            hold.renew(at(now_ms)).unwrap();
        }
        collect(&store, &Policy::default(), now_ms);
        let into = tempfile::tempdir().unwrap();
        store.get(&tree, into.path()).unwrap();
    }
    drop(hold);
    let mut now_ms = START + 131 * 60_000;
    for _ in 0..3 {
        collect(&store, &Policy::default(), now_ms);
        now_ms += HALF_AN_HOUR;
    }
    assert_eq!(count(&store, "packs"), 0);
    assert!(store.tree(&tree.id, at(now_ms)).unwrap().is_none());
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_would_go_and_why() {
    let (inner, store) = shared();
    Use::key("k").at(START).save(&store, &site(1)).unwrap();
    let objects = || -> Vec<(Path, u64)> {
        let listed = store.objects.list(&crate::layout::everything()).unwrap();
        listed
            .into_iter()
            .map(|one| (one.name, one.size_bytes))
            .collect()
    };
    let before = objects();
    let policy = Policy {
        idle_ms_max: Some(3_600_000),
        ..Policy::default()
    };
    let would = store
        .collect(&policy, Mode::DryRun, at(START + 7_200_000))
        .unwrap();
    assert_eq!(objects(), before);
    let departure = &would.departures[0];
    assert_eq!(departure.key.as_deref(), Some("k"));
    assert_eq!(departure.reason, RemovalReason::Age);
    assert_eq!(departure.explanation, "not used for 2 h");
    assert!(would.condemned_bytes > 50_000 && would.freed_bytes == 0);
    drop(inner);
}

#[test]
fn each_policy_removes_what_it_says_and_explains_it() {
    let hour = 3_600_000;
    let rows = [
        (
            Policy {
                idle_ms_max: Some(2 * hour),
                ..Policy::default()
            },
            vec!["a"],
            RemovalReason::Age,
            "not used for 3 h",
        ),
        (
            Policy {
                entries_max: Some(1),
                ..Policy::default()
            },
            vec!["b", "a"],
            RemovalReason::Count,
            "1 of its project were used since",
        ),
        (
            Policy {
                bytes_max: Some(60_000),
                ..Policy::default()
            },
            vec!["b", "a"],
            RemovalReason::Size,
            "no room, and worth less than what stays: took 0 s to make, 1 MiB stored, not used for 2 h",
        ),
    ];
    for (policy, gone, reason, explanation) in rows {
        let (_, store) = shared();
        for (key, seed) in [("a", 1), ("b", 2), ("c", 3)] {
            let now_ms = START + seed * hour;
            Use::key(key).at(now_ms).save(&store, &site(seed)).unwrap();
        }
        let collected = collect(&store, &policy, START + 4 * hour);
        let mut keys: Vec<_> = collected
            .departures
            .iter()
            .filter_map(|one| one.key.as_deref())
            .collect();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(keys, gone);
        let first = &collected.departures[0];
        assert_eq!(
            (first.reason, first.explanation.as_str()),
            (reason, explanation)
        );
        assert!(is_found(&store, "c", 3, START));
    }
}

#[test]
fn what_is_dear_stays_when_what_is_cheap_was_used_since() {
    let (_, store) = shared();
    let save = |key: &'static str, seed: u64, cost_ms: u64, now_ms: u64| {
        let (site, used) = (site(seed), Use::key(key).at(now_ms));
        let mut saving = used.saving(&site);
        saving.origin.cost_ms = cost_ms;
        store.save(&saving).unwrap();
    };
    save("dear", 1, 3_600_000, START);
    save("cheap", 2, 1_000, START + 3_600_000);
    let policy = Policy {
        bytes_max: Some(60_000),
        ..Policy::default()
    };
    let collected = collect(&store, &policy, START + 7_200_000);
    assert_eq!(collected.departures[0].key.as_deref(), Some("cheap"));
    assert!(is_found(&store, "dear", 1, START));
}

#[test]
fn removing_from_a_folder_frees_at_once_unless_somebody_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), ROOMY).unwrap();
    let other = Store::open(folder.path(), ROOMY).unwrap();
    Use::key("k").at(START).save(&store, &site(1)).unwrap();
    let held = other.share().unwrap();
    let removed = store.remove(&Selector::All, at(START)).unwrap();
    assert_eq!(removed.entries, 1);
    assert!(count(&store, "packs") > 0, "condemned, not removed");
    drop(held);
    let freed = store.remove(&Selector::All, at(START)).unwrap();
    assert!(freed.freed_bytes > 50_000);
    assert_eq!(store.stored_bytes().unwrap(), 0);
}

#[test]
fn a_collection_leaves_a_record_of_a_later_format_and_all_it_may_need() {
    let (inner, store) = shared();
    Use::key("k").at(START).save(&store, &site(1)).unwrap();
    let (name, envelope, json) = only_record(&store);
    let envelope = envelope.replacen(" 2 ", " 3 ", 1);
    let seal = sealed_as(&envelope, json.as_bytes());
    let later = format!("{envelope} {seal}\n{json}");
    store.objects.put(&name, later.into_bytes()).unwrap();
    let error = store.collect(&all(), Mode::Act, at(START)).unwrap_err();
    assert!(matches!(error, Error::NotUnderstood { .. }), "{error:?}");
    assert_eq!(count(&store, "condemned"), 0);
    drop(inner);
}

#[test]
fn folders_made_for_mounting_go_with_everything_but_not_while_they_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), ROOMY).unwrap();
    let from = Site::with(&[("a", b"bytes")]);
    let directory = from.path("");
    let put = Put {
        directory: &directory,
        now: at(START),
    };
    let tree = store.put(&put).unwrap().tree;
    let live = store.materialise(&tree, at(START)).unwrap();
    store.remove(&Selector::All, at(START)).unwrap();
    assert!(live.folder(Anchor::Source).join("a").exists());
    let place = live.folder(Anchor::Source);
    drop(live);
    store.remove(&Selector::All, at(START)).unwrap();
    assert!(!place.exists());
}

/// Two machines that write one scope of one bucket, of which neither knows the other's key.
fn two_strangers() -> [Store; 2] {
    let bucket: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    [(); 2].map(|()| Store::new(Arc::clone(&bucket), ROOMY).unwrap())
}

#[test]
fn what_is_no_entry_but_sealed_as_one_keeps_nothing_and_stands_in_nobodys_way() {
    let (_, store) = shared();
    Use::key("k").at(START).save(&store, &site(1)).unwrap();
    let (name, envelope, json) = only_record(&store);
    for (place, json) in [
        ("torn", "{"),
        ("words", r#"{"croftRecord":2,"scope":7}"#),
        ("elsewhere", &json),
    ] {
        let seal = sealed_as(&envelope, json.as_bytes());
        let forged = format!("{envelope} {seal}\n{json}");
        let name = folder("entries").join(place);
        store.objects.put(&name, forged.into_bytes()).unwrap();
    }
    store.objects.delete(&name).unwrap();
    collect(&store, &Policy::default(), START);
    collect(&store, &Policy::default(), START + HALF_AN_HOUR);
    assert_eq!((count(&store, "packs"), count(&store, "entries")), (0, 3));
}

#[test]
fn how_many_entries_stay_is_about_builds_only() {
    let (_, store) = shared();
    let folders = [site(1), site(2)];
    let trees: Vec<_> = folders
        .iter()
        .map(|site| {
            let directory = site.path("");
            let put = Put {
                directory: &directory,
                now: at(START),
            };
            store.put(&put).unwrap().tree
        })
        .collect();
    for (key, seed) in [("a", 3), ("b", 4)] {
        Use::key(key).at(START).save(&store, &site(seed)).unwrap();
    }
    // A build's project may be called like that of the trees.
    let used = Use::key("c").at(START);
    let named = site(5);
    let mut saving = used.saving(&named);
    saving.project = "tree";
    store.save(&saving).unwrap();
    let policy = Policy {
        entries_max: Some(1),
        ..Policy::default()
    };
    let gone = collect(&store, &policy, START + 1).departures;
    assert_eq!(gone.len(), 1, "{gone:?}");
    let index = store.index().unwrap();
    for tree in &trees {
        assert!(index.missing(&tree.list.chunks).is_none());
    }
}

#[test]
fn what_a_stranger_says_an_entry_cost_pushes_nobody_elses_out() {
    let [own, stranger] = two_strangers();
    let save = |store: &Store, key: &'static str, seed, cost_ms| {
        let (site, used) = (site(seed), Use::key(key).at(START));
        let mut saving = used.saving(&site);
        saving.origin.cost_ms = cost_ms;
        store.save(&saving).unwrap();
    };
    save(&own, "own", 1, 1_000);
    save(&stranger, "strange", 2, u64::MAX);
    let policy = Policy {
        bytes_max: Some(60_000),
        ..Policy::default()
    };
    let gone = collect(&own, &policy, START).departures;
    let keys: Vec<_> = gone.iter().map(|one| one.key.as_deref()).collect();
    assert_eq!(keys, [Some("strange")]);
}

#[test]
fn a_later_crofts_condemnation_stays_and_what_it_may_mean_is_not_counted_on() {
    let (_, store) = shared();
    Use::key("k").at(START).save(&store, &site(1)).unwrap();
    let json = br#"{"croftCondemned":2,"where":"elsewhere"}"#;
    let sealed = [crate::Id::of(json).to_string().as_bytes(), b"\n", json].concat();
    let name = folder("condemned").join("later");
    store.objects.put(&name, sealed).unwrap();
    assert!(is_found(&store, "k", 1, START));
    let error = store.collect(&all(), Mode::Act, at(START)).unwrap_err();
    assert!(matches!(error, Error::NotUnderstood { .. }), "{error:?}");
    let packs = count(&store, "packs");
    let index = store.index().unwrap();
    assert!(index.packs().iter().all(|pack| pack.condemned));
    // What is stored anew goes into a pack of another name: no two are salted alike.
    Use::key("again").at(START).save(&store, &site(1)).unwrap();
    assert!(count(&store, "packs") > packs);
    assert_eq!(count(&store, "condemned"), 1);
}

#[test]
fn a_list_that_is_about_to_go_is_written_again_though_nothing_of_the_tree_changed() {
    let (_, store) = shared();
    let from = Site::new();
    std::fs::create_dir_all(from.path("target")).unwrap();
    std::os::unix::fs::symlink("nowhere", from.path("target/link")).unwrap();
    Use::key("k").at(START).save(&store, &from).unwrap();
    let used = Use::key("k").at(START);
    let tree = used.tree(&store);
    collect(&store, &all(), START);
    assert!(store.index().unwrap().packs()[0].condemned);
    let upper = tempfile::tempdir().unwrap();
    let layers = [crate::Layer {
        anchor: Anchor::Source,
        at: std::path::PathBuf::new(),
        upper: upper.path().to_path_buf(),
        below: vec![from.path("")],
    }];
    let mounted = crate::Mounted {
        tree: &tree,
        layers: &layers,
    };
    let mut saving = used.saving(&from);
    saving.mounted = Some(&mounted);
    store.save(&saving).unwrap();
    let index = store.index().unwrap();
    assert!(
        tree.list
            .chunks
            .iter()
            .all(|id| index.has_for_good(&id.short()))
    );
}

#[test]
fn contents_that_are_gone_are_stored_again_though_the_trees_folder_is_on_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), ROOMY).unwrap();
    let from = site(1);
    Use::key("k").at(START).save(&store, &from).unwrap();
    let tree = Use::key("k").at(START).tree(&store);
    let live = store.materialise(&tree, at(START)).unwrap();
    for pack in store.objects.list(&crate::layout::folder("packs")).unwrap() {
        store.objects.delete(&pack.name).unwrap();
    }
    Use::key("k").at(START).save(&store, &from).unwrap();
    assert_eq!(store.verify(Repair::No, at(START)).unwrap().damaged, []);
    drop(live);
}

#[test]
fn condemnations_of_before_are_carried_out_and_what_nobody_wrote_is_taken_away() {
    let (_, store) = shared();
    Use::key("k").at(START).save(&store, &site(1)).unwrap();
    let pack = &store.objects.list(&folder("packs")).unwrap()[0].name;
    let put = |name: &str, json: &str| {
        let seal = crate::Id::of(json.as_bytes()).to_string();
        let sealed = format!("{seal}\n{json}").into_bytes();
        let name = folder("condemned").join(name);
        store.objects.put(&name, sealed).unwrap();
    };
    put("forged", "{}");
    put("huge", &"9".repeat(33 << 20));
    let before = format!(r#"{{"at":1800000000.0,"packs":["{pack}"],"waitsFor":[]}}"#);
    put("before", &before);
    let index = store.index().unwrap();
    assert!(index.packs().iter().any(|pack| pack.condemned));
    let collected = collect(&store, &all(), START);
    assert_eq!(collected.warnings, Vec::<String>::new());
    collect(&store, &Policy::default(), START + HALF_AN_HOUR);
    collect(&store, &Policy::default(), START + 2 * HALF_AN_HOUR);
    assert_eq!((count(&store, "condemned"), count(&store, "packs")), (0, 0));
}

#[test]
fn a_condemnation_from_the_future_is_shown() {
    let (_, store) = shared();
    Use::key("k").at(START).save(&store, &site(1)).unwrap();
    collect(&store, &all(), START + 1_000 * HALF_AN_HOUR);
    let warnings = collect(&store, &Policy::default(), START).warnings;
    assert!(
        warnings.len() == 1 && warnings[0].contains("dated in the future"),
        "{warnings:?}"
    );
}
