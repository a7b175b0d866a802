//! Layers over directories of a place that stands already: a cache's files and a folder for changes, mounted late, because
//! the cache's key is known only once the place's own shell has expanded it. So are the sources of a place that was started
//! before its build was known, and directories of the host as they are. Started by the worker as a program of its own
//! that enters the place's mount namespace; receives a `Layering` on its standard input, hands back its exit status.
//!
//! Why in three namespaces: an overlay takes layers only from mounts of the namespace it is made in, some of its layers are
//! the host's and some the place's, and none of the host's may be seen in the place on the way. So copies of all of them meet
//! in a third namespace that only this process is in; the overlay is made there, and only it is moved to its target. It lives
//! and dies with the place's namespace, the third one ends with this process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::protocol::{Layer, Layering, VERSION};
use crate::save::os;

/// Directories of the host as they are.
mod bind;

use bind::Bound;

/// Settings that decide what an upper layer may hold: with these off, it holds plain files, whiteouts and opaque folders,
/// whatever the kernel's own defaults are.
const PLAIN: [&str; 3] = ["redirect_dir", "metacopy", "index"];

/// Mounts every layer and every bind, or none.
///
/// # Errors
/// When the place is gone, a directory is missing or behind a symbolic link, or the kernel or a file system does not allow
/// it. Whatever was mounted by then is gone again.
pub fn layer(orders: &Layering) -> io::Result<()> {
    if orders.version != VERSION {
        return Err(io::Error::other(format!(
            "the runner speaks version {VERSION}, the worker {}",
            orders.version
        )));
    }
    let place = Place::open(orders)?;
    let mut parts = Vec::new();
    for layer in &orders.layers {
        parts.push(Parts::of_host(layer)?);
    }
    let bound: Vec<Bound> = orders
        .binds
        .iter()
        .map(|bind| Bound::open(bind, &place.root))
        .collect::<io::Result<_>>()?;
    place.enter()?;
    for (layer, parts) in orders.layers.iter().zip(&mut parts) {
        parts.add_place(layer, &place.root)?;
    }
    let room = room()?;
    let mut mounts = overlays(&room, parts)?;
    for (number, bound) in bound.into_iter().enumerate() {
        mounts.push(bound.made(&room, number)?);
    }
    place.enter()?;
    attach(&mounts)
}

/// The namespace and the root directory of the place.
struct Place {
    namespace: OwnedFd,
    root: OwnedFd,
}

impl Place {
    fn open(orders: &Layering) -> io::Result<Self> {
        let process = PathBuf::from(format!("/proc/{}", orders.process));
        let failed = at("the place");
        let namespace = std::fs::File::open(process.join("ns/mnt")).map_err(&failed)?;
        let root = rustix::fs::open(process.join("root"), HANDLE, Mode::empty());
        let root = root.map_err(|error| failed(error.into()))?;
        let found = namespace.metadata().map_err(&failed)?;
        if (found.dev(), found.ino()) != orders.namespace {
            return Err(failed(io::Error::other("its first process is gone")));
        }
        Ok(Self {
            namespace: namespace.into(),
            root,
        })
    }

    fn enter(&self) -> io::Result<()> {
        let kind = Some(LinkNameSpaceType::Mount);
        rustix::thread::move_into_link_name_space(self.namespace.as_fd(), kind)
            .map_err(|error| at("entering the place")(error.into()))
    }
}

const HANDLE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// What one overlay is made of.
struct Parts {
    /// Copies of mounts that nobody sees, the topmost first.
    lowers: Vec<OwnedFd>,
    /// The folder with `upper` and `work`.
    changes: OwnedFd,
    /// Where it goes; known once the place has been entered.
    target: Option<OwnedFd>,
    /// Mounts below the target, to be put back on top, and where.
    below: Vec<(OwnedFd, PathBuf)>,
    shown: PathBuf,
}

impl Parts {
    /// The host's share, while this process still sees the host.
    fn of_host(layer: &Layer) -> io::Result<Self> {
        let cloned = |path: &[u8]| {
            let path = PathBuf::from(os(path));
            clone(CWD, &path, OpenTreeFlags::empty()).map_err(at(path.display()))
        };
        Ok(Self {
            lowers: layer
                .lowers
                .iter()
                .map(|path| cloned(path))
                .collect::<io::Result<_>>()?,
            changes: cloned(&layer.changes)?,
            target: None,
            below: Vec::new(),
            shown: os(&layer.target).into(),
        })
    }

    /// The place's share.
    fn add_place(&mut self, layer: &Layer, root: &OwnedFd) -> io::Result<()> {
        let target = beneath(root, &self.shown).map_err(at(self.shown.display()))?;
        if layer.over_what_is_there {
            let empty = OpenTreeFlags::AT_EMPTY_PATH;
            self.lowers
                .push(clone(&target, Path::new(""), empty).map_err(at(self.shown.display()))?);
        }
        for path in &layer.mounts_below {
            let path = PathBuf::from(os(path));
            let copied = clone_any(&target, &path).map_err(at(format!(
                "{}/{}",
                self.shown.display(),
                path.display()
            )))?;
            self.below.push((copied, path));
        }
        self.target = Some(target);
        Ok(())
    }
}

/// A directory inside `root`, no symbolic link on the way.
fn beneath(root: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    opened(root, path, HANDLE)
}

fn opened(root: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let opened = rustix::fs::openat2(root, path, flags, Mode::empty(), resolve);
    Ok(opened?)
}

/// A copy of the mount at `path` that nobody sees.
fn clone(directory: impl AsFd, path: &Path, more: OpenTreeFlags) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | more;
    Ok(rustix::mount::open_tree(directory, path, flags)?)
}

/// The same of a file or directory below a target, with what is mounted below it.
fn clone_any(target: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let found = opened(target, path, OFlags::PATH | OFlags::CLOEXEC)?;
    let whole = OpenTreeFlags::AT_EMPTY_PATH | OpenTreeFlags::AT_RECURSIVE;
    clone(found, Path::new(""), whole)
}

/// A mount that nobody sees yet.
struct Made {
    mount: OwnedFd,
    target: OwnedFd,
    below: Vec<(OwnedFd, PathBuf)>,
    shown: PathBuf,
}

/// An empty folder in a namespace of this process's own, which it is in afterwards.
fn room() -> io::Result<OwnedFd> {
    #[expect(
        deprecated,
        reason = "its unsafe successor guards against shared descriptor tables, which is not asked for"
    )]
    rustix::thread::unshare(UnshareFlags::NEWNS)?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private)?;
    let room = tmpfs()?;
    put(&room, CWD, Path::new("/"))?;
    Ok(room)
}

/// Makes the overlays in `room`.
fn overlays(room: &OwnedFd, parts: Vec<Parts>) -> io::Result<Vec<Made>> {
    let mut overlays = Vec::new();
    for (number, parts) in parts.into_iter().enumerate() {
        let Parts {
            lowers,
            changes,
            target: Some(target),
            below,
            shown,
        } = parts
        else {
            return Err(io::Error::other("a layer has no target"));
        };
        let made = gather(room, number, &lowers, &changes).and_then(overlay);
        overlays.push(Made {
            mount: made.map_err(at(format!("an overlay for {}", shown.display())))?,
            target,
            below,
            shown,
        });
    }
    Ok(overlays)
}

fn tmpfs() -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    Ok(rustix::mount::fsmount(
        &context,
        flags,
        MountAttrFlags::empty(),
    )?)
}

/// Mounts what an overlay is made of at short names in a folder of `room`, and goes there: short names need no escaping and
/// fit wherever the kernel limits them. How many lower layers there are.
fn gather(
    room: &OwnedFd,
    number: usize,
    lowers: &[OwnedFd],
    changes: &OwnedFd,
) -> io::Result<usize> {
    let mode = Mode::from_raw_mode(0o700);
    rustix::process::fchdir(room)?;
    let folder = number.to_string();
    rustix::fs::mkdir(&folder, mode)?;
    rustix::process::chdir(&folder)?;
    let lowers_named = lowers
        .iter()
        .enumerate()
        .map(|(index, mount)| (index.to_string(), mount));
    for (name, mount) in lowers_named.chain([("changes".to_string(), changes)]) {
        rustix::fs::mkdir(&name, mode)?;
        put(mount, CWD, Path::new(&name))?;
    }
    Ok(lowers.len())
}

/// The upper layer is thrown away with the build, so nothing need be flushed for it: `volatile`, where the kernel has it.
fn overlay(lowers: usize) -> io::Result<OwnedFd> {
    configured(lowers, &["volatile"]).or_else(|_| configured(lowers, &[]))
}

fn configured(lowers: usize, flags: &[&str]) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let context = context.as_fd();
    let names: Vec<String> = (0..lowers).map(|index| index.to_string()).collect();
    let set = |key: &str, value: &str| rustix::mount::fsconfig_set_string(context, key, value);
    set("source", "overlay")?;
    set("lowerdir", &names.join(":"))?;
    set("upperdir", "changes/upper")?;
    set("workdir", "changes/work")?;
    for key in PLAIN {
        set(key, "off")?;
    }
    for flag in flags {
        rustix::mount::fsconfig_set_flag(context, *flag)?;
    }
    rustix::mount::fsconfig_create(context).map_err(|error| explained(context, error.into()))?;
    let harmless = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let made = rustix::mount::fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, harmless)?;
    Ok(made)
}

/// The kernel's own words about a mount it refused say more than the error's number.
fn explained(context: BorrowedFd<'_>, error: io::Error) -> io::Error {
    let mut words = [0; 512];
    match rustix::io::read(context, &mut words) {
        Ok(count) if count > 0 => {
            let words = String::from_utf8_lossy(&words[..count]);
            io::Error::new(error.kind(), format!("{error} ({})", words.trim()))
        }
        _ => error,
    }
}

/// Moves every mount to its target, and what was mounted below the target back on top; on an error takes them away.
fn attach(mounts: &[Made]) -> io::Result<()> {
    for (position, made) in mounts.iter().enumerate() {
        if let Err(error) = attach_one(made) {
            for attached in mounts[..=position].iter().rev() {
                take_away(attached);
            }
            return Err(at(made.shown.display())(error));
        }
    }
    Ok(())
}

fn attach_one(made: &Made) -> io::Result<()> {
    put(&made.mount, &made.target, Path::new(""))?;
    for (mount, path) in &made.below {
        let place = opened(&made.mount, path, OFlags::PATH | OFlags::CLOEXEC)?;
        put(mount, &place, Path::new("")).map_err(at(path.display()))?;
    }
    Ok(())
}

/// Undoes what can be undone: the error that led here is the one to tell.
fn take_away(made: &Made) {
    let gone = rustix::process::fchdir(&made.mount)
        .and_then(|()| rustix::mount::unmount(".", UnmountFlags::DETACH));
    gone.unwrap_or_default();
}

fn put(mount: &OwnedFd, directory: impl AsFd, path: &Path) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(rustix::mount::move_mount(
        mount, "", directory, path, flags,
    )?)
}

fn at(step: impl std::fmt::Display) -> impl Fn(io::Error) -> io::Error {
    let step = step.to_string();
    move |error| io::Error::new(error.kind(), format!("{step}: {error}"))
}
