//! Folders made for mounting: how many stay, who waits for whom, and what a crash leaves.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::backend_tier::Tiers;
use super::{DAY, ROOMY, Site, Use, at, noise};
use crate::live::Patience;
use crate::replace::replace;
use crate::tree::Anchor;
use crate::{Error, Live, Place, Put, Repair, Store, TreeRef, Trust};

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

/// A folder's store and one tree of it, made.
struct Made {
    folder: TempDir,
    store: Store,
    tree: TreeRef,
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), ROOMY).unwrap();
        let tree = tree(&store, 1, 10_000);
        drop(used(&store, &tree, NOW));
        Self {
            folder,
            store,
            tree,
        }
    }

    /// What lies beside the tree's folder.
    fn beside(&self, ending: &str) -> PathBuf {
        let live = self.folder.path().join("here/live");
        live.join(format!("{}{ending}", self.tree.id))
    }

    fn file(&self) -> PathBuf {
        self.beside("").join("source/file")
    }

    fn note(&self) -> String {
        fs::read_to_string(self.beside(".json")).unwrap()
    }

    /// As if the folder was last looked through before the machine started.
    fn is_from_before_the_start(&self) {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let before = self.note().replace(boot.trim(), "0000");
        fs::write(self.beside(".json"), before).unwrap();
    }

    /// Uses the folder on a thread of its own; an error of the test when that waits for what never happens.
    fn used_soon(&self, now_ms: u64) -> Result<Live, Error> {
        let (send, receive) = mpsc::channel();
        let (store, tree) = (self.store.clone(), self.tree.clone());
        let using = move || drop(send.send(store.materialise(&tree, at(now_ms))));
        thread::Builder::new().spawn(using).unwrap();
        receive
            .recv_timeout(Duration::from_secs(30))
            .expect("it does not wait for whoever uses the folder")
    }
}

#[test]
fn a_folder_that_is_due_to_be_looked_through_is_not_waited_for_while_a_build_uses_it() {
    let made = Made::new();
    let runs = used(&made.store, &made.tree, NOW);
    let live = made.used_soon(NOW + 8 * DAY).unwrap();
    assert!(live.was_there());
    let checked = format!("\"checked\":{}", (NOW + 8 * DAY) / 1000);
    assert!(made.note().contains(&checked), "{}", made.note());
    drop(runs);
}

#[test]
fn a_damaged_folder_in_use_is_given_to_nobody_else_and_made_anew_afterwards() {
    let made = Made::new();
    let runs = used(&made.store, &made.tree, NOW);
    fs::write(made.file(), "rot").unwrap();
    let due = NOW + 8 * DAY;
    for _ in 0..2 {
        let error = made.used_soon(due).unwrap_err();
        assert!(matches!(error, Error::Unusable(_)), "{error}");
        assert!(!is_there(&made.store, &made.tree));
    }
    drop(runs);
    let live = made.used_soon(due).unwrap();
    assert!(!live.was_there());
    assert_eq!(fs::read(made.file()).unwrap(), noise(1, 10_000));
}

#[test]
fn what_verify_finds_damaged_in_use_is_given_to_nobody_else() {
    let made = Made::new();
    let runs = used(&made.store, &made.tree, NOW);
    fs::write(made.file(), "rot").unwrap();
    let damaged = made.store.verify(Repair::No, at(NOW)).unwrap().damaged;
    assert_eq!(damaged.len(), 1, "{damaged:?}");
    assert!(made.used_soon(NOW).is_err());
    drop(runs);
    assert!(!made.used_soon(NOW).unwrap().was_there());
}

#[test]
fn while_one_looks_through_a_folder_others_use_it_or_wait_for_the_answer_but_do_not_look_too() {
    let made = Made::new();
    // Who looked would see that.
    let times = fs::metadata(made.file()).unwrap().modified().unwrap();
    fs::write(made.file(), "rot").unwrap();
    let file = File::options().write(true).open(made.file()).unwrap();
    file.set_modified(times).unwrap();
    let fresh = made.note();
    let looking = File::open(made.beside(".list")).unwrap();
    looking.try_lock().unwrap();
    let due = NOW + 8 * DAY;
    assert!(made.used_soon(due).unwrap().was_there());
    made.is_from_before_the_start();
    let error = made
        .store
        .materialise_within(Patience::of_steps(2, 0), &made.tree, at(NOW))
        .unwrap_err();
    assert!(matches!(error, Error::Busy { waited_ms: 20 }), "{error}");
    let answered = thread::scope(|scope| {
        let waits = scope.spawn(|| made.used_soon(NOW));
        // As a whole, as croft does: one that is half-written says that the folder is not whole.
        replace(&made.beside(".json"), fresh.as_bytes()).unwrap();
        looking.unlock().unwrap();
        waits.join().unwrap()
    });
    assert!(answered.unwrap().was_there());
}

#[test]
fn a_folder_that_somebody_makes_is_waited_for_but_not_for_ever() {
    let made = Made::new();
    let making = File::open(made.beside(".lock")).unwrap();
    making.try_lock().unwrap();
    let error = made
        .store
        .materialise_within(Patience::of_steps(3, 0), &made.tree, at(NOW))
        .unwrap_err();
    assert!(matches!(error, Error::Busy { waited_ms: 30 }), "{error}");
    let answered = thread::scope(|scope| {
        let waits = scope.spawn(|| made.used_soon(NOW));
        making.unlock().unwrap();
        waits.join().unwrap()
    });
    assert!(answered.unwrap().was_there());
}

#[test]
fn builds_that_begin_at_once_make_one_folder() {
    let made = Made::new();
    fs::remove_file(made.beside(".json")).unwrap();
    let lives = thread::scope(|scope| {
        let builds: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| made.used_soon(NOW)))
            .collect();
        let lives = builds.into_iter().map(|build| build.join().unwrap());
        lives.collect::<Result<Vec<Live>, Error>>().unwrap()
    });
    assert_eq!(lives.iter().filter(|live| !live.was_there()).count(), 1);
}

#[test]
fn what_is_being_made_in_another_container_is_left_alone_until_nobody_makes_it() {
    let made = Made::new();
    // No process has it here, and the one that is made as the old one was.
    let staged = [made.beside(".4194304-0"), made.beside(".4194304")];
    for staged in &staged {
        fs::create_dir_all(staged.join("source")).unwrap();
    }
    let making = File::open(made.beside(".lock")).unwrap();
    making.try_lock().unwrap();
    made.store.trim_live(ROOMY);
    assert!(staged.iter().all(|staged| staged.exists()));
    making.unlock().unwrap();
    made.store.trim_live(ROOMY);
    assert!(!staged.iter().any(|staged| staged.exists()));
    assert!(is_there(&made.store, &made.tree));
}

#[test]
fn a_folder_whose_note_a_crash_kept_from_being_written_goes_unless_it_is_used() {
    let made = Made::new();
    let uses = used(&made.store, &made.tree, NOW);
    fs::remove_file(made.beside(".json")).unwrap();
    fs::write(made.beside(".json.7-7"), "half").unwrap();
    made.store.trim_live(ROOMY);
    assert!(made.file().exists());
    drop(uses);
    made.store.trim_live(ROOMY);
    let left = ["", ".list", ".json", ".json.7-7"].map(|ending| made.beside(ending).exists());
    assert_eq!(left, [false; 4]);
    assert!(!made.used_soon(NOW).unwrap().was_there());
}

#[test]
fn what_a_crash_left_half_made_is_no_part_of_what_is_made_next() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), ROOMY).unwrap();
    let tree = tree(&store, 1, 10_000);
    for nth in 0..200 {
        let name = format!("{}.{}-{nth}/source/stranger", tree.id, std::process::id());
        fs::create_dir_all(folder.path().join("here/live").join(name)).unwrap();
    }
    let live = used(&store, &tree, NOW);
    let inside = fs::read_dir(live.folder(Anchor::Source)).unwrap();
    assert_eq!(inside.count(), 1);
}
