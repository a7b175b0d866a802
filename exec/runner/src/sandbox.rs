//! Making a sandbox out of mounts and namespaces. Two processes: the outer one makes the namespaces and waits, the inner one
//! is the first of the new process table, builds its root as the worker's `Setup` says, enters it and serves.
//!
//! Why by system calls through rustix: a fresh machine has no bubblewrap, Debian 12's has no overlay mounts, and util-linux's
//! `unshare` and `mount` would cost a process a mount. All mounts live in a namespace that dies with the last process, so
//! whatever kills Croft leaves none behind.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::Signal;
use rustix::thread::UnshareFlags;

use crate::frame;
use crate::protocol::{Mount, Owner, Reply, Setup, VERSION};
use crate::save::os;
use crate::serve;

/// Nothing a build brings may gain privileges or reach a device by it.
const HARMLESS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);
/// Parts of the process table that change the kernel for everybody: user 0 may write some of them without any capability.
const PROC_READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];
/// Parts of it that tell about the machine what no build needs.
const PROC_HIDDEN: [&str; 7] = [
    "acpi",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
];

/// The outer process: new namespaces, the inner process in them with the same further words, its exit status.
///
/// # Errors
/// When the kernel refuses the namespaces: not root, or forbidden inside a container.
pub fn outer(words: &[OsString]) -> io::Result<i32> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let spaces = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    #[expect(
        deprecated,
        reason = "its unsafe successor guards against shared descriptor tables, which is not asked for"
    )]
    rustix::thread::unshare(spaces)?;
    let ended = Command::new("/proc/self/exe")
        .arg("inside")
        .args(words)
        .status()?;
    Ok(ended
        .code()
        .or_else(|| ended.signal().map(|signal| 128 + signal))
        .unwrap_or(255))
}

/// The inner process: builds the root, enters it, serves until the worker is done or gone.
///
/// # Errors
/// When the socket breaks. A root that cannot be built is told to the worker first.
pub fn inside(control: &UnixStream, lease: Option<Duration>) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut stream = control;
    let Some(setup) = frame::read::<Setup>(&mut stream)? else {
        return Ok(());
    };
    if let Err(broken) = build(&setup) {
        return frame::write(
            &mut stream,
            &Reply::Broken {
                reason: broken.reason,
                overlay: broken.overlay,
            },
        );
    }
    serve::serve(control, lease, setup.owner)
}

struct Broken {
    reason: String,
    overlay: bool,
}

impl Broken {
    fn at(step: impl std::fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |error| Self {
            reason: format!("{step}: {error}"),
            overlay: false,
        }
    }
}

fn build(setup: &Setup) -> Result<(), Broken> {
    if setup.version != VERSION {
        let reason = format!(
            "the runner speaks version {VERSION}, the worker {}",
            setup.version
        );
        return Err(Broken {
            reason,
            overlay: false,
        });
    }
    let directory = PathBuf::from(os(&setup.directory));
    rustix::process::chdir(&directory)
        .map_err(|error| Broken::at(directory.display())(error.into()))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private)
        .map_err(|error| Broken::at("private mounts")(error.into()))?;
    rustix::system::sethostname(&setup.hostname)
        .map_err(|error| Broken::at("host name")(error.into()))?;
    let root = directory.join("root");
    tmpfs(&root, 0o755, 256 << 20).map_err(Broken::at("new root"))?;
    give(&root, setup.owner).map_err(Broken::at("new root"))?;
    for mount in &setup.mounts {
        apply(&root, mount, setup.owner).map_err(|error| Broken {
            reason: format!("{}: {error}", describe(mount)),
            overlay: matches!(mount, Mount::Overlay { .. }),
        })?;
    }
    enter(&root).map_err(Broken::at("entering the new root"))
}

fn enter(root: &Path) -> io::Result<()> {
    rustix::process::chdir(root)?;
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    Ok(rustix::process::chdir("/")?)
}

fn describe(mount: &Mount) -> String {
    let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match mount {
        Mount::Directory { target, .. } => format!("directory {}", name(target)),
        Mount::Symlink { target, .. } => format!("link {}", name(target)),
        Mount::Tmpfs { target, .. } => format!("memory at {}", name(target)),
        Mount::Bind { source, target, .. } => format!("{} at {}", name(source), name(target)),
        Mount::Device { path } => format!("device {}", name(path)),
        Mount::Overlay { lower, .. } => format!("copy-on-write view of {}", name(lower)),
        Mount::Proc => "process table".to_string(),
        Mount::Terminals => "terminals".to_string(),
        Mount::Mask { target } => format!("mask over {}", name(target)),
    }
}

fn apply(root: &Path, mount: &Mount, owner: Owner) -> io::Result<()> {
    if let Some(target) = target_of(mount) {
        make_parents(root, &within(root, target), owner)?;
    }
    match mount {
        Mount::Directory { target, mode } => {
            let path = within(root, target);
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
            give(&path, owner)
        }
        Mount::Symlink { content, target } => {
            let path = within(root, target);
            fs::create_dir_all(path.parent().unwrap_or(root))?;
            symlink(os(content), path)
        }
        Mount::Tmpfs {
            target,
            mode,
            size_bytes,
        } => tmpfs(&within(root, target), *mode, *size_bytes),
        Mount::Bind {
            source,
            target,
            writable,
        } => bind(Path::new(&os(source)), &within(root, target), *writable),
        Mount::Device { path } => {
            let target = within(root, path);
            make_like(Path::new(&os(path)), &target)?;
            Ok(rustix::mount::mount_bind(os(path), &target)?)
        }
        Mount::Overlay {
            lower,
            layers,
            target,
        } => crate::overlay::mount(
            Path::new(&os(lower)),
            Path::new(&os(layers)),
            &within(root, target),
        ),
        Mount::Proc => process_table(&root.join("proc")),
        Mount::Terminals => terminals(&root.join("dev")),
        Mount::Mask { target } => mask(&within(root, target)),
    }
}

fn target_of(mount: &Mount) -> Option<&[u8]> {
    match mount {
        Mount::Directory { target, .. }
        | Mount::Symlink { target, .. }
        | Mount::Tmpfs { target, .. }
        | Mount::Bind { target, .. }
        | Mount::Overlay { target, .. } => Some(target),
        Mount::Device { path } => Some(path),
        Mount::Proc | Mount::Terminals | Mount::Mask { .. } => None,
    }
}

/// The folders above a target; those that are new are the build's own, so that it can work beside what is mounted there.
fn make_parents(root: &Path, target: &Path, owner: Owner) -> io::Result<()> {
    let missing: Vec<&Path> = target
        .ancestors()
        .skip(1)
        .take_while(|path| *path != root && !path.exists())
        .collect();
    for path in missing.into_iter().rev() {
        fs::create_dir(path)?;
        give(path, owner)?;
    }
    Ok(())
}

/// Makes the build's user 0 the owner.
fn give(path: &Path, owner: Owner) -> io::Result<()> {
    std::os::unix::fs::chown(path, Some(owner.uid), Some(owner.gid))
}

fn within(root: &Path, target: &[u8]) -> PathBuf {
    let start = target
        .iter()
        .position(|byte| *byte != b'/')
        .unwrap_or(target.len());
    root.join(os(&target[start..]))
}

fn tmpfs(target: &Path, mode: u32, size_bytes: u64) -> io::Result<()> {
    fs::create_dir_all(target)?;
    let options = std::ffi::CString::new(format!("mode={mode:o},size={size_bytes}"))?;
    Ok(rustix::mount::mount(
        "tmpfs",
        target,
        "tmpfs",
        HARMLESS,
        options.as_c_str(),
    )?)
}

fn bind(source: &Path, target: &Path, writable: bool) -> io::Result<()> {
    make_like(source, target)?;
    rustix::mount::mount_bind(source, target)?;
    let access = if writable {
        MountFlags::empty()
    } else {
        MountFlags::RDONLY
    };
    Ok(rustix::mount::mount_remount(
        target,
        MountFlags::BIND | HARMLESS | access,
        "",
    )?)
}

/// A mount point of the source's kind.
fn make_like(source: &Path, target: &Path) -> io::Result<()> {
    if fs::metadata(source)?.is_dir() {
        return fs::create_dir_all(target);
    }
    fs::create_dir_all(target.parent().unwrap_or(Path::new("/")))?;
    match fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(target)
    {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn process_table(target: &Path) -> io::Result<()> {
    fs::create_dir_all(target)?;
    rustix::mount::mount("proc", target, "proc", HARMLESS | MountFlags::NOEXEC, None)?;
    for name in PROC_READ_ONLY {
        let path = target.join(name);
        if path.exists() {
            bind(&path, &path, false)?;
        }
    }
    PROC_HIDDEN
        .iter()
        .try_for_each(|name| mask(&target.join(name)))
}

fn terminals(dev: &Path) -> io::Result<()> {
    let target = dev.join("pts");
    fs::create_dir_all(&target)?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    rustix::mount::mount(
        "devpts",
        &target,
        "devpts",
        flags,
        c"newinstance,ptmxmode=0666,mode=620",
    )?;
    symlink("pts/ptmx", dev.join("ptmx"))
}

fn mask(target: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(target) {
        Ok(found) if found.is_symlink() => return Ok(()),
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if kind.is_dir() {
        let flags = HARMLESS | MountFlags::RDONLY;
        return Ok(rustix::mount::mount(
            "tmpfs",
            target,
            "tmpfs",
            flags,
            c"mode=000,size=4096",
        )?);
    }
    rustix::mount::mount_bind("/dev/null", target)?;
    Ok(())
}
