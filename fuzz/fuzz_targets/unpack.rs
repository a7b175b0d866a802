//! Arbitrary bytes as a cached list of files: refused, or unpacked without touching anything outside the root.
//!
//! The store holds the chunk `hello` and chunks of zeros, so that lists naming them get as far as writing. The
//! root is prepared with links that lead out, as an enemy's source tree would be.

#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use croft_beneath::Root;
use croft_cache::{Origin, Save, Store, Tree, Unpack};
use croft_proto::Timestamp;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// Relative paths of every sort; absolute ones start in the root.
const PATHS: [&str; 4] = ["t", "g/**/*.o", "p/*/n", "/m/**/*"];

struct World {
    outside: TempDir,
    store: Store,
    paths: Vec<String>,
    before: BTreeMap<PathBuf, (u64, u32, i64, i64)>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let outside = tempfile::tempdir().expect("a temporary directory");
    let seed = outside.path().join("seed");
    fs::create_dir(&seed).expect("a directory");
    fs::write(seed.join("hello"), "hello").expect("a file");
    fs::write(seed.join("zeros"), vec![0; 1 << 20]).expect("a file");
    let store = Store::in_memory(1 << 30).expect("a key");
    let root = Root::open(&seed).expect("a root");
    let request = Save {
        project: "fuzz",
        key: None,
        paths: &[".".to_string()],
        root: &root,
        base: Path::new("/"),
        now: Timestamp::from_millis(0),
        origin: Origin::default(),
        mounted: None,
    };
    store.save(&request).expect("a save");
    let paths = PATHS.iter().map(ToString::to_string).collect();
    fs::create_dir(outside.path().join("root")).expect("a directory");
    let before = picture(outside.path());
    World {
        outside,
        store,
        paths,
        before,
    }
});

/// Everything outside the root: sizes, modes and times.
fn picture(folder: &Path) -> BTreeMap<PathBuf, (u64, u32, i64, i64)> {
    let mut picture = BTreeMap::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path == folder.join("root") {
                continue;
            }
            let found = path.symlink_metadata().expect("metadata");
            let times = (found.mtime(), found.mtime_nsec());
            if found.is_dir() {
                waiting.push(path.clone());
            }
            picture.insert(path, (found.size(), found.mode(), times.0, times.1));
        }
    }
    picture
}

fn prepare(root: &Path, outside: &Path) {
    if root.exists() {
        fs::remove_dir_all(root).expect("the last root goes");
    }
    fs::create_dir_all(root.join("src/t/folder")).expect("directories");
    fs::create_dir_all(root.join("src/p/x")).expect("directories");
    fs::create_dir(root.join("m")).expect("a directory");
    symlink(outside, root.join("src/t/out")).expect("a link");
    symlink("../../..", root.join("src/t/up")).expect("a link");
    symlink("/", root.join("src/p/x/n")).expect("a link");
    symlink(outside.join("seed/hello"), root.join("m/hello")).expect("a link");
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(tree) = Tree::parse(bytes) else {
        return;
    };
    let world = &*WORLD;
    let folder = world.outside.path().join("root");
    prepare(&folder, world.outside.path());
    let root = Root::open(&folder).expect("a root");
    let place = Unpack {
        paths: &world.paths,
        root: &root,
        base: Path::new("/src"),
    };
    if let Ok(unpacked) = world.store.unpack(&tree, &place) {
        assert_eq!(unpacked.files, tree.files());
        assert!(tree.entries().iter().all(|entry| entry.mode <= 0o7777));
    }
    assert_eq!(
        picture(world.outside.path()),
        world.before,
        "something outside the root changed"
    );
});
