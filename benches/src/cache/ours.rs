//! Every call of the library that is measured, and nothing else: a library that changes is followed here.
//!
//! Received from `child`, in a process that does one of these once; what is returned is printed for the rows.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use croft_beneath::Root;
use croft_cache::{
    Anchor, Found, Layer, Lookup, Mounted, Origin, Place, Restore, Save, SaveOutcome, Saved, Store,
    TreeRef,
};
use croft_proto::Timestamp;

const PROJECT: &str = "benchmark";

/// Larger than anything that is measured.
const CAP_BYTES: u64 = 1 << 40;

/// Folders of a store that hold what this machine made of it, and do not count as stored.
pub(crate) const MADE_HERE: [&str; 1] = ["here"];

/// What one call did.
pub(crate) struct Done {
    pub(crate) took: Duration,
    pub(crate) files: u64,
    pub(crate) size_bytes: u64,
    pub(crate) stored_bytes: u64,
}

/// A tree that lies ready on this machine.
pub(crate) struct Ready {
    /// The folder that can be a lower layer.
    pub(crate) folder: PathBuf,
    /// Whatever `save_upper` needs to know which tree it is.
    pub(crate) tree: String,
    /// Keeps it there.
    pub(crate) held: Box<dyn std::any::Any>,
}

/// Where the library keeps a store: `data` is what counts as stored.
fn open(store: &Path) -> Result<Store, String> {
    Store::open(&store.join("data"), CAP_BYTES).map_err(said)
}

/// Saves a whole folder, found by walking.
pub(crate) fn save(store: &Path, tree: &Path, key: &str) -> Result<Done, String> {
    let start = Instant::now();
    save_into(&open(store)?, tree, key, start)
}

/// Writes a saved folder's files into an empty one.
pub(crate) fn restore(store: &Path, into: &Path, key: &str) -> Result<Done, String> {
    let start = Instant::now();
    restore_from(&open(store)?, into, key, start)
}

/// The same, where the store is a bucket, with the folder `near` of this machine in front of it.
pub(crate) fn save_remote(
    place: &str,
    near: &Path,
    tree: &Path,
    key: &str,
) -> Result<Done, String> {
    let start = Instant::now();
    save_into(&remote(place, near)?, tree, key, start)
}

/// The same, where the store is a bucket, with the folder `near` of this machine in front of it.
pub(crate) fn restore_remote(
    place: &str,
    near: &Path,
    into: &Path,
    key: &str,
) -> Result<Done, String> {
    let start = Instant::now();
    restore_from(&remote(place, near)?, into, key, start)
}

fn remote(place: &str, near: &Path) -> Result<Store, String> {
    let place: Place = place.parse().map_err(said)?;
    Store::open_at(&place, near, CAP_BYTES).map_err(said)
}

/// Finds a key and has its tree ready on this machine.
pub(crate) fn materialise(store: &Path, key: &str) -> Result<Ready, String> {
    let store = open(store)?;
    let (paths, base) = (everything(), PathBuf::from("/tree"));
    let sought = store
        .find(&lookup(key, &paths, &base, now()?))
        .map_err(said)?;
    let hit = sought.hit.ok_or("the key is not found")?;
    let live = store.materialise(&hit.tree, now()?).map_err(said)?;
    Ok(Ready {
        folder: live.folder(Anchor::Source),
        tree: serde_json::to_string(&hit.tree).map_err(said)?,
        held: Box::new(live),
    })
}

/// What `save_upper` is told.
pub(crate) struct Upper<'a> {
    /// The overlay as the build sees it.
    pub(crate) merged: &'a Path,
    /// Its upper layer.
    pub(crate) layer: &'a Path,
    /// [`Ready::tree`] of its lower layer.
    pub(crate) tree: &'a str,
}

/// Saves an overlay whose lower layer is a live tree, from what its upper layer holds.
pub(crate) fn save_upper(store: &Path, upper: &Upper<'_>, key: &str) -> Result<Done, String> {
    let start = Instant::now();
    let tree: TreeRef = serde_json::from_str(upper.tree).map_err(said)?;
    let layers = [Layer {
        anchor: Anchor::Source,
        at: PathBuf::new(),
        upper: upper.layer.to_path_buf(),
        below: Vec::new(),
    }];
    let mounted = Mounted {
        tree: &tree,
        layers: &layers,
    };
    saved(&open(store)?, upper.merged, key, Some(&mounted), start)
}

fn save_into(store: &Store, tree: &Path, key: &str, start: Instant) -> Result<Done, String> {
    saved(store, tree, key, None, start)
}

fn saved(
    store: &Store,
    tree: &Path,
    key: &str,
    mounted: Option<&Mounted<'_>>,
    start: Instant,
) -> Result<Done, String> {
    let (root, base) = root_and_base(tree)?;
    let saved = store
        .save(&Save {
            project: PROJECT,
            key: Some(key),
            paths: &everything(),
            root: &root,
            base: &base,
            now: now()?,
            origin: Origin::default(),
            mounted,
        })
        .map_err(said)?;
    let took = start.elapsed();
    done(saved, took)
}

fn done(saved: Saved, took: Duration) -> Result<Done, String> {
    if saved.outcome != SaveOutcome::Saved || !saved.warnings.is_empty() {
        return Err(format!("not saved: {saved:?}"));
    }
    Ok(Done {
        took,
        files: saved.files,
        size_bytes: saved.size_bytes,
        stored_bytes: saved.stored_bytes,
    })
}

fn lookup<'a>(key: &'a str, paths: &'a [String], base: &'a Path, now: Timestamp) -> Lookup<'a> {
    Lookup {
        project: PROJECT,
        key: Some(key),
        fallback_keys: &[],
        paths,
        base,
        now,
    }
}

fn restore_from(store: &Store, into: &Path, key: &str, start: Instant) -> Result<Done, String> {
    let (root, base) = root_and_base(into)?;
    let restored = store
        .restore(&Restore {
            lookup: lookup(key, &everything(), &base, now()?),
            root: &root,
        })
        .map_err(said)?;
    let took = start.elapsed();
    if restored.found != Found::Exact || !restored.warnings.is_empty() {
        return Err(format!("not restored: {restored:?}"));
    }
    Ok(Done {
        took,
        files: restored.files,
        size_bytes: restored.size_bytes,
        stored_bytes: 0,
    })
}

/// The folder's parent as what a build sees as `/`, and the folder in it as the source directory.
fn root_and_base(folder: &Path) -> Result<(Root, PathBuf), String> {
    let folder = folder.canonicalize().map_err(said)?;
    let parent = folder.parent().ok_or("the root cannot be saved")?;
    let base = Path::new("/").join(folder.file_name().ok_or("the root cannot be saved")?);
    Ok((Root::open(parent).map_err(said)?, base))
}

fn everything() -> [String; 1] {
    ["**/*".to_string()]
}

fn now() -> Result<Timestamp, String> {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_err(said)?;
    let millis = u64::try_from(since.as_millis()).map_err(said)?;
    Ok(Timestamp::from_millis(millis))
}

/// An error with all its causes.
fn said(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
