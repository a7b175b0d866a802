//! The list of files of one entry, as bytes and back. Made by `save`; read by `restore`, `prune` and `verify`.
//!
//! **Shape.** Lines of JSON: a header `{"croftTree":2,"entries":N}`, then one line an entry, strictly ascending by anchor
//! and path, so that equal trees have equal bytes. Bytes of a path that are not UTF-8, and `%`, are written `%XX`.
//!
//! A list is read as if an enemy had written it: whatever a save would not write is refused, with its line.

/// Text of one line.
mod line;

pub(crate) use line::{parse_entry, parse_header};

use std::cmp::Ordering;
use std::io::{self, BufRead, Read as _, Write};
use std::path::{Path, PathBuf};
use std::thread;

use crate::Id;

/// Entries of a tree. Ten times the largest `node_modules` anybody complained about.
pub(crate) const ENTRIES_MAX: usize = 1_000_000;

/// Bytes of a path: what the kernel takes.
pub(crate) const PATH_BYTES_MAX: usize = 4095;

/// Bytes of a file: its list of chunks has to fit in one line.
pub(crate) const FILE_BYTES_MAX: u64 = 64 << 30;

/// Chunks of a file: no version of Croft cuts them smaller on average than 32 KiB.
const CHUNKS_MAX: u64 = FILE_BYTES_MAX / (32 << 10);

/// Bytes of a line: a file of the largest size, with room for its path.
const LINE_BYTES_MAX: u64 = CHUNKS_MAX * 67 + 32 * 1024;

/// Bytes of a list: as many entries as there may be, with paths of everyday length. More would not be a list of files but
/// an attempt to fill the memory.
pub(crate) const LIST_BYTES_MAX: u64 = 512 << 20;

/// A list shorter than this is parsed before a thread would have started.
const SHARED_BYTES_MIN: usize = 256 << 10;

/// The permission bits that are kept: all. What may be done with set-user-id bits is decided where a tree is written.
pub(crate) const MODE_BITS: u32 = 0o7777;

/// Where an entry's path starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Anchor {
    /// The build's source directory.
    Source,
    /// The root of what the build sees.
    Root,
}

/// One file, link or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where the path starts.
    pub anchor: Anchor,
    /// Relative, without `.` or `..`, never empty.
    pub path: PathBuf,
    /// Permission bits within `0o7777`; `0o777` for a symbolic link.
    pub mode: u32,
    /// Modification time: seconds since the epoch, and nanoseconds below 10^9.
    pub modified: (i64, u32),
    /// User and group.
    pub owner: (u32, u32),
    /// What it is.
    pub node: Node,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File {
        /// Bytes.
        size_bytes: u64,
        /// In order; as many as the size needs.
        chunks: Vec<Id>,
    },
    /// A directory.
    Directory,
    /// A symbolic link and where it points, as written.
    Symlink(PathBuf),
    /// Another name of a file that comes earlier under the same anchor. Mode, owner and times are that file's.
    HardLink(PathBuf),
}

/// Why a list of files is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct TreeError {
    /// From 1; the header is the first.
    pub line: u64,
    /// What is wrong.
    pub reason: String,
}

/// A list of files whose every rule has been checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: Vec<Entry>,
}

impl Tree {
    /// The tree of these entries, which are in order and obey the rules: only `save` makes them.
    pub(crate) fn new(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    /// Ascending by anchor and path; a directory comes right before what is in it.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// How many files and links there are.
    #[must_use]
    pub fn files(&self) -> u64 {
        let files = self
            .entries
            .iter()
            .filter(|entry| entry.node != Node::Directory);
        files.count() as u64
    }

    /// Bytes of all files.
    #[must_use]
    pub fn logical_bytes(&self) -> u64 {
        let sizes = self.entries.iter().map(|entry| match entry.node {
            Node::File { size_bytes, .. } => size_bytes,
            Node::Directory | Node::Symlink(_) | Node::HardLink(_) => 0,
        });
        sizes.fold(0, u64::saturating_add)
    }

    /// The chunks of all files, as often as they are used.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &Id> {
        self.entries.iter().flat_map(|entry| entry.node.chunks())
    }

    /// The canonical bytes. Their BLAKE3 hash is the tree's id.
    pub(crate) fn encode(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.entries.len() * 192);
        self.write(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes the canonical bytes.
    fn write(&self, mut out: impl Write) -> io::Result<()> {
        line::write_header(&mut out, self.entries.len())?;
        for entry in &self.entries {
            line::write_entry(&mut out, entry)?;
        }
        Ok(())
    }

    /// The tree those bytes describe.
    ///
    /// # Errors
    /// At the first line that a save would not have written, and when reading fails.
    pub fn parse(mut reader: impl BufRead) -> Result<Self, TreeError> {
        let mut text = Vec::new();
        next_line(&mut reader, &mut text, 1)?;
        let count = parse_header(&text).map_err(|reason| TreeError { line: 1, reason })?;
        let mut tree = Self::default();
        for line in 2..count as u64 + 2 {
            next_line(&mut reader, &mut text, line)?;
            let checked = parse_entry(&text).and_then(|entry| tree.push(entry));
            checked.map_err(|reason| TreeError { line, reason })?;
        }
        let line = count as u64 + 2;
        match reader.fill_buf() {
            Ok([]) => Ok(tree),
            Ok(_) => Err(TreeError {
                line,
                reason: "there is more than the header announced".into(),
            }),
            Err(error) => Err(TreeError {
                line,
                reason: error.to_string(),
            }),
        }
    }

    /// The same for a list in memory, with a thread for each processor where it is long.
    pub(crate) fn parse_bytes(bytes: &[u8]) -> Result<Self, TreeError> {
        let entries = (bytes.len() >= SHARED_BYTES_MIN)
            .then(|| parse_together(bytes))
            .flatten();
        // Whatever is wrong is found again line by line, and told with its number.
        let Some(entries) = entries else {
            return Self::parse(bytes);
        };
        let mut tree = Self {
            entries: Vec::with_capacity(entries.iter().map(Vec::len).sum()),
        };
        for (line, entry) in (2..).zip(entries.into_iter().flatten()) {
            tree.push(entry)
                .map_err(|reason| TreeError { line, reason })?;
        }
        Ok(tree)
    }

    fn push(&mut self, entry: Entry) -> Result<(), String> {
        check_follows(self.entries.last(), &entry)?;
        if let Node::HardLink(original) = &entry.node {
            match self.find(entry.anchor, original).map(|found| &found.node) {
                Some(Node::File { .. }) => {}
                Some(_) | None => {
                    return Err(format!(
                        "`{}` is another name of `{}`, which is no file before it",
                        entry.path.display(),
                        original.display()
                    ));
                }
            }
        }
        self.entries.push(entry);
        Ok(())
    }

    /// The entry of that path.
    #[must_use]
    pub fn find(&self, anchor: Anchor, path: &Path) -> Option<&Entry> {
        let found = self
            .entries
            .binary_search_by(|entry| order(entry.place(), (anchor, path)));
        found.ok().map(|at| &self.entries[at])
    }
}

impl Entry {
    /// What orders entries.
    pub(crate) fn place(&self) -> (Anchor, &Path) {
        (self.anchor, &self.path)
    }
}

impl Node {
    /// A file's chunks.
    pub(crate) fn chunks(&self) -> &[Id] {
        match self {
            Self::File { chunks, .. } => chunks,
            Self::Directory | Self::Symlink(_) | Self::HardLink(_) => &[],
        }
    }
}

/// That an entry may come right after the other one.
pub(crate) fn check_follows(last: Option<&Entry>, entry: &Entry) -> Result<(), String> {
    let Some(last) = last else { return Ok(()) };
    let (before, now) = (last.place(), entry.place());
    if order(before, now) != Ordering::Less {
        return Err(format!(
            "`{}` is out of order or there twice",
            entry.path.display()
        ));
    }
    // In this order everything below a path comes right after it.
    if last.node != Node::Directory && before.0 == now.0 && now.1.starts_with(before.1) {
        return Err(format!(
            "`{}` is inside `{}`, which is not a directory",
            entry.path.display(),
            last.path.display()
        ));
    }
    Ok(())
}

/// The entries of a list, in order, in as many parts as there are processors; none when anything is wrong with it.
fn parse_together(bytes: &[u8]) -> Option<Vec<Vec<Entry>>> {
    let lines: Vec<&[u8]> = bytes
        .strip_suffix(b"\n")?
        .split(|byte| *byte == b'\n')
        .collect();
    let (header, lines) = lines.split_first()?;
    if parse_header(header).ok()? != lines.len() {
        return None;
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let parse = |part: &[&[u8]]| -> Option<Vec<Entry>> {
        part.iter().map(|text| parse_entry(text).ok()).collect()
    };
    thread::scope(|scope| {
        let mut parts = lines.chunks(lines.len().div_ceil(threads).max(1));
        let first = parts.next().unwrap_or_default();
        let others: Vec<_> = parts
            .map(|part| {
                thread::Builder::new()
                    .name("croft-cache".into())
                    .spawn_scoped(scope, move || parse(part))
            })
            .collect();
        let mut entries = vec![parse(first)];
        for other in others {
            let parsed = other.ok()?.join();
            entries.push(parsed.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        entries.into_iter().collect()
    })
}

/// The next line without its end.
pub(crate) fn next_line(
    reader: &mut impl BufRead,
    text: &mut Vec<u8>,
    line: u64,
) -> Result<(), TreeError> {
    text.clear();
    let refused = |reason: String| TreeError { line, reason };
    let read = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', text);
    read.map_err(|error| refused(error.to_string()))?;
    match text.pop() {
        Some(b'\n') => Ok(()),
        Some(_) if text.len() as u64 + 1 >= LINE_BYTES_MAX => {
            Err(refused(format!("longer than {LINE_BYTES_MAX} bytes")))
        }
        Some(_) | None => Err(refused("the list ends in the middle".into())),
    }
}

/// The order of a tree: by anchor, then by path, part by part, so that a directory comes right before what is in it.
///
/// The same as comparing paths by their components, for plain ones; but done on bytes, since a save compares a few hundred
/// thousand.
pub(crate) fn order(a: (Anchor, &Path), b: (Anchor, &Path)) -> Ordering {
    use std::os::unix::ffi::OsStrExt as _;
    let (left, right) = (a.1.as_os_str().as_bytes(), b.1.as_os_str().as_bytes());
    // A slash ends a part: it comes before everything that goes on with it.
    let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
    let by_path = || {
        let differing = left.iter().zip(right).find(|(left, right)| left != right);
        match differing {
            Some((left, right)) => rank(*left).cmp(&rank(*right)),
            None => left.len().cmp(&right.len()),
        }
    };
    a.0.cmp(&b.0).then_with(by_path)
}

/// Whether a path is one that a save would write.
pub(crate) fn check_path(path: &Path) -> Result<(), String> {
    use std::os::unix::ffi::OsStrExt as _;
    let bytes = path.as_os_str().as_bytes();
    let shown = path.display();
    if bytes.len() > PATH_BYTES_MAX {
        return Err(format!("a path longer than {PATH_BYTES_MAX} bytes"));
    }
    if bytes.starts_with(b"/") {
        return Err(format!("the path `{shown}` is absolute"));
    }
    for name in bytes.split(|byte| *byte == b'/') {
        let reason = match name {
            b"" => "has an empty name",
            b"." | b".." => "climbs with `.` or `..`",
            name if name.contains(&0) => "has a NUL in a name",
            name if name.len() > 255 => "has a name longer than 255 bytes",
            _ => continue,
        };
        return Err(format!(
            "the path `{}` {reason}",
            shown.to_string().escape_debug()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_order_on_bytes_is_that_of_components(
            a in prop::collection::vec("[a-c./ -]{1,3}", 1..5),
            b in prop::collection::vec("[a-c./ -]{1,3}", 1..5),
        ) {
            let plain = |parts: Vec<String>| {
                let parts: Vec<String> = parts
                    .into_iter()
                    .map(|part| part.replace('/', "!"))
                    .filter(|part| part != "." && part != "..")
                    .collect();
                PathBuf::from(parts.join("/"))
            };
            let (a, b) = (plain(a), plain(b));
            prop_assume!(a != Path::new("") && b != Path::new(""));
            let found = order((Anchor::Source, &a), (Anchor::Source, &b));
            prop_assert_eq!(found, a.cmp(&b));
        }
    }
}
