//! A revision brought before a deployment begins: whoever wants to look at it first, or to print what it would do, looks
//! here. It is then handed to DownloadBundle, which takes it as it is.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Bundle, BundleError, Site};

/// A revision beside the deployments. What is not taken goes with it.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    is_taken: AtomicBool,
}

impl Staged {
    /// Brings the bundle's files to `path`, where nothing is.
    ///
    /// # Errors
    /// As the bundle's own.
    pub(crate) fn bring(
        bundle: &dyn Bundle,
        path: PathBuf,
        is_over: &AtomicBool,
    ) -> Result<Self, BundleError> {
        let staged = Self {
            path,
            is_taken: AtomicBool::new(false),
        };
        let notes = staged.path.with_extension("notes");
        let site = Site {
            into: &staged.path,
            notes: &notes,
            earlier: &[],
        };
        let brought = bundle.bring(&site, is_over);
        // Nobody looks for them here.
        std::fs::remove_dir_all(&notes).unwrap_or_default();
        brought?;
        Ok(staged)
    }

    /// Where its files are until they are taken.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Bundle for Staged {
    fn bring(&self, site: &Site<'_>, _is_over: &AtomicBool) -> Result<(), BundleError> {
        let into = site.into;
        std::fs::rename(&self.path, into).map_err(|source| BundleError::Writing {
            path: into.to_path_buf(),
            source,
        })?;
        self.is_taken.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // A next start removes what this cannot.
        if !self.is_taken.load(Ordering::Relaxed) {
            std::fs::remove_dir_all(&self.path).unwrap_or_default();
        }
    }
}
