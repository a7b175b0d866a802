//! What of this machine a sandbox sees: an allow-list of folders, read-only, minus what only root may read; a private home
//! with the tools of the user's; the sources. Pure but for looking at the host's folders; hands mounts to the runner.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use croft_runner::protocol::{HOME, Mount, Variable};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::{Request, View};

/// Folders of the host that programs need. Everything else (other homes, services' data, mounted disks) is not there at all.
const SEEN: [&str; 13] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix",
    "/gnu",
    "/var/lib/dpkg",
    "/var/lib/texmf",
];
/// Files and folders below those that are nobody's business, whatever their mode.
const MASKED: [&str; 8] = [
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/ssl/private",
    "/etc/docker",
    "/etc/kubernetes",
    "/etc/letsencrypt",
    "/etc/wireguard",
    "/etc/croft",
];
/// Tools that live in homes: the part of each that holds programs, never its credentials.
const TOOLS: [&str; 14] = [
    ".cargo/bin",
    ".cargo/env",
    ".rustup",
    ".pyenv",
    ".nvm",
    ".rbenv",
    ".nodenv",
    ".goenv",
    ".sdkman",
    ".jenv",
    ".volta/bin",
    ".bun/bin",
    ".deno/bin",
    ".local/bin",
];
/// Devices every program may expect.
const DEVICES: [&str; 6] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];
/// Names of a process's own descriptors.
const DESCRIPTORS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];
/// Folders of the build's own directory, where the build sees them, and their modes.
const ON_DISK: [(&str, &str, u32); 3] = [
    ("tmp", "/tmp", 0o1777),
    ("home", BUILD_HOME, 0o755),
    ("var-tmp", "/var/tmp", 0o1777),
];
/// Empty folders that programs expect, and their modes.
const IN_MEMORY: [(&str, u32); 7] = [
    ("/run", 0o755),
    ("/run/lock", 0o1777),
    ("/home", 0o755),
    ("/mnt", 0o755),
    ("/srv", 0o755),
    ("/var/cache", 0o755),
    ("/var/log", 0o755),
];
/// Variables of the host that a build gets: where tools are, how the network is reached, how text is written.
const PASSED: [&str; 22] = [
    "LANG",
    "LC_ALL",
    "TZ",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_DEFAULT_TIMEOUT",
    "GOPROXY",
    "JAVA_HOME",
];
/// Variables that name a tool's home, which moves with it.
const TOOL_HOMES: [&str; 6] = [
    "RUSTUP_HOME",
    "PYENV_ROOT",
    "NVM_DIR",
    "RBENV_ROOT",
    "SDKMAN_DIR",
    "VOLTA_HOME",
];
/// The home of every build, as on AWS.
const BUILD_HOME: &str = "/root";
/// Root, temporary files of shared memory: a build that needs more uses /tmp, which is on disk.
const MEMORY_BYTES_MAX: u64 = 1 << 30;
/// How deep folders of /opt are looked through for the same: packages keep their settings near the top, their programs deep.
const OPT_DEPTH_MAX: u32 = 4;
/// How long a look at what only root may read is good at most.
const PRIVATE_MAX_AGE: Duration = Duration::from_secs(1);
/// How deep folders of /etc are looked through for files that only root may read.
const ETC_DEPTH_MAX: u32 = 6;

/// This machine, as far as a sandbox needs to know it.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// The invoking user's home, where tools may live.
    pub(crate) home: PathBuf,
    /// This process's variables.
    pub(crate) environment: Vec<Variable>,
    /// What only root may read.
    pub(crate) private: Private,
}

/// Files and folders of the host that others than their owner may not read. Clones share what was found.
///
/// A look costs a few thousand questions to the kernel, which many builds a second would each ask. So it is good until the kernel tells of a
/// change in one of the folders that were looked at, and for [`PRIVATE_MAX_AGE`] at most: of a file system that is mounted there it does not tell.
#[derive(Clone, Debug)]
pub(crate) struct Private {
    places: Arc<[(PathBuf, u32)]>,
    last: Arc<Mutex<Option<Look>>>,
}

/// What was found, and where changes are told of: nowhere, when the kernel watches no more folders.
#[derive(Debug)]
struct Look {
    at: Instant,
    found: Vec<PathBuf>,
    changes: Option<OwnedFd>,
}

impl Default for Private {
    fn default() -> Self {
        Self::below(&[
            ("/etc".as_ref(), ETC_DEPTH_MAX),
            ("/usr/local/etc".as_ref(), ETC_DEPTH_MAX),
            ("/opt".as_ref(), OPT_DEPTH_MAX),
        ])
    }
}

impl Private {
    /// Those in folders, so deep in each.
    fn below(places: &[(&Path, u32)]) -> Self {
        let places = places
            .iter()
            .map(|(folder, depth)| (folder.to_path_buf(), *depth));
        Self {
            places: places.collect(),
            last: Arc::default(),
        }
    }

    fn found(&self) -> Vec<PathBuf> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = last.as_ref().filter(|look| look.is_good()) {
            return look.found.clone();
        }
        let look = Look::take(&self.places);
        let found = look.found.clone();
        *last = Some(look);
        found
    }
}

impl Look {
    fn take(places: &[(PathBuf, u32)]) -> Self {
        let at = Instant::now();
        let mut changes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        // Before a folder is read: what changes while it is, is told of.
        let mut watch = |folder: &Path| {
            let told_of = WatchFlags::CREATE
                | WatchFlags::ATTRIB
                | WatchFlags::MOVED_TO
                | WatchFlags::MOVE_SELF
                | WatchFlags::DELETE_SELF
                | WatchFlags::ONLYDIR;
            let watched = changes
                .as_ref()
                .map(|changes| inotify::add_watch(changes, folder, told_of));
            // One that is not there is made in a folder that nobody watches.
            if let Some(Err(_)) = watched {
                changes = None;
            }
        };
        let mut found = Vec::new();
        for (folder, depth) in places.iter().filter(|(folder, _)| folder.exists()) {
            private_files(folder, *depth, &mut watch, &mut found);
        }
        Self { at, found, changes }
    }

    fn is_good(&self) -> bool {
        let is_unchanged = self.changes.as_ref().is_some_and(|changes| {
            let told = rustix::io::read(changes, &mut [0; 4096]);
            told == Err(rustix::io::Errno::AGAIN)
        });
        is_unchanged && self.at.elapsed() < PRIVATE_MAX_AGE
    }
}

/// The mounts that make the sandbox, in order.
pub(crate) fn mounts(host: &Host, request: &Request, runner: &Path, views: &[View]) -> Vec<Mount> {
    let mut mounts = Vec::new();
    let mounted = fs::read("/proc/self/mountinfo").unwrap_or_default();
    SEEN.iter()
        .for_each(|folder| show(Path::new(folder), &mounted, &mut mounts));
    name_servers(&mut mounts);
    devices(&mut mounts);
    mounts.extend([
        Mount::Terminals,
        Mount::Proc,
        read_only(Path::new("/sys"), Path::new("/sys")),
    ]);
    private_folders(&mut mounts);
    tools(&host.home, &mut mounts);
    mounts.push(read_only(runner, &Path::new(HOME).join("bin")));
    mounts.extend(
        request
            .extra
            .iter()
            .map(|(source, target)| read_only(source, target)),
    );
    for (source, view) in request.sources.iter().zip(views) {
        mounts.push(source_mount(view, &source.inside));
    }
    let mut hidden: BTreeSet<PathBuf> = MASKED.iter().map(PathBuf::from).collect();
    hidden.extend(request.hidden.iter().cloned());
    hidden.extend(host.private.found());
    mounts.extend(hidden.iter().map(|target| Mount::Mask {
        target: path(target),
    }));
    mounts
}

fn devices(mounts: &mut Vec<Mount>) {
    let there = DEVICES.iter().filter(|path| Path::new(path).exists());
    mounts.extend(there.map(|path| Mount::Device { path: bytes(path) }));
    for (name, content) in DESCRIPTORS {
        mounts.push(Mount::Symlink {
            content: bytes(content),
            target: bytes(name),
        });
    }
    mounts.push(Mount::Tmpfs {
        target: bytes("/dev/shm"),
        mode: 0o1777,
        size_bytes: MEMORY_BYTES_MAX,
    });
}

/// Folders of the build's own: some on disk, the rest in the new root's memory.
fn private_folders(mounts: &mut Vec<Mount>) {
    for (name, target, mode) in ON_DISK {
        mounts.push(Mount::Bind {
            source: bytes(name),
            target: bytes(target),
            writable: true,
        });
        mounts.push(Mount::Directory {
            target: bytes(target),
            mode,
        });
    }
    for (target, mode) in IN_MEMORY {
        mounts.push(Mount::Directory {
            target: bytes(target),
            mode,
        });
    }
    mounts.push(Mount::Symlink {
        content: bytes("/run"),
        target: bytes("/var/run"),
    });
}

/// The variables a sandboxed build starts with.
pub(crate) fn environment(host: &Host) -> Vec<Variable> {
    let mut chosen = vec![(b"HOME".to_vec(), bytes(BUILD_HOME))];
    for (name, value) in &host.environment {
        let text = String::from_utf8_lossy(name);
        let passed =
            PASSED.contains(&text.as_ref()) || text.starts_with("PIP_") && !value.contains(&b'@');
        if name == b"PATH" {
            let places = value
                .split(|byte| *byte == b':')
                .map(|place| moved(&host.home, place));
            chosen.push((name.clone(), places.collect::<Vec<_>>().join(&b':')));
        } else if TOOL_HOMES.contains(&text.as_ref()) {
            chosen.push((name.clone(), moved(&host.home, value)));
        } else if passed && chosen.iter().all(|(other, _)| other != name) {
            chosen.push((name.clone(), value.clone()));
        }
    }
    chosen
}

/// A path below the user's home, as the build's own home has it.
fn moved(home: &Path, value: &[u8]) -> Vec<u8> {
    match Path::new(OsStr::from_bytes(value)).strip_prefix(home) {
        Ok(rest) => path(&Path::new(BUILD_HOME).join(rest)),
        Err(_) => value.to_vec(),
    }
}

/// A folder of the host at its own place; a link stays a link; what is not there is left out. File systems mounted below it
/// come along.
fn show(folder: &Path, mounted: &[u8], mounts: &mut Vec<Mount>) {
    let Ok(found) = fs::symlink_metadata(folder) else {
        return;
    };
    if found.is_symlink() {
        if let Ok(content) = fs::read_link(folder) {
            mounts.push(Mount::Symlink {
                content: path(&content),
                target: path(folder),
            });
        }
        return;
    }
    mounts.push(read_only(folder, folder));
    let below = mounted_below(mounted, folder);
    mounts.extend(below.into_iter().map(|place| read_only(&place, &place)));
}

/// Many machines keep the list of name servers in `/run`, which a sandbox does not see: that one file comes along.
fn name_servers(mounts: &mut Vec<Mount>) {
    let Ok(file) = fs::canonicalize("/etc/resolv.conf") else {
        return;
    };
    if file.starts_with("/run") {
        mounts.push(read_only(&file, &file));
    }
}

/// The mount points below `folder`, in the order they were made.
pub(crate) fn mounted_below(mountinfo: &[u8], folder: &Path) -> Vec<PathBuf> {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    let places = lines
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|place| PathBuf::from(OsStr::from_bytes(&unescape(place))));
    places
        .filter(|place| place != folder && place.starts_with(folder))
        .collect()
}

/// The kernel writes blanks in mount points as `\040`.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| tail.get(..3)).flatten();
        let value = octal
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(value) = value {
            plain.push(value);
            rest = &tail[3..];
        } else {
            plain.push(*first);
            rest = tail;
        }
    }
    plain
}

/// Files and folders that others than their owner may not read. User 0 of a sandbox owns root's files, so what root keeps to
/// itself must be covered, not just forbidden. Each folder is shown to `watch` before it is read.
fn private_files(
    folder: &Path,
    depth: u32,
    watch: &mut impl FnMut(&Path),
    found: &mut Vec<PathBuf>,
) {
    watch(folder);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // A link needs no look of its own, and most of /etc are some.
        if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
            continue;
        }
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let place = entry.path();
        if metadata.permissions().mode() & 0o004 == 0 {
            found.push(place);
        } else if metadata.is_dir() && depth > 1 {
            private_files(&place, depth - 1, watch, found);
        }
    }
}

/// Tools of the user's home, at the place they have there and in the build's home.
fn tools(home: &Path, mounts: &mut Vec<Mount>) {
    for tool in TOOLS {
        let source = home.join(tool);
        if !source.exists() {
            continue;
        }
        let inside = Path::new(BUILD_HOME).join(tool);
        mounts.push(read_only(&source, &inside));
        // Programs that were installed with their absolute path in them (virtual environments) find themselves.
        if inside != source {
            mounts.push(read_only(&source, &source));
        }
    }
}

fn source_mount(view: &View, inside: &Path) -> Mount {
    match view {
        View::InPlace(directory) | View::Copy(directory) => Mount::Bind {
            source: path(directory),
            target: path(inside),
            writable: true,
        },
        View::Overlay { lower, layers } => Mount::Overlay {
            lower: path(lower),
            layers: path(layers),
            target: path(inside),
        },
    }
}

fn read_only(source: &Path, target: &Path) -> Mount {
    Mount::Bind {
        source: path(source),
        target: path(target),
        writable: false,
    }
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn path(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_private_is_known_at_once_and_a_look_serves_until_then() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mode = |name: &str, mode| {
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        fs::create_dir_all(at("below/deeper")).unwrap();
        fs::write(at("below/key"), "").unwrap();
        mode("below/key", 0o644);
        let private = Private::below(&[(folder.path(), 3)]);
        assert!(private.found().is_empty());
        // The look serves clones, too: what it found is what is told.
        let look =
            |change: &dyn Fn(&mut Look)| change(private.last.lock().unwrap().as_mut().unwrap());
        look(&|look| look.found.push("/found-before".into()));
        assert_eq!(private.clone().found(), [PathBuf::from("/found-before")]);
        mode("below/key", 0o600);
        assert_eq!(private.found(), [at("below/key")]);
        fs::write(at("below/deeper/new"), "").unwrap();
        mode("below/deeper/new", 0o600);
        assert_eq!(private.found().len(), 2);
        // And no longer than that, whatever the kernel says.
        look(&|look| {
            look.found.clear();
            look.at = look.at.checked_sub(PRIVATE_MAX_AGE).unwrap();
        });
        assert_eq!(private.found().len(), 2);
    }
}
