//! What writers that were killed leave in a near folder: files named `...#N`, which a folder's store writes before it
//! renames them. Received from `Objects` when it opens the folder. Nobody lists them, so nobody else would remove them.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// The file whose lock says that somebody uses the folder.
const LOCK: &str = "in-use";

/// Removes left-overs if nobody else uses the folder; says that somebody does until the file is dropped.
///
/// # Errors
/// When the file system has no locks or cannot be written. Then nothing was removed.
pub(super) fn swept(folder: &Path) -> io::Result<File> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(folder.join(LOCK))?;
    if file.try_lock().is_ok() {
        sweep(folder);
    }
    // Waits at most for somebody else's sweep.
    file.lock_shared()?;
    Ok(file)
}

fn sweep(folder: &Path) {
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            } else if is_staged(&entry.file_name().to_string_lossy())
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::debug!(%error, "a left-over file stays");
            }
        }
    }
}

/// Objects have no `#` in their names: the layout writes hexadecimal and `=XX`.
fn is_staged(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, number)| {
        !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_overs_go_once_nobody_uses_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let packs = folder.path().join("v2/packs");
        fs::create_dir_all(&packs).unwrap();
        for name in ["a", "a#1", "b#22", "c#x", "d#"] {
            fs::write(packs.join(name), b"x").unwrap();
        }
        let first = swept(folder.path()).unwrap();
        let left = |name: &str| packs.join(name).exists();
        assert!(!left("a#1") && !left("b#22"));
        assert!(left("a") && left("c#x") && left("d#"));
        fs::write(packs.join("a#1"), b"x").unwrap();
        let second = swept(folder.path()).unwrap();
        assert!(left("a#1"));
        drop((first, second));
        drop(swept(folder.path()).unwrap());
        assert!(!left("a#1"));
    }
}
