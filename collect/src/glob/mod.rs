//! Which paths a list of patterns means, in a tree that may be hostile. Receives patterns from `artifact` and `report`,
//! hands back paths inside a `Root`, sorted, with a note for everything it had to leave out.
//!
//! `*` and `?` stay within one path component, `**` crosses directories, `[a-z]` and `{a,b}` are as in a shell, and names
//! that begin with a dot are ordinary names.

/// One pattern, split where its wildcards begin.
pub(crate) mod pattern;
/// Where a path really is once its links are followed.
pub(crate) mod real;
/// The walk itself.
pub(crate) mod walk;
/// The directories a `base-directory` means.
pub(crate) mod base;
/// What exists near a pattern that matched nothing.
pub(crate) mod nearest;
/// The words for nothing found.
pub(crate) mod no_match;

use std::io;
use std::path::PathBuf;

pub(crate) use base::{Base, base_directories};
pub(crate) use nearest::{Nearest, nearest};
pub use no_match::NoMatch;
pub(crate) use no_match::quoted;
pub(crate) use pattern::{Exclude, Pattern, shown};
pub(crate) use walk::{Found, Links, Walk};

/// How many directory entries one walk looks at. The largest trees people build (a few hundred thousand files in
/// `node_modules`) are well below; links that lead in circles of directories are not.
pub(crate) const ENTRIES_MAX: usize = 2_000_000;

/// How many directories deep a walk goes. The longest path the kernel opens has 4,096 bytes; real trees stay under 40.
pub(crate) const DEPTH_MAX: usize = 200;

/// Why paths could not be looked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user's pattern makes no sense; the user mends it.
    #[error("the pattern `{pattern}` cannot be read: {reason}")]
    Pattern {
        /// As the user wrote it.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The tree is larger than anything sensible, or its links multiply it.
    #[error(
        "more than {limit} directory entries under `{path}`; name fewer directories, or leave out \
         links to directories"
    )]
    TooMany {
        /// Where the walk began.
        path: PathBuf,
        /// How many are looked at.
        limit: usize,
    },
    /// The tree is deeper than anything sensible.
    #[error("`{path}` is more than {limit} directories deep")]
    TooDeep {
        /// The directory that is not entered.
        path: PathBuf,
        /// How deep a walk goes.
        limit: usize,
    },
    /// Something exists and cannot be read.
    #[error("`{path}` cannot be read")]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What Linux answers for a path through too many links.
pub(crate) const ELOOP: i32 = 40;

/// Whether an error means that there is nothing at a path, rather than that it cannot be read.
pub(crate) fn is_absence(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ELOOP)
        || matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename
        )
}
