//! A folder of a stored tree as a tree of its own. Received from whoever wants part of what somebody else has stored, such as a build's
//! artifacts to deploy: nothing is read but the list of files, and nothing but the shorter list is written.

use std::path::Path;

use croft_proto::Timestamp;

use super::put::Stored;
use super::written::{Written, write_list};
use crate::content::Reader;
use crate::intake::bring_in;
use crate::live::TreeRef;
use crate::restore::parse_list;
use crate::transfer::lacking;
use crate::tree::{Entry, Node, Tree};
use crate::writing::Writing;
use crate::{Error, Id, Packs, Store};

impl Store {
    /// What is below `folder` of a tree, whose paths then begin there; none when there is no such tree, or nothing below it.
    ///
    /// # Errors
    /// When the store cannot be read or written, when a chunk is missing or about to go, or when a file is another name (a hard link) of
    /// one outside of the folder. Symbolic links are taken as they are, wherever they lead.
    pub fn part(&self, of: &Id, folder: &Path, now: Timestamp) -> Result<Option<Stored>, Error> {
        let Some(whole) = self.tree(of, now)? else {
            return Ok(None);
        };
        let writing = Writing::begin(self, now)?;
        let index = &writing.index;
        let files = Reader::new(&self.objects, index)
            .and_then(|mut reader| parse_list(&whole.list, Some(&whole.id), &mut reader))
            .inspect_err(|error| self.heal(error))?;
        let part = below(files, folder)?;
        if part.entries().is_empty() {
            return Ok(None);
        }
        if let Some(gone) = lacking(index, part.chunks()).first() {
            return Err(index.lost(gone));
        }
        let ((id, list), brought) = bring_in(&self.objects, index, self.cap_bytes, |intake| {
            write_list(intake.feeder()?, &part)
        })?;
        let written = Written {
            tree: part,
            id,
            list,
            read_bytes: 0,
            brought,
        };
        let tree = TreeRef {
            id: written.id,
            list: written.list.clone(),
        };
        let stored_bytes = written.stored_bytes(index);
        let record = self.tree_record(&tree, &written.tree, stored_bytes, now);
        writing.check()?;
        self.write_record(&record)?;
        Ok(Some(Stored {
            tree,
            files: written.tree.files(),
            size_bytes: written.tree.logical_bytes(),
            read_bytes: 0,
            stored_bytes: written.brought.stored_bytes,
            // Its files are where they were.
            packs: Packs::default(),
            warnings: Vec::new(),
        }))
    }
}

fn below(files: Tree, folder: &Path) -> Result<Tree, Error> {
    let mut entries = Vec::new();
    for entry in files.into_entries() {
        let Ok(path) = entry.path.strip_prefix(folder) else {
            continue;
        };
        if path.as_os_str().is_empty() {
            continue;
        }
        let node = match &entry.node {
            Node::HardLink(first) => match first.strip_prefix(folder) {
                Ok(first) => Node::HardLink(first.to_path_buf()),
                Err(_outside) => {
                    return Err(Error::Unusable(format!(
                        "`{}` is another name of `{}`, which is outside of `{}`",
                        entry.path.display(),
                        first.display(),
                        folder.display()
                    )));
                }
            },
            Node::File { .. } | Node::Directory | Node::Symlink(_) => entry.node.clone(),
        };
        entries.push(Entry {
            path: path.to_path_buf(),
            node,
            ..entry
        });
    }
    Ok(Tree::new(entries))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Put;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = folder.path().join("artifacts");
        fs::create_dir_all(artifacts.join("sub")).unwrap();
        fs::write(folder.path().join("build.log"), "a log").unwrap();
        fs::write(artifacts.join("one"), "1").unwrap();
        fs::hard_link(artifacts.join("one"), artifacts.join("sub/same")).unwrap();
        fs::write(artifacts.join("sub/two"), vec![7; 300_000]).unwrap();
        std::os::unix::fs::symlink("sub/two", artifacts.join("link")).unwrap();
        folder
    }

    #[test]
    fn a_part_is_the_tree_that_its_folder_alone_would_be() {
        let folder = folder();
        let store = Store::in_memory(1 << 30).unwrap();
        let put = |directory: &Path| {
            let put = Put {
                directory,
                now: NOW,
            };
            store.put(&put).unwrap()
        };
        let whole = put(folder.path());
        let part = store.part(&whole.tree.id, Path::new("artifacts"), NOW);
        let part = part.unwrap().unwrap();
        assert_eq!(part.files, 4);
        assert!(part.stored_bytes < 2_000, "{part:?}");
        assert_eq!(put(&folder.path().join("artifacts")).tree.id, part.tree.id);
        let into = tempfile::tempdir().unwrap();
        store.get(&part.tree, into.path()).unwrap();
        assert_eq!(fs::read(into.path().join("link")).unwrap(), [7; 300_000]);
        assert_eq!(fs::read(into.path().join("sub/same")).unwrap(), b"1");
        assert!(!into.path().join("build.log").exists());
    }

    #[test]
    fn a_part_of_what_was_stored_alone_is_one_too() {
        let folder = folder();
        let store = Store::in_memory(1 << 30).unwrap();
        let put = Put {
            directory: folder.path(),
            now: NOW,
        };
        let whole = store.put_alone(&put).unwrap();
        let part = store.part(&whole.tree.id, Path::new("artifacts"), NOW);
        let into = tempfile::tempdir().unwrap();
        let written = store.get(&part.unwrap().unwrap().tree, into.path());
        assert_eq!(written.unwrap().files, 4);
    }

    #[test]
    fn nothing_is_no_part() {
        let folder = folder();
        let store = Store::in_memory(1 << 30).unwrap();
        let put = Put {
            directory: folder.path(),
            now: NOW,
        };
        let whole = store.put(&put).unwrap();
        let part = |id: &Id, folder: &str| store.part(id, Path::new(folder), NOW).unwrap();
        assert_eq!(part(&whole.tree.id, "artefacts"), None);
        assert_eq!(part(&whole.tree.id, "artifacts/one"), None);
        assert_eq!(part(&Id::of(b"none"), "artifacts"), None);
    }

    #[test]
    fn a_link_to_what_is_outside_is_no_part() {
        let folder = folder();
        fs::hard_link(
            folder.path().join("artifacts/one"),
            folder.path().join("aaa"),
        )
        .unwrap();
        let store = Store::in_memory(1 << 30).unwrap();
        let put = Put {
            directory: folder.path(),
            now: NOW,
        };
        let whole = store.put(&put).unwrap();
        let part = store.part(&whole.tree.id, Path::new("artifacts"), NOW);
        assert!(part.unwrap_err().to_string().contains("outside"));
    }
}
