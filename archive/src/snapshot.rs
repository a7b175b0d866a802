//! Copies of a read model, so that a server on an empty disk folds what happened since and not all that ever happened. Received from
//! whoever runs a server: the ledger, the archive, a key that only the farm's servers have. Several servers may keep copies at once,
//! and each may be killed at any step.
//!
//! A copy is a folder of parts and a note, which is written last: `views/<log>/<sequence>-<hash>/<part>` and the same with `.note`. The
//! newest two stay. Whoever has the store's credentials can write there, workers too, and a read model says who may do what: so a note
//! is sealed with the servers' key, and one that is not theirs is no note.
//!
//! What holds by absence: no copy is taken that is of another log, of another schema, of a branch that a restore has left, or of which a
//! byte is not what was written.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use croft_cache::Depot;
use croft_ledger::{Ledger, Seq};
use croft_views::{QueryError, SCHEMA_VERSION, Views};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::error::waiting;
use crate::lineage::digest;
use crate::{Error, History};

/// Of a read model's file, before it is compressed: as much as is held in memory twice.
const PART_BYTES: usize = 8 << 20;
/// What such a part may be when it cannot be compressed.
const PART_OBJECT_BYTES_MAX: u64 = (PART_BYTES as u64) + (1 << 20);
/// A note of a terabyte in parts.
const NOTE_BYTES_MAX: u64 = 16 << 20;
/// As for segments.
const LEVEL: i32 = 3;
/// How many copies stay: one may be being read while the next is written.
const KEPT: usize = 2;
/// What a note's name ends with.
const NOTE: &str = ".note";
/// Bytes of a note's seal.
const SEAL_BYTES: usize = 32;

/// By which servers know each other's copies.
#[derive(Clone)]
pub struct SnapshotKey([u8; 32]);

impl SnapshotKey {
    /// Made of a secret that only servers have.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self(blake3::derive_key("croft archive snapshot note v1", secret))
    }

    fn seal(&self, note: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.0, note)
    }
}

impl fmt::Debug for SnapshotKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SnapshotKey(..)")
    }
}

/// Why no copy was kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The read model cannot be copied.
    #[error("failed to copy the read model")]
    Views(#[from] QueryError),
    /// The archive or the ledger cannot be used.
    #[error("failed to keep a copy of the read model")]
    Archive(#[from] Error),
}

/// What a copy says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    schema: i32,
    seq: Seq,
    /// The hash of the ledger's entry there: a log that was restored and went on otherwise has another one.
    entry: String,
    bytes: u64,
    /// The hash of each part as it lies there.
    parts: Vec<String>,
}

/// Copies of a farm's read model.
#[derive(Clone, Debug)]
pub struct Snapshots {
    history: History,
    archive: Depot,
    key: SnapshotKey,
}

impl Snapshots {
    /// Of that ledger's read models, in that archive.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, archive: Depot, key: SnapshotKey) -> Self {
        let log = Arc::new(ledger);
        Self {
            history: History::new(log, archive.clone()),
            archive,
            key,
        }
    }

    /// Keeps a copy now and then until `stop` is true or its sender is gone. What goes wrong is said and tried again the next time.
    /// `scratch` is a file that nobody else uses.
    ///
    /// **Cancel.** A copy that is dropped leaves parts without a note, which a later one removes.
    pub async fn run(
        self,
        views: Views,
        scratch: PathBuf,
        (every, apart): (Duration, u64),
        mut stop: watch::Receiver<bool>,
    ) {
        let keeping = async {
            let mut tick = tokio::time::interval(every);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                match self.keep(&views, &scratch, apart).await {
                    Ok(Some(seq)) => tracing::info!(%seq, "kept a copy of the read model"),
                    Ok(None) => {}
                    Err(error) => tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "no copy of the read model was kept"
                    ),
                }
            }
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {}
            () = keeping => {}
        }
    }

    /// Keeps a copy, unless there is one that is less than `apart` entries older; up to where it is.
    ///
    /// # Errors
    /// When the read model cannot be copied or the archive does not take it: then the copies of before stand.
    pub async fn keep(
        &self,
        views: &Views,
        scratch: &Path,
        apart: u64,
    ) -> Result<Option<Seq>, SnapshotError> {
        let Some(folder) = self.folder().await? else {
            return Ok(None);
        };
        let (archive, listed) = (self.archive.clone(), folder.clone());
        let there = waiting(move || Ok(Listed::of(&archive, &listed)?)).await?;
        let newest = there.notes.last().map_or(Seq::ZERO, |(seq, _)| *seq);
        if views.position().get() < newest.get().saturating_add(apart.max(1)) {
            return Ok(None);
        }
        let (copied, into) = (views.clone(), scratch.to_path_buf());
        let copied = tokio::task::spawn_blocking(move || copied.copy_to(&into));
        let seq = copied
            .await
            .map_err(|error| Error::Lost(error.to_string()))??;
        let kept = self.kept(&folder, scratch, seq).await;
        fs::remove_file(scratch).unwrap_or_default();
        kept?;
        Ok(Some(seq))
    }

    /// Writes that file's parts and its note, and removes what is too old.
    async fn kept(&self, folder: &str, file: &Path, seq: Seq) -> Result<(), Error> {
        let Some(entry) = self.digest_at(seq).await? else {
            return Err(Error::Lost(format!("the ledger has no entry {seq}")));
        };
        let (archive, key) = (self.archive.clone(), self.key.clone());
        let (folder, file) = (folder.to_string(), file.to_path_buf());
        waiting(move || {
            let hash = hash_of(&file).map_err(lost)?;
            let stem = format!("{folder}/{:020}-{}", seq.get(), &hash.to_hex()[..16]);
            let mut note = Note {
                schema: SCHEMA_VERSION,
                seq,
                entry,
                bytes: 0,
                parts: Vec::new(),
            };
            let mut from = File::open(&file).map_err(lost)?;
            loop {
                let mut part = Vec::with_capacity(PART_BYTES);
                let read = (&mut from).take(PART_BYTES as u64).read_to_end(&mut part);
                if read.map_err(lost)? == 0 {
                    break;
                }
                note.bytes += part.len() as u64;
                let packed = zstd::bulk::compress(&part, LEVEL).map_err(lost)?;
                let name = part_name(&stem, note.parts.len());
                note.parts.push(blake3::hash(&packed).to_hex().to_string());
                archive.put(&name, packed)?;
            }
            let text = serde_json::to_vec(&note).map_err(|error| Error::Lost(error.to_string()))?;
            let sealed = [&key.seal(&text).as_bytes()[..], &text].concat();
            archive.put(&format!("{stem}{NOTE}"), sealed)?;
            Listed::of(&archive, &folder)?.prune(&archive, &folder)
        })
        .await
    }

    /// Brings the newest copy that is good to `path`, where nothing is; up to where it is, or none when there is none. One that is not
    /// good is said, and the one before it looked at.
    ///
    /// # Errors
    /// When the archive or the ledger cannot be read, or the disk not written: then there is nothing at `path`.
    pub async fn bring(&self, path: &Path) -> Result<Option<Seq>, Error> {
        let Some(folder) = self.folder().await? else {
            return Ok(None);
        };
        let (archive, listed) = (self.archive.clone(), folder.clone());
        let there = waiting(move || Ok(Listed::of(&archive, &listed)?)).await?;
        for (seq, stem) in there.notes.into_iter().rev() {
            match self.brought(&format!("{folder}/{stem}"), path).await {
                Ok(true) => {
                    tracing::info!(%seq, "a read model begins with a kept copy");
                    return Ok(Some(seq));
                }
                Ok(false) => {}
                Err(Error::Damaged { segment, reason }) => {
                    tracing::warn!(
                        copy = segment,
                        reason,
                        "a copy of the read model is not used"
                    );
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// False when the copy is of another schema, or of what this log never was.
    async fn brought(&self, stem: &str, path: &Path) -> Result<bool, Error> {
        let (archive, key, name) = (self.archive.clone(), self.key.clone(), stem.to_string());
        let note = waiting(move || read_note(&archive, &key, &name)).await?;
        if note.schema != SCHEMA_VERSION || self.digest_at(note.seq).await? != Some(note.entry) {
            return Ok(false);
        }
        let (archive, stem, path) = (self.archive.clone(), stem.to_string(), path.to_path_buf());
        waiting(move || {
            let unfinished = path.with_extension("unfinished");
            let written = write_parts(&archive, &stem, &note.parts, note.bytes, &unfinished);
            let there = written.and_then(|()| fs::rename(&unfinished, &path).map_err(lost));
            if there.is_err() {
                fs::remove_file(&unfinished).unwrap_or_default();
            }
            there.map(|()| true)
        })
        .await
    }

    /// Where this log's copies lie; none while it is empty.
    async fn folder(&self) -> Result<Option<String>, Error> {
        let lineage = self.history.lineage().await?;
        Ok(lineage.map(|lineage| format!("views/{lineage}")))
    }

    /// The hash of the entry there, wherever it is; none when there is none.
    async fn digest_at(&self, seq: Seq) -> Result<Option<String>, Error> {
        let before = Seq::new(seq.get().saturating_sub(1));
        let page = self.history.read(before, 1).await?;
        let entry = page.entries.first().filter(|entry| entry.seq == seq);
        Ok(entry.map(digest))
    }
}

/// What lies in a folder of copies.
struct Listed {
    /// Up to where each goes that is complete, and its name without an ending; the oldest first.
    notes: Vec<(Seq, String)>,
    /// Every object's name.
    names: Vec<String>,
}

impl Listed {
    fn of(archive: &Depot, folder: &str) -> Result<Self, croft_cache::Error> {
        let names = archive.list(folder)?;
        let stems = names.iter().filter_map(|name| name.strip_suffix(NOTE));
        let mut notes: Vec<_> = stems
            .filter_map(|stem| Some((seq_of(stem)?, stem.to_string())))
            .collect();
        notes.sort();
        Ok(Self { notes, names })
    }

    /// Removes all but the newest, and what was never finished and is older. Notes go first: what has none is not read.
    fn prune(&self, archive: &Depot, folder: &str) -> Result<(), Error> {
        let kept: Vec<&(Seq, String)> = self.notes.iter().rev().take(KEPT).collect();
        let Some(newest) = kept.first().map(|(seq, _)| *seq) else {
            return Ok(());
        };
        let is_old = |name: &&String| {
            let stem = name.split('/').next().unwrap_or_default();
            let stem = stem.strip_suffix(NOTE).unwrap_or(stem);
            let is_kept = kept.iter().any(|(_, kept)| kept == stem);
            !is_kept && seq_of(stem).is_some_and(|seq| seq < newest)
        };
        let (notes, parts): (Vec<_>, Vec<_>) = self
            .names
            .iter()
            .filter(is_old)
            .partition(|name| name.ends_with(NOTE));
        for name in notes.into_iter().chain(parts) {
            archive.remove(&format!("{folder}/{name}"))?;
        }
        Ok(())
    }
}

fn seq_of(stem: &str) -> Option<Seq> {
    let (seq, _hash) = stem.split_once('-')?;
    seq.parse().ok().map(Seq::new)
}

fn part_name(stem: &str, number: usize) -> String {
    format!("{stem}/{number:06}")
}

fn read_note(archive: &Depot, key: &SnapshotKey, stem: &str) -> Result<Note, Error> {
    let name = format!("{stem}{NOTE}");
    let sealed = archive.get(&name, NOTE_BYTES_MAX)?;
    let damaged = |reason: &str| Error::Damaged {
        segment: name.clone(),
        reason: reason.to_string(),
    };
    let Some((seal, text)) = sealed.split_at_checked(SEAL_BYTES) else {
        return Err(damaged("it is too short"));
    };
    // Compared in a time that says nothing of where they differ.
    if !blake3::Hash::from_slice(seal).is_ok_and(|seal| seal == key.seal(text)) {
        return Err(damaged(
            "it is not sealed by this farm's servers, or they have another master key now",
        ));
    }
    serde_json::from_slice(text).map_err(|error| damaged(&error.to_string()))
}

fn write_parts(
    archive: &Depot,
    stem: &str,
    parts: &[String],
    bytes: u64,
    path: &Path,
) -> Result<(), Error> {
    let mut file = File::create(path).map_err(lost)?;
    let mut written = 0;
    for (number, hash) in parts.iter().enumerate() {
        let name = part_name(stem, number);
        let damaged = |reason: String| Error::Damaged {
            segment: name.clone(),
            reason,
        };
        let packed = match archive.get(&name, PART_OBJECT_BYTES_MAX) {
            Err(croft_cache::Error::Missing { .. }) => return Err(damaged("it is gone".into())),
            got => got?,
        };
        if blake3::hash(&packed).to_hex().as_str() != hash {
            return Err(damaged("its bytes are not those that were written".into()));
        }
        let part = zstd::bulk::decompress(&packed, PART_BYTES);
        let part = part.map_err(|error| damaged(error.to_string()))?;
        file.write_all(&part).map_err(lost)?;
        written += part.len() as u64;
    }
    if written != bytes {
        let reason = format!("{written} bytes came of {bytes}");
        let segment = stem.to_string();
        return Err(Error::Damaged { segment, reason });
    }
    file.sync_all().map_err(lost)
}

fn hash_of(path: &Path) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize())
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn lost(error: io::Error) -> Error {
    Error::Lost(error.to_string())
}
