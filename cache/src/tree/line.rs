//! One line of a tree: JSON to an entry and back. Received from `tree`, which checks what holds between lines.

use std::borrow::Cow;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    Anchor, CHUNKS_MAX, ENTRIES_MAX, Entry, FILE_BYTES_MAX, MODE_BITS, Node, PATH_BYTES_MAX,
    check_path,
};
use crate::Id;

/// The version of this format.
const FORMAT: u32 = 2;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Header {
    croft_tree: u32,
    entries: usize,
}

#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum At {
    #[default]
    Source,
    Root,
}

#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    #[default]
    File,
    Directory,
    Link,
    HardLink,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_default")]
    at: At,
    #[serde(default, skip_serializing_if = "is_default")]
    kind: Kind,
    mode: u32,
    seconds: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    nanos: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    uid: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    gid: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    size: u64,
    #[serde(default, skip_serializing_if = "no_chunks")]
    chunks: Cow<'a, [Id]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Cow<'a, str>>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn no_chunks(chunks: &[Id]) -> bool {
    chunks.is_empty()
}

pub(super) fn write_header(out: &mut impl Write, entries: usize) -> io::Result<()> {
    let header = Header {
        croft_tree: FORMAT,
        entries,
    };
    serde_json::to_writer(&mut *out, &header)?;
    out.write_all(b"\n")
}

pub(crate) fn parse_header(text: &[u8]) -> Result<usize, String> {
    let header: Header = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if header.croft_tree != FORMAT {
        return Err(format!("format {} is not known here", header.croft_tree));
    }
    if header.entries > ENTRIES_MAX {
        return Err(format!("more than {ENTRIES_MAX} entries"));
    }
    Ok(header.entries)
}

pub(super) fn write_entry(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    let (kind, size, chunks, target) = match &entry.node {
        Node::File { size_bytes, chunks } => (Kind::File, *size_bytes, chunks.as_slice(), None),
        Node::Directory => (Kind::Directory, 0, [].as_slice(), None),
        Node::Symlink(target) => (Kind::Link, 0, [].as_slice(), Some(escape(target))),
        Node::HardLink(original) => (Kind::HardLink, 0, [].as_slice(), Some(escape(original))),
    };
    let line = Line {
        at: match entry.anchor {
            Anchor::Source => At::Source,
            Anchor::Root => At::Root,
        },
        path: escape(&entry.path),
        kind,
        mode: entry.mode,
        seconds: entry.modified.0,
        nanos: entry.modified.1,
        uid: entry.owner.0,
        gid: entry.owner.1,
        size,
        chunks: chunks.into(),
        target,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

pub(crate) fn parse_entry(text: &[u8]) -> Result<Entry, String> {
    let line: Line<'_> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let path = unescape(&line.path)?;
    check_path(&path)?;
    if line.mode & !MODE_BITS != 0 {
        return Err(format!(
            "mode {:o} has bits that are never stored",
            line.mode
        ));
    }
    if line.nanos >= 1_000_000_000 {
        return Err(format!("{} nanoseconds are more than a second", line.nanos));
    }
    Ok(Entry {
        anchor: match line.at {
            At::Source => Anchor::Source,
            At::Root => Anchor::Root,
        },
        path,
        mode: line.mode,
        modified: (line.seconds, line.nanos),
        owner: (line.uid, line.gid),
        node: node_of(line)?,
    })
}

fn node_of(line: Line<'_>) -> Result<Node, String> {
    let has_contents = line.size != 0 || !line.chunks.is_empty();
    match (line.kind, line.target) {
        (Kind::File, None) => {
            let (size_bytes, count) = (line.size, line.chunks.len() as u64);
            let is_empty = size_bytes == 0;
            let fits = count <= size_bytes && count <= CHUNKS_MAX && is_empty == (count == 0);
            if size_bytes > FILE_BYTES_MAX || !fits {
                return Err(format!("{count} chunks cannot make {size_bytes} bytes"));
            }
            let chunks = line.chunks.into_owned();
            Ok(Node::File { size_bytes, chunks })
        }
        (Kind::Directory, None) if !has_contents => Ok(Node::Directory),
        (Kind::Link, Some(target)) if !has_contents => {
            let target = unescape(&target)?;
            let bytes = target.as_os_str().as_bytes();
            if bytes.is_empty() || bytes.len() > PATH_BYTES_MAX || bytes.contains(&0) {
                return Err("a link must point to a path".into());
            }
            Ok(Node::Symlink(target))
        }
        (Kind::HardLink, Some(original)) if !has_contents => {
            let original = unescape(&original)?;
            check_path(&original)?;
            Ok(Node::HardLink(original))
        }
        (Kind::File | Kind::Directory | Kind::Link | Kind::HardLink, _) => {
            Err("fields of different kinds are mixed".into())
        }
    }
}

fn escape(path: &Path) -> Cow<'_, str> {
    let bytes = path.as_os_str().as_bytes();
    if let Ok(text) = str::from_utf8(bytes)
        && !text.contains('%')
    {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::new();
    for part in bytes.utf8_chunks() {
        escaped.push_str(&part.valid().replace('%', "%25"));
        for byte in part.invalid() {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    Cow::Owned(escaped)
}

fn unescape(text: &str) -> Result<PathBuf, String> {
    if !text.contains('%') {
        return Ok(PathBuf::from(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let hex = rest.split_at_checked(2).and_then(|(pair, after)| {
            rest = after;
            u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()
        });
        bytes.push(hex.ok_or("`%` must be followed by two hexadecimal digits")?);
    }
    let path = PathBuf::from(std::ffi::OsString::from_vec(bytes));
    // One path must have one spelling, or equal trees could have different bytes.
    if escape(&path) != text {
        return Err(format!(
            "`{}` is not the plain spelling of a path",
            text.escape_debug()
        ));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn any_bytes_of_a_name_survive_and_have_one_spelling() {
        for name in [
            &b"plain"[..],
            b"100%",
            b"new\nline",
            b"\xff\xfe",
            "ü%é".as_bytes(),
            b"half \xc3",
        ] {
            let path = Path::new(OsStr::from_bytes(name));
            assert_eq!(unescape(&escape(path)).unwrap(), path);
        }
        for text in ["%41", "%zz", "%4", "%", "%c3%A9", "%C3%A9", "%+1"] {
            assert!(unescape(text).is_err(), "{text}");
        }
    }
}
