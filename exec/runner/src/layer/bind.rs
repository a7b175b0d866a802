//! Directories of the host as they are, for a place that stands already: a source that is worked on in place, a folder that
//! is only read. Receives a `Bind`, hands the layers a mount that is moved to its target as theirs are.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, StatVfsMountFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, OpenTreeFlags};

use super::{Made, at, beneath, clone, put};
use crate::protocol::Bind;
use crate::save::os;

/// A directory of the host's, and where it goes.
pub(super) struct Bound {
    /// A copy of the host's mount that nobody sees, with what is mounted below.
    mount: OwnedFd,
    target: OwnedFd,
    writable: bool,
    shown: PathBuf,
}

impl Bound {
    /// While this process still sees the host.
    pub(super) fn open(bind: &Bind, root: &OwnedFd) -> io::Result<Self> {
        let (source, shown) = (
            PathBuf::from(os(&bind.source)),
            PathBuf::from(os(&bind.target)),
        );
        let mount =
            clone(CWD, &source, OpenTreeFlags::AT_RECURSIVE).map_err(at(source.display()))?;
        let target = beneath(root, &shown).map_err(at(shown.display()))?;
        Ok(Self {
            mount,
            target,
            writable: bind.writable,
            shown,
        })
    }

    /// A mount with the place's own settings: what is mounted in it later, there or on the host, does not show on the other
    /// side. Made in `room`, since settings are changed by a mount's path only.
    pub(super) fn made(self, room: &OwnedFd, number: usize) -> io::Result<Made> {
        let name = format!("bind-{number}");
        let settled = self.settled(room, Path::new(&name));
        let mount = settled.map_err(at(self.shown.display()))?;
        Ok(Made {
            mount,
            target: self.target,
            below: Vec::new(),
            shown: self.shown,
        })
    }

    fn settled(&self, room: &OwnedFd, name: &Path) -> io::Result<OwnedFd> {
        rustix::process::fchdir(room)?;
        rustix::fs::mkdir(name, Mode::from_raw_mode(0o700))?;
        put(&self.mount, CWD, name)?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change(name, private)?;
        if !self.writable {
            let read_only = MountFlags::BIND | MountFlags::RDONLY | kept(name)?;
            rustix::mount::mount_remount(name, read_only, "")?;
        }
        // A copy, because only a mount that is nowhere can be moved into another namespace.
        clone(CWD, name, OpenTreeFlags::AT_RECURSIVE)
    }
}

/// What the host forbids there stays forbidden: changing one setting of a mount sets all of them.
fn kept(name: &Path) -> io::Result<MountFlags> {
    let found = rustix::fs::statvfs(name)?.f_flag;
    let both = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
    ];
    let set = both.iter().filter(|(flag, _)| found.contains(*flag));
    Ok(set.fold(MountFlags::empty(), |all, (_, flag)| all | *flag))
}
