//! `codebuild-glob-search GLOB...`: the files below the source directory that match, one a line, sorted.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// A source tree with more files than this is searched by a glob too wide to be meant.
const FILES_MAX: usize = 2_000_000;

pub(super) fn run(arguments: &[OsString]) -> io::Result<ExitCode> {
    let base = source_directory();
    let mut out = io::BufWriter::new(io::stdout().lock());
    for file in search(&base, arguments)? {
        out.write_all(file.as_os_str().as_bytes())?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// `CODEBUILD_SRC_DIR`, or the working directory outside a build.
pub(super) fn source_directory() -> PathBuf {
    std::env::var_os("CODEBUILD_SRC_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// The regular files below `base` that match any glob, relative to it, sorted by their bytes. `*` stays within one
/// component, `**` crosses them; links to files count as files, links to directories are not entered.
pub(super) fn search(base: &Path, globs: &[OsString]) -> io::Result<Vec<PathBuf>> {
    let set = compile(globs)?;
    let mut found = Vec::new();
    let mut seen = 0;
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(base.join(&folder))? {
            let entry = entry?;
            let relative = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(relative);
                continue;
            }
            seen += 1;
            if seen > FILES_MAX {
                return Err(super::usage(
                    "more than 2,000,000 files to look at: use a narrower glob",
                ));
            }
            let file = kind.is_file() || (kind.is_symlink() && base.join(&relative).is_file());
            if file && set.is_match(&relative) {
                found.push(relative);
            }
        }
    }
    found.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    Ok(found)
}

fn compile(globs: &[OsString]) -> io::Result<GlobSet> {
    if globs.is_empty() {
        return Err(super::usage(
            "give at least one glob, such as '**/package-lock.json'",
        ));
    }
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let text = glob
            .to_str()
            .ok_or_else(|| super::usage("a glob is not UTF-8"))?;
        let text = text.strip_prefix("./").unwrap_or(text);
        let glob = GlobBuilder::new(text).literal_separator(true).build();
        set.add(glob.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?);
    }
    set.build()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_find_files_sorted_and_stars_stay_within_a_component() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        for name in ["x.lock", "a/x.lock", "a/b/x.lock", "a/y"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let names = |glob: &str| search(folder.path(), &[glob.into()]).unwrap();
        assert_eq!(names("*.lock"), [Path::new("x.lock")]);
        assert_eq!(
            names("**/*.lock"),
            ["a/b/x.lock", "a/x.lock", "x.lock"].map(PathBuf::from)
        );
    }
}
