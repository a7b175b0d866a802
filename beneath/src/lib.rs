//! Reading and writing files without ever leaving a root directory.
//!
//! A build owns its tree and may put any symbolic link into it. Whoever reads that tree from outside (collecting artifacts,
//! reports, caches) or writes into it (restoring caches) would follow such a link out with ordinary paths. Every path given
//! here is resolved by the kernel *inside* the root: absolute links start at the root, `..` stops at it, magic links are
//! refused (`openat2` with `RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS`).
//!
//! Paths enter as text relative to the root; a leading `/` means the root. Descriptors, names and bytes leave.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// The root itself: look, open, list.
mod root;
/// Reading only what is stored on a disk.
mod stored;
/// Making things inside the root.
mod write;

pub use root::{Entry, Kind, Metadata, Root};
