//! Everything below a folder. Received from whoever counts, changes or copies.

use std::fs;
use std::path::{Path, PathBuf};

/// A file or link below a folder.
pub(crate) struct Listed {
    pub(crate) path: PathBuf,
    pub(crate) metadata: fs::Metadata,
}

/// Every file and link, sorted by path; links are not followed.
pub(crate) fn below(folder: &Path) -> Result<Vec<Listed>, String> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let metadata = entry.metadata().map_err(failed)?;
            if metadata.is_dir() {
                waiting.push(entry.path());
            } else {
                found.push(Listed {
                    path: entry.path(),
                    metadata,
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Bytes of all files below a folder; none when it is not there.
pub(crate) fn bytes_below(folder: &Path) -> Result<u64, String> {
    if !folder.is_dir() {
        return Ok(0);
    }
    Ok(below(folder)?.iter().map(|file| file.metadata.len()).sum())
}

/// Reads every file once, so that the page cache holds it.
pub(crate) fn read_below(folder: &Path) -> Result<(), String> {
    for file in below(folder)? {
        if file.metadata.is_file() {
            let read = fs::File::open(&file.path)
                .and_then(|mut open| std::io::copy(&mut open, &mut std::io::sink()));
            read.map_err(|error| format!("{}: {error}", file.path.display()))?;
        }
    }
    Ok(())
}
