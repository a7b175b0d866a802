//! Entries as bytes and back. A segment is a line that says what it is, entries compressed with zstd, and the BLAKE3 hash of all
//! before it. Received from retention and backups; handed to whoever reads the past.
//!
//! **Shape.** `croft-segment 1 {"first":..,"last":..,"count":..,"plainBytes":..}` and a line end; one zstd frame; 32 bytes. In the
//! frame each entry is a line of JSON, `{"seq","subject","atMs","eventBytes"}` or with `"purged"` instead of `"eventBytes"` for a
//! tombstone, then that many bytes of the event as they were appended, then a line end. So `zstdcat` shows it to a person.

use std::fmt;

use bytes::Bytes;
use croft_ledger::{Body, Entry, Seq, Subject};
use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

/// Most bytes of a segment before they are compressed, but for the entry that passes it: few enough to be in memory several times,
/// and so many that a year of a busy farm is thousands of objects and not millions.
pub const SEGMENT_BYTES_MAX: usize = 8 << 20;

/// Most entries of a segment: those of some hundred builds.
pub const SEGMENT_ENTRIES_MAX: usize = 8192;

/// Most bytes of an object that is read as one: bytes that cannot be compressed, a last entry, the header.
pub(crate) const OBJECT_BYTES_MAX: u64 = (SEGMENT_BYTES_MAX as u64) + (1 << 20);

/// Most bytes that a frame may become: [`SEGMENT_BYTES_MAX`] and the largest entry.
const PLAIN_BYTES_MAX: usize = SEGMENT_BYTES_MAX + croft_ledger::EVENT_BYTES_MAX + (4 << 10);

/// What each begins with; another version has another number.
const MAGIC: &str = "croft-segment ";
const VERSION: &str = "1";
const HASH_BYTES: usize = 32;
const LEVEL: i32 = 3;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    first: Seq,
    last: Seq,
    count: usize,
    plain_bytes: usize,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    seq: Seq,
    subject: Subject,
    at_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    event_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    purged: Option<Seq>,
}

/// What a segment is called: the sequences it spans, so that a list of names tells which ones to read, and the beginning of its hash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    hash: String,
}

impl Name {
    /// None when it is no segment's.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let stem = text.strip_suffix(".seg")?;
        let mut parts = stem.split('-');
        let mut seq = || parts.next()?.parse().ok().map(Seq::new);
        let (first, last) = (seq()?, seq()?);
        let hash = parts.next()?.to_owned();
        (parts.next().is_none() && first <= last).then_some(Self { first, last, hash })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.first.get(), self.last.get());
        write!(f, "{first:020}-{last:020}-{}.seg", self.hash)
    }
}

/// Entries that are to be one segment, until there are enough of them.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) entries: Vec<Entry>,
    bytes: usize,
}

impl Gathered {
    pub(crate) fn push(&mut self, entry: Entry) {
        self.bytes += entry.event().map_or(0, Bytes::len) + entry.subject.as_str().len() + 128;
        self.entries.push(entry);
    }

    /// Whether it is time to write them.
    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= SEGMENT_ENTRIES_MAX || self.bytes >= SEGMENT_BYTES_MAX
    }

    pub(crate) fn take(&mut self) -> Vec<Entry> {
        std::mem::take(self).entries
    }
}

/// The segment of those entries, which are not none; in whatever order, it is in theirs.
pub(crate) fn encode(mut entries: Vec<Entry>) -> Result<(Name, Bytes), String> {
    entries.sort_by_key(|entry| entry.seq);
    entries.dedup_by_key(|entry| entry.seq);
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return Err("it would have no entries".into());
    };
    let (first, last) = (first.seq, last.seq);
    let mut plain = Vec::new();
    for entry in &entries {
        write_entry(&mut plain, entry)?;
    }
    let header = Header {
        first,
        last,
        count: entries.len(),
        plain_bytes: plain.len(),
    };
    let header = serde_json::to_string(&header).map_err(|error| error.to_string())?;
    let mut bytes = format!("{MAGIC}{VERSION} {header}\n").into_bytes();
    let body = zstd::bulk::compress(&plain, LEVEL).map_err(|error| error.to_string())?;
    bytes.extend_from_slice(&body);
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    let hash = hash.to_hex()[..16].to_owned();
    Ok((Name { first, last, hash }, bytes.into()))
}

fn write_entry(plain: &mut Vec<u8>, entry: &Entry) -> Result<(), String> {
    let (event, purged) = match &entry.body {
        Body::Event(event) => (Some(event), None),
        Body::Tombstone { last } => (None, Some(*last)),
    };
    let head = Head {
        seq: entry.seq,
        subject: entry.subject.clone(),
        at_ms: entry.at.millis(),
        event_bytes: event.map(Bytes::len),
        purged,
    };
    serde_json::to_writer(&mut *plain, &head).map_err(|error| error.to_string())?;
    plain.push(b'\n');
    if let Some(event) = event {
        plain.extend_from_slice(event);
        plain.push(b'\n');
    }
    Ok(())
}

/// Why bytes are no segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotOne {
    Damaged(String),
    Newer(String),
}

impl From<&str> for NotOne {
    fn from(reason: &str) -> Self {
        Self::Damaged(reason.into())
    }
}

/// The entries of a segment of that name, in order. Nothing of it is believed before its hash is.
pub(crate) fn decode(name: &Name, bytes: &[u8]) -> Result<Vec<Entry>, NotOne> {
    let split = bytes.len().checked_sub(HASH_BYTES);
    let (content, hash) = bytes.split_at(split.ok_or("it is cut short")?);
    let found = blake3::hash(content);
    if found.as_bytes() != hash {
        return Err("its checksum is not that of its contents".into());
    }
    if found.to_hex()[..16] != *name.hash {
        return Err("it is another segment than its name says".into());
    }
    let end = content.iter().position(|byte| *byte == b'\n');
    let (line, body) = content.split_at(end.ok_or("it has no header")?);
    let line = std::str::from_utf8(line).ok().and_then(|line| {
        let (version, header) = line.strip_prefix(MAGIC)?.split_once(' ')?;
        Some((version, header))
    });
    let (version, header) = line.ok_or("it is no segment")?;
    if version != VERSION {
        return Err(NotOne::Newer(version.into()));
    }
    let wrong = |error: &dyn fmt::Display| NotOne::Damaged(error.to_string());
    let header: Header = serde_json::from_str(header).map_err(|error| wrong(&error))?;
    if header.plain_bytes > PLAIN_BYTES_MAX {
        return Err("it says that it is larger than any".into());
    }
    let plain = zstd::bulk::decompress(&body[1..], header.plain_bytes);
    let plain = Bytes::from(plain.map_err(|error| wrong(&error))?);
    let entries = read_entries(&plain)?;
    let ends = (
        entries.first().map(|entry| entry.seq),
        entries.last().map(|entry| entry.seq),
    );
    let is_whole = entries.len() == header.count
        && ends == (Some(header.first), Some(header.last))
        && ends == (Some(name.first), Some(name.last))
        && entries.is_sorted_by(|one, next| one.seq < next.seq);
    if !is_whole {
        return Err("its entries are not those of its header".into());
    }
    Ok(entries)
}

fn read_entries(plain: &Bytes) -> Result<Vec<Entry>, NotOne> {
    let (mut entries, mut at) = (Vec::new(), 0);
    let cut = || NotOne::from("an entry is cut short");
    while at < plain.len() {
        let length = plain[at..].iter().position(|byte| *byte == b'\n');
        let end = at + length.ok_or_else(cut)?;
        let head: Head = serde_json::from_slice(&plain[at..end])
            .map_err(|error| NotOne::Damaged(format!("an entry's head: {error}")))?;
        at = end + 1;
        let body = match (head.event_bytes, head.purged) {
            (Some(length), None) => {
                let end = at.checked_add(length).ok_or_else(cut)?;
                if plain.get(end) != Some(&b'\n') {
                    return Err(cut());
                }
                let event = plain.slice(at..end);
                at = end + 1;
                Body::Event(event)
            }
            (None, Some(last)) => Body::Tombstone { last },
            _ => return Err("an entry is neither an event nor a tombstone".into()),
        };
        entries.push(Entry {
            seq: head.seq,
            subject: head.subject,
            at: Timestamp::from_millis(head.at_ms),
            body,
        });
    }
    Ok(entries)
}
