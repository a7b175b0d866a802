//! What a record says: these inputs gave those outputs. Made by whoever saves; handed to `sealed`, which turns it into bytes
//! and back, and to `explain`, which compares what two of them were made of.

use croft_keys::ScopeName;
use croft_proto::Timestamp;
use object_store::path::Path;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::name::{Name, Space, version_of_paths};
use crate::Id;
use crate::content::Content;

/// The format this croft writes and reads.
pub(crate) const FORMAT: u32 = 2;

/// The format's number, checked where a record is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Format;

/// A record.
///
/// **Shape.** JSON with names in camelCase; an unknown field, or one that is there twice, makes it no record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Record {
    #[serde(rename = "croftRecord")]
    pub(crate) format: Format,
    pub(crate) scope: ScopeName,
    pub(crate) space: Space,
    pub(crate) project: String,
    /// Any text but the empty one. None is the one record of a project without keys.
    pub(crate) key: Option<String>,
    /// In their plain form, sorted. Other tools have none.
    pub(crate) paths: Vec<String>,
    /// The hash of `paths`.
    pub(crate) version: Id,
    pub(crate) outcome: Outcome,
    /// Files and links; 1 for the content of one.
    pub(crate) files: u64,
    pub(crate) logical_bytes: u64,
    /// Compressed, each chunk once; others may use the same.
    pub(crate) stored_bytes: u64,
    /// When it was saved, by the clock of who saved it.
    pub(crate) created: Timestamp,
    /// What making it took: the dearer, the longer it is kept.
    pub(crate) cost_ms: u64,
    /// The key before its variables and helpers were expanded.
    pub(crate) key_template: Option<String>,
    /// What the key was made of, if known, to say later which of it changed.
    pub(crate) made_of: Vec<Input>,
    /// Who made it, for people: `croft 0.1.0 on builder-3`. Who vouches for it is its signer.
    pub(crate) producer: String,
}

/// What was saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub(crate) enum Outcome {
    /// Files: the tree of that id, whose list is those contents.
    Tree { id: Id, list: Content },
    /// The bytes of one file: its chunks, in order.
    Content { size_bytes: u64, chunks: Vec<Id> },
}

/// One thing a key was made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// What sort of thing.
    pub kind: InputKind,
    /// Its name: a path, a variable's name, an image's.
    pub name: String,
    /// What tells one value of it from another: a hash, never the value. Compared for equality only.
    pub digest: String,
}

/// A sort of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InputKind {
    /// A file's bytes.
    File,
    /// A variable's value.
    Variable,
    /// The image the build ran in.
    Image,
    /// Anything else.
    Other,
}

impl Outcome {
    /// The tree's id, when it is files.
    pub(crate) fn tree(&self) -> Option<&Id> {
        match self {
            Self::Tree { id, .. } => Some(id),
            Self::Content { .. } => None,
        }
    }
}

impl Record {
    /// What it is for.
    pub(crate) fn for_name(&self) -> Name<'_> {
        Name {
            scope: &self.scope,
            space: &self.space,
            project: &self.project,
            version: &self.version,
            key: self.key.as_deref(),
        }
    }

    /// The one object name it is good under.
    pub(crate) fn name(&self) -> Path {
        self.for_name().path()
    }

    /// True when a later record may take its name, so that an old one put back is worth a look: see `seen`. A key of a
    /// build is written once.
    pub(crate) fn is_replaceable(&self) -> bool {
        self.key.is_none() || self.space != Space::BUILD
    }

    /// What contradicts itself in it, if anything.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if self.project.is_empty() || self.key.as_deref() == Some("") {
            return Some("project and key may not be empty");
        }
        if self.version != version_of_paths(&self.paths) {
            return Some("its version is not that of its paths");
        }
        None
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(FORMAT)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            FORMAT => Ok(Self),
            other => Err(de::Error::custom(format_args!("format {other}"))),
        }
    }
}
