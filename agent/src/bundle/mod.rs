//! A revision's files, from wherever they are into the folder of their deployment.

/// From where.
mod source;
/// A folder of this machine.
mod folder;
/// Files brought before anything else is done.
mod staged;
/// The event.
pub(crate) mod download;
/// Which earlier ones go.
mod prune;

pub use source::{Bundle, BundleError, BundleKind, EarlierRevision, LocalBundle, Site};
pub use staged::Staged;

#[cfg(test)]
mod tests;
