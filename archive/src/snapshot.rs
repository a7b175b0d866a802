//! Copies of a read model, so that a server on an empty disk folds what happened since and not all that ever happened. Received from
//! whoever runs a server: the ledger, the archive, a key that only the farm's servers have. Several servers may keep copies at once,
//! and each may be killed at any step.
//!
//! A copy is a folder of parts and a note, which is written last: `views/<log>/<sequence>-<hash>/<part>` and the same with `.note`. The
//! newest two stay. Whoever has the store's credentials can read and write there, workers too, and a read model knows all that a farm
//! does and says who may do what: so parts and notes are encrypted and authenticated with the servers' key, each for its own name.
//!
//! What holds by absence: no copy is taken, and none counts, that is of another log, of another schema, of a branch that a restore has left,
//! or of which a byte is not what was written.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use croft_cache::Depot;
use croft_ledger::{Ledger, Seq};
use croft_views::{QueryError, SCHEMA_VERSION, Views};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
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
/// Bytes of a nonce, which come before what is encrypted and its tag.
const NONCE_BYTES: usize = 12;
/// What must be free on the disk of a copy that is being made, beside the copy.
const ROOM_BYTES: u64 = 1 << 30;

/// With which servers read each other's copies, and know that they are theirs: ChaCha20-Poly1305 (RFC 8439) with random nonces, far fewer
/// than the 2^32 that one key is good for.
#[derive(Clone)]
pub struct SnapshotKey(Arc<LessSafeKey>);

impl SnapshotKey {
    /// Made of a secret that only servers have.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        let key = blake3::derive_key("croft archive snapshot v1", secret);
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key);
        Self(Arc::new(LessSafeKey::new(
            key.expect("the cipher's keys have 32 bytes"),
        )))
    }

    /// The bytes, for an object of that name and no other.
    fn close(&self, name: &str, mut bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE_BYTES];
        let drawn = SystemRandom::new().fill(&mut nonce);
        drawn.map_err(|_none| Error::Lost("there are no random bytes".into()))?;
        let used = Nonce::assume_unique_for_key(nonce);
        let closed = self
            .0
            .seal_in_place_append_tag(used, Aad::from(name), &mut bytes);
        closed.map_err(|_too_long| Error::Lost(format!("{name} is too long")))?;
        Ok([&nonce[..], &bytes].concat())
    }

    /// None when they are not those that were closed for that name with this key.
    fn open(&self, name: &str, closed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, closed) = closed.split_first_chunk()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut bytes = closed.to_vec();
        let opened = self.0.open_in_place(nonce, Aad::from(name), &mut bytes);
        let length = opened.ok()?.len();
        bytes.truncate(length);
        Some(bytes)
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
    /// The read model's disk has too little room for a second one beside it.
    #[error("{free} bytes are free where the read model is, and a copy needs {needed}")]
    NoRoom {
        /// What is free.
        free: u64,
        /// What is needed.
        needed: u64,
    },
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
    parts: usize,
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
        // Of a server that was ended in the middle.
        fs::remove_file(&scratch).unwrap_or_default();
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
        let newest = self.newest(&folder).await?.unwrap_or_default();
        if views.position().get() < newest.get().saturating_add(apart.max(1)) {
            return Ok(None);
        }
        let (copied, into) = (views.clone(), scratch.to_path_buf());
        let copied = tokio::task::spawn_blocking(move || {
            let copied = has_room(&copied, &into).and_then(|()| Ok(copied.copy_to(&into)?));
            if copied.is_err() {
                fs::remove_file(&into).unwrap_or_default();
            }
            copied
        });
        let copied = copied.await;
        let seq = copied.map_err(|error| Error::Lost(error.to_string()))??;
        let kept = self.kept(&folder, scratch, seq).await;
        fs::remove_file(scratch).unwrap_or_default();
        kept?;
        Ok(Some(seq))
    }

    /// Up to where the newest copy goes that counts.
    async fn newest(&self, folder: &str) -> Result<Option<Seq>, Error> {
        Ok(self.good(folder).await?.last().map(|(seq, _)| *seq))
    }

    /// The newest copies that count, by their notes, as many as stay; the oldest first.
    async fn good(&self, folder: &str) -> Result<Vec<(Seq, String)>, Error> {
        let (archive, listed) = (self.archive.clone(), folder.to_string());
        let there = waiting(move || Ok(Listed::of(&archive, &listed)?)).await?;
        let mut good = Vec::new();
        for (seq, stem) in there.notes.into_iter().rev() {
            if self.note(&format!("{folder}/{stem}")).await?.is_some() {
                good.insert(0, (seq, stem));
            }
            if good.len() == KEPT {
                break;
            }
        }
        Ok(good)
    }

    /// Writes that file's parts and its note, and removes what is too old.
    async fn kept(&self, folder: &str, file: &Path, seq: Seq) -> Result<(), Error> {
        let Some(entry) = self.digest_at(seq).await? else {
            return Err(Error::Lost(format!("the ledger has no entry {seq}")));
        };
        let (archive, key) = (self.archive.clone(), self.key.clone());
        let (into, file) = (folder.to_string(), file.to_path_buf());
        waiting(move || {
            let hash = hash_of(&file).map_err(lost)?;
            let stem = format!("{into}/{:020}-{}", seq.get(), &hash.to_hex()[..16]);
            let mut note = Note {
                schema: SCHEMA_VERSION,
                seq,
                entry,
                bytes: 0,
                parts: 0,
            };
            let mut from = File::open(&file).map_err(lost)?;
            loop {
                let mut part = Vec::with_capacity(PART_BYTES);
                let read = (&mut from).take(PART_BYTES as u64).read_to_end(&mut part);
                if read.map_err(lost)? == 0 {
                    break;
                }
                note.bytes += part.len() as u64;
                let name = part_name(&stem, note.parts);
                let packed = zstd::bulk::compress(&part, LEVEL).map_err(lost)?;
                archive.put(&name, key.close(&name, packed)?)?;
                note.parts += 1;
            }
            let text = serde_json::to_vec(&note).map_err(|error| Error::Lost(error.to_string()))?;
            let name = format!("{stem}{NOTE}");
            archive.put(&name, key.close(&name, text)?)?;
            Ok(())
        })
        .await?;
        let good = self.good(folder).await?;
        let (archive, folder) = (self.archive.clone(), folder.to_string());
        waiting(move || Listed::of(&archive, &folder)?.prune(&archive, &folder, &good)).await
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
        for (seq, stem) in self.good(&folder).await?.into_iter().rev() {
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

    /// False when there is none any more.
    async fn brought(&self, stem: &str, path: &Path) -> Result<bool, Error> {
        let Some(note) = self.note(stem).await? else {
            return Ok(false);
        };
        let (archive, key) = (self.archive.clone(), self.key.clone());
        let (stem, path) = (stem.to_string(), path.to_path_buf());
        waiting(move || {
            let unfinished = path.with_extension("unfinished");
            let written = write_parts(&archive, &key, (&stem, &note), &unfinished);
            let there = written.and_then(|()| fs::rename(&unfinished, &path).map_err(lost));
            if there.is_err() {
                fs::remove_file(&unfinished).unwrap_or_default();
            }
            there.map(|()| true)
        })
        .await
    }

    /// A copy's note; none, and said, when it is not of this farm's servers, and none when it is of another schema or of what this log never
    /// was.
    async fn note(&self, stem: &str) -> Result<Option<Note>, Error> {
        let (archive, key, name) = (self.archive.clone(), self.key.clone(), stem.to_string());
        let note = match waiting(move || read_note(&archive, &key, &name)).await {
            Err(Error::Damaged { segment, reason }) => {
                tracing::warn!(
                    copy = segment,
                    reason,
                    "a copy of the read model is not used"
                );
                return Ok(None);
            }
            note => note?,
        };
        let is_ours = note.schema == SCHEMA_VERSION
            && self.digest_at(note.seq).await?.as_ref() == Some(&note.entry);
        Ok(is_ours.then_some(note))
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

    /// Removes all that is older than those that stay, and copies that do not count, wherever they claim to end. What is newer and has no note
    /// yet is another server's, which may still be writing it. Notes go first: what has none is not read.
    fn prune(&self, archive: &Depot, folder: &str, stay: &[(Seq, String)]) -> Result<(), Error> {
        let Some(oldest) = stay.first().map(|(seq, _)| *seq) else {
            return Ok(());
        };
        let is_to_go = |name: &&String| {
            let stem = name.split('/').next().unwrap_or_default();
            let stem = stem.strip_suffix(NOTE).unwrap_or(stem);
            let stays = stay.iter().any(|(_, stays)| stays == stem);
            let has_note = self.notes.iter().any(|(_, noted)| noted == stem);
            !stays && (has_note || seq_of(stem).is_none_or(|seq| seq < oldest))
        };
        let (notes, parts): (Vec<_>, Vec<_>) = self
            .names
            .iter()
            .filter(is_to_go)
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

/// An object of a copy, opened. What is gone, too large, or not of this farm's servers is damaged.
fn opened(
    archive: &Depot,
    key: &SnapshotKey,
    name: &str,
    bytes_max: u64,
) -> Result<Vec<u8>, Error> {
    let damaged = |reason: &str| Error::Damaged {
        segment: name.to_string(),
        reason: reason.to_string(),
    };
    let closed = match archive.get(name, bytes_max) {
        Err(croft_cache::Error::Missing { .. }) => return Err(damaged("it is gone")),
        Err(error) if error.is_unusable() => return Err(damaged(&error.to_string())),
        got => got?,
    };
    key.open(name, &closed).ok_or_else(|| {
        damaged("it is not what this farm's servers wrote, or they have another master key now")
    })
}

fn read_note(archive: &Depot, key: &SnapshotKey, stem: &str) -> Result<Note, Error> {
    let name = format!("{stem}{NOTE}");
    let text = opened(archive, key, &name, NOTE_BYTES_MAX)?;
    serde_json::from_slice(&text).map_err(|error| Error::Damaged {
        segment: name,
        reason: error.to_string(),
    })
}

fn write_parts(
    archive: &Depot,
    key: &SnapshotKey,
    (stem, note): (&str, &Note),
    path: &Path,
) -> Result<(), Error> {
    let mut file = File::create(path).map_err(lost)?;
    let mut written = 0;
    for number in 0..note.parts {
        let name = part_name(stem, number);
        let packed = opened(archive, key, &name, PART_OBJECT_BYTES_MAX)?;
        let part = zstd::bulk::decompress(&packed, PART_BYTES);
        let part = part.map_err(|error| Error::Damaged {
            segment: name,
            reason: error.to_string(),
        })?;
        file.write_all(&part).map_err(lost)?;
        written += part.len() as u64;
    }
    if written != note.bytes {
        let reason = format!("{written} bytes came of {}", note.bytes);
        let segment = stem.to_string();
        return Err(Error::Damaged { segment, reason });
    }
    file.sync_all().map_err(lost)
}

/// Whether a copy can be made there without taking the room of what matters.
fn has_room(views: &Views, scratch: &Path) -> Result<(), SnapshotError> {
    let folder = scratch.parent().unwrap_or(scratch);
    let disk = rustix::fs::statvfs(folder).map_err(|error| lost(error.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = views.file_bytes().saturating_add(ROOM_BYTES);
    if free < needed {
        return Err(SnapshotError::NoRoom { free, needed });
    }
    Ok(())
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
