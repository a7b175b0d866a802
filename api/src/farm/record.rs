//! Appending to a subject that one request decides about: read what is there, decide, append at where it ended, again when
//! somebody was faster. Used by everything here that is no build and no project: those are the scheduler's.

use bytes::Bytes;
use croft_ledger::{Append, AppendError, Body, Entry, Expected, Ledger, Seq, Subject};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::limits::{SUBJECT_PAGE, TRIES_MAX};
use super::problem::Problem;
use crate::chain::chain;

/// A subject as it is.
#[derive(Debug)]
pub(super) struct Told<E> {
    /// What happened, in order.
    pub(super) events: Vec<E>,
    /// Where it ends.
    pub(super) last: Seq,
    last_bytes: Bytes,
}

/// All that the ledger says of a subject.
pub(super) async fn told<E: DeserializeOwned>(
    ledger: &dyn Ledger,
    subject: &Subject,
) -> Result<Told<E>, Problem> {
    let mut told = Told {
        events: Vec::new(),
        last: Seq::ZERO,
        last_bytes: Bytes::new(),
    };
    loop {
        let page: Vec<Entry> = ledger
            .read_subject(subject, told.last, SUBJECT_PAGE)
            .await?;
        let Some(last) = page.last() else {
            return Ok(told);
        };
        told.last = last.seq;
        for entry in page {
            match entry.body {
                Body::Tombstone { .. } => told.events.clear(),
                Body::Event(bytes) => {
                    let event = serde_json::from_slice(&bytes);
                    told.events
                        .push(event.map_err(|error| Problem::internal(&error))?);
                    told.last_bytes = bytes;
                }
            }
        }
    }
}

/// Appends what `decide` makes of what is there; nothing when it wants nothing. Where the subject's change is.
pub(super) async fn record<E, F>(
    ledger: &dyn Ledger,
    subject: &Subject,
    mut decide: F,
) -> Result<Option<Seq>, Problem>
where
    E: Serialize + DeserializeOwned,
    F: FnMut(&[E]) -> Result<Option<E>, Problem>,
{
    let mut doubtful: Option<Bytes> = None;
    for _ in 0..TRIES_MAX {
        let there = told::<E>(ledger, subject).await?;
        if doubtful.as_ref() == Some(&there.last_bytes) {
            return Ok(Some(there.last));
        }
        let Some(event) = decide(&there.events)? else {
            return Ok(None);
        };
        let json = serde_json::to_vec(&event).map_err(|error| Problem::internal(&error))?;
        let event = Bytes::from(json);
        let append = Append {
            subject: subject.clone(),
            expected: Expected::Last(there.last),
            event: event.clone(),
        };
        match ledger.append(vec![append]).await {
            Ok(appended) => return Ok(Some(appended.last)),
            Err(AppendError::Conflict { .. }) => {}
            Err(AppendError::Unknown { .. }) => doubtful = Some(event),
            Err(error @ AppendError::Unavailable { .. }) => {
                return Err(Problem::unwritten(&chain(&error)));
            }
            Err(error @ AppendError::TooLarge { .. }) => {
                return Err(Problem::invalid(error.to_string()));
            }
            Err(error) => return Err(Problem::internal(&error)),
        }
    }
    Err(Problem::unavailable(
        "others change the same thing, again and again: ask again",
    ))
}
