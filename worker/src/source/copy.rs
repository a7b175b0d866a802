//! From a mirror to a build's folder: every file is copied, by the file system itself where it can (`copy_file_range`). Names for the same
//! files would be faster and wrong: a build is root in its place, and could write through them into the mirror.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Error;

/// Asks work on another thread to end when whoever waits for it is gone.
#[derive(Debug, Default)]
pub(crate) struct Given(pub(crate) Arc<AtomicBool>);

impl Drop for Given {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Copies objects, tags, and where the history ends, from the bare repository `from` to `to`.
pub(super) async fn copy(from: PathBuf, to: PathBuf) -> Result<(), Error> {
    let failed = |source, folder: &Path| Error::Mirror {
        folder: folder.display().to_string(),
        source,
    };
    let folder = from.clone();
    let given = Given::default();
    let is_over = Arc::clone(&given.0);
    let copied = tokio::task::spawn_blocking(move || all(&from, &to, &is_over)).await;
    drop(given);
    match copied {
        Ok(copied) => copied.map_err(|source| failed(source, &folder)),
        Err(gone) => Err(failed(io::Error::other(gone), &folder)),
    }
}

fn all(from: &Path, to: &Path, is_over: &AtomicBool) -> io::Result<()> {
    tree(&from.join("objects"), &to.join("objects"), is_over)?;
    if from.join("refs/tags").exists() {
        tree(&from.join("refs/tags"), &to.join("refs/tags"), is_over)?;
    }
    match std::fs::copy(from.join("shallow"), to.join("shallow")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    packed_tags(from, to)
}

fn tree(from: &Path, to: &Path, is_over: &AtomicBool) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        if is_over.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            tree(&source, &target, is_over)?;
        } else {
            std::fs::copy(&source, &target)?;
        }
    }
    Ok(())
}

/// The tags among the packed names; a line with `^` tells what the tag above it is of.
fn packed_tags(from: &Path, to: &Path) -> io::Result<()> {
    let packed = match std::fs::read_to_string(from.join("packed-refs")) {
        Ok(packed) => packed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let (mut kept, mut is_tag) = (String::new(), true);
    for line in packed.lines() {
        if !line.starts_with('^') {
            is_tag = line.starts_with('#') || line.contains(" refs/tags/");
        }
        if is_tag {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    std::fs::write(to.join("packed-refs"), kept)
}
