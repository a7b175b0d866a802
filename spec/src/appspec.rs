//! The typed AppSpec: what a checked `appspec.yml` for servers says. Made by the parser, read by the agent that plans an
//! installation and by the engine that hands it out.

use std::collections::BTreeMap;
use std::fmt;

use croft_proto::Place;
use croft_proto::deploy::{FileExistsBehavior, LifecycleEvent};

/// From bytes to a checked AppSpec, or to everything that is wrong with them.
mod parse;
/// The top level.
mod document;
/// Documents that are not for servers.
mod platform;
/// `files`.
mod files;
/// `permissions`.
mod permissions;
/// Their `acls`.
mod acl;
/// Their `context`.
mod context;
/// Users and groups.
mod account;
/// `hooks`.
mod hooks;
/// `x-croft.container`.
mod container;
/// Paths as they are written, taken apart without a file system.
mod paths;
/// What a valid file may still do wrong.
mod traps;
/// What it names, in the revision.
mod bundle;

#[cfg(test)]
mod tests;

pub use bundle::{Around, Bundle, Found};
pub use container::{Ask, Container, ContainerImage, HealthCheck};
pub use parse::{Parsed, is_appspec, lint, lint_in, parse};
pub use paths::path_in_bundle;

/// Seconds a script may take when the file does not say.
pub const TIMEOUT_S_DEFAULT: u64 = 3600;

/// Entries of one list that are compared with each other; more of them are written by a program, and would take seconds.
const COMPARED_MAX: usize = 500;

/// A checked AppSpec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppSpec {
    /// Which hosts it is for.
    pub os: Os,
    /// What is put in place, in the file's order; may be empty.
    pub files: Vec<FileMapping>,
    /// What happens to a file that is there already; `None` leaves it to the deployment.
    pub file_exists_behavior: Option<FileExistsBehavior>,
    /// Owners and modes of what was put in place, in the file's order; empty on Windows.
    pub permissions: Vec<Permission>,
    /// What runs in a container; with it there are no files and no permissions.
    pub container: Option<Container>,
    /// The scripts of each event that has some, in the order in which they run; no event of Croft's own, and no empty list.
    pub hooks: BTreeMap<LifecycleEvent, Vec<Script>>,
}

/// `os`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Os {
    /// `linux`.
    Linux,
    /// `windows`.
    Windows,
}

impl Os {
    /// The word in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Windows => "windows",
        }
    }
}

/// One entry of `files`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMapping {
    /// A file or folder of the bundle, as written: a leading `/` means the bundle's root, and `/` alone all of it.
    pub source: String,
    /// The absolute folder that receives the file, or what is in the folder; no `..` in it.
    pub destination: String,
    /// Where the entry stands.
    pub place: Place,
}

impl FileMapping {
    /// The source's path below the bundle, empty for the whole of it; never `None` for a mapping that was read from a file.
    #[must_use]
    pub fn source_in_bundle(&self) -> Option<String> {
        path_in_bundle(&self.source)
    }
}

/// One entry of `permissions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// An absolute path: a file that is put in place, or a folder to search.
    pub object: String,
    /// `**` for everything below a folder at any depth, else a glob over the names directly in it, in which only `*` is special.
    pub pattern: String,
    /// Globs over the names directly in the folder that are left out.
    pub except: Vec<String>,
    /// A user's name or number.
    pub owner: Option<String>,
    /// A group's name or number.
    pub group: Option<String>,
    /// At most `0o7777`.
    pub mode: Option<u32>,
    /// What the access control list is set to, where the base entries follow the mode; it is left alone when empty.
    pub acls: Vec<Acl>,
    /// The SELinux context.
    pub context: Option<SelinuxContext>,
    /// What of the matches is meant.
    pub kinds: Kinds,
    /// Where the entry stands.
    pub place: Place,
}

impl Permission {
    /// Whether a path below the object, given relative to it, is meant by pattern and exceptions; the object itself is not.
    #[must_use]
    pub fn matches(&self, below: &str) -> bool {
        let meant = self.pattern == permissions::ALL || paths::matches(&self.pattern, below);
        let excepted = |except: &String| paths::matches(except, below);
        meant && !below.is_empty() && !self.except.iter().any(excepted)
    }
}

/// `type` of a permission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kinds {
    /// Files and folders, the default.
    #[default]
    Both,
    /// `file` alone.
    Files,
    /// `directory` alone.
    Directories,
}

impl Kinds {
    /// Whether something may be meant by both.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        (self.files() && other.files()) || (self.directories() && other.directories())
    }

    /// Whether files are meant.
    #[must_use]
    pub const fn files(self) -> bool {
        matches!(self, Self::Both | Self::Files)
    }

    /// Whether folders are meant.
    #[must_use]
    pub const fn directories(self) -> bool {
        matches!(self, Self::Both | Self::Directories)
    }
}

/// One entry of an access control list. Shown as `setfacl` takes it: `default:user:bob:rw-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// Whether it is what new files in a folder begin with; only folders have such.
    pub default: bool,
    /// Whom it is for.
    pub whom: AclWhom,
    /// May read.
    pub read: bool,
    /// May write.
    pub write: bool,
    /// May execute, or enter.
    pub execute: bool,
}

/// Whom an access control entry is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AclWhom {
    /// A user; the owner when empty, which only a default entry may be.
    User(String),
    /// A group; the owning one when empty, which only a default entry may be.
    Group(String),
    /// The most that anyone named may do.
    Mask,
    /// Everyone else; always a default entry.
    Other,
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match &self.whom {
            AclWhom::User(name) => ("user", name.as_str()),
            AclWhom::Group(name) => ("group", name.as_str()),
            AclWhom::Mask => ("mask", ""),
            AclWhom::Other => ("other", ""),
        };
        let scope = if self.default { "default:" } else { "" };
        let may = |may: bool, letter: char| if may { letter } else { '-' };
        write!(
            f,
            "{scope}{kind}:{name}:{}{}{}",
            may(self.read, 'r'),
            may(self.write, 'w'),
            may(self.execute, 'x')
        )
    }
}

/// `context` of a permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelinuxContext {
    /// The SELinux user.
    pub user: Option<String>,
    /// `type`, which every context has.
    pub kind: String,
    /// A checked `s0`, `s0-s1` or `s0:c1.c3,c5`.
    pub range: Option<String>,
}

/// One script of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// A file of the bundle, as written: a leading `/` means the bundle's root.
    pub location: String,
    /// Seconds it may take, at least one.
    pub timeout_s: u64,
    /// The user it runs as, by `su`; `None` is the agent's own.
    pub runas: Option<String>,
    /// Whether it runs by `sudo`.
    pub sudo: bool,
    /// Where the entry stands.
    pub place: Place,
}

impl Script {
    /// The script's path below the bundle; never `None` for a script that was read from a file.
    #[must_use]
    pub fn location_in_bundle(&self) -> Option<String> {
        path_in_bundle(&self.location)
    }
}
