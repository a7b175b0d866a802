//! The entry: what a project saved under which key. Made by `save` as its last step; looked up by `restore`.
//!
//! **Shape.** The BLAKE3 hash of the rest, a newline, and JSON. Its name is made of the hashes of project, version of the
//! paths, and key, so that no text of a user becomes part of a path. Beside it, in `used/`, lies the time of its last
//! use; losing that only makes the entry look older.

use croft_proto::Timestamp;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::backend::{Listed, Objects};
use crate::layout::folder;
use crate::pack::damaged;
use crate::{Error, Id};

/// Bytes of an entry: names and paths beyond that are not what a person writes.
pub(crate) const RECORD_BYTES_MAX: u64 = 64 * 1024;

/// Bytes of a last-used time.
const USED_BYTES_MAX: u64 = 32;

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) project: String,
    pub(crate) key: Option<String>,
    /// In their plain form, sorted.
    pub(crate) paths: Vec<String>,
    pub(crate) version: Id,
    pub(crate) tree: Id,
    pub(crate) files: u64,
    pub(crate) logical_bytes: u64,
    pub(crate) stored_bytes: u64,
    pub(crate) created: Timestamp,
}

/// The folder of a project's entries with these paths.
pub(crate) fn scope(project: &str, version: &Id) -> Path {
    let project = Id::of_name("croft cache 2026 project", project.as_bytes());
    folder("entries")
        .join(project.to_string())
        .join(version.to_string())
}

/// The name of one entry.
pub(crate) fn name(project: &str, version: &Id, key: Option<&str>) -> Path {
    let key = match key {
        Some(key) => Id::of_name("croft cache 2026 key", key.as_bytes()),
        None => Id::of_name("croft cache 2026 no key", b""),
    };
    scope(project, version).join(key.to_string())
}

/// Where an entry's last use is noted.
pub(crate) fn used_name(entry: &Path) -> Path {
    folder("used")
        .parts()
        .chain(entry.parts().skip(2))
        .collect()
}

impl Record {
    pub(crate) fn name(&self) -> Path {
        name(&self.project, &self.version, self.key.as_deref())
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        let json = serde_json::to_vec(self).map_err(|error| Error::Name(error.to_string()))?;
        let sealed = [Id::of(&json).to_string().as_bytes(), b"\n", &json].concat();
        if sealed.len() as u64 > RECORD_BYTES_MAX {
            return Err(Error::Name(format!(
                "project, key and paths together are longer than {RECORD_BYTES_MAX} bytes"
            )));
        }
        Ok(sealed)
    }

    /// The entry those bytes are, when they were written under that name.
    pub(crate) fn decode(name: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let sealed = bytes.split_at_checked(64).and_then(|(seal, rest)| {
            let seal = Id::parse(str::from_utf8(seal).ok()?)?;
            Some((seal, rest.strip_prefix(b"\n")?))
        });
        let Some((_, json)) = sealed.filter(|(seal, json)| Id::of(json) == *seal) else {
            return Err(damaged(name, "it does not match its hash"));
        };
        let record: Self =
            serde_json::from_slice(json).map_err(|error| damaged(name, error.to_string()))?;
        if record.name() != *name {
            return Err(damaged(name, "it belongs under another name"));
        }
        Ok(record)
    }
}

/// The entry of that name, if there is one.
pub(crate) fn read(objects: &Objects, name: &Path) -> Result<Option<Record>, Error> {
    match objects.get(name, RECORD_BYTES_MAX) {
        Ok(bytes) => Record::decode(name, &bytes).map(Some),
        Err(Error::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Entries with the objects they are in; damaged ones as their error.
pub(crate) type Records = Vec<(Listed, Result<Record, Error>)>;

/// Every entry below a folder.
pub(crate) fn read_all(objects: &Objects, folder: &Path) -> Result<Records, Error> {
    let mut records = Vec::new();
    for listed in objects.list(folder)? {
        match read(objects, &listed.name) {
            // Replaced or removed since it was listed.
            Ok(None) => {}
            Ok(Some(record)) => records.push((listed, Ok(record))),
            Err(error) if error.is_damage() => records.push((listed, Err(error))),
            Err(error) => return Err(error),
        }
    }
    Ok(records)
}

/// Notes that an entry was used. A store that cannot be written is no reason not to read from it.
pub(crate) fn touch(objects: &Objects, entry: &Path, now: Timestamp) {
    if let Err(error) = objects.put(&used_name(entry), now.millis().to_string().into_bytes()) {
        tracing::debug!(%error, "the time of use is not noted");
    }
}

/// When an entry was last used: saved, or restored.
pub(crate) fn last_used(objects: &Objects, record: &Record) -> Timestamp {
    let noted = objects.get(&used_name(&record.name()), USED_BYTES_MAX).ok();
    let millis = noted.and_then(|bytes| str::from_utf8(&bytes).ok()?.parse().ok());
    millis.map_or(record.created, |millis| {
        record.created.max(Timestamp::from_millis(millis))
    })
}
