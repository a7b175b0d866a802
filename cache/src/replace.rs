//! Small files of this machine, replaced whole: written beside their place and renamed, so that a crash leaves the old one or
//! the new one. Used for all that is only remembered; nothing is flushed, since a power cut may take it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Names that others may have left behind. A process of the same id in another container leaves one for each of its crashes.
const TRIES_MAX: u32 = 10_000;

/// A name beside `path` that this process has not used before, whichever thread asks. Another process may have: ids are
/// unique only within one container, and a folder may be shared by several.
pub(crate) fn name_beside(path: &Path) -> PathBuf {
    static NTH: AtomicU64 = AtomicU64::new(0);
    let nth = NTH.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}-{nth}", std::process::id()));
    name.into()
}

/// Writes or replaces a file; its folder is made if it is missing.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let (staged, mut open) = staged(file)?;
    let written = open
        .write_all(bytes)
        .and_then(|()| fs::rename(&staged, file));
    if written.is_err()
        && let Err(error) = fs::remove_file(&staged)
    {
        tracing::debug!(%error, "a half-written file stays");
    }
    written
}

fn staged(file: &Path) -> io::Result<(PathBuf, File)> {
    for _ in 0..TRIES_MAX {
        let staged = name_beside(file);
        match File::create_new(&staged) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(|open| (staged, open)),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "too many half-written files were left beside it",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn threads_that_replace_one_file_leave_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("made/file.json");
        let texts: Vec<String> = (0..4)
            .map(|nth: usize| nth.to_string().repeat(9_000 * (nth + 1)))
            .collect();
        thread::scope(|scope| {
            for text in &texts {
                scope.spawn(|| {
                    for _ in 0..100 {
                        replace(&file, text.as_bytes()).unwrap();
                        assert!(texts.contains(&fs::read_to_string(&file).unwrap()));
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_process_of_the_same_id_writes_in_another_container_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let theirs: Vec<PathBuf> = (0..100)
            .map(|nth| PathBuf::from(format!("{}.{}-{nth}", file.display(), std::process::id())))
            .collect();
        for staged in &theirs {
            fs::write(staged, "half").unwrap();
        }
        replace(&file, b"ours").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"ours");
        let is_whole = |staged: &PathBuf| fs::read(staged).is_ok_and(|text| text == b"half");
        assert!(theirs.iter().all(is_whole));
    }

    #[test]
    fn a_file_that_cannot_be_replaced_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::create_dir(&file).unwrap();
        fs::write(file.join("inside"), "x").unwrap();
        replace(&file, b"ours").unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
