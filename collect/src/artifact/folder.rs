//! Artifacts as files in a folder. Modes and modification times are kept; set-user and set-group bits are not, for these
//! files now belong to whoever runs Croft.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use croft_beneath::Root;

use super::store::{Part, Stored};
use super::{Selection, StoreError};

/// Copies every file of the selection below `top`.
///
/// # Errors
/// [`StoreError::Read`], [`StoreError::Copy`].
pub(crate) fn write(
    selection: &Selection,
    root: &Root,
    target: &Root,
    top: &Path,
) -> Result<Stored, StoreError> {
    let mut stored = Stored::default();
    for item in &selection.items {
        let path = top.join(&item.name);
        let mut from =
            root.open_stored_file(&item.location)
                .map_err(|source| StoreError::Read {
                    path: item.location.clone(),
                    source,
                })?;
        stored.size_bytes += copy(&mut from, target, &path).map_err(|source| StoreError::Copy {
            from: item.location.clone(),
            to: target.path().join(&path),
            source,
        })?;
        stored.files += 1;
    }
    Ok(stored)
}

fn copy(from: &mut std::fs::File, target: &Root, path: &Path) -> io::Result<u64> {
    let metadata = from.metadata()?;
    let (part, mut file) = Part::create(target, path, metadata.mode() & 0o777)?;
    let size_bytes = io::copy(from, &mut file)?;
    let nanos = u32::try_from(metadata.mtime_nsec()).unwrap_or_default();
    part.set_modified(metadata.mtime(), nanos)?;
    part.finish(path)?;
    Ok(size_bytes)
}
