//! Segments at a place, in one folder: written and read back, listed, read, and searched for entries. Received from retention,
//! backups and restores; handed to those and to [`crate::History`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use croft_cache::Depot;
use croft_ledger::{Entry, Seq};

use crate::Error;
use crate::error::waiting;
use crate::segment::{self, Name, NotOne, OBJECT_BYTES_MAX};

/// Segments kept in memory: a reader takes a thousand entries at a time and comes to the same ones again and again.
const RECENT_MAX: usize = 4;

/// Whether a list of what is there may be the one of before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    Known,
    Fresh,
}

/// A folder of segments.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    depot: Depot,
    folder: String,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    names: Option<Vec<Name>>,
    recent: Vec<(Name, Arc<Vec<Entry>>)>,
}

impl Shelf {
    pub(crate) fn new(depot: Depot, folder: impl Into<String>) -> Self {
        Self {
            depot,
            folder: folder.into(),
            known: Arc::default(),
        }
    }

    /// Writes a segment of those entries and reads it back: when this returns, it is there and whole.
    pub(crate) async fn put(&self, entries: Vec<Entry>) -> Result<(Name, u64), Error> {
        let shelf = self.clone();
        waiting(move || {
            let (name, bytes) = segment::encode(entries).map_err(Error::Lost)?;
            shelf.depot.put(&shelf.object(&name), bytes.clone())?;
            shelf.read_now(&name)?;
            Ok((name, bytes.len() as u64))
        })
        .await
    }

    /// The entries of a segment.
    pub(crate) async fn read(&self, name: &Name) -> Result<Vec<Entry>, Error> {
        let (shelf, name) = (self.clone(), name.clone());
        waiting(move || shelf.read_now(&name)).await
    }

    /// Entries after `after` and up to `upto`, in order, at most `limit`: all that segments have, up to the last that is given.
    pub(crate) async fn between(
        &self,
        after: Seq,
        upto: Seq,
        limit: usize,
        listing: Listing,
    ) -> Result<Vec<Entry>, Error> {
        let shelf = self.clone();
        waiting(move || {
            let mut found = BTreeMap::new();
            for name in shelf.names(listing)? {
                if name.last <= after || name.first > upto {
                    continue;
                }
                // Those to come begin later, and what is asked for is complete.
                let nth = found.keys().nth(limit.saturating_sub(1));
                if nth.is_some_and(|seq| *seq < name.first) {
                    break;
                }
                let entries = shelf.recent(&name)?;
                let wanted = entries
                    .iter()
                    .filter(|entry| entry.seq > after && entry.seq <= upto);
                found.extend(wanted.map(|entry| (entry.seq, entry.clone())));
            }
            Ok(found.into_values().take(limit).collect())
        })
        .await
    }

    fn names(&self, listing: Listing) -> Result<Vec<Name>, Error> {
        let known = self.known().names.clone();
        if let (Some(known), Listing::Known) = (known, listing) {
            return Ok(known);
        }
        let listed = self.depot.list(&self.folder)?;
        let mut names: Vec<Name> = listed.iter().filter_map(|name| Name::parse(name)).collect();
        names.sort();
        self.known().names = Some(names.clone());
        Ok(names)
    }

    fn recent(&self, name: &Name) -> Result<Arc<Vec<Entry>>, Error> {
        let found = self
            .known()
            .recent
            .iter()
            .find_map(|(known, entries)| (known == name).then(|| Arc::clone(entries)));
        if let Some(found) = found {
            return Ok(found);
        }
        let entries = Arc::new(self.read_now(name)?);
        let mut known = self.known();
        if known.recent.len() >= RECENT_MAX {
            known.recent.remove(0);
        }
        known.recent.push((name.clone(), Arc::clone(&entries)));
        Ok(entries)
    }

    fn read_now(&self, name: &Name) -> Result<Vec<Entry>, Error> {
        let segment = self.object(name);
        let bytes = self.depot.get(&segment, OBJECT_BYTES_MAX)?;
        segment::decode(name, &bytes).map_err(|not_one| match not_one {
            NotOne::Damaged(reason) => Error::Damaged { segment, reason },
            NotOne::Newer(version) => Error::Newer { segment, version },
        })
    }

    fn object(&self, name: &Name) -> String {
        format!("{}/{name}", self.folder)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // Whoever panicked left a list or none.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
