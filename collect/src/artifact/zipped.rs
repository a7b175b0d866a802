//! Artifacts as one ZIP file. The same files give the same bytes: entries in the order of their names, no times but the
//! format's earliest, modes as they are. Contents stream through; sizes beyond 4 GiB use ZIP64.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use croft_beneath::Root;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::select::Item;
use super::store::{Part, Stored};
use super::{Selection, StoreError};

/// From this size on an entry gets ZIP64 fields. Deflate makes incompressible contents a little larger, so the line is
/// drawn well before the 4 GiB of the old fields.
const ZIP64_FROM_BYTES: u64 = 0xF000_0000;

/// Writes every file and link of the selection to the ZIP file `path`.
///
/// # Errors
/// [`StoreError::Read`], [`StoreError::Copy`], [`StoreError::Write`].
pub(crate) fn write(
    selection: &Selection,
    root: &Root,
    target: &Root,
    path: &Path,
) -> Result<Stored, StoreError> {
    let whole = target.path().join(path);
    let unwritable = |source| StoreError::Write {
        path: whole.clone(),
        source,
    };
    let (part, file) = Part::create(target, path, 0o644).map_err(unwritable)?;
    let mut archive = ZipWriter::new(BufWriter::new(file));
    let mut stored = Stored::default();
    for item in &selection.items {
        stored.size_bytes += add(&mut archive, item, root, &whole)?;
        stored.files += 1;
    }
    let finished = archive
        .finish()
        .map_err(io::Error::from)
        .and_then(|mut file| file.flush());
    finished
        .and_then(|()| part.finish(path))
        .map_err(unwritable)?;
    Ok(stored)
}

fn add(
    archive: &mut ZipWriter<BufWriter<File>>,
    item: &Item,
    root: &Root,
    whole: &Path,
) -> Result<u64, StoreError> {
    let uncopied = |source| StoreError::Copy {
        from: item.location.clone(),
        to: whole.to_path_buf(),
        source,
    };
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::DEFAULT);
    let name = entry_name(&item.name);
    if let Some(target) = &item.link {
        let text = target.to_string_lossy();
        archive
            .add_symlink(name, &text, options)
            .map_err(|error| uncopied(error.into()))?;
        return Ok(0);
    }
    let unreadable = |source| StoreError::Read {
        path: item.location.clone(),
        source,
    };
    let mut from = root.open_stored_file(&item.location).map_err(unreadable)?;
    let metadata = from.metadata().map_err(unreadable)?;
    let options = options
        .unix_permissions(metadata.mode() & 0o777)
        .large_file(metadata.size() >= ZIP64_FROM_BYTES);
    archive
        .start_file(name, options)
        .map_err(|error| uncopied(error.into()))?;
    io::copy(&mut from, archive).map_err(uncopied)
}

/// The name as ZIP files want it: components joined by `/`, bytes that are no UTF-8 replaced.
fn entry_name(name: &Path) -> String {
    name.components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
}
