//! What an ordinary edit and build leave behind: one percent of a tree, changed. Received from the incremental rows;
//! changes the files in place.

use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::files::below;

/// One file of that many changes: 533 of 23,000, which hold about a hundredth of the bytes.
const ONE_IN: usize = 43;

/// Larger files are left alone: with some of them the change would be more than the hundredth of the bytes.
const FILE_BYTES_MAX: u64 = 512 << 10;

/// What was changed.
#[derive(Clone, Copy)]
pub(crate) struct Changed {
    pub(crate) files: usize,
    /// Of those files, whole.
    pub(crate) bytes: u64,
}

/// Rewrites some bytes in the middle of files spread evenly over the tree, and adds a line. Each round takes others.
pub(crate) fn one_percent(tree: &Path, round: usize) -> Result<Changed, String> {
    let mut changed = Changed { files: 0, bytes: 0 };
    let files = below(tree)?.into_iter().filter(|file| {
        let bytes = file.metadata.len();
        file.metadata.is_file() && bytes > 0 && bytes <= FILE_BYTES_MAX
    });
    let offset = (round * 7) % ONE_IN;
    for file in files.skip(offset).step_by(ONE_IN) {
        let text = format!("/* changed in round {round}, file {} */\n", changed.files);
        let middle = file.metadata.len() / 2;
        edit(&file.path, middle, text.as_bytes())
            .map_err(|error| format!("{}: {error}", file.path.display()))?;
        changed.files += 1;
        changed.bytes += file.metadata.len();
    }
    Ok(changed)
}

/// Over the bytes in the middle, and at the end.
fn edit(path: &Path, middle: u64, text: &[u8]) -> std::io::Result<()> {
    let permissions = fs::metadata(path)?.permissions();
    if permissions.readonly() {
        let mut writable = permissions;
        std::os::unix::fs::PermissionsExt::set_mode(&mut writable, 0o644);
        fs::set_permissions(path, writable)?;
    }
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.seek(SeekFrom::Start(middle))?;
    file.write_all(text)?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_changes_other_files_one_in_forty_three() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..ONE_IN * 3 {
            fs::write(folder.path().join(format!("{number:03}")), "text of a file").unwrap();
        }
        let before = |name: &str| fs::read(folder.path().join(name)).unwrap();
        assert_eq!(one_percent(folder.path(), 0).unwrap().files, 3);
        assert_ne!(before("000"), b"text of a file");
        assert_eq!(before("007"), b"text of a file");
        assert_eq!(one_percent(folder.path(), 1).unwrap().files, 3);
        assert_ne!(before("007"), b"text of a file");
    }
}
