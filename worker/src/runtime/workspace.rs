//! Copy-on-write views and copies of source directories: a build never dirties its source.
//! Receives a [`Source`], hands a runtime the directory to show.

use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{Error, Source};

/// How a build sees a source directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// The directory itself.
    InPlace(PathBuf),
    /// An overlay with its layers in that folder.
    Overlay {
        /// The directory seen.
        lower: PathBuf,
        /// Where changes land.
        layers: PathBuf,
    },
    /// A copy.
    Copy(PathBuf),
}

/// The folder of the build's own for its `index`th source.
pub(crate) fn layers(build: &Path, index: usize) -> PathBuf {
    build.join(format!("source-{index}"))
}

/// The view to try first.
pub(crate) fn first(build: &Path, index: usize, source: &Source) -> View {
    if source.in_place {
        return View::InPlace(source.directory.clone());
    }
    View::Overlay {
        lower: source.directory.clone(),
        layers: layers(build, index),
    }
}

/// A copy of the source, for machines that cannot overlay. Uses `cp`, which shares blocks where the file system can and
/// keeps modes, times and links.
///
/// # Errors
/// When `cp` fails, with its own words.
pub(crate) async fn copy(build: &Path, index: usize, source: &Source) -> Result<View, Error> {
    let target = layers(build, index).join("copy");
    let doing = format!("cannot copy {}", source.directory.display());
    std::fs::create_dir_all(&target).map_err(Error::at(doing.clone()))?;
    let mut from = source.directory.clone().into_os_string();
    from.push("/.");
    let output = Command::new("cp")
        .args(["-a", "--reflink=auto", "--"])
        .arg(&from)
        .arg(&target)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(Error::at(doing.clone()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_string();
        return Err(Error::Infrastructure {
            doing,
            source: io::Error::other(words),
        });
    }
    Ok(View::Copy(target))
}
