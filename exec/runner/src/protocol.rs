//! What worker and runner say to each other. Both ends come from the same build of Croft, so there is one version and a
//! mismatch is refused; bincode carries it, since it dies with its receiver.

use serde::{Deserialize, Serialize};

/// Raised when the meaning of any message changes.
pub const VERSION: u32 = 4;

/// Where everything of Croft's stands inside a sandbox or container.
pub const HOME: &str = "/codebuild/croft";
/// The runner itself, read-only.
pub const RUNNER: &str = "/codebuild/croft/bin/croft-runner";
/// The control socket inside a container.
pub const CONTROL: &str = "/codebuild/croft/slot/control";
/// The output pipe inside a container.
pub const OUTPUT: &str = "/codebuild/croft/slot/output";
/// Scripts and state of commands; gone with the build.
pub const TMP: &str = "/codebuild/output/tmp";
/// The variable that names the list to which `codebuild-hash-files` adds what it has hashed: lines of `<sha256>  <path>`.
pub const HASHED: &str = "CROFT_HASHED";
/// Where the in-build helpers stand; on every build's `PATH`, as on AWS.
pub const USER_BIN: &str = "/codebuild/user/bin";

/// The longest message either side accepts: an environment of the kernel's own limit fits many times.
pub const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// A name and a value, both any bytes but NUL.
pub type Variable = (Vec<u8>, Vec<u8>);

/// The worker's first message to a runner that makes its own sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Must equal [`VERSION`].
    pub version: u32,
    /// A directory of the build's own on the host: mount point of the new root, current directory of relative sources.
    pub directory: Vec<u8>,
    /// In this order.
    pub mounts: Vec<Mount>,
    /// The name the sandbox sees as its host's.
    pub hostname: Vec<u8>,
    /// Whom of the host's users the build's user 0 is.
    pub owner: Owner,
}

/// Who owns a build's files on the host.
///
/// An ordinary user's build runs in a user namespace of its own: its user 0 is that user, so that the build owns its source and
/// nothing of root's; its other users are numbers that no host gives to anybody. Root's build runs as root without powers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// On the host; 0 for root, and for containers, which have users of their own.
    pub uid: u32,
    /// On the host.
    pub gid: u32,
}

/// The first of the numbers for a build's other users; above everything that any system hands out.
pub const OTHERS_START: u32 = 0x7000_0000;
/// How many there are: every number of 16 bits but 0.
pub const OTHERS_COUNT: u32 = 65_534;

impl Owner {
    /// Whether the build has users of its own.
    #[must_use]
    pub const fn is_mapped(self) -> bool {
        self.uid != 0
    }

    /// The number on the host of the build's user.
    #[must_use]
    pub const fn host_uid(self, uid: u32) -> u32 {
        host(self.is_mapped(), self.uid, uid)
    }

    /// The number on the host of the build's group.
    #[must_use]
    pub const fn host_gid(self, gid: u32) -> u32 {
        host(self.is_mapped(), self.gid, gid)
    }
}

const fn host(mapped: bool, owner: u32, inside: u32) -> u32 {
    match (mapped, inside) {
        (false, _) => inside,
        (true, 0) => owner,
        (true, _) => OTHERS_START + inside,
    }
}

/// One step in making a sandbox's root. Sources are paths of the host, targets are paths of the new root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mount {
    /// A new directory with that mode.
    Directory {
        /// Where.
        target: Vec<u8>,
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link.
    Symlink {
        /// What it says.
        content: Vec<u8>,
        /// Where.
        target: Vec<u8>,
    },
    /// Memory, empty.
    Tmpfs {
        /// Where; made when missing.
        target: Vec<u8>,
        /// Permission bits.
        mode: u32,
        /// Bytes it may hold.
        size_bytes: u64,
    },
    /// A file or directory of the host; never with set-user-id programs or devices in force.
    Bind {
        /// On the host; relative to the build's own directory.
        source: Vec<u8>,
        /// Where; made when missing.
        target: Vec<u8>,
        /// Whether the build may write to it.
        writable: bool,
    },
    /// One of the host's devices.
    Device {
        /// Such as `/dev/null`, same name inside.
        path: Vec<u8>,
    },
    /// A copy-on-write view; the host's directory stays as it is.
    Overlay {
        /// The directory seen.
        lower: Vec<u8>,
        /// A directory of the build's own that holds `upper`, `work` and `lower`.
        layers: Vec<u8>,
        /// Where; made when missing.
        target: Vec<u8>,
    },
    /// The process table of the sandbox, with the kernel's settings read-only.
    Proc,
    /// Terminals of the sandbox's own.
    Terminals,
    /// Nothing to see: an empty file or directory, read-only, over an existing target; no error when it is missing.
    Mask {
        /// Where.
        target: Vec<u8>,
    },
}

/// What `croft-runner layer` is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layering {
    /// Must equal [`VERSION`].
    pub version: u32,
    /// A process of the place, as the host numbers it.
    pub process: u32,
    /// Device and inode of that process's mount namespace: another process may have got its number.
    pub namespace: (u64, u64),
    /// Disjoint: no target is inside another, nor inside one of a bind's.
    pub layers: Vec<Layer>,
    /// Disjoint, too.
    pub binds: Vec<Bind>,
}

/// One directory of the host over a directory of a place, with what is mounted below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// On the host.
    pub source: Vec<u8>,
    /// The directory in the place, which must exist.
    pub target: Vec<u8>,
    /// Whether the place may write to it.
    pub writable: bool,
}

/// One overlay over a directory of a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The directory in the place, which must exist.
    pub target: Vec<u8>,
    /// Directories of the host that are seen, the topmost first. They stay as they are.
    pub lowers: Vec<Vec<u8>>,
    /// Whether what is at the target now is seen below them.
    pub over_what_is_there: bool,
    /// A directory of the build's own on the host that holds `upper`, which gets the changes, and `work`.
    pub changes: Vec<u8>,
    /// Mount points below the target, relative to it, none inside another; they stay on top.
    pub mounts_below: Vec<Vec<u8>>,
}

/// Worker to runner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Run one command; exactly one [`Reply::Exited`] or [`Reply::Refused`] answers.
    Run(Box<Run>),
    /// Send a signal to the running command's session.
    Signal(i32),
    /// Still here.
    Alive,
    /// Leave; everything ends.
    Quit,
}

/// One command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The user's text.
    pub script: Vec<u8>,
    /// `sh` or `bash`, looked up on the command's own `PATH`, then in `/bin` and `/usr/bin`.
    pub shell: Vec<u8>,
    /// A name or a number; `None` is root.
    pub user: Option<String>,
    /// Where it starts.
    pub directory: Vec<u8>,
    /// Its whole environment.
    pub environment: Vec<Variable>,
    /// Whether capabilities are given up and no program can gain privileges.
    pub confine: bool,
}

/// Runner to worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// First of all.
    Ready {
        /// Must equal [`VERSION`].
        version: u32,
        /// What the runner was started with: in a container, the image's own.
        environment: Vec<Variable>,
        /// The image's `runtimes.yml`, when it has one.
        runtimes: Option<Vec<u8>>,
    },
    /// The sandbox could not be made.
    Broken {
        /// What failed and why.
        reason: String,
        /// True when it was the copy-on-write view: a copy may do instead.
        overlay: bool,
    },
    /// The command ended.
    Exited {
        /// 0 to 255; 128 + the signal's number when a signal killed it.
        status: i32,
        /// What it left; `None` when it did not come to its end (`exit`, `exec`, a signal, `set -e`).
        state: Option<State>,
    },
    /// The command could not be started, which is the user's to mend.
    Refused {
        /// 126 or 127, as a shell would say.
        status: i32,
        /// Why.
        reason: String,
    },
}

/// What carries over to the next command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The working directory.
    pub directory: Vec<u8>,
    /// The whole environment.
    pub environment: Vec<Variable>,
}
