//! A place to a new log. First everything is checked ([`check`]), and only what is whole can be written ([`Checked::write`]).
//!
//! A backup has the whole history, so each entry gets the sequence it had: a purged subject's entries are written and purged again by
//! its tombstone. Those go into the new farm's archive first, as they did in the old one.

use std::collections::HashMap;

use croft_cache::Depot;
use croft_ledger::{Body, Entry, Restoring, Seq, Subject};

use crate::backup::SEGMENTS;
use crate::lineage::digest;
use crate::manifest::{Manifest, Part};
use crate::segment::{Gathered, Name};
use crate::shelf::Shelf;
use crate::{Error, ManifestError};

/// Why nothing, or not all, was restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// There is no backup.
    #[error("there is no backup: the place has no manifest")]
    None,
    /// The manifest cannot be read.
    #[error("failed to read the backup")]
    Manifest(#[from] ManifestError),
    /// A segment cannot be read, or is damaged.
    #[error("failed to read the backup")]
    Archive(#[from] Error),
    /// Segments and manifest are each whole and do not belong together.
    #[error("the backup is not whole: {reason}")]
    Apart {
        /// How it shows.
        reason: String,
    },
    /// The log is not written.
    #[error("failed to write the ledger")]
    Ledger(#[from] croft_ledger::RestoreError),
}

/// A backup of which every byte was checked.
#[derive(Debug)]
pub struct Checked {
    manifest: Manifest,
    shelf: Shelf,
    /// Subjects that were purged, and their last entry before.
    purged: HashMap<Subject, Seq>,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// From what.
    pub manifest: Manifest,
    /// Entries in the ledger now, tombstones among them.
    pub live: u64,
    /// Entries that are in the archive only.
    pub archived: u64,
}

/// Reads all of a backup and checks it: the manifest, every segment, and that nothing is left out.
///
/// # Errors
/// See [`RestoreError`]: what is damaged is named.
pub async fn check(from: &Depot) -> Result<Checked, RestoreError> {
    let manifest = Manifest::read(from).await?.ok_or(RestoreError::None)?;
    let shelf = Shelf::new(from.clone(), SEGMENTS);
    let apart = |reason: String| Err(RestoreError::Apart { reason });
    let mut purged = HashMap::new();
    let (mut last, mut tip, mut count) = (Seq::ZERO, None, 0);
    for part in &manifest.segments {
        for entry in read(&shelf, part).await? {
            if entry.seq != last.next() {
                return apart(format!("the entry after {last} is {}", entry.seq));
            }
            last = entry.seq;
            count += 1;
            if let Body::Tombstone { last } = entry.body {
                purged.insert(entry.subject.clone(), last);
            }
            tip = Some(entry);
        }
    }
    let is_whole = last == manifest.last
        && count == manifest.entries
        && tip.as_ref().map(digest).as_ref() == Some(&manifest.tip);
    if !is_whole {
        return apart(format!(
            "its segments end at entry {last}, its manifest says {}",
            manifest.last
        ));
    }
    Ok(Checked {
        manifest,
        shelf,
        purged,
    })
}

async fn read(shelf: &Shelf, part: &Part) -> Result<Vec<Entry>, RestoreError> {
    let Some(name) = Name::parse(&part.name) else {
        return Err(RestoreError::Apart {
            reason: format!("its manifest names {}, which is no segment", part.name),
        });
    };
    Ok(shelf.read(&name).await?)
}

impl Checked {
    /// What the backup says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Writes it into a log that is being restored, and what is purged there into `archive`, the new farm's.
    ///
    /// # Errors
    /// See [`RestoreError`]; the log is not complete then, and no ledger.
    ///
    /// **Cancel.** As after an error.
    pub async fn write(
        self,
        mut restoring: Box<dyn Restoring>,
        archive: &Depot,
    ) -> Result<Restored, RestoreError> {
        let past = Shelf::new(archive.clone(), self.manifest.lineage.to_string());
        let mut gathered = Gathered::default();
        let mut archived = 0;
        for part in &self.manifest.segments {
            // Read again, and checked again: they are too many to be kept.
            let entries = read(&self.shelf, part).await?;
            for entry in entries.iter().filter(|entry| self.is_past(entry)) {
                archived += 1;
                gathered.push(entry.clone());
                if gathered.is_full() {
                    past.put(gathered.take()).await?;
                }
            }
            // Before the ledger may purge them: a tombstone is in this segment or a later one.
            if entries.iter().any(|entry| entry.event().is_none()) && !gathered.entries.is_empty() {
                past.put(gathered.take()).await?;
            }
            restoring.write(entries).await?;
        }
        restoring.finish().await?;
        Ok(Restored {
            live: self.manifest.entries - archived,
            archived,
            manifest: self.manifest,
        })
    }

    fn is_past(&self, entry: &Entry) -> bool {
        let last = self.purged.get(&entry.subject);
        last.is_some_and(|last| entry.seq <= *last)
    }
}
