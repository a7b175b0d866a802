//! Where a path really is once every link on the way is followed inside the root. Only decisions rest on it (does a link
//! lead out, does it lead in a circle); contents are always opened through the root, whatever it says.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use croft_beneath::{Kind, Root};

/// How many links are followed for one path: as many as the kernel follows.
const LINKS_MAX: usize = 40;

/// The path without links that `path` leads to, relative to the root.
///
/// # Errors
/// When it leads nowhere or through too many links.
pub(crate) fn real_path(root: &Root, path: &Path) -> io::Result<PathBuf> {
    let mut ahead: Vec<OsString> = Vec::new();
    let mut done = PathBuf::new();
    let mut links = 0;
    push(&mut ahead, &mut done, path);
    while let Some(name) = ahead.pop() {
        if name == ".." {
            done.pop();
            continue;
        }
        let next = done.join(&name);
        if root.symlink_metadata(&next)?.kind != Kind::Symlink {
            done = next;
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(io::Error::from_raw_os_error(super::ELOOP));
        }
        push(&mut ahead, &mut done, &root.read_link(&next)?);
    }
    Ok(done)
}

/// Puts the components of `path` in front of those still ahead; an absolute path starts again at the root.
fn push(ahead: &mut Vec<OsString>, done: &mut PathBuf, path: &Path) {
    for part in path.components().rev() {
        match part {
            Component::Normal(name) => ahead.push(name.to_os_string()),
            Component::ParentDir => ahead.push("..".into()),
            Component::RootDir => *done = PathBuf::new(),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_inside_the_root() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        symlink("/a", folder.path().join("absolute")).unwrap();
        symlink("../../../a/b", folder.path().join("a/climbing")).unwrap();
        symlink("self", folder.path().join("self")).unwrap();
        let root = Root::open(folder.path()).unwrap();
        for (path, expected) in [
            ("", ""),
            ("/a/./b/..", "a"),
            ("absolute/b", "a/b"),
            ("absolute/climbing", "a/b"),
            ("a/climbing/..", "a"),
            ("../../a", "a"),
        ] {
            assert_eq!(
                real_path(&root, Path::new(path)).unwrap(),
                Path::new(expected),
                "{path}"
            );
        }
        assert!(real_path(&root, Path::new("self")).is_err());
        assert!(real_path(&root, Path::new("missing")).is_err());
    }
}
