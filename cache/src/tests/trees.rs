use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use croft_proto::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tempfile::TempDir;

use super::{ROOMY, at, noise};
use crate::tree::Anchor;
use crate::{Put, Store, Stored};

/// What must be the same in a copy: kind, mode, owner, time, size, contents or target, and which names are one file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    contents: Vec<u8>,
    same_file_as: PathBuf,
}

pub(super) fn seen(folder: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut all = BTreeMap::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let found = path.symlink_metadata().unwrap();
            let contents = if found.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_vec()
            } else if found.is_dir() {
                waiting.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            let inside = path.strip_prefix(folder).unwrap().to_path_buf();
            let seen = Seen {
                mode: found.mode(),
                owner: (found.uid(), found.gid()),
                modified: (found.mtime(), found.mtime_nsec()),
                contents,
                same_file_as: PathBuf::new(),
            };
            all.insert(inside, seen);
        }
    }
    let mut firsts: HashMap<u64, PathBuf> = HashMap::new();
    for (inside, seen) in &mut all {
        let found = folder.join(inside).symlink_metadata().unwrap();
        if found.is_file() {
            let first = firsts.entry(found.ino()).or_insert_with(|| inside.clone());
            seen.same_file_as.clone_from(first);
        }
    }
    all
}

pub(super) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    at(u64::try_from(since.as_millis()).unwrap())
}

pub(super) fn put_at(store: &Store, directory: &Path, now: Timestamp) -> Stored {
    store.put(&Put { directory, now }).unwrap()
}

fn put(store: &Store, directory: &Path) -> Stored {
    put_at(store, directory, now())
}

fn in_folder() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("cache"), ROOMY).unwrap();
    (folder, store)
}

/// Stores a folder, copies it out and mounts it; all three are the same.
fn carry(from: &Path) {
    let (folder, store) = in_folder();
    let stored = put(&store, from);
    assert_eq!(stored.warnings, Vec::<String>::new());
    let expected = seen(from);
    let copy = folder.path().join("copy");
    store.get(&stored.tree, &copy).unwrap();
    assert_eq!(seen(&copy), expected, "copied");
    let live = store.materialise(&stored.tree, now()).unwrap();
    assert_eq!(seen(&live.folder(Anchor::Source)), expected, "mounted");
    drop(live);
    let verified = store.verify(crate::Repair::No, now()).unwrap();
    assert_eq!(verified.damaged, []);
    // Into a store that has none of it, and one that has all: the id says what the tree is, and nothing else.
    let fresh = Store::in_memory(ROOMY).unwrap();
    assert_eq!(put(&fresh, from).tree.id, stored.tree.id);
    assert_eq!(put(&store, &copy).tree.id, stored.tree.id);
    for path in [from, &copy] {
        make_removable(path);
    }
}

pub(super) fn make_removable(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}

fn set_modified(path: &Path, seconds: i64, nanos: u32) {
    let time = rustix::fs::Timespec {
        tv_sec: seconds,
        tv_nsec: nanos.into(),
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags).unwrap();
}

#[derive(Clone, Debug)]
enum Thing {
    File(Vec<u8>, u32),
    Sparse(u64),
    Folder(u32),
    Link(Vec<u8>),
    /// Another name of the so-manieth file made before.
    Again(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Made {
    path: Vec<u8>,
    thing: Thing,
    modified: (i64, u32),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-c]{1,2}".prop_map(String::into_bytes),
        1 => "[%\\n\\\\\" é.*]{1,4}".prop_map(String::into_bytes),
        1 => prop::collection::vec(1_u8..=255, 1..6),
    ]
    .prop_filter("it is a name", |name| {
        !name.contains(&b'/') && name != b"." && name != b".."
    })
}

pub(super) fn made() -> impl Strategy<Value = Made> {
    let path = prop::collection::vec(name(), 1..5).prop_map(|names| names.join(&b'/'));
    let mode = prop::sample::select(vec![
        0o644, 0o600, 0o755, 0o444, 0, 0o4755, 0o2755, 0o1644, 0o7777,
    ]);
    let folder_mode = prop::sample::select(vec![0o755, 0o700, 0o555, 0o1777, 0o2775, 0]);
    let thing = prop_oneof![
        4 => (prop::collection::vec(any::<u8>(), 0..300), mode).prop_map(|(bytes, mode)| Thing::File(bytes, mode)),
        1 => (1_u64..3_000_000).prop_map(Thing::Sparse),
        2 => folder_mode.prop_map(Thing::Folder),
        2 => prop::collection::vec(1_u8..=255, 1..9).prop_map(Thing::Link),
        2 => (0_usize..4).prop_map(Thing::Again),
    ];
    let modified = (-3_000_000_000_i64..4_000_000_000, 0_u32..1_000_000_000);
    (path, thing, modified).prop_map(|(path, thing, modified)| Made {
        path,
        thing,
        modified,
    })
}

/// Makes what can be made; what collides with something earlier is skipped. Times and modes of folders come last.
pub(super) fn make(folder: &Path, all: &[Made]) {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut there = Vec::new();
    for made in all {
        let path = folder.join(OsStr::from_bytes(&made.path));
        let parent = path.parent().unwrap();
        let is_behind_link = parent
            .ancestors()
            .take_while(|above| *above != folder)
            .any(Path::is_symlink);
        if is_behind_link || path.symlink_metadata().is_ok() || fs::create_dir_all(parent).is_err()
        {
            continue;
        }
        match &made.thing {
            Thing::File(bytes, _) => fs::write(&path, bytes).unwrap(),
            Thing::Sparse(length) => fs::File::create(&path).unwrap().set_len(*length).unwrap(),
            Thing::Folder(_) => fs::create_dir(&path).unwrap(),
            Thing::Link(target) => symlink(OsStr::from_bytes(target), &path).unwrap(),
            Thing::Again(nth) => {
                let Some(first) = files.get(*nth) else {
                    continue;
                };
                fs::hard_link(first, &path).unwrap();
            }
        }
        if matches!(made.thing, Thing::File(..) | Thing::Sparse(_)) {
            files.push(path.clone());
        }
        there.push((path, made));
    }
    // The deepest first.
    there.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
    for (path, made) in there {
        if let Thing::File(_, mode) | Thing::Folder(mode) = made.thing {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        set_modified(&path, made.modified.0, made.modified.1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        rng_seed: RngSeed::Fixed(2026),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_tree_is_the_same_when_it_is_copied_out_or_mounted(all in prop::collection::vec(made(), 0..16)) {
        let from = tempfile::tempdir().unwrap();
        make(from.path(), &all);
        carry(from.path());
    }
}

#[test]
fn a_tree_of_every_kind_is_the_same_when_it_is_copied_out_or_mounted() {
    let from = tempfile::tempdir().unwrap();
    let inside = |name: &str| from.path().join(name);
    fs::write(inside("empty"), "").unwrap();
    fs::write(inside("many chunks"), noise(1, 3_000_017)).unwrap();
    fs::write(inside("new\nline %41 100%"), "odd").unwrap();
    let odd = OsString::from_vec(b"not\xffutf8".to_vec());
    fs::write(from.path().join(odd), "bytes").unwrap();
    fs::create_dir_all(inside("empty folder")).unwrap();
    for (name, target) in [
        ("dangling", "/nowhere"),
        ("loop", "loop"),
        ("up", "../../.."),
    ] {
        symlink(target, inside(name)).unwrap();
    }
    for (name, mode) in [("setuid", 0o4755), ("setgid", 0o2755), ("sticky", 0o1644)] {
        fs::write(inside(name), name).unwrap();
        fs::set_permissions(inside(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::hard_link(inside("setuid"), inside("another name")).unwrap();
    fs::create_dir(inside("read-only")).unwrap();
    fs::write(inside("read-only/file"), "x").unwrap();
    fs::set_permissions(inside("read-only"), fs::Permissions::from_mode(0o555)).unwrap();
    std::os::unix::fs::lchown(inside("dangling"), Some(12), Some(34)).unwrap();
    std::os::unix::fs::chown(inside("setgid"), Some(1234), Some(5678)).unwrap();
    fs::set_permissions(inside("setgid"), fs::Permissions::from_mode(0o2755)).unwrap();
    for (name, seconds, nanos) in [
        ("empty", -1, 999_999_999),
        ("loop", -2_000_000_000, 1),
        ("read-only", 4_000_000_000, 7),
    ] {
        set_modified(&inside(name), seconds, nanos);
    }
    carry(from.path());
}

#[test]
fn two_hundred_folders_deep_is_no_deeper_than_any_other() {
    let from = tempfile::tempdir().unwrap();
    let deep: PathBuf = (0..200).map(|nth| format!("level{nth}")).collect();
    fs::create_dir_all(from.path().join(&deep)).unwrap();
    fs::write(from.path().join(&deep).join("file"), "deep").unwrap();
    carry(from.path());
}

#[test]
fn holes_stay_holes() {
    let from = tempfile::tempdir().unwrap();
    let mut file = fs::File::create(from.path().join("sparse")).unwrap();
    file.write_all(&noise(1, 100_000)).unwrap();
    file.seek(SeekFrom::Start(200 << 20)).unwrap();
    file.write_all(b"end").unwrap();
    fs::File::create(from.path().join("hole"))
        .unwrap()
        .set_len(50 << 20)
        .unwrap();
    let (folder, store) = in_folder();
    let stored = put(&store, from.path());
    assert!(stored.stored_bytes < 400_000, "{stored:?}");
    let copy = folder.path().join("copy");
    store.get(&stored.tree, &copy).unwrap();
    for name in ["sparse", "hole"] {
        let found = fs::metadata(copy.join(name)).unwrap();
        assert_eq!(
            found.len(),
            fs::metadata(from.path().join(name)).unwrap().len()
        );
        assert!(
            found.blocks() * 512 < 3 << 20,
            "{name}: {} blocks",
            found.blocks()
        );
    }
    assert_eq!(seen(&copy), seen(from.path()));
}

/// A folder with a file, stored at that moment by its machine's clock.
fn edited(edit: impl Fn(&Path)) -> (Stored, Stored) {
    let from = tempfile::tempdir().unwrap();
    let (_folder, store) = in_folder();
    let file = from.path().join("file");
    fs::write(&file, "before").unwrap();
    fs::write(from.path().join("other"), "stays").unwrap();
    let first = put(&store, from.path());
    edit(&file);
    (first, put(&store, from.path()))
}

#[test]
fn an_edit_of_the_same_second_and_size_is_seen() {
    let (first, second) = edited(|file| fs::write(file, "after!").unwrap());
    assert_ne!(first.tree.id, second.tree.id);
}

#[test]
fn an_edit_whose_time_is_put_back_is_seen() {
    let (first, second) = edited(|file| {
        let before = fs::metadata(file).unwrap();
        fs::write(file, "after!").unwrap();
        set_modified(
            file,
            before.mtime(),
            u32::try_from(before.mtime_nsec()).unwrap(),
        );
    });
    assert_ne!(first.tree.id, second.tree.id);
}

#[test]
fn an_edit_of_an_old_file_whose_time_is_put_back_is_seen_by_the_time_of_its_change() {
    let from = tempfile::tempdir().unwrap();
    let (_folder, store) = in_folder();
    let file = from.path().join("file");
    fs::write(&file, "before").unwrap();
    // A minute later, as far as the store knows: now its times are trusted.
    let later = Timestamp::from_millis(now().millis() + 60_000);
    let first = put_at(&store, from.path(), later);
    assert_eq!(put_at(&store, from.path(), later).read_bytes, 0);
    let before = fs::metadata(&file).unwrap();
    // Until the file system's clock has ticked.
    while fs::metadata(&file).unwrap().ctime_nsec() == before.ctime_nsec() {
        fs::write(&file, "after!").unwrap();
        set_modified(
            &file,
            before.mtime(),
            u32::try_from(before.mtime_nsec()).unwrap(),
        );
    }
    let second = put_at(&store, from.path(), later);
    assert_ne!(first.tree.id, second.tree.id);
    assert_eq!(second.read_bytes, 6);
}

#[test]
fn what_has_not_changed_for_two_seconds_is_not_read_again() {
    let from = tempfile::tempdir().unwrap();
    let (_folder, store) = in_folder();
    for number in 0..20 {
        fs::write(
            from.path().join(format!("file{number}")),
            noise(number, 10_000),
        )
        .unwrap();
    }
    fs::hard_link(from.path().join("file0"), from.path().join("zero")).unwrap();
    let fresh = put(&store, from.path());
    assert_eq!(fresh.read_bytes, 200_000);
    let again = put_at(
        &store,
        from.path(),
        Timestamp::from_millis(now().millis() + 3_000),
    );
    assert_eq!(
        again.read_bytes, 200_000,
        "what was fresh then is read once more"
    );
    let third = put_at(
        &store,
        from.path(),
        Timestamp::from_millis(now().millis() + 3_000),
    );
    assert_eq!((third.read_bytes, third.tree.id), (0, fresh.tree.id));
    fs::write(from.path().join("file7"), "new").unwrap();
    let fourth = put_at(
        &store,
        from.path(),
        Timestamp::from_millis(now().millis() + 3_000),
    );
    assert_eq!(fourth.read_bytes, 3);
}

#[test]
fn what_is_remembered_of_chunks_that_are_gone_is_not_believed() {
    let from = tempfile::tempdir().unwrap();
    let (folder, store) = in_folder();
    fs::write(from.path().join("file"), noise(1, 100_000)).unwrap();
    let later = Timestamp::from_millis(now().millis() + 60_000);
    let first = put_at(&store, from.path(), later);
    store.remove(&crate::Selector::All, later).unwrap();
    let again = put_at(&store, from.path(), later);
    assert_eq!((again.tree.id, again.read_bytes), (first.tree.id, 100_000));
    store.get(&again.tree, &folder.path().join("copy")).unwrap();
}
