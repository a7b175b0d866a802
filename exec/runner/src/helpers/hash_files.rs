//! `codebuild-hash-files GLOB...`: one SHA-256 over the matched files below the source directory, in hexadecimal.
//!
//! AWS does not say how it combines the files. Here: SHA-256 over, for each file in the order of its path's bytes, the
//! SHA-256 of its contents. Names do not count, so that a moved lock file gives the same key; no match gives an error.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use sha2::{Digest, Sha256};

use super::glob_search::{search, source_directory};

pub(super) fn run(arguments: &[OsString]) -> io::Result<ExitCode> {
    let base = source_directory();
    let hash = hash(&base, arguments)?;
    writeln!(io::stdout(), "{hash}")?;
    Ok(ExitCode::SUCCESS)
}

fn hash(base: &Path, globs: &[OsString]) -> io::Result<String> {
    let files = search(base, globs)?;
    if files.is_empty() {
        return Err(super::usage(&format!(
            "no file below {} matches",
            base.display()
        )));
    }
    let mut all = Sha256::new();
    for file in files {
        all.update(hash_file(&base.join(file))?);
    }
    Ok(all
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn hash_file(path: &Path) -> io::Result<impl AsRef<[u8]>> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_hash_changes_with_contents_and_not_with_names() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("one.lock"), "a").unwrap();
        let first = hash(folder.path(), &["*.lock".into()]).unwrap();
        assert_eq!(first.len(), 64);
        fs::rename(
            folder.path().join("one.lock"),
            folder.path().join("two.lock"),
        )
        .unwrap();
        assert_eq!(hash(folder.path(), &["*.lock".into()]).unwrap(), first);
        fs::write(folder.path().join("two.lock"), "b").unwrap();
        assert_ne!(hash(folder.path(), &["*.lock".into()]).unwrap(), first);
    }

    #[test]
    fn nothing_to_hash_is_an_error_and_not_the_hash_of_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(hash(folder.path(), &["*.lock".into()]).is_err());
    }
}
