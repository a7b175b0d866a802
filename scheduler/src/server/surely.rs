//! Appends that must be known to have happened or not. When sight of one is lost, the subject that only it can have written is
//! read, and the same batch is appended again at the same expectations: whichever arrives first, the other conflicts.

use std::sync::Arc;
use std::time::Duration;

use croft_ledger::{Append, AppendError, Ledger, Seq, Subject};

/// How often it is looked and tried again; a broker's election takes seven seconds.
const TRIES_MAX: u32 = 8;
/// The first pause; each one is twice as long, up to two seconds.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How an append ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It is in the ledger, up to there.
    There(Seq),
    /// It is not: a subject has moved on.
    Conflict,
    /// It is not: the ledger cannot be written.
    Unavailable(String),
    /// Nobody knows.
    Unknown,
}

/// Appends, and finds out. `witness` is a subject that the batch makes, if it makes one: its being there is the proof.
pub(crate) async fn append(
    ledger: Arc<dyn Ledger>,
    batch: Vec<Append>,
    witness: Option<Subject>,
) -> Ended {
    let mut pause = PAUSE;
    let mut is_doubtful = false;
    for _ in 0..TRIES_MAX {
        match ledger.append(batch.clone()).await {
            Ok(appended) => return Ended::There(appended.last),
            Err(AppendError::Conflict { .. }) if is_doubtful => {
                return match &witness {
                    Some(witness) => witnessed(&ledger, witness, &batch).await,
                    None => Ended::Conflict,
                };
            }
            Err(AppendError::Conflict { .. }) => return Ended::Conflict,
            Err(AppendError::Unknown { .. }) => is_doubtful = true,
            Err(error) if is_doubtful => {
                tracing::debug!(error = %chain(&error), "an append whose fate is not known yet");
            }
            Err(error) => return Ended::Unavailable(chain(&error)),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    Ended::Unknown
}

async fn witnessed(ledger: &Arc<dyn Ledger>, witness: &Subject, batch: &[Append]) -> Ended {
    let behind = batch
        .iter()
        .rev()
        .take_while(|append| append.subject != *witness);
    match ledger.read_subject(witness, Seq::ZERO, 1).await {
        Ok(entries) => match entries.first() {
            // A batch's entries follow each other without a gap.
            Some(entry) => Ended::There(behind.fold(entry.seq, |seq, _| seq.next())),
            None => Ended::Conflict,
        },
        Err(_) => Ended::Unknown,
    }
}

/// An error and everything beneath it, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
