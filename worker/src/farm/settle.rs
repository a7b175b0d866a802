//! How an attempt ended, recorded: the subject is folded, and if the attempt is still the current one its outcome is appended
//! right behind. Whoever is not current any more says nothing.

use std::time::Duration;

use croft_ledger::{Append, AppendError, EVENT_BYTES_MAX, Expected, Ledger};
use croft_proto::farm::{BuildEvent, BuildId, GivenBackFor, LossReason, SettledBy};
use croft_proto::{Report, Status, Timestamp};

use super::keep::Kept;
use super::story::{self, StoryError};
use crate::{Outcome, chain};

/// The pause before an append is tried again: it grows to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// What of an event a build's record may take.
const RECORD_BYTES_MAX: usize = EVENT_BYTES_MAX - (4 << 10);

/// How an attempt ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// With an outcome.
    Settled {
        status: Status,
        /// For a person, when the build itself does not say it.
        message: Option<String>,
        /// The finished build, as it is shown.
        build: Option<Box<serde_json::Value>>,
        at: Timestamp,
    },
    /// Without: another worker shall have it.
    GivenBack {
        cause: GivenBackFor,
        message: String,
        at: Timestamp,
    },
}

/// What came of recording it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// It is the outcome.
    Counts,
    /// Another attempt's counts.
    Stale,
}

/// Records it; does not give up while the attempt may be the current one. The caller stops waiting when its lease is gone.
///
/// # Cancel
/// The outcome may have been recorded.
pub(crate) async fn settle(
    ledger: &dyn Ledger,
    build: BuildId,
    attempt: u32,
    end: &End,
) -> Recorded {
    let mut pause = PAUSE;
    loop {
        match once(ledger, build, attempt, end).await {
            Ok(Some(recorded)) => return recorded,
            // Somebody was faster, with a stop perhaps: folded again at once.
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(%build, attempt, error = %chain(error.as_ref()), "the outcome is not recorded yet");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn once(
    ledger: &dyn Ledger,
    build: BuildId,
    attempt: u32,
    end: &End,
) -> Result<Option<Recorded>, Box<dyn std::error::Error + Send + Sync>> {
    let story = match story::read(ledger, build).await {
        Ok(story) => story,
        Err(error @ StoryError::NotUnderstood { .. }) => {
            tracing::error!(%build, error = %chain(&error), "left to newer workers");
            return Ok(Some(Recorded::Stale));
        }
        Err(error) => return Err(Box::new(error)),
    };
    if !story.is_current(attempt) {
        return Ok(Some(Recorded::Stale));
    }
    let event = match end.clone() {
        End::Settled {
            status,
            message,
            build,
            at,
        } => BuildEvent::Settled {
            attempt,
            status,
            by: SettledBy::Worker,
            message,
            build,
            at,
        },
        // Nobody shall start anew what somebody has stopped.
        End::GivenBack { message, at, .. } if story.is_stopping => BuildEvent::Settled {
            attempt,
            status: Status::Stopped,
            by: SettledBy::Worker,
            message: Some(format!("stopped; {message}")),
            build: None,
            at,
        },
        End::GivenBack { cause, message, .. } => BuildEvent::AttemptLost {
            attempt,
            reason: LossReason::GivenBack { message, cause },
        },
    };
    let append = Append {
        subject: story::subject(build),
        expected: Expected::Last(story.last),
        event: serde_json::to_vec(&event)?.into(),
    };
    match ledger.append(vec![append]).await {
        Ok(_) => Ok(Some(Recorded::Counts)),
        Err(AppendError::Conflict { .. }) => Ok(None),
        Err(error) => Err(Box::new(error)),
    }
}

/// The finished build as an event may hold it. What is left out is in the store.
pub(crate) fn record(outcome: &Outcome, kept: Option<&Kept>) -> serde_json::Value {
    let mut summary = outcome.summary.clone();
    let mut build = outcome.build.clone();
    let json = |build: &croft_proto::Build, summary: &croft_proto::Summary| {
        serde_json::json!({
            "build": build,
            "summary": summary,
            "kept": kept,
        })
    };
    let fits = |value: &serde_json::Value| value.to_string().len() <= RECORD_BYTES_MAX;
    let whole = json(&build, &summary);
    if fits(&whole) {
        return whole;
    }
    summary.reports.iter_mut().for_each(without_cases);
    let shorter = json(&build, &summary);
    if fits(&shorter) {
        return shorter;
    }
    // A build whose record is this long has words for it in its log.
    summary = croft_proto::Summary {
        log_path: summary.log_path,
        ..croft_proto::Summary::default()
    };
    build.exported_environment_variables.clear();
    for context in build
        .phases
        .iter_mut()
        .flat_map(|phase| &mut phase.contexts)
    {
        let end = context.message.floor_char_boundary(1_000);
        context.message.truncate(end);
    }
    json(&build, &summary)
}

/// A report without its cases.
pub(crate) fn without_cases(report: &mut Report) {
    report.truncated |= !report.test_cases.is_empty();
    report.test_cases.clear();
}
