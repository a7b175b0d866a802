//! Looking whether a tree's folder is still what it was made as: every name, mode, owner, time and byte. Needs nothing but the
//! folder and its list, whose hash is the tree's id.

use std::collections::HashSet;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use croft_beneath::{Kind, Metadata, Root};

use super::names::name_of;
use crate::Id;
use crate::chunk::Cutter;
use crate::tree::{Anchor, Entry, MODE_BITS, Node, Tree};

/// Succeeds when the folder is the tree; otherwise says what is not.
pub(super) fn scrub(folder: &Path, list: &Path, id: &Id) -> Result<(), String> {
    let bytes = fs::read(list).map_err(|error| format!("its list cannot be read: {error}"))?;
    if Id::of(&bytes) != *id {
        return Err("its list is not the one it was made from".into());
    }
    let tree = Tree::parse(BufReader::new(bytes.as_slice())).map_err(|error| error.to_string())?;
    let root = Root::open(folder).map_err(|error| error.to_string())?;
    let root = root.refusing_links();
    let maker = root
        .symlink_metadata(Path::new("/"))
        .map_err(|error| error.to_string())?;
    let mut scrub = Scrub {
        root,
        maker: (maker.uid, maker.gid),
        cutter: Cutter::new(),
        seen: HashSet::new(),
    };
    for entry in tree.entries() {
        let path = Path::new(name_of(entry.anchor)).join(&entry.path);
        scrub
            .entry(entry, &path)
            .map_err(|reason| format!("{}: {reason}", path.display()))?;
        scrub.seen.extend(path.ancestors().map(Path::to_path_buf));
    }
    scrub.strangers()
}

struct Scrub {
    root: Root,
    /// User and group of the folder itself.
    maker: (u32, u32),
    cutter: Cutter,
    seen: HashSet<PathBuf>,
}

impl Scrub {
    fn entry(&mut self, entry: &Entry, path: &Path) -> Result<(), String> {
        let found = self
            .root
            .symlink_metadata(path)
            .map_err(|error| error.to_string())?;
        let kind = match &entry.node {
            Node::File { .. } | Node::HardLink(_) => Kind::File,
            Node::Directory => Kind::Directory,
            Node::Symlink(_) => Kind::Symlink,
        };
        if found.kind != kind {
            return Err("it is of another kind".into());
        }
        if (found.modified_seconds, found.modified_nanos) != entry.modified {
            return Err("its time changed".into());
        }
        if !self.may_own(entry, &found) {
            return Err("its owner changed".into());
        }
        // What could not be given to its owner lost the bits that make somebody its owner.
        let is_given = found.uid == entry.owner.0;
        let lost = if is_given || kind != Kind::File {
            0
        } else {
            0o6000
        };
        if kind != Kind::Symlink && found.mode & MODE_BITS != entry.mode & !lost {
            return Err("its mode changed".into());
        }
        match &entry.node {
            Node::Directory => Ok(()),
            Node::Symlink(target) => match self.root.read_link(path) {
                Ok(now) if now == *target => Ok(()),
                _ => Err("it points elsewhere".into()),
            },
            Node::HardLink(original) => self.same_file(entry.anchor, original, &found),
            Node::File { size_bytes, chunks } => self.contents(path, *size_bytes, chunks),
        }
    }

    /// What could not be given away stays its maker's. A folder may hand its group down to what is made in it.
    fn may_own(&self, entry: &Entry, found: &Metadata) -> bool {
        let (user, group) = self.maker;
        let is_user = found.uid == entry.owner.0 || found.uid == user;
        is_user && (found.gid == entry.owner.1 || found.gid == group)
    }

    fn same_file(&self, anchor: Anchor, original: &Path, found: &Metadata) -> Result<(), String> {
        let original = Path::new(name_of(anchor)).join(original);
        match self.root.symlink_metadata(&original) {
            Ok(first) if first.identity == found.identity => Ok(()),
            _ => Err("it is not the same file as its other name".into()),
        }
    }

    fn contents(&mut self, path: &Path, size_bytes: u64, chunks: &[Id]) -> Result<(), String> {
        let mut file = self
            .root
            .open_file(path)
            .map_err(|error| error.to_string())?;
        let mut expected = chunks.iter();
        let mut differs = false;
        let read = self
            .cutter
            .cut::<std::io::Error>(&mut file, |chunk| {
                differs |= expected.next() != Some(&Id::of(chunk));
                Ok(())
            })
            .map_err(|error| error.to_string())?;
        if differs || read != size_bytes || expected.next().is_some() {
            return Err("its bytes changed".into());
        }
        Ok(())
    }

    /// Nothing is there that the tree does not have.
    fn strangers(&self) -> Result<(), String> {
        let mut waiting = vec![PathBuf::new()];
        while let Some(folder) = waiting.pop() {
            let names = self.root.read_dir(&folder);
            for entry in names.map_err(|error| format!("{}: {error}", folder.display()))? {
                let path = folder.join(&entry.name);
                let is_anchor = path.parent() == Some(Path::new(""));
                if !self.seen.contains(&path) && !is_anchor {
                    return Err(format!("{}: nobody put it there", path.display()));
                }
                if entry.kind == Kind::Directory {
                    waiting.push(path);
                }
            }
        }
        Ok(())
    }
}
