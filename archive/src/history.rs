//! A log together with what was purged from it: all that ever happened, in order. Received: the log, and the place of its archive;
//! handed to backups, and as [`crate::Whole`] to read models.
//!
//! Entries are asked of the log first and looked for in segments afterwards. A segment is there before anything of it is purged, so
//! an entry that vanishes in between is found in the second place.

use std::collections::BTreeMap;
use std::sync::Arc;

use croft_cache::Depot;
use croft_ledger::{Entry, Seq};
use tokio::sync::OnceCell;

use crate::log::Log;
use crate::shelf::{Listing, Shelf};
use crate::{Error, Lineage};

/// A part of the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In order. None only when there are none.
    pub entries: Vec<Entry>,
    /// The first sequences before the page's last that are neither in the log nor in a segment.
    pub missing: Option<(Seq, Seq)>,
}

/// A log and its past.
#[derive(Clone, Debug)]
pub struct History {
    log: Arc<dyn Log>,
    depot: Depot,
    shelf: Arc<OnceCell<(Lineage, Shelf)>>,
}

impl History {
    /// Of that log, whose archive is at that place.
    #[must_use]
    pub fn new(log: Arc<dyn Log>, archive: Depot) -> Self {
        Self {
            log,
            depot: archive,
            shelf: Arc::default(),
        }
    }

    /// Entries after `after`, at most `limit`, those that were purged as well.
    ///
    /// # Errors
    /// When the log cannot be read; and when something was purged and its segment cannot be read.
    pub async fn read(&self, after: Seq, limit: usize) -> Result<Page, Error> {
        let live = self.log.read(after, limit).await?;
        let Some(upto) = live.last().map(|entry| entry.seq) else {
            return Ok(Page::default());
        };
        let mut found: BTreeMap<Seq, Entry> =
            live.into_iter().map(|entry| (entry.seq, entry)).collect();
        for listing in [Listing::Known, Listing::Fresh] {
            if first_gap(after, found.keys()).is_none() {
                break;
            }
            let shelf = self.shelf().await?;
            let past = shelf.between(after, upto, limit, listing).await?;
            // Where both have it, it is the same.
            for entry in past {
                found.entry(entry.seq).or_insert(entry);
            }
            // Beyond the limit segments were not looked at.
            found = found.into_iter().take(limit).collect();
        }
        Ok(Page {
            missing: first_gap(after, found.keys()),
            entries: found.into_values().collect(),
        })
    }

    /// The last sequence of the log.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn last(&self) -> Result<Seq, Error> {
        Ok(self.log.last().await?)
    }

    /// Which log it is; none while it is empty.
    ///
    /// # Errors
    /// When it cannot be read, or its first entry is gone.
    pub async fn lineage(&self) -> Result<Option<Lineage>, Error> {
        if self.shelf.get().is_none() && self.first().await?.is_none() {
            return Ok(None);
        }
        let (lineage, _) = self.begun().await?;
        Ok(Some(lineage.clone()))
    }

    pub(crate) async fn shelf(&self) -> Result<&Shelf, Error> {
        Ok(&self.begun().await?.1)
    }

    async fn first(&self) -> Result<Option<Entry>, Error> {
        Ok(self.log.read(Seq::ZERO, 1).await?.pop())
    }

    async fn begun(&self) -> Result<&(Lineage, Shelf), Error> {
        let begin = || async {
            let first = self.first().await?;
            let beginning = first.filter(|first| first.seq == Seq::ZERO.next());
            let Some(beginning) = beginning else {
                let first = self.first().await?.map(|first| first.seq);
                let first = first.unwrap_or_default();
                return Err(Error::Beginning { first });
            };
            let lineage = Lineage::of(&beginning);
            let shelf = Shelf::new(self.depot.clone(), lineage.to_string());
            Ok((lineage, shelf))
        };
        self.shelf.get_or_try_init(begin).await
    }
}

/// The first sequences that are left out after `after`.
fn first_gap<'a>(after: Seq, seqs: impl Iterator<Item = &'a Seq>) -> Option<(Seq, Seq)> {
    let mut next = after.next();
    for seq in seqs {
        if *seq != next {
            return Some((next, Seq::new(seq.get() - 1)));
        }
        next = seq.next();
    }
    None
}
