//! What a backup says of itself: the one object that makes segments a backup. Written last; whatever it does not name does not count.
//!
//! **Shape.** `{"manifest": {...}, "blake3": "<hash of the manifest's bytes>"}` as `manifest.json`.

use croft_cache::Depot;
use croft_ledger::Seq;
use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::waiting;
use crate::{Error, Lineage};

/// Its object's name.
const NAME: &str = "manifest.json";
/// What this croft writes, and the newest it reads.
const VERSION: u32 = 1;
/// Most bytes of one: a hundred thousand segments, which are a billion entries.
const BYTES_MAX: u64 = 32 << 20;

/// Why a manifest is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The place does not answer or does not take it.
    #[error("failed to read or write the backup's manifest")]
    Archive(#[from] Error),
    /// It is not what was written.
    #[error("the backup's {NAME} is damaged: {reason}")]
    Damaged {
        /// How it shows.
        reason: String,
    },
    /// A newer croft wrote it; use that one.
    #[error(
        "the backup is of version {version}, and this croft knows {VERSION}: use the croft that wrote it"
    )]
    Newer {
        /// Of the manifest.
        version: u32,
    },
}

/// A backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Of this format.
    pub version: u32,
    /// Of which log.
    pub lineage: Lineage,
    /// The server whose backup it is, as its audit chain is named; absent where there are several.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server: Option<String>,
    /// When it was made.
    pub at: Timestamp,
    /// Which croft made it.
    pub croft: String,
    /// Up to where in the log.
    pub last: Seq,
    /// The hash of the last entry: a log that has another one there is another log.
    pub tip: String,
    /// How many entries.
    pub entries: u64,
    /// In order; each begins after the one before it.
    pub segments: Vec<Part>,
}

/// A segment of a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Its object's name, whose end is the beginning of its hash.
    pub name: String,
    /// Its first sequence.
    pub first: Seq,
    /// Its last.
    pub last: Seq,
    /// How large the object is.
    pub bytes: u64,
}

#[derive(Deserialize)]
struct Sealed<'a> {
    #[serde(borrow)]
    manifest: &'a RawValue,
    blake3: String,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Manifest {
    pub(crate) const VERSION: u32 = VERSION;

    /// The one at that place; none when there is no backup.
    pub(crate) async fn read(place: &Depot) -> Result<Option<Self>, ManifestError> {
        let place = place.clone();
        let bytes = waiting(move || match place.get(NAME, BYTES_MAX) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(croft_cache::Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        });
        bytes.await?.as_deref().map(parse).transpose()
    }

    /// Writes it in place of the one before, and reads it back.
    pub(crate) async fn write(&self, place: &Depot) -> Result<(), ManifestError> {
        let damaged = |error: serde_json::Error| ManifestError::Damaged {
            reason: error.to_string(),
        };
        let manifest = serde_json::to_string_pretty(self).map_err(damaged)?;
        let hash = blake3::hash(manifest.as_bytes()).to_hex();
        let text = format!("{{\"manifest\": {manifest},\n\"blake3\": \"{hash}\"}}\n");
        let to = place.clone();
        waiting(move || Ok(to.put(NAME, text)?)).await?;
        match Self::read(place).await? {
            Some(read) if read == *self => Ok(()),
            Some(_) | None => Err(ManifestError::Damaged {
                reason: "it is not there as it was written".into(),
            }),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    let damaged = |reason: String| ManifestError::Damaged { reason };
    let sealed: Sealed<'_> =
        serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    let text = sealed.manifest.get();
    if blake3::hash(text.as_bytes()).to_hex().as_str() != sealed.blake3 {
        return Err(damaged("its checksum is not that of its contents".into()));
    }
    let wrong = |error: serde_json::Error| damaged(error.to_string());
    let Versioned { version } = serde_json::from_str(text).map_err(wrong)?;
    if version > VERSION {
        return Err(ManifestError::Newer { version });
    }
    serde_json::from_str(text).map_err(wrong)
}
