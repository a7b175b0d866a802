//! A ledger as if nothing had been purged from it: for read models, which fold all that ever happened. Wraps the ledger; what is
//! appended, purged or read of one subject is the ledger's own affair and passed on.

use std::sync::Arc;

use croft_cache::Depot;
use croft_ledger::{Entry, Ledger, ReadError, Seq, Through};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};

use crate::{Error, History};

/// Entries read at once to fill a gap.
const FILL: usize = 1024;

/// A ledger with its past.
#[derive(Clone, Debug)]
pub struct Whole {
    ledger: Arc<dyn Ledger>,
    history: History,
}

impl Whole {
    /// That ledger, whose archive is at that place.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, archive: Depot) -> Self {
        let log = Arc::new(Arc::clone(&ledger));
        Self {
            ledger,
            history: History::new(log, archive),
        }
    }

    /// What is nowhere, or in a damaged segment, is left out, and the log says so: whoever folds must not stand still for it.
    async fn past(&self, after: Seq, limit: usize) -> Result<Vec<Entry>, ReadError> {
        match self.history.read(after, limit).await {
            Ok(page) => {
                if let Some((first, last)) = page.missing {
                    tracing::warn!(%first, %last, "entries of the ledger are gone, and in no segment");
                }
                Ok(page.entries)
            }
            Err(Error::Log(error)) => Err(error),
            Err(Error::Place(error)) => Err(ReadError::Unavailable {
                source: error.into(),
            }),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the ledger's past cannot be read"
                );
                self.ledger.read(after, limit).await
            }
        }
    }

    /// The entry, after those that belong before it.
    async fn filled(&self, after: Seq, entry: Entry) -> Result<Vec<Entry>, ReadError> {
        let mut filled = Vec::new();
        let mut at = after;
        while at.next() < entry.seq {
            let past = self.past(at, FILL).await?;
            let before = past.into_iter().take_while(|past| past.seq < entry.seq);
            let known = filled.len();
            filled.extend(before);
            match filled.last() {
                Some(last) if filled.len() > known => at = last.seq,
                _ => break,
            }
        }
        filled.push(entry);
        Ok(filled)
    }
}

impl Through for Whole {
    fn inner(&self) -> &dyn Ledger {
        self.ledger.as_ref()
    }

    fn read(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        self.past(after, limit).boxed()
    }

    fn follow(&self, after: Seq) -> BoxStream<'static, Result<Entry, ReadError>> {
        let whole = self.clone();
        let entries = self.ledger.follow(after);
        let following = stream::unfold(
            (whole, entries, after),
            |(whole, mut entries, at)| async move {
                let (given, at) = match entries.next().await? {
                    Err(error) => (Err(error), at),
                    Ok(entry) => {
                        let seq = entry.seq;
                        (whole.filled(at, entry).await, seq)
                    }
                };
                Some((given, (whole, entries, at)))
            },
        );
        following
            .flat_map(|given| {
                stream::iter(match given {
                    Ok(entries) => entries.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(error)],
                })
            })
            .boxed()
    }
}
