use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use croft_keys::{Keyring, Signer};
use object_store::ObjectStore;
use object_store::memory::InMemory;

use super::{ROOMY, Site, Use, at, noise};
use crate::layout::folder;
use crate::pack::Builder;
use crate::records::record::Outcome;
use crate::records::sealed;
use crate::tree::Anchor;
use crate::{
    Content, Error, Found, Id, Live, Mode, Policy, Put, Repair, SaveOutcome, Scopes, Store,
    TreeRef, Trust,
};

const NOW: u64 = 1_800_000_000_000;

/// A bucket with a store of the farm and one of each of two forks, which all believe the machine that signs theirs.
struct Farm {
    trusted: Store,
    forks: [Store; 2],
}

impl Farm {
    fn new() -> Self {
        let bucket: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let signers: Vec<Signer> = (0..3).map(|_| Signer::of_this_process().unwrap()).collect();
        let keyring = || {
            let all = Keyring::default().and(signers[0].key_id(), "trusted".parse().unwrap());
            signers[1..].iter().fold(all, |keyring, signer| {
                keyring.and(signer.key_id(), "fork/*".parse().unwrap())
            })
        };
        let keyrings = [keyring(), keyring(), keyring()];
        let scopes = ["trusted", "fork/1", "fork/2"];
        let stores = signers.into_iter().zip(keyrings).zip(scopes);
        let stores = stores.map(|((signer, keyring), scope)| {
            let scope: crate::ScopeName = scope.parse().unwrap();
            let granted = croft_keys::ScopePattern::exactly(scope.clone());
            let scopes = Scopes::within(&granted, scope).unwrap();
            let store = Store::new(Arc::clone(&bucket), ROOMY).unwrap();
            store.trusting(Trust::new(signer, keyring, scopes))
        });
        let [trusted, one, two] = stores.collect::<Vec<_>>().try_into().unwrap();
        Self {
            trusted,
            forks: [one, two],
        }
    }
}

fn found(store: &Store, key: &'static str) -> (Found, Vec<u8>) {
    let to = Site::new();
    let restored = Use::key(key).at(NOW).restore(store, &to).unwrap();
    let bytes = fs::read(to.path("target/a")).unwrap_or_default();
    (restored.found, bytes)
}

fn save(store: &Store, key: &'static str, bytes: &[u8]) {
    let site = Site::with(&[("target/a", bytes)]);
    let saved = Use::key(key).at(NOW).save(store, &site).unwrap();
    assert_eq!(saved.outcome, SaveOutcome::Saved);
}

#[test]
fn a_fork_reads_what_is_trusted_but_never_what_another_fork_saved() {
    let farm = Farm::new();
    let [one, two] = &farm.forks;
    save(&farm.trusted, "k", b"trusted");
    assert_eq!(found(one, "k"), (Found::Exact, b"trusted".to_vec()));
    save(one, "mine", b"of one");
    assert_eq!(found(one, "mine"), (Found::Exact, b"of one".to_vec()));
    for other in [two, &farm.trusted] {
        assert_eq!(found(other, "mine").0, Found::Miss);
        let prefix = Use::key("m").falling_back(&["mine", "m"]).at(NOW);
        assert_eq!(
            prefix.restore(other, &Site::new()).unwrap().found,
            Found::Miss
        );
        let keys: Vec<_> = other
            .list(at(NOW))
            .unwrap()
            .into_iter()
            .map(|entry| entry.key)
            .collect();
        assert_eq!(keys, [Some("k".to_string())]);
    }
}

#[test]
fn what_a_fork_saved_under_a_trusted_key_is_for_that_fork_only() {
    let farm = Farm::new();
    save(&farm.forks[0], "k", b"poison");
    assert_eq!(found(&farm.trusted, "k").0, Found::Miss);
    save(&farm.trusted, "k", b"good");
    assert_eq!(found(&farm.trusted, "k").1, b"good");
    assert_eq!(found(&farm.forks[1], "k").1, b"good");
    assert_eq!(found(&farm.forks[0], "k").1, b"poison");
}

#[test]
fn a_record_copied_to_another_scope_is_a_miss_with_a_warning() {
    let farm = Farm::new();
    save(&farm.trusted, "k", b"x");
    save(&farm.forks[0], "k", b"poison");
    let mut names: Vec<_> = farm.trusted.objects.list(&folder("entries")).unwrap();
    names.sort_by_key(|listed| {
        !listed
            .name
            .prefix_matches(&crate::records::name::scopes_folder(
                farm.trusted.trust.scopes.write(),
            ))
    });
    let poison = farm.trusted.objects.get(&names[1].name, 1 << 20).unwrap();
    farm.trusted
        .objects
        .put(&names[0].name, poison.to_vec())
        .unwrap();
    let restored = Use::key("k")
        .at(NOW)
        .restore(&farm.trusted, &Site::new())
        .unwrap();
    assert_eq!(restored.found, Found::Miss);
    assert!(
        restored.warnings[0].contains("not trusted"),
        "{:?}",
        restored.warnings
    );
}

#[test]
fn a_damaged_record_is_removed_by_its_own_scope_only() {
    let farm = Farm::new();
    save(&farm.trusted, "k", b"x");
    let name = farm.trusted.objects.list(&folder("entries")).unwrap()[0]
        .name
        .clone();
    farm.trusted
        .objects
        .put(&name, b"damaged".to_vec())
        .unwrap();
    let is_there = || farm.trusted.objects.size_bytes(&name).unwrap().is_some();
    assert_eq!(found(&farm.forks[0], "k").0, Found::Miss);
    farm.forks[0].verify(Repair::Yes, at(NOW)).unwrap();
    assert!(is_there(), "a fork may not remove it");
    assert_eq!(found(&farm.trusted, "k").0, Found::Miss);
    assert!(!is_there());
}

/// A store with the entry `k`, and its record told otherwise by its own signer.
fn with_outcome(change: impl Fn(&Store, &mut Outcome)) -> Store {
    let store = Store::in_memory(ROOMY).unwrap();
    save(&store, "other", b"other bytes");
    save(&store, "k", b"bytes");
    let records = store.records_here(at(NOW)).unwrap();
    let mut record = records
        .into_iter()
        .find(|record| record.key.as_deref() == Some("k"))
        .unwrap();
    change(&store, &mut record.outcome);
    let bytes = sealed::seal(&record, &store.trust.signer).unwrap();
    store.objects.put(&record.name(), bytes).unwrap();
    store
}

fn is_refused(store: &Store, words: &str) {
    let restored = Use::key("k").at(NOW).restore(store, &Site::new()).unwrap();
    assert_eq!(restored.found, Found::Miss);
    assert!(
        restored.warnings[0].contains(words),
        "{:?}",
        restored.warnings
    );
}

#[test]
fn a_list_whose_hash_is_not_the_trees_id_is_refused() {
    let store = with_outcome(|_, outcome| {
        if let Outcome::Tree { id, .. } = outcome {
            *id = Id::of(b"another");
        }
    });
    let damaged = store.verify(Repair::No, at(NOW)).unwrap().damaged;
    assert!(
        damaged[0].reason.contains("does not match its hash"),
        "{damaged:?}"
    );
    is_refused(&store, "does not match its hash");
}

#[test]
fn a_record_that_names_the_list_of_another_tree_is_refused() {
    let store = with_outcome(|store, outcome| {
        let records = store.records_here(at(NOW)).unwrap();
        let other = records
            .into_iter()
            .find(|record| record.key.as_deref() == Some("other"));
        let (Outcome::Tree { list, .. }, Some(Outcome::Tree { list: theirs, .. })) =
            (outcome, other.map(|record| record.outcome))
        else {
            panic!("records of builds name trees");
        };
        *list = theirs;
    });
    is_refused(&store, "does not match its hash");
}

#[test]
fn a_list_of_another_size_than_its_chunks_is_refused() {
    for size_bytes in [0, 1, u64::MAX] {
        let store = with_outcome(|_, outcome| {
            if let Outcome::Tree { list, .. } = outcome {
                list.size_bytes = size_bytes;
            }
        });
        is_refused(&store, "damaged");
    }
}

#[test]
fn a_chunk_in_place_of_another_of_its_length_is_found_although_the_index_is_right_about_itself() {
    let store = Store::in_memory(ROOMY).unwrap();
    let (one, two) = (noise(1, 100_000), noise(2, 100_000));
    // So many files that their list has a pack of its own.
    let names: Vec<String> = (0..80)
        .map(|number| format!("target/empty-{number}"))
        .collect();
    let mut files: Vec<(&str, &[u8])> = vec![("target/a", &one), ("target/b", &two)];
    files.extend(names.iter().map(|name| (name.as_str(), &b""[..])));
    let site = Site::with(&files);
    Use::key("k").at(NOW).save(&store, &site).unwrap();
    let mut forged = Builder::new([9; 16]).unwrap();
    forged.push(Id::of(&one), &two).unwrap();
    forged.push(Id::of(&two), &one).unwrap();
    let forged = forged.finish().unwrap().unwrap();
    // Whatever pack holds them goes; the list of files stays.
    let index = store.index().unwrap();
    let victim = index
        .pack(index.place(&Id::of(&one)).unwrap().pack)
        .name
        .clone();
    let records = store.records_here(at(NOW)).unwrap();
    let Outcome::Tree { list, .. } = &records[0].outcome else {
        panic!("a record of a build names a tree");
    };
    assert_ne!(
        index.pack(index.place(&list.chunks[0]).unwrap().pack).name,
        victim
    );
    store.objects.delete(&victim).unwrap();
    let name = forged.listed.name.to_string();
    store
        .objects
        .put(&forged.listed.name, forged.bytes)
        .unwrap();
    let damaged = store.verify(Repair::No, at(NOW)).unwrap().damaged;
    assert!(
        damaged
            .iter()
            .any(|one| one.object == name && one.reason.contains("does not match its hash")),
        "{damaged:?}"
    );
    let to = Site::new();
    let error = Use::key("k").at(NOW).restore(&store, &to).unwrap_err();
    assert!(
        error.to_string().contains("does not match its hash"),
        "{error}"
    );
    assert!(!to.has("target"));
    // The forged pack is gone, so that the next save stores what is right.
    Use::key("k").at(NOW).restore(&store, &to).unwrap();
    Use::key("k").at(NOW).save(&store, &site).unwrap();
    Use::key("k").at(NOW).restore(&store, &to).unwrap();
    assert_eq!((to.read("target/a"), to.read("target/b")), (one, two));
}

#[test]
fn a_pack_under_another_packs_name_is_found_and_gives_no_wrong_bytes() {
    let store = Store::in_memory(ROOMY).unwrap();
    save(&store, "k", &noise(1, 100_000));
    save(&store, "other", &noise(2, 100_000));
    let index = store.index().unwrap();
    let pack_of = |seed| {
        let place = index.place(&Id::of(&noise(seed, 100_000))).unwrap();
        index.pack(place.pack).name.clone()
    };
    let bytes = store.objects.get(&pack_of(2), 1 << 20).unwrap();
    store.objects.put(&pack_of(1), bytes.to_vec()).unwrap();
    let damaged = store.verify(Repair::No, at(NOW)).unwrap().damaged;
    let name = pack_of(1).to_string();
    assert!(
        damaged
            .iter()
            .any(|one| one.object == name && one.reason == "it does not match its hash"),
        "{damaged:?}"
    );
    is_refused(&store, "something it names is gone");
    assert_eq!(found(&store, "other").1, noise(2, 100_000));
    // A wrong name is no reason to lose what is whole: it is brought under a right one.
    store.verify(Repair::Yes, at(NOW)).unwrap();
    assert_eq!(store.verify(Repair::No, at(NOW)).unwrap().damaged, []);
    assert_eq!(found(&store, "other").1, noise(2, 100_000));
}

/// What somebody did to a mounted tree.
type Edit<'e> = (&'e str, &'e dyn Fn(&Path));

/// A store in a folder, a tree of it, and that tree as a folder to mount.
struct Mounted {
    folder: tempfile::TempDir,
    store: Store,
    tree: TreeRef,
}

impl Mounted {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), ROOMY).unwrap();
        let from = Site::with(&[("a/file", b"bytes"), ("a/other", b"more")]);
        fs::hard_link(from.path("a/file"), from.path("b")).unwrap();
        let directory = from.path("");
        let put = Put {
            directory: &directory,
            now: at(NOW),
        };
        let tree = store.put(&put).unwrap().tree;
        Self {
            folder,
            store,
            tree,
        }
    }

    fn mount(&self) -> Live {
        self.store.materialise(&self.tree, at(NOW)).unwrap()
    }

    fn place(&self) -> PathBuf {
        let live = self.mount();
        live.folder(Anchor::Source)
    }

    fn note(&self) -> PathBuf {
        let live = self.folder.path().join("here/live");
        live.join(format!("{}.json", self.tree.id))
    }
}

#[test]
fn a_tree_is_within_the_paths_it_is_mounted_for_or_it_is_not_mounted() {
    let mounted = Mounted::new();
    let live = mounted.mount();
    let base = Path::new("src");
    let within = |paths: &[&str]| {
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        live.check_within(&paths, base)
    };
    within(&["a/**/*", "b"]).unwrap();
    let refused = within(&["a/**/*"]).unwrap_err();
    assert!(
        matches!(&refused, Error::Refused(why) if why.reason.contains("outside the cached paths")),
        "{refused:?}"
    );
}

#[test]
fn a_forged_entry_that_names_a_good_tree_with_a_list_that_is_gone_takes_nothing_from_it() {
    let store = with_outcome(|_, _| {});
    let records = store.records_here(at(NOW)).unwrap();
    let good = records
        .into_iter()
        .find(|record| record.key.as_deref() == Some("k"))
        .unwrap();
    let mut forged = good.clone();
    forged.key = Some("forged".into());
    forged.created = at(NOW + 1_000_000);
    let Outcome::Tree { list, .. } = &mut forged.outcome else {
        panic!("a build saves a tree");
    };
    list.chunks = vec![Id::of(b"nowhere")];
    let bytes = sealed::seal(&forged, &store.trust.signer).unwrap();
    store.objects.put(&forged.name(), bytes).unwrap();
    store
        .collect(&Policy::default(), Mode::Act, at(NOW + 1_000))
        .unwrap();
    assert_eq!(found(&store, "k").1, b"bytes");
}

#[test]
fn a_mounted_tree_that_somebody_changed_is_removed_by_verify_and_made_anew() {
    let edit = |place: &Path| {
        let path = place.join("a/file");
        let found = fs::metadata(&path).unwrap();
        fs::write(&path, b"evil!").unwrap();
        let times = fs::FileTimes::new().set_modified(found.modified().unwrap());
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_times(times)
            .unwrap();
    };
    let mut edits: Vec<Edit<'_>> = vec![
        ("bytes", &edit),
        ("a new file", &|place| {
            fs::write(place.join("a/new"), "x").unwrap()
        }),
        ("a file gone", &|place| {
            fs::remove_file(place.join("a/other")).unwrap()
        }),
        ("a mode", &|place| {
            fs::set_permissions(place.join("a/file"), fs::Permissions::from_mode(0o777)).unwrap()
        }),
        ("a link", &|place| {
            fs::remove_file(place.join("a/other")).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", place.join("a/other")).unwrap();
        }),
        ("a name of its own", &|place| {
            fs::rename(place.join("b"), place.join("c")).unwrap();
            fs::copy(place.join("c"), place.join("b")).unwrap();
            fs::remove_file(place.join("c")).unwrap();
        }),
    ];
    // Nobody else can give files away.
    if rustix::process::geteuid().is_root() {
        edits.push(("an owner", &|place| {
            let file = place.join("a/file");
            std::os::unix::fs::chown(file, Some(4_321), Some(4_321)).unwrap();
        }));
    }
    for (what, edit) in edits {
        let mounted = Mounted::new();
        let place = mounted.place();
        edit(&place);
        let damaged = mounted.store.verify(Repair::No, at(NOW)).unwrap().damaged;
        assert_eq!(damaged.len(), 1, "{what}: {damaged:?}");
        assert_eq!(
            damaged[0].object,
            format!("live/{}", mounted.tree.id),
            "{what}"
        );
        assert!(!place.exists(), "{what}");
        let live = mounted.mount();
        assert!(!live.was_there(), "{what}");
        assert_eq!(fs::read(place.join("a/file")).unwrap(), b"bytes", "{what}");
    }
}

#[test]
fn a_mounted_tree_from_before_the_machine_started_is_checked_before_it_is_used() {
    for is_changed in [false, true] {
        let mounted = Mounted::new();
        let place = mounted.place();
        assert!(mounted.mount().was_there());
        let text = fs::read_to_string(mounted.note()).unwrap();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let before = text.replace(boot.trim(), "0000");
        assert_ne!(before, text);
        fs::write(mounted.note(), before).unwrap();
        if is_changed {
            fs::write(place.join("a/other"), "torn").unwrap();
        }
        let live = mounted.mount();
        assert_eq!(live.was_there(), !is_changed);
        assert_eq!(fs::read(place.join("a/other")).unwrap(), b"more");
        let one = fs::metadata(place.join("a/file")).unwrap();
        assert_eq!(one.ino(), fs::metadata(place.join("b")).unwrap().ino());
        assert_eq!(
            fs::read_to_string(mounted.note())
                .unwrap()
                .matches(boot.trim())
                .count(),
            1
        );
    }
}

#[test]
fn contents_with_more_than_their_chunks_are_refused() {
    let store = Store::in_memory(ROOMY).unwrap();
    save(&store, "k", b"bytes");
    let index = store.index().unwrap();
    let mut reader = crate::content::Reader::new(&store.objects, &index).unwrap();
    let lying = Content {
        size_bytes: 6,
        chunks: vec![Id::of(b"bytes")],
    };
    let error = lying.read_whole(&mut reader, 100).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    let error = lying.read_whole(&mut reader, 5).unwrap_err();
    assert!(error.to_string().contains("larger than 5"), "{error}");
}

#[test]
fn repairing_leaves_what_another_machine_or_a_later_croft_wrote_in_the_same_scope() {
    let bucket: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let [one, two] = [(); 2].map(|()| Store::new(Arc::clone(&bucket), ROOMY).unwrap());
    save(&one, "one", b"of one");
    save(&two, "two", b"of two");
    let damaged = one.verify(Repair::Yes, at(NOW)).unwrap().damaged;
    assert_eq!(damaged.len(), 1, "{damaged:?}");
    let repair = damaged[0].repair.as_deref().unwrap();
    assert!(repair.starts_with("left: "), "{repair}");
    assert_eq!(found(&one, "one").1, b"of one");
    assert_eq!(found(&two, "two").1, b"of two");
}
