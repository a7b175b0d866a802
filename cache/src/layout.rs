//! What objects are called. Received from everything that reads or writes them.

use object_store::path::Path;

use crate::Id;

/// Everything lives under the version of its layout, so that a later layout can stand beside it.
const LAYOUT: &str = "v2";

/// The pack with that id.
pub(crate) fn pack_name(id: &Id) -> Path {
    Path::from_iter([LAYOUT, "packs", &id.to_string()])
}

/// A folder of the layout: `packs`, `entries`, `used`, `leases`, `condemned`.
pub(crate) fn folder(name: &str) -> Path {
    Path::from_iter([LAYOUT, name])
}

/// The whole layout.
pub(crate) fn everything() -> Path {
    Path::from(LAYOUT)
}

/// The id a pack is named by.
pub(crate) fn id_of(name: &Path) -> Option<Id> {
    name.filename().and_then(Id::parse)
}
