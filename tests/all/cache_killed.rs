//! A cache whose processes are killed at any moment: what was stored stays whole, what was being stored is not there, and the
//! next one stores it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{At, Farm};

/// Files of a tree, and bytes of each: some fifteen megabytes, a second's work for an unoptimised program.
const FILES: u64 = 120;
const FILE_BYTES: usize = 128 << 10;

/// Kills of each sort; `CROFT_KILLS` names another number.
const KILLS: u64 = 10;

fn kills() -> u64 {
    std::env::var("CROFT_KILLS").map_or(KILLS, |text| text.parse().unwrap())
}

/// xorshift64*: the same on every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// Writes a tree that shares every other file with its predecessor.
fn write_tree(folder: &Path, round: u64) {
    for number in 0..FILES {
        let path = folder.join(format!("d{}/f{number}", number % 7));
        if round > 0 && number % 2 == round % 2 {
            continue;
        }
        let mut numbers = Numbers((round + 1) * 1_000 + number + 1);
        let bytes: Vec<u8> = (0..FILE_BYTES / 8)
            .flat_map(|_| numbers.next().to_le_bytes())
            .collect();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

struct Cache {
    farm: Farm,
    tree: PathBuf,
}

impl Cache {
    fn new() -> Option<Self> {
        let farm = At::SANDBOX.farm()?;
        let tree = farm.folder().join("tree");
        Some(Self { farm, tree })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.farm.croft(&["cache"]);
        command.args(words).stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> String {
        let output = self.command(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }

    fn put(&self) -> String {
        self.run(&["put", self.tree.to_str().unwrap()])
    }

    /// Starts it, and kills it after that time unless it has ended by then.
    fn kill(&self, words: &[&str], after: Duration) {
        let mut child = self
            .command(words)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// What that digest names is byte for byte what is in the folder.
    #[track_caller]
    fn gives_back(&self, digest: &str, folder: &Path) {
        let into = self.farm.folder().join("back");
        self.run(&["get", digest, into.to_str().unwrap()]);
        let differ = Command::new("diff")
            .args(["-r", "--"])
            .args([folder, &into])
            .output()
            .unwrap();
        assert!(
            differ.status.success(),
            "{}",
            String::from_utf8_lossy(&differ.stdout)
        );
        fs::remove_dir_all(into).unwrap();
    }
}

#[test]
fn a_save_killed_at_any_moment_damages_nothing() {
    let Some(cache) = Cache::new() else {
        return;
    };
    write_tree(&cache.tree, 0);
    let started = Instant::now();
    let first = cache.put();
    let whole = started.elapsed();
    let kept = cache.farm.folder().join("kept");
    let copied = Command::new("cp")
        .args(["-a", "--"])
        .args([&cache.tree, &kept])
        .status()
        .unwrap();
    assert!(copied.success());
    let mut numbers = Numbers(1);
    for round in 1..=kills() {
        write_tree(&cache.tree, round);
        let after = whole.mul_f64((numbers.next() % 1_000) as f64 / 1_000.0);
        cache.kill(&["put", cache.tree.to_str().unwrap()], after);
        cache.run(&["verify"]);
    }
    cache.gives_back(&first, &kept);
    let last = cache.put();
    cache.gives_back(&last, &cache.tree);
    cache.run(&["gc"]);
    cache.run(&["verify"]);
    cache.gives_back(&first, &kept);
    cache.gives_back(&last, &cache.tree);
    // What killed saves had written is gone; those that ended before they were killed have left an entry each.
    let entries = cache.run(&["ls"]).lines().count() as u64;
    let stored: u64 = walk(&cache.farm.home().join("cache/v2/packs"));
    let most = (FILES * FILE_BYTES as u64) * entries + (4 << 20);
    assert!(stored < most, "{stored} bytes are left of at most {most}");
}

#[test]
fn a_collection_killed_at_any_moment_takes_nothing_that_is_needed() {
    let Some(cache) = Cache::new() else {
        return;
    };
    let mut numbers = Numbers(2);
    write_tree(&cache.tree, 0);
    let mut before = cache.put();
    for round in 1..=kills() {
        write_tree(&cache.tree, round);
        let digest = cache.put();
        let after = Duration::from_micros(numbers.next() % 150_000);
        // The removal of an entry is a collection, too.
        cache.kill(&["rm", "tree", "--key", &before], after);
        cache.run(&["verify"]);
        cache.gives_back(&digest, &cache.tree);
        before = digest;
    }
}

/// Bytes of all files below a folder.
fn walk(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let found = entry.metadata().unwrap();
            if found.is_dir() {
                walk(&entry.path())
            } else {
                found.len()
            }
        })
        .sum()
}
