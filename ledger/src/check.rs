//! What every implementation refuses before it looks at its log: one place, so that all refuse the same.

use std::collections::HashSet;

use crate::{Append, AppendError, Expected, Seq, Subject};

/// Most events in a batch. What is appended together are a decision's events, of which there are a handful; a broker keeps
/// a whole batch in memory until its last message.
pub const BATCH_MAX: usize = 64;

/// Most bytes of an event. It keeps a batch within a broker's default of 1 MiB a message with room, and a fold fast.
pub const EVENT_BYTES_MAX: usize = 64 << 10;

/// Whether a batch can be appended at all.
pub(crate) fn check(batch: &[Append]) -> Result<(), AppendError> {
    let invalid = |reason| Err(AppendError::Invalid { reason });
    if batch.is_empty() {
        return invalid("it has no events");
    }
    if batch.len() > BATCH_MAX {
        let count = batch.len();
        return Err(AppendError::TooMany { count });
    }
    let mut seen = HashSet::new();
    for Append {
        subject,
        expected,
        event,
    } in batch
    {
        let (subject, size_bytes) = (subject.clone(), event.len());
        if size_bytes > EVENT_BYTES_MAX {
            return Err(AppendError::TooLarge {
                subject,
                size_bytes,
            });
        }
        if size_bytes == 0 {
            return invalid("an event is empty");
        }
        let is_first = seen.insert(subject);
        match expected {
            Expected::Last(_) if !is_first => {
                return invalid("a later event of a subject must expect the batch's previous one");
            }
            Expected::Previous if is_first => {
                return invalid("an event expects a previous one that the batch does not have");
            }
            Expected::Last(_) | Expected::Previous => {}
        }
    }
    Ok(())
}

/// The first expectation of a batch that does not hold. `last_of` says where a subject is.
pub(crate) fn unmet<E>(
    batch: &[Append],
    mut last_of: impl FnMut(&Subject) -> Result<Seq, E>,
) -> Result<Option<AppendError>, E> {
    for Append {
        subject, expected, ..
    } in batch
    {
        let Expected::Last(expected) = *expected else {
            continue;
        };
        let actual = last_of(subject)?;
        if actual != expected {
            return Ok(Some(conflict(subject, expected, Some(actual))));
        }
    }
    Ok(None)
}

/// The error for a subject that is elsewhere.
pub(crate) fn conflict(subject: &Subject, expected: Seq, actual: Option<Seq>) -> AppendError {
    AppendError::Conflict {
        subject: subject.clone(),
        expected,
        actual,
    }
}
