//! `codebuild-hash-files GLOB...`: one SHA-256 over the matched files below the source directory, in hexadecimal.
//!
//! AWS does not say how it combines the files. Here: SHA-256 over, for each file in the order of its path's bytes, the
//! SHA-256 of its contents. Names do not count, so that a moved lock file gives the same key; no match gives an error.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sha2::{Digest, Sha256};

use super::glob_search::{search, source_directory};
use crate::protocol::HASHED;

pub(super) fn run(arguments: &[OsString]) -> io::Result<ExitCode> {
    let base = source_directory();
    let hashed = hash_each(&base, arguments)?;
    writeln!(io::stdout(), "{}", hash(&hashed))?;
    if let Some(path) = std::env::var_os(HASHED) {
        note(Path::new(&path), &hashed)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A file and the hash of its contents.
type Hashed = (PathBuf, [u8; 32]);

/// Appends what was hashed to a list, a line each: what a cache's key was made of.
fn note(list: &Path, hashed: &[Hashed]) -> io::Result<()> {
    let mut text = Vec::new();
    for (path, digest) in hashed {
        text.extend_from_slice(hex(digest).as_bytes());
        text.extend_from_slice(b"  ");
        text.extend_from_slice(path.as_os_str().as_bytes());
        text.push(b'\n');
    }
    let mut list = File::options().append(true).create(true).open(list)?;
    list.write_all(&text)
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash_each(base: &Path, globs: &[OsString]) -> io::Result<Vec<Hashed>> {
    let files = search(base, globs)?;
    if files.is_empty() {
        return Err(super::usage(&format!(
            "no file below {} matches",
            base.display()
        )));
    }
    files
        .into_iter()
        .map(|file| Ok((file.clone(), hash_file(&base.join(file))?)))
        .collect()
}

fn hash(hashed: &[Hashed]) -> String {
    let mut all = Sha256::new();
    for (_, digest) in hashed {
        all.update(digest);
    }
    hex(&all.finalize())
}

fn hash_file(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
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
        let hash_in =
            |base: &Path, globs: &[OsString]| hash_each(base, globs).map(|all| hash(&all));
        let first = hash_in(folder.path(), &["*.lock".into()]).unwrap();
        assert_eq!(first.len(), 64);
        fs::rename(
            folder.path().join("one.lock"),
            folder.path().join("two.lock"),
        )
        .unwrap();
        assert_eq!(hash_in(folder.path(), &["*.lock".into()]).unwrap(), first);
        fs::write(folder.path().join("two.lock"), "b").unwrap();
        assert_ne!(hash_in(folder.path(), &["*.lock".into()]).unwrap(), first);
    }

    #[test]
    fn what_was_hashed_is_added_to_the_list() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("one.lock"), "a").unwrap();
        let list = folder.path().join("list");
        let hashed = hash_each(folder.path(), &["*.lock".into()]).unwrap();
        note(&list, &hashed).unwrap();
        note(&list, &hashed).unwrap();
        let line = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  one.lock\n";
        assert_eq!(fs::read_to_string(list).unwrap(), line.repeat(2));
    }

    #[test]
    fn nothing_to_hash_is_an_error_and_not_the_hash_of_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(hash_each(folder.path(), &["*.lock".into()]).is_err());
    }
}
