//! Layers mounted late over directories of a place that stands: a cache's files on top of what the build has there, with what
//! the build changes in a folder of its own. Receives [`Cover`]s from the cache's restore, hands back [`Layered`]s, from
//! which a save learns what the build has changed; or says why a copy has to do.
//!
//! The mounts are the place's alone and end with it: there is nothing to take away, and nothing for a sweeper to find.

/// What is mounted where in a place.
mod table;
/// Sources of a place that stood before its build was known.
mod late;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use croft_beneath::{Kind, Root};
use croft_runner::frame;
use croft_runner::protocol::{Layer, Layering, VERSION};
use rustix::fs::{Mode, OFlags, ResolveFlags, StatVfsMountFlags, Timespec, Timestamps};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Source, View};
pub(crate) use late::take_back;
use table::Table;

/// Mounts take milliseconds; a machine that needs longer than this is not answering.
const LAYER_MAX: Duration = Duration::from_secs(30);
/// Folders that are the kernel's or Croft's own in every place.
const NOT_COVERED: [&str; 4] = ["/codebuild", "/dev", "/proc", "/sys"];
/// Folders that hold the system's own programs. A layer would take the set-user-id bits off them; what lies deeper may be
/// covered.
const NOT_COVERED_THEMSELVES: [&str; 9] = [
    "/bin",
    "/lib",
    "/lib64",
    "/opt",
    "/sbin",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/sbin",
];

/// A directory that is to get another one's files on top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    /// In the place, absolute. Made when missing, owned like the directory above it.
    pub target: PathBuf,
    /// On this machine: whose files are seen. They stay as they are.
    pub files: PathBuf,
    /// Directories among the files, relative, the upper ones first, that are only the way to them: they look as they do in
    /// the place.
    pub ways: Vec<PathBuf>,
}

/// A directory that has another one's files on top.
#[derive(Debug)]
pub struct Layered {
    /// In the place.
    pub target: PathBuf,
    /// On this machine: the overlay's upper directory, which holds what was changed since.
    pub upper: PathBuf,
    covered: OwnedFd,
}

impl Layered {
    /// The directory as it was before, as a path for this process that is good as long as this value lives.
    #[must_use]
    pub fn below(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.covered.as_raw_fd()))
    }
}

/// Why a place has no layers; nothing is mounted then.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct NotLayered {
    /// For a person.
    pub reason: String,
    /// Whether it should have worked: false for paths and sources of a kind that cannot be layered.
    pub expected: bool,
}

impl NotLayered {
    fn by_kind(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            expected: false,
        }
    }

    pub(crate) fn failed(step: impl std::fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |error| Self {
            reason: format!("{step}: {error}"),
            expected: true,
        }
    }
}

/// Where a place's processes are, and what was mounted for them when it was made.
#[derive(Clone, Debug)]
pub struct Place {
    process: u32,
    namespace: (u64, u64),
    runner: PathBuf,
    /// The build's own directory on this machine.
    directory: PathBuf,
    sources: Vec<(PathBuf, View)>,
}

impl Place {
    /// The place of that process, for a build with that directory; `sources` are where the build sees them and how.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn of(
        process: u32,
        runner: &Path,
        directory: &Path,
        sources: Vec<(PathBuf, View)>,
    ) -> io::Result<Self> {
        let found = fs::metadata(format!("/proc/{process}/ns/mnt"))?;
        Ok(Self {
            process,
            namespace: (found.dev(), found.ino()),
            runner: runner.to_path_buf(),
            directory: directory.to_path_buf(),
            sources,
        })
    }

    /// Its first process, as this machine numbers it.
    #[cfg(test)]
    pub(crate) fn process(&self) -> u32 {
        self.process
    }

    /// Whether a directory is of a kind that is never covered.
    pub(crate) fn refuses(&self, target: &Path) -> bool {
        self.view(target).is_err()
    }

    /// Covers all the directories, or none. `root` is the place's root directory.
    ///
    /// # Errors
    /// When a directory cannot be covered; directories that were made for it stay.
    ///
    /// # Cancel
    /// What was mounted stays until the place ends. A preparation that hangs goes on by itself, and may still make directories.
    pub async fn layer(&self, root: &Root, covers: &[Cover]) -> Result<Vec<Layered>, NotLayered> {
        let (place, covers) = (self.clone(), covers.to_vec());
        let root = root
            .try_clone()
            .map_err(NotLayered::failed("the place's root"))?
            .refusing_links();
        let prepared = tokio::task::spawn_blocking(move || place.prepare(&root, &covers));
        let prepared = tokio::time::timeout(LAYER_MAX, prepared).await;
        let (layered, orders) = prepared
            .map_err(io::Error::from)
            .and_then(|ended| ended.map_err(io::Error::other))
            .map_err(NotLayered::failed("preparing layers"))??;
        let mounted = tokio::time::timeout(LAYER_MAX, self.mount(&orders)).await;
        mounted
            .map_err(io::Error::from)
            .and_then(|mounted| mounted)
            .map_err(NotLayered::failed("mounting"))?;
        Ok(layered)
    }

    fn prepare(
        &self,
        root: &Root,
        covers: &[Cover],
    ) -> Result<(Vec<Layered>, Layering), NotLayered> {
        let top = rustix::fs::open(
            format!("/proc/{}/root", self.process),
            HANDLE,
            Mode::empty(),
        );
        let top = top.map_err(|error| NotLayered::failed("the place's root")(error.into()))?;
        let table = Table::of(self.process).map_err(NotLayered::failed("the place's mounts"))?;
        let mut layers = Vec::new();
        let mut layered = Vec::new();
        for (number, cover) in covers.iter().enumerate() {
            let view = self.view(&cover.target)?;
            let failed = |error| NotLayered::failed(cover.target.display())(error);
            make_like_parent(root, &cover.target).map_err(failed)?;
            let covered = open(&top, &cover.target).map_err(failed)?;
            check_writable(&covered, &cover.target)?;
            let mounts_below = table.below(&cover.target).map_err(failed)?;
            let changes = self.directory.join(format!("cache-layer-{number}"));
            let upper = make_changes(&changes, cover, &covered).map_err(failed)?;
            layers.push(self.order(cover, view, &changes, &mounts_below));
            layered.push(Layered {
                target: cover.target.clone(),
                upper,
                covered,
            });
        }
        let orders = Layering {
            version: VERSION,
            process: self.process,
            namespace: self.namespace,
            layers,
            binds: Vec::new(),
        };
        Ok((layered, orders))
    }

    /// The source that is seen at `target`, if it is one.
    fn view(&self, target: &Path) -> Result<Option<&View>, NotLayered> {
        let source = self.sources.iter().find(|(inside, _)| inside == target);
        match source {
            Some((_, View::Copy(_))) => {
                return Err(NotLayered::by_kind("the source had to be copied, too"));
            }
            Some((_, view)) => return Ok(Some(view)),
            None => {}
        }
        let taken = NOT_COVERED.iter().map(Path::new);
        let mut taken =
            taken.filter(|taken| target.starts_with(taken) || taken.starts_with(target));
        let is_system = NOT_COVERED_THEMSELVES
            .iter()
            .any(|system| Path::new(system).starts_with(target));
        match taken.next() {
            None if is_system => Err(NotLayered::by_kind(format!(
                "{} holds the system's own programs",
                target.display()
            ))),
            Some(_) => Err(NotLayered::by_kind(format!(
                "nothing can be mounted over {}",
                target.display()
            ))),
            None => Ok(None),
        }
    }

    fn order(
        &self,
        cover: &Cover,
        view: Option<&View>,
        changes: &Path,
        mounts_below: &[PathBuf],
    ) -> Layer {
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let mut lowers = Vec::new();
        if cover.files.is_dir() {
            lowers.push(bytes(&cover.files));
        }
        // Two layers instead of two overlays, as long as the first overlay holds nothing of its own.
        let untouched = view.and_then(|view| match view {
            View::Overlay { lower, layers } => is_empty(&layers.join("upper")).then_some(lower),
            View::InPlace(_) | View::Copy(_) => None,
        });
        lowers.extend(untouched.map(|lower| bytes(lower)));
        Layer {
            target: bytes(&cover.target),
            lowers,
            over_what_is_there: untouched.is_none(),
            changes: bytes(changes),
            mounts_below: mounts_below.iter().map(|path| bytes(path)).collect(),
        }
    }

    /// By a program of its own: one that enters another mount namespace must have one thread only.
    async fn mount(&self, orders: &Layering) -> io::Result<()> {
        let mut child = Command::new(self.runner.join("croft-runner"))
            .arg("layer")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // One that leaves without reading says why.
            input
                .write_all(&frame::encode(orders)?)
                .await
                .unwrap_or_default();
        }
        let output = child.wait_with_output().await?;
        if output.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&output.stderr);
        let words = words.trim().trim_start_matches("croft-runner: ");
        Err(io::Error::other(words.to_string()))
    }
}

const HANDLE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

fn open(top: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(
        top,
        path,
        HANDLE,
        Mode::empty(),
        resolve,
    )?)
}

/// Makes the directories that are missing, each owned like the one above it.
fn make_like_parent(root: &Root, target: &Path) -> io::Result<()> {
    let mut walked = PathBuf::from("/");
    for part in target.components().skip(1) {
        let parent = walked.clone();
        walked.push(part);
        // Looked for first: on some engines' file systems it takes milliseconds to be told that it is there.
        if root.metadata(&walked).is_ok() {
            continue;
        }
        let above = root.metadata(&parent)?;
        if root.create_dir(&walked, 0o755)? {
            root.set_owner(&walked, above.uid, above.gid)?;
        }
    }
    Ok(())
}

/// A layer must not make writable what a build is not to write to.
fn check_writable(covered: &OwnedFd, target: &Path) -> Result<(), NotLayered> {
    let found = rustix::fs::fstatvfs(covered);
    let found = found.map_err(|error| NotLayered::failed(target.display())(error.into()))?;
    if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        let reason = format!("{} is read-only", target.display());
        return Err(NotLayered::by_kind(reason));
    }
    Ok(())
}

/// The folder for changes, with an upper directory that looks like what it covers; the upper directory.
fn make_changes(changes: &Path, cover: &Cover, covered: &OwnedFd) -> io::Result<PathBuf> {
    // A former try of the same build left it; its place is gone.
    match fs::remove_dir_all(changes) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let upper = changes.join("upper");
    fs::create_dir_all(&upper)?;
    fs::create_dir(changes.join("work"))?;
    let here = PathBuf::from(format!("/proc/self/fd/{}", covered.as_raw_fd()));
    let here = Root::open(&here)?.refusing_links();
    let files = Root::open(&cover.files).map(Root::refusing_links).ok();
    let is_there = |way: &Path| {
        let found = files.as_ref().map(|files| files.symlink_metadata(way));
        matches!(found, Some(Ok(found)) if found.kind == Kind::Directory)
    };
    let ways = cover.ways.iter().map(PathBuf::as_path);
    let ways: Vec<&Path> = ways.filter(|way| is_there(way)).collect();
    let mut looks = vec![(upper.clone(), look(&here, Path::new("/"))?)];
    for way in ways {
        let made = upper.join(way);
        fs::create_dir(&made)?;
        looks.push((made, look(&here, way)?));
    }
    // The deepest first: making a directory changes the time of the one above.
    for (path, look) in looks.iter().rev() {
        look.give(path)?;
    }
    Ok(upper)
}

/// What a directory looks like apart from what is in it.
struct Look {
    owner: (u32, u32),
    mode: u32,
    modified: Option<(i64, u32)>,
}

/// The look of a directory, or, where there is none yet, what it would get when made.
fn look(here: &Root, path: &Path) -> io::Result<Look> {
    for (distance, path) in path.ancestors().enumerate() {
        let path = if path.as_os_str().is_empty() {
            Path::new("/")
        } else {
            path
        };
        match here.symlink_metadata(path) {
            Ok(found) if found.kind != Kind::Directory => {
                return Err(io::Error::other(format!(
                    "{} is not a directory",
                    path.display()
                )));
            }
            Ok(found) => {
                let itself = distance == 0;
                return Ok(Look {
                    owner: (found.uid, found.gid),
                    mode: if itself { found.mode } else { 0o755 },
                    modified: itself.then_some((found.modified_seconds, found.modified_nanos)),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

impl Look {
    fn give(&self, path: &Path) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.owner.0), Some(self.owner.1))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(self.mode);
        fs::set_permissions(path, mode)?;
        let Some((seconds, nanos)) = self.modified else {
            return Ok(());
        };
        let moment = Timespec {
            tv_sec: seconds,
            tv_nsec: nanos.into(),
        };
        let times = Timestamps {
            last_access: moment,
            last_modification: moment,
        };
        Ok(rustix::fs::utimensat(
            rustix::fs::CWD,
            path,
            &times,
            rustix::fs::AtFlags::empty(),
        )?)
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut names| names.next().is_none())
}

/// Where a build sees its sources, and how.
pub(crate) fn seen(sources: &[Source], views: &[View]) -> Vec<(PathBuf, View)> {
    let inside = sources.iter().map(|source| source.inside.clone());
    inside.zip(views.iter().cloned()).collect()
}

/// For callers that hold paths in any order: none is inside another.
#[must_use]
pub(crate) fn outermost(paths: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let sorted: BTreeSet<PathBuf> = paths.into_iter().collect();
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in sorted {
        if kept.last().is_none_or(|last| !path.starts_with(last)) {
            kept.push(path);
        }
    }
    kept
}
