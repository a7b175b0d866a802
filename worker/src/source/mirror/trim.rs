//! Which mirrors go: those that nobody has used for long, and the oldest of the others while all together are too many bytes.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::lock;

/// A repository that was not built for a month is fetched again.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 3600);
/// All mirrors of one home: some large repositories, and a small part of any disk that builds run on.
const BYTES_MAX: u64 = 20 << 30;
/// How often they are looked through.
const EVERY: Duration = Duration::from_secs(3600);
/// The file whose time says when that was last.
const STAMP: &str = "trimmed";

/// What may stay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) unused: Duration,
    pub(super) bytes_max: u64,
}

/// Trims them unless that was done of late.
pub(in crate::source) async fn trim_sometimes(mirrors: &Path) {
    let mirrors = mirrors.to_path_buf();
    let trimmed = tokio::task::spawn_blocking(move || {
        let limits = Limits {
            unused: UNUSED,
            bytes_max: BYTES_MAX,
        };
        let now = SystemTime::now();
        let stamp = mirrors.join(STAMP);
        let last = std::fs::metadata(&stamp).and_then(|stamp| stamp.modified());
        let is_due = last.map_or(true, |last| {
            now.duration_since(last).is_ok_and(|since| since >= EVERY)
        });
        if !is_due {
            return Ok(());
        }
        std::fs::write(&stamp, "")?;
        trim(&mirrors, limits, now)
    });
    match trimmed.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "mirrors of repositories cannot be trimmed"),
        Err(error) => tracing::warn!(%error, "mirrors of repositories were not trimmed"),
    }
}

/// Removes what may not stay, the longest unused first.
pub(super) fn trim(mirrors: &Path, limits: Limits, now: SystemTime) -> io::Result<()> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(mirrors)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        let used = std::fs::metadata(lock::path_of(&path)).and_then(|lock| lock.modified());
        found.push((
            used.unwrap_or(SystemTime::UNIX_EPOCH),
            bytes_in(&path),
            path,
        ));
    }
    found.sort();
    let mut total: u64 = found.iter().map(|(_, bytes, _)| bytes).sum();
    for (used, bytes, path) in found {
        let is_old = now
            .duration_since(used)
            .is_ok_and(|since| since >= limits.unused);
        if (is_old || total > limits.bytes_max) && remove(&path)? {
            total = total.saturating_sub(bytes);
        }
    }
    Ok(())
}

/// True when it is gone; one that is used stays.
fn remove(mirror: &Path) -> io::Result<bool> {
    let held: Option<File> = lock::try_hold_quietly(mirror)?;
    let Some(held) = held else {
        return Ok(false);
    };
    super::remove(mirror)?;
    std::fs::remove_file(lock::path_of(mirror))?;
    drop(held);
    Ok(true)
}

/// What cannot be looked at counts for nothing.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn mirror(mirrors: &Path, name: &str, bytes: usize, age: u64) -> PathBuf {
        let path = mirrors.join(name);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("pack"), vec![0; bytes]).unwrap();
        let lock = lock::try_hold(&path).unwrap().unwrap();
        let used = SystemTime::now() - Duration::from_secs(age);
        lock.set_modified(used).unwrap();
        path
    }

    #[test]
    fn the_longest_unused_go_first_and_a_used_one_stays() {
        let mirrors = tempfile::tempdir().unwrap();
        let ancient = mirror(mirrors.path(), "ancient", 1, 1000);
        let held = mirror(mirrors.path(), "held", 60, 500);
        let old = mirror(mirrors.path(), "old", 60, 400);
        let new = mirror(mirrors.path(), "new", 60, 10);
        let _held = lock::try_hold_quietly(&held).unwrap().unwrap();
        let limits = Limits {
            unused: Duration::from_secs(900),
            bytes_max: 120,
        };
        trim(mirrors.path(), limits, SystemTime::now()).unwrap();
        let there = [&ancient, &held, &old, &new].map(|path| path.exists());
        assert_eq!(there, [false, true, false, true]);
        assert!(!lock::path_of(&ancient).exists());
    }
}
