//! From a hint to a build that is this worker's: the claim is appended to the build's subject at the sequence that was folded, and
//! whoever is there first has it. The hint is let go of afterwards; that it came twice, or late, changes nothing.

use std::time::Duration;

use croft_bus::Taken;
use croft_ledger::{Append, AppendError, Expected, Ledger, Seq};
use croft_proto::farm::{BuildEvent, BuildId};
use tokio::time::Instant;

use super::story::{self, Story, StoryError};
use crate::chain;

/// A build that cannot be claimed now is left to others for so long.
const LATER: Duration = Duration::from_secs(1);
/// A build that this croft does not understand is left to a newer one for so long.
const NEWER: Duration = Duration::from_secs(5);
/// How often an append whose fate is not known is tried again, at least,
const TRIES_MIN: u32 = 8;
/// and for how long: a broker elects a leader in seven seconds at most, and after fourteen a worker whose claim nobody has answered
/// would end what it began.
const DOUBT_MAX: Duration = Duration::from_secs(12);
const PAUSE: Duration = Duration::from_millis(250);
/// A build's subject that does not reach its hint yet is read again so often,
const LAG_TRIES: u32 = 20;
/// with such pauses: a replica lags for milliseconds, and whoever gives the hint back after a second keeps a lost build's twenty.
const LAG_PAUSE: Duration = Duration::from_millis(50);

/// A build that is this worker's.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Which.
    pub build: BuildId,
    /// Which attempt of it.
    pub attempt: u32,
    /// When the claim was first sent. Its lease counts from then: a server may have counted it since, however long the answer took.
    pub(crate) since: Instant,
    /// As it stands, the claim included.
    pub(crate) story: Story,
}

/// Claims the build that a hint names. None when there is nothing to claim.
pub(crate) async fn claim(ledger: &dyn Ledger, taken: Taken, worker: &str) -> Option<Claimed> {
    let Ok(build) = taken.hint.build.as_str().parse::<BuildId>() else {
        tracing::warn!(build = %taken.hint.build, "a hint for what is no build's id");
        done(taken).await;
        return None;
    };
    let least = Seq::new(taken.hint.seq);
    let story = match hinted(ledger, build, least).await {
        Ok(Some(story)) => story,
        Ok(None) if is_foreign(ledger, build, least).await => {
            tracing::debug!(%build, "a hint for what this ledger does not have");
            done(taken).await;
            return None;
        }
        Ok(None) => {
            tracing::debug!(%build, "the ledger that was asked does not have what the hint tells of yet");
            give_back(taken, LATER).await;
            return None;
        }
        Err(error @ StoryError::NotUnderstood { .. }) => {
            tracing::warn!(%build, error = %chain(&error), "left to a newer worker");
            give_back(taken, NEWER).await;
            return None;
        }
        Err(error) => {
            tracing::warn!(%build, error = %chain(&error), "not claimed");
            give_back(taken, LATER).await;
            return None;
        }
    };
    let is_waiting = !story.is_over && story.current.is_none() && story.submitted.is_some();
    if !is_waiting {
        done(taken).await;
        return None;
    }
    // What the hint says of the attempt may be old.
    let attempt = story.attempts + 1;
    match started(ledger, build, attempt, worker, &story).await {
        Ended::Ours(claimed) => {
            done(taken).await;
            Some(*claimed)
        }
        Ended::Others => {
            done(taken).await;
            None
        }
        Ended::Unknown => {
            give_back(taken, LATER).await;
            None
        }
    }
}

/// The build as of that sequence at least. None when whoever was asked does not have it yet: any replica may answer, and what one that
/// lags says of the build is not what it is.
async fn reached(
    ledger: &dyn Ledger,
    build: BuildId,
    least: Seq,
) -> Result<Option<Story>, StoryError> {
    let story = story::read(ledger, build).await?;
    Ok((story.last >= least).then_some(story))
}

/// The same for a hint, which is thrown away for good when its build does not wait: replicas are given some time first.
async fn hinted(
    ledger: &dyn Ledger,
    build: BuildId,
    least: Seq,
) -> Result<Option<Story>, StoryError> {
    for _ in 1..LAG_TRIES {
        if let Some(story) = reached(ledger, build, least).await? {
            return Ok(Some(story));
        }
        tokio::time::sleep(LAG_PAUSE).await;
    }
    reached(ledger, build, least).await
}

/// Whether the ledger goes past that sequence without the build having an event there: it was restored since, and the hint would come back
/// for ever.
async fn is_foreign(ledger: &dyn Ledger, build: BuildId, least: Seq) -> bool {
    let before = Seq::new(least.get().saturating_sub(1));
    let read = ledger.read(before, 1).await;
    let next = read.ok().and_then(|entries| entries.into_iter().next());
    next.is_some_and(|entry| entry.seq > least || entry.subject != story::subject(build))
}

enum Ended {
    Ours(Box<Claimed>),
    Others,
    Unknown,
}

async fn started(
    ledger: &dyn Ledger,
    build: BuildId,
    attempt: u32,
    worker: &str,
    story: &Story,
) -> Ended {
    let event = BuildEvent::AttemptStarted {
        attempt,
        worker: worker.to_string(),
    };
    let append = Append {
        subject: story::subject(build),
        expected: Expected::Last(story.last),
        event: serde_json::to_vec(&event)
            .expect("an event is a plain structure")
            .into(),
    };
    let next = story.last.next();
    let since = Instant::now();
    let ours = |last| {
        let mut story = story.clone();
        story.current = Some((attempt, worker.to_string()));
        story.attempts = attempt;
        story.last = last;
        Ended::Ours(Box::new(Claimed {
            build,
            attempt,
            since,
            story,
        }))
    };
    let mut is_doubtful = false;
    let mut tries = 0;
    while tries < TRIES_MIN || since.elapsed() < DOUBT_MAX {
        tries += 1;
        match ledger.append(vec![append.clone()]).await {
            Ok(appended) => return ours(appended.last),
            Err(AppendError::Conflict { .. }) if !is_doubtful => return Ended::Others,
            // The one that was lost sight of may have arrived. A replica that is asked may not have it yet, and then has nothing new.
            Err(AppendError::Conflict { .. }) => match reached(ledger, build, next).await {
                Ok(Some(now)) if now.current == Some((attempt, worker.to_string())) => {
                    return ours(now.last);
                }
                Ok(Some(_)) => return Ended::Others,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%build, error = %chain(&error), "whether it is claimed is not known yet");
                }
            },
            Err(AppendError::Unknown { .. }) => is_doubtful = true,
            Err(error) => {
                tracing::warn!(%build, error = %chain(&error), "not claimed");
                if !is_doubtful {
                    return Ended::Unknown;
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ended::Unknown
}

async fn done(taken: Taken) {
    if let Err(error) = taken.done().await {
        tracing::debug!(error = %chain(&error), "a hint was not let go of; it comes back and changes nothing");
    }
}

async fn give_back(taken: Taken, delay: Duration) {
    if let Err(error) = taken.give_back(delay).await {
        tracing::debug!(error = %chain(&error), "a hint was not given back; it comes back by itself");
    }
}
