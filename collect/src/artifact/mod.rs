//! Artifacts: which files of a finished build's tree are wanted, and where they go. Receives one `artifacts` entry (the
//! primary one or one of the secondary ones) with its variables expanded, hands back what was stored.

/// Which files.
mod select;
/// What an artifact may be called.
mod name;
/// Writing them.
mod store;
/// As files in a folder.
mod folder;
/// As one ZIP file.
mod zipped;

pub use select::{Packaging, SelectError, Selection, select};
pub use store::{Destination, StoreError, store};
