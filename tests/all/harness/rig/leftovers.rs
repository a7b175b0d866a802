//! What builds of a farm have left on the machine: processes, mounts, folders. All of it is to be gone once they are over.

use std::fs;
use std::time::{Duration, Instant};

use super::super::{docker, eventually};
use super::Rig;
use crate::stopping::processes;

/// Longer than a busy machine needs to remove what a build had.
const REMOVED_AFTER: Duration = Duration::from_secs(20);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

impl Rig {
    /// So many seconds, written as nobody else does: it finds this test's processes.
    pub(crate) fn seconds(&self, seconds: u32) -> String {
        let letters = self.folder().display().to_string();
        let sum = letters
            .bytes()
            .fold(5381_u64, |sum, byte| sum.wrapping_mul(33) ^ u64::from(byte));
        format!("{seconds}.00{:08}{}", sum % 100_000_000, std::process::id())
    }

    /// Processes that sleep so many seconds.
    pub(crate) fn sleeping(&self, seconds: u32) -> Vec<String> {
        processes(&self.seconds(seconds))
    }

    /// Waits until so many of them are there.
    #[track_caller]
    pub(crate) fn until_sleeping(&self, seconds: u32, count: usize) {
        eventually("builds are in the middle of it", || {
            self.sleeping(seconds).len() >= count
        });
    }

    /// Containers of this test's builds.
    pub(crate) fn containers(&mut self) -> Vec<String> {
        let homes = self.builders().iter().map(|role| role.home().to_owned());
        let homes: Vec<_> = homes.collect();
        let of = |home: &std::path::PathBuf| {
            let filter = format!("label=croft.home={}", home.display());
            docker(&["ps", "--all", "--quiet", "--filter", &filter])
        };
        let told: Vec<String> = homes.iter().map(of).collect();
        let ids = told.iter().flat_map(|ids| ids.lines());
        ids.map(str::to_string).collect()
    }

    fn leftovers(&mut self) -> Vec<String> {
        let seconds = self.seconds(0);
        let (_, mark) = seconds.split_once('.').unwrap();
        let mut found = processes(mark);
        let folder = self.folder().display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        // The farm's own disk is no leftover.
        let disk = format!(" {folder} ");
        let mounts = mounts
            .lines()
            .filter(|line| line.contains(&folder) && !line.contains(&disk));
        found.extend(mounts.map(str::to_string));
        for builder in self.builders() {
            for below in ["run", "builds"] {
                let entries = fs::read_dir(builder.home().join(below))
                    .into_iter()
                    .flatten();
                let paths = entries.map(|entry| entry.unwrap().path());
                // Files there are Croft's own notes, which stay.
                found.extend(
                    paths
                        .filter(|path| path.is_dir())
                        .map(|path| path.display().to_string()),
                );
            }
        }
        found
    }

    /// Nothing of this test's builds is on the machine any more. Whatever was killed must have been started again: that sweeps.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&mut self) {
        let limit = Instant::now() + REMOVED_AFTER;
        // What is told of is removed behind it.
        let mut left = self.leftovers();
        while !left.is_empty() {
            assert!(Instant::now() < limit, "left on the machine: {left:#?}");
            std::thread::sleep(LOOK_AGAIN_AFTER);
            left = self.leftovers();
        }
    }
}
