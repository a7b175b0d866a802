//! Writing a selection to its destination. Receives the selection and the tree it was made from, hands back what was
//! stored where. The destination too is written through a `Root`: a build that could reach the folder may have left links
//! in it.

use std::io;
use std::path::{Path, PathBuf};

use croft_beneath::Root;
use croft_proto::ArtifactSummary;

use super::{Packaging, Selection, folder, name, zipped};

/// What a ZIP file is called when nobody says.
const ZIP_NAME: &str = "artifacts";

/// Where artifacts go.
///
/// **Shape.** A secondary artifact goes into the directory `<folder>/<identifier>`, the primary one into `folder`. There,
/// without packaging, its files are in the directory `<name>`, or in none of their own without a name; as a ZIP file they
/// are in `<name>.zip`, or in `artifacts.zip`.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'d> {
    /// Made when it is missing.
    pub folder: &'d Path,
    /// The secondary artifact's identifier; `None` for the primary one.
    pub identifier: Option<&'d str>,
    /// The artifact's name, expanded; may contain `/`.
    pub name: Option<&'d str>,
}

/// Why artifacts could not be stored. Files stored before stay; no file is half there.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The user's name or identifier cannot be used.
    #[error("the artifact's {what} `{}` cannot be used: {reason}", name.escape_debug())]
    Name {
        /// `name` or `identifier`.
        what: &'static str,
        /// As given, expanded.
        name: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The destination cannot be written.
    #[error("`{path}` cannot be written")]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the build cannot be opened.
    #[error("`{path}` cannot be read")]
    Read {
        /// What, inside the build's tree.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the build cannot be copied.
    #[error("`{from}` cannot be copied to `{to}`")]
    Copy {
        /// What, inside the build's tree.
        from: PathBuf,
        /// Where to.
        to: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Stores the selected files; what stood at the same paths is replaced, everything else in the folder is left alone.
///
/// # Errors
/// Any [`StoreError`].
pub fn store(
    selection: &Selection,
    root: &Root,
    to: &Destination<'_>,
) -> Result<ArtifactSummary, StoreError> {
    let identifier = name::relative("identifier", to.identifier.unwrap_or_default())?;
    let named = name::relative("name", to.name.unwrap_or_default())?;
    let unwritable = |source| StoreError::Write {
        path: to.folder.to_path_buf(),
        source,
    };
    std::fs::create_dir_all(to.folder).map_err(unwritable)?;
    let target = Root::open(to.folder).map_err(unwritable)?;
    let (inside, stored) = match selection.packaging {
        Packaging::None => {
            let top: PathBuf = identifier.iter().chain(named.iter()).collect();
            let stored = folder::write(selection, root, &target, &top)?;
            (top, stored)
        }
        Packaging::Zip => {
            let file = zip_path(&identifier, &named);
            let stored = zipped::write(selection, root, &target, &file)?;
            (file, stored)
        }
    };
    let location = if inside.as_os_str().is_empty() {
        to.folder.to_path_buf()
    } else {
        to.folder.join(inside)
    };
    Ok(ArtifactSummary {
        artifact_identifier: to.identifier.map(str::to_owned),
        location: location.display().to_string(),
        files: stored.files,
        size_bytes: stored.size_bytes,
    })
}

/// How much was stored.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) files: u64,
    pub(crate) size_bytes: u64,
}

fn zip_path(identifier: &Path, named: &Path) -> PathBuf {
    let named = if named.as_os_str().is_empty() {
        Path::new(ZIP_NAME)
    } else {
        named
    };
    let whole = identifier.join(named);
    if whole
        .extension()
        .is_some_and(|extension| extension == "zip")
    {
        return whole;
    }
    let mut text = whole.into_os_string();
    text.push(".zip");
    PathBuf::from(text)
}

/// A file being written beside the place it will have, and removed again unless it gets there.
#[derive(Debug)]
pub(crate) struct Part<'t> {
    target: &'t Root,
    path: PathBuf,
}

impl<'t> Part<'t> {
    /// An empty file in the directory of `path`, which is made when missing.
    pub(crate) fn create(
        target: &'t Root,
        path: &Path,
        mode: u32,
    ) -> io::Result<(Self, std::fs::File)> {
        let parent = path.parent().unwrap_or(Path::new(""));
        target.create_dir_all(parent)?;
        let part = Self {
            target,
            path: parent.join(format!(".croft-part-{}", std::process::id())),
        };
        let file = target.create_file(&part.path, mode)?;
        Ok((part, file))
    }

    /// Sets when the file was changed.
    pub(crate) fn set_modified(&self, seconds: i64, nanos: u32) -> io::Result<()> {
        self.target.set_modified(&self.path, seconds, nanos)
    }

    /// Gives the file its name.
    pub(crate) fn finish(self, path: &Path) -> io::Result<()> {
        self.target.rename(&self.path, path)
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        // After `finish` there is nothing of that name; before it, a file that could not be removed is only litter.
        self.target.remove_file(&self.path).ok();
    }
}

#[cfg(test)]
mod tests;
