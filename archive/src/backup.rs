//! History to a place: segments of all entries, those that were purged as well, then the manifest. The farm may go on beside it: what
//! is backed up is the log's beginning up to where it was when this began. Run again to the same place, it writes what is new.

use croft_cache::Depot;
use croft_ledger::{Entry, Seq};
use croft_proto::Timestamp;

use crate::lineage::digest;
use crate::manifest::{Manifest, Part};
use crate::segment::Gathered;
use crate::shelf::Shelf;
use crate::{Error, History, Lineage, ManifestError};

/// Entries read at once.
const READ: usize = 1024;
/// Where in a backup its segments are.
pub(crate) const SEGMENTS: &str = "segments";

/// Why there is no backup, or none that is newer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The ledger, its archive or the backup's place cannot be used.
    #[error("failed to back up the ledger")]
    Archive(#[from] Error),
    /// The manifest cannot be read or written.
    #[error("failed to back up the ledger")]
    Manifest(#[from] ManifestError),
    /// Nothing has ever happened.
    #[error("the ledger is empty: there is nothing to back up")]
    Empty,
    /// The place has another log's backup; another place has to be named.
    #[error("the place holds the backup of another farm: name another place, or remove it")]
    OtherFarm,
    /// The log is not the continuation of what is backed up: it was restored from something older, and went on.
    #[error(
        "the place holds a backup up to entry {backed_up} that the ledger, now at {last}, does not continue: name another place"
    )]
    OtherPast {
        /// Up to where the backup is.
        backed_up: Seq,
        /// Up to where the ledger is.
        last: Seq,
    },
    /// Entries were purged and are in no segment of the archive, so the backup would not be whole.
    #[error(
        "entries {first} to {last} are neither in the ledger nor in its archive: is the archive's place the right one?"
    )]
    Missing {
        /// The first of them.
        first: Seq,
        /// The last.
        last: Seq,
    },
}

/// What a manifest says beside what is backed up.
#[derive(Clone, Debug)]
pub struct About {
    /// The server's name, where there is one.
    pub server: Option<String>,
    /// When.
    pub at: Timestamp,
    /// By which croft.
    pub croft: String,
}

/// What was backed up.
#[derive(Clone, Debug, PartialEq)]
pub struct BackedUp {
    /// All of it.
    pub manifest: Manifest,
    /// Entries that were not there before.
    pub entries_new: u64,
    /// Segments that were not there before.
    pub segments_new: u64,
    /// Their bytes.
    pub bytes_new: u64,
}

/// Backs up all that is in the log now.
///
/// # Errors
/// See [`BackupError`]. A backup that was there before is still there then, and whole.
///
/// **Cancel.** As after an error.
pub async fn backup(history: &History, to: &Depot, about: About) -> Result<BackedUp, BackupError> {
    let upto = history.last().await?;
    let lineage = history.lineage().await?.ok_or(BackupError::Empty)?;
    let manifest = match Manifest::read(to).await? {
        Some(before) => continued(history, before, &lineage, upto, about).await?,
        None => begun(lineage, about),
    };
    let mut writing = Writing {
        shelf: Shelf::new(to.clone(), SEGMENTS),
        entries_before: manifest.entries,
        segments_before: manifest.segments.len() as u64,
        manifest,
        bytes_new: 0,
        gathered: Gathered::default(),
    };
    let mut after = writing.manifest.last;
    while after < upto {
        let page = history.read(after, READ).await?;
        if let Some((first, last)) = page.missing {
            return Err(BackupError::Missing { first, last });
        }
        let Some(last) = page.entries.last() else {
            let (first, last) = (after.next(), upto);
            return Err(BackupError::Missing { first, last });
        };
        after = last.seq;
        for entry in page.entries {
            if entry.seq <= upto {
                writing.take(entry).await?;
            }
        }
    }
    writing.finish(to).await
}

fn begun(lineage: Lineage, about: About) -> Manifest {
    Manifest {
        version: Manifest::VERSION,
        lineage,
        server: about.server,
        at: about.at,
        croft: about.croft,
        last: Seq::ZERO,
        tip: String::new(),
        entries: 0,
        segments: Vec::new(),
    }
}

/// The backup of before, to go on from; when it is of this log.
async fn continued(
    history: &History,
    before: Manifest,
    lineage: &Lineage,
    upto: Seq,
    about: About,
) -> Result<Manifest, BackupError> {
    if before.lineage != *lineage {
        return Err(BackupError::OtherFarm);
    }
    let other = BackupError::OtherPast {
        backed_up: before.last,
        last: upto,
    };
    if before.last > upto {
        return Err(other);
    }
    let tip = history
        .read(Seq::new(before.last.get().saturating_sub(1)), 1)
        .await?;
    let is_same = tip.entries.first().map(digest).as_ref() == Some(&before.tip);
    if !is_same {
        return Err(other);
    }
    Ok(Manifest {
        server: about.server,
        at: about.at,
        croft: about.croft,
        ..before
    })
}

struct Writing {
    shelf: Shelf,
    manifest: Manifest,
    entries_before: u64,
    segments_before: u64,
    bytes_new: u64,
    gathered: Gathered,
}

impl Writing {
    async fn take(&mut self, entry: Entry) -> Result<(), Error> {
        self.manifest.last = entry.seq;
        self.manifest.tip = digest(&entry);
        self.manifest.entries += 1;
        self.gathered.push(entry);
        if self.gathered.is_full() {
            self.write().await?;
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), Error> {
        let (name, bytes) = self.shelf.put(self.gathered.take()).await?;
        self.bytes_new += bytes;
        self.manifest.segments.push(Part {
            name: name.to_string(),
            first: name.first,
            last: name.last,
            bytes,
        });
        Ok(())
    }

    async fn finish(mut self, to: &Depot) -> Result<BackedUp, BackupError> {
        if !self.gathered.entries.is_empty() {
            self.write().await?;
        }
        self.manifest.write(to).await?;
        Ok(BackedUp {
            entries_new: self.manifest.entries - self.entries_before,
            segments_new: self.manifest.segments.len() as u64 - self.segments_before,
            bytes_new: self.bytes_new,
            manifest: self.manifest,
        })
    }
}
