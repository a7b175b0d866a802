//! From a hint to a build that is this worker's: the claim is appended to the build's subject at the sequence that was folded, and
//! whoever is there first has it. The hint is let go of afterwards; that it came twice, or late, changes nothing.

use std::time::Duration;

use croft_bus::Taken;
use croft_ledger::{Append, AppendError, Expected, Ledger};
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
    let story = match story::read(ledger, build).await {
        Ok(story) => story,
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
            Err(AppendError::Conflict { .. }) => match story::read(ledger, build).await {
                Ok(now) if now.current == Some((attempt, worker.to_string())) => {
                    return ours(now.last);
                }
                Ok(now) if now.last > story.last => return Ended::Others,
                Ok(_) => {}
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
