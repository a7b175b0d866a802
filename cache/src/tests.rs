//! The whole store, from a tree of files to a tree of files. Each file below is one promise.

/// What comes back is what went in.
mod round_trip;
/// Which entry is found.
mod lookup;
/// Bytes that are not what was stored.
mod damage;
/// Crashes at every write.
mod crash;
/// The cap, removing, and what stays.
mod cap;
/// Trees and roots made by an enemy.
mod attack;
/// Several at once.
mod together;
/// Every store does what this crate needs of one.
mod backend_conformance;
/// A real server of object storage, and dead ones.
mod backend_s3;
/// A near folder in front of a far store that misbehaves.
mod backend_tier;
/// The near copies.
mod backend_near;
/// A whole store over tiers.
mod tiers;
/// A whole store over one that misbehaves.
mod faults;
/// The faults that tests inject are those they name.
mod backend_faults;
/// Any tree comes back as it was.
mod trees;
/// Records, packs, trees and scopes as an enemy would have them.
mod red_team;
/// Collections beside saves and builds.
mod collect;
/// Folders made for mounting.
mod live;
/// What other tools store.
mod named;
/// Trees from one store to another.
mod transfer;
/// What an enemy sends in place of a tree.
mod transfer_refused;
/// What was sent, beside collections.
mod transfer_kept;
/// Without a store.
mod lay;
/// Several at once, in every order.
mod model;

use std::fs;
use std::path::Path;

use croft_beneath::Root;
use croft_proto::Timestamp;
use tempfile::TempDir;

use crate::{Error, Lookup, Origin, Restore, Restored, Save, Saved, Store, TreeRef};

/// Long enough for one entry to be worth less than another for its age alone.
const DAY: u64 = 24 * 3600 * 1000;

/// What is condemned goes after this.
const HALF_AN_HOUR: u64 = 30 * 60 * 1000;

/// Large enough for every test.
const ROOMY: u64 = 1 << 30;

/// A build's root with a source directory `src` in it.
struct Site {
    folder: TempDir,
    root: Root,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        let root = Root::open(folder.path()).unwrap();
        Self { folder, root }
    }

    /// A site whose source directory has these files.
    fn with(files: &[(&str, &[u8])]) -> Self {
        let site = Self::new();
        for (path, bytes) in files {
            site.write(path, bytes);
        }
        site
    }

    fn path(&self, inside: &str) -> std::path::PathBuf {
        self.folder.path().join("src").join(inside)
    }

    fn write(&self, inside: &str, bytes: &[u8]) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn read(&self, inside: &str) -> Vec<u8> {
        fs::read(self.path(inside)).unwrap()
    }

    fn has(&self, inside: &str) -> bool {
        self.path(inside).symlink_metadata().is_ok()
    }
}

/// One project's use of the cache.
#[derive(Clone)]
struct Use {
    key: Option<&'static str>,
    fallback_keys: Vec<String>,
    paths: Vec<String>,
    now_ms: u64,
}

impl Use {
    fn new(key: Option<&'static str>) -> Self {
        Self {
            key,
            fallback_keys: Vec::new(),
            paths: vec!["target".into()],
            now_ms: 1_000,
        }
    }

    fn key(key: &'static str) -> Self {
        Self::new(Some(key))
    }

    fn at(self, now_ms: u64) -> Self {
        Self { now_ms, ..self }
    }

    fn falling_back(self, keys: &[&str]) -> Self {
        let fallback_keys = keys.iter().map(ToString::to_string).collect();
        Self {
            fallback_keys,
            ..self
        }
    }

    fn paths(self, paths: &[&str]) -> Self {
        let paths = paths.iter().map(ToString::to_string).collect();
        Self { paths, ..self }
    }

    /// What this use saves, to be changed.
    fn saving<'s>(&'s self, site: &'s Site) -> Save<'s> {
        Save {
            project: "project",
            key: self.key,
            paths: &self.paths,
            root: &site.root,
            base: Path::new("/src"),
            now: Timestamp::from_millis(self.now_ms),
            origin: Origin::default(),
            mounted: None,
        }
    }

    fn save(&self, store: &Store, site: &Site) -> Result<Saved, Error> {
        store.save(&self.saving(site))
    }

    fn lookup(&self) -> Lookup<'_> {
        Lookup {
            project: "project",
            key: self.key,
            fallback_keys: &self.fallback_keys,
            paths: &self.paths,
            base: Path::new("/src"),
            now: Timestamp::from_millis(self.now_ms),
        }
    }

    fn restore(&self, store: &Store, site: &Site) -> Result<Restored, Error> {
        store.restore(&Restore {
            lookup: self.lookup(),
            root: &site.root,
        })
    }

    /// The tree of the entry that answers.
    fn tree(&self, store: &Store) -> TreeRef {
        store.find(&self.lookup()).unwrap().hit.unwrap().tree
    }
}

fn at(now_ms: u64) -> Timestamp {
    Timestamp::from_millis(now_ms)
}

fn in_memory() -> Store {
    Store::in_memory(ROOMY).unwrap()
}

/// Bytes that no compressor makes shorter, different for each seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// Every file of a store's folder, the lock aside.
fn files_of(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let mut waiting = vec![folder.join("v2")];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path)
            } else {
                files.push(path)
            }
        }
    }
    files.sort();
    files
}

/// Says that the running test did not test anything; `scripts/test` reads the file, and fails in CI when there is a line.
pub(crate) fn skip(reason: &str) {
    use std::io::Write as _;
    let thread = std::thread::current();
    let line = format!("{}: {reason}", thread.name().unwrap_or("a test"));
    eprintln!("SKIPPED {line}");
    if let Some(path) = std::env::var_os("CROFT_TEST_SKIPS") {
        let mut options = fs::OpenOptions::new();
        let mut file = options.append(true).create(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}
