//! What outlives a build on one machine: its number, how long its phases took, its log and result. Plain files below
//! `CROFT_HOME`, written whole under a lock. Used by the command line before and after a build.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use croft_proto::{Build, PhaseType, Status, Summary};
use serde::{Deserialize, Serialize};

use crate::request::Expected;

/// How many builds' logs, results and artifacts are kept; older ones are removed when a build ends.
const BUILDS_KEPT: usize = 100;
/// An engine that was asked for a container may still be making it for so long after its croft was killed.
const CONTAINERS_LATE_SECONDS: u64 = 60;
/// Reads what a project's file says; the version says how.
const PROJECT_VERSION: u32 = 1;

/// The folders of one `CROFT_HOME`.
#[derive(Clone, Debug)]
pub struct Home {
    path: PathBuf,
}

/// One project's file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Project {
    version: u32,
    build_number: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    last_success_ms: Option<u64>,
    #[serde(default)]
    last_success_phases_ms: BTreeMap<PhaseType, u64>,
}

/// What is kept of a build, as `result.json` beside its log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Kept<'b> {
    build: &'b Build,
    summary: &'b Summary,
}

/// A build's own folder, held by this process; a folder nobody holds is a dead build's.
#[derive(Debug)]
pub struct Scratch {
    /// Where it is.
    pub path: PathBuf,
    _lock: File,
}

impl Home {
    /// The home at `path`, made with mode 0700 when missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: &Path) -> io::Result<Self> {
        let private = |path: &Path| {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
        };
        for folder in [
            path.to_path_buf(),
            path.join("run"),
            path.join("builds"),
            path.join("projects"),
        ] {
            private(&folder)?;
        }
        Ok(Self {
            path: fs::canonicalize(path)?,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that keeps what was fetched of repositories; may be missing.
    #[must_use]
    pub fn mirrors(&self) -> PathBuf {
        self.path.join("git")
    }

    /// The folder that keeps a build's log, result, reports and artifacts; made when missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn kept(&self, uuid: &str) -> io::Result<PathBuf> {
        let folder = self.path.join("builds").join(uuid);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        Ok(folder)
    }

    /// A build's own folder for as long as it runs; nobody finds it abandoned in between.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self, uuid: &str) -> io::Result<Scratch> {
        let path = self.path.join("run").join(uuid);
        let _running = lock(&self.path.join("run"))?;
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let lock = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path.join("owner"))?;
        lock.lock()?;
        (&lock).write_all(std::process::id().to_string().as_bytes())?;
        Ok(Scratch { path, _lock: lock })
    }

    /// The folders in `run` that no living process holds, with the build's uuid.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn abandoned(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let run = self.path.join("run");
        let _running = lock(&run)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&run)? {
            let entry = entry?;
            let uuid = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() && !self.is_running(&uuid) {
                found.push((uuid, entry.path()));
            }
        }
        Ok(found)
    }

    /// True while a process holds the folder of the build with that id, or uuid.
    #[must_use]
    pub fn is_running(&self, build: &str) -> bool {
        let uuid = build.rsplit(':').next().unwrap_or_default();
        match File::open(self.path.join("run").join(uuid).join("owner")) {
            // Shared, so that two who ask at once do not take each other for the build.
            Ok(owner) => matches!(owner.try_lock_shared(), Err(TryLockError::WouldBlock)),
            Err(_) => false,
        }
    }

    /// Remembers that containers may turn up whose croft is gone.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn expect_containers(&self) -> io::Result<()> {
        fs::write(self.late_containers(), [])
    }

    /// True until [`Home::no_containers_left`] was told often enough since [`Home::expect_containers`].
    #[must_use]
    pub fn expects_containers(&self) -> bool {
        self.late_containers().exists()
    }

    /// An engine was asked and has none: that counts once those still being made had their time.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn no_containers_left(&self) -> io::Result<()> {
        let path = self.late_containers();
        let age = fs::metadata(&path)
            .and_then(|found| found.modified())
            .ok()
            .and_then(|made| made.elapsed().ok());
        if age.is_some_and(|age| age.as_secs() > CONTAINERS_LATE_SECONDS) {
            return or_gone(fs::remove_file(path));
        }
        Ok(())
    }

    fn late_containers(&self) -> PathBuf {
        self.path.join("run").join(".sweep-containers")
    }

    /// The next build number of a project, and what is to be expected of the build.
    ///
    /// # Errors
    /// When the project's file cannot be written.
    pub fn next_build(&self, project: &str) -> io::Result<(u64, Expected)> {
        self.change(project, |record| {
            record.build_number += 1;
            let expected = Expected {
                total_ms: record.last_success_ms,
                phases_ms: record.last_success_phases_ms.clone(),
            };
            (record.build_number, expected)
        })
    }

    /// Keeps a build's result beside its log and learns its times; removes what is too old to keep, as far as it can.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn keep(&self, build: &Build, summary: &Summary) -> io::Result<()> {
        let uuid = build.id.rsplit(':').next().unwrap_or_default();
        let json = serde_json::to_vec_pretty(&Kept { build, summary })?;
        write_whole(&self.kept(uuid)?.join("result.json"), &json)?;
        if build.build_status == Status::Succeeded {
            self.change(&build.project_name, |record| {
                record.last_success_ms =
                    build.end_time.map(|end| end.millis_since(build.start_time));
                record.last_success_phases_ms = build
                    .phases
                    .iter()
                    .filter_map(|phase| Some((phase.phase_type, phase.millis()?)))
                    .collect();
            })?;
        }
        // Room is made again at the end of the next build.
        if let Err(error) = self.forget_old() {
            tracing::debug!(%error, "old builds are kept for now");
        }
        Ok(())
    }

    fn change<T>(&self, project: &str, change: impl FnOnce(&mut Project) -> T) -> io::Result<T> {
        let path = self.path.join("projects").join(format!("{project}.json"));
        let _projects = lock(&self.path.join("projects"))?;
        let known = fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut record = known
            .filter(|record: &Project| record.version == PROJECT_VERSION)
            .unwrap_or(Project {
                version: PROJECT_VERSION,
                build_number: 0,
                last_success_ms: None,
                last_success_phases_ms: BTreeMap::new(),
            });
        let result = change(&mut record);
        write_whole(&path, &serde_json::to_vec_pretty(&record)?)?;
        Ok(result)
    }

    fn forget_old(&self) -> io::Result<()> {
        let mut builds = Vec::new();
        for entry in fs::read_dir(self.path.join("builds"))? {
            let entry = entry?;
            // Another process that ends a build forgets the same ones.
            if let Ok(made) = entry.metadata().and_then(|found| found.modified()) {
                builds.push((made, entry.path()));
            }
        }
        builds.sort();
        let old = builds.len().saturating_sub(BUILDS_KEPT);
        for (_, path) in builds.into_iter().take(old) {
            let uuid = path.file_name().unwrap_or_default().to_string_lossy();
            if !self.path.join("run").join(&*uuid).exists() {
                or_gone(fs::remove_dir_all(path))?;
            }
        }
        Ok(())
    }
}

/// Holds that folder's `.lock` against other processes, waiting for it, until the file is dropped.
fn lock(folder: &Path) -> io::Result<File> {
    let lock = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(folder.join(".lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// What is not there any more was removed by somebody else.
fn or_gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A reader sees the old file or the new one.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    fresh.write_all(bytes)?;
    fresh.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_per_project_and_start_anew_after_a_broken_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let next = |project| home.next_build(project).unwrap().0;
        assert_eq!((next("a"), next("a"), next("b")), (1, 2, 1));
        fs::write(folder.path().join("projects/a.json"), "{").unwrap();
        assert_eq!(next("a"), 1);
    }

    #[test]
    fn a_folder_is_abandoned_once_nobody_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let scratch = home.scratch("one").unwrap();
        assert_eq!(home.abandoned().unwrap(), []);
        assert!(home.is_running("one") && home.is_running("project:one"));
        assert!(!home.is_running("project:two") && !home.is_running(""));
        let path = scratch.path.clone();
        drop(scratch);
        assert_eq!(home.abandoned().unwrap(), [("one".to_string(), path)]);
    }

    #[test]
    fn folders_that_are_being_made_are_never_abandoned() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        std::thread::scope(|threads| {
            let made = threads.spawn(|| {
                for number in 0..200 {
                    let scratch = home.scratch(&number.to_string()).unwrap();
                    fs::remove_dir_all(&scratch.path).unwrap();
                }
            });
            while !made.is_finished() {
                for (uuid, path) in home.abandoned().unwrap() {
                    assert!(!path.join("owner").exists(), "{uuid}");
                }
            }
        });
    }

    #[test]
    fn late_containers_are_expected_until_an_engine_has_none_after_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        home.no_containers_left().unwrap();
        assert!(!home.expects_containers());
        home.expect_containers().unwrap();
        home.no_containers_left().unwrap();
        assert!(home.expects_containers() && home.abandoned().unwrap().is_empty());
        let before = std::time::SystemTime::now() - std::time::Duration::from_secs(120);
        let file = File::options().write(true).open(home.late_containers());
        file.unwrap().set_modified(before).unwrap();
        home.no_containers_left().unwrap();
        assert!(!home.expects_containers());
    }

    #[test]
    fn a_running_build_is_not_forgotten_however_old() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        for number in 0..BUILDS_KEPT + 3 {
            let kept = home.kept(&format!("{number:04}")).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(number as u64);
            File::open(&kept).unwrap().set_modified(time).unwrap();
        }
        let _running = home.scratch("0001").unwrap();
        home.forget_old().unwrap();
        let is_kept = |uuid: &str| folder.path().join("builds").join(uuid).exists();
        assert!(!is_kept("0000") && is_kept("0001") && !is_kept("0002"));
    }

    #[test]
    fn only_the_newest_builds_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        for number in 0..BUILDS_KEPT + 3 {
            let kept = home.kept(&format!("{number:04}")).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(number as u64);
            File::open(&kept).unwrap().set_modified(time).unwrap();
        }
        home.forget_old().unwrap();
        assert!(
            !folder.path().join("builds/0002").exists()
                && folder.path().join("builds/0003").exists()
        );
    }
}
