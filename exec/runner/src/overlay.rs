//! A copy-on-write view of a directory. The source stays as it is, what a build changes lands in a folder of the build's.
//! Used inside a sandbox's own mount namespace, and, as a program of its own, for containers, whose engine must see it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags};

/// Mounts at `target` the directory `lower`, with changes kept in `layers/upper`. `layers` must be on a file system that
/// can hold an upper layer. Changes this process's working directory to `layers`: names relative to it need no escaping,
/// whatever characters a user's folder has.
///
/// # Errors
/// When the kernel or the file systems do not allow it; a copy may do instead.
pub fn mount(lower: &Path, layers: &Path, target: &Path) -> io::Result<()> {
    for name in ["lower", "upper", "work"] {
        fs::create_dir_all(layers.join(name))?;
    }
    fs::create_dir_all(target)?;
    like(lower, &layers.join("upper"))?;
    rustix::mount::mount_bind(lower, layers.join("lower"))?;
    // Whatever goes wrong later, nothing reaches the source through here.
    let read_only = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount_remount(layers.join("lower"), read_only, "")?;
    let target = fs::canonicalize(target)?;
    rustix::process::chdir(layers)?;
    // The upper layer is thrown away with the build, so nothing need be flushed for it: `volatile`, where the kernel has it.
    let volatile = c"lowerdir=lower,upperdir=upper,workdir=work,volatile";
    let plain = c"lowerdir=lower,upperdir=upper,workdir=work";
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("overlay", &target, "overlay", flags, volatile)
        .or_else(|_| rustix::mount::mount("overlay", &target, "overlay", flags, plain))?;
    Ok(())
}

/// Makes `upper` belong to whom `lower` belongs to, with its rights: the top of a view is the upper layer's.
///
/// # Errors
/// When there is no such directory, or the kernel refuses.
pub fn like(lower: &Path, upper: &Path) -> io::Result<()> {
    let found = fs::metadata(lower)?;
    std::os::unix::fs::chown(upper, Some(found.uid()), Some(found.gid()))?;
    fs::set_permissions(upper, found.permissions())
}

/// Takes the view at `target` and its source in `layers` away; what is not mounted is no error.
///
/// # Errors
/// When the kernel refuses.
pub fn unmount(layers: &Path, target: &Path) -> io::Result<()> {
    for place in [target.to_path_buf(), layers.join("lower")] {
        match rustix::mount::unmount(&place, UnmountFlags::DETACH) {
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
