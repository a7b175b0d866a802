//! Files that are whole whatever happens: written beside, synced, renamed over. Receives values from the journal and the
//! installer, hands them back after a restart.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a file of the agent's own could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk's word.
    #[error("cannot {doing} {path}")]
    Io {
        /// `read`, `write`, ...
        doing: &'static str,
        /// Which file.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is not what this program writes.
    #[error("{path} is damaged, or of a newer croft")]
    Damaged {
        /// Which file.
        path: String,
        /// Why it cannot be read.
        #[source]
        source: serde_json::Error,
    },
}

impl Error {
    /// The error of an operation on a path.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}

/// Writes `value` so that a reader finds either what was there before or all of it, also after a loss of power.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    replace(path, value).map_err(Error::io("write", path))
}

/// A plan may have megabytes: it is written as it is made.
fn replace<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let beside = path.with_extension("new");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    let mut writer = io::BufWriter::new(file);
    serde_json::to_writer(&mut writer, value)?;
    let file = writer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    sync_folder(path)
}

/// Removes a file, and the removal lasts; a missing one is no error.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_folder(path).map_err(Error::io("remove", path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("remove", path)(error)),
    }
}

/// The value that was written; `None` when there is no file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let damaged = |source| Error::Damaged {
        path: path.display().to_string(),
        source,
    };
    // As it is read: a plan may have megabytes.
    match serde_json::from_reader(io::BufReader::new(file)) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_io() => Err(Error::io("read", path)(error.into())),
        Err(error) => Err(damaged(error)),
    }
}

/// Names that came or went in the folder that holds `path` last.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_half_written_is_not_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("group.json");
        assert_eq!(read::<u32>(&path).unwrap(), None);
        write(&path, &1_u32).unwrap();
        std::fs::write(path.with_extension("new"), "{\"half").unwrap();
        assert_eq!(read::<u32>(&path).unwrap(), Some(1));
        write(&path, &2_u32).unwrap();
        assert_eq!(read::<u32>(&path).unwrap(), Some(2));
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(read::<u32>(&path).unwrap(), None);
    }

    #[test]
    fn a_damaged_file_is_named_and_not_taken_for_a_missing_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("group.json");
        std::fs::write(&path, "{").unwrap();
        let error = read::<u32>(&path).unwrap_err();
        assert!(
            error.to_string().contains("group.json is damaged"),
            "{error}"
        );
    }
}
