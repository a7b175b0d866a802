//! A build's subject, folded as far as a worker needs it: what was submitted, which attempt is current, where the subject ends.

use croft_ledger::{Body, Entry, Ledger, ReadError, Seq, Subject};
use croft_proto::Timestamp;
use croft_proto::farm::{BuildEvent, BuildId, Losses, Submitted};

/// Entries read at once; a build has a handful.
const ENTRIES_AT_ONCE: usize = 64;

/// What a build's subject says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Story {
    /// As it was accepted.
    pub(crate) submitted: Option<Box<Submitted>>,
    /// When that was, by the ledger's clock.
    pub(crate) submitted_at: Option<Timestamp>,
    /// The attempt that runs, and whose it is; none while it waits.
    pub(crate) current: Option<(u32, String)>,
    /// Attempts that were started.
    pub(crate) attempts: u32,
    /// Those of them that were lost.
    pub(crate) losses: Losses,
    /// Somebody wants it to end.
    pub(crate) is_stopping: bool,
    /// It is over, or gone.
    pub(crate) is_over: bool,
    /// Its last entry: what the next one expects.
    pub(crate) last: Seq,
}

/// Why a subject could not be folded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoryError {
    #[error("failed to read the build's events")]
    Read(#[from] ReadError),
    #[error("failed to understand the build's event at {seq}: a newer croft wrote it")]
    NotUnderstood {
        seq: Seq,
        #[source]
        source: serde_json::Error,
    },
}

impl Story {
    pub(crate) fn fold(&mut self, entry: &Entry) -> Result<(), StoryError> {
        self.last = entry.seq;
        let Body::Event(event) = &entry.body else {
            self.is_over = true;
            return Ok(());
        };
        let event = serde_json::from_slice(event).map_err(|source| StoryError::NotUnderstood {
            seq: entry.seq,
            source,
        })?;
        match event {
            BuildEvent::Submitted(submitted) => {
                self.submitted = Some(submitted);
                self.submitted_at = Some(entry.at);
            }
            BuildEvent::AttemptStarted { attempt, worker } => {
                self.attempts = attempt;
                self.current = Some((attempt, worker));
            }
            BuildEvent::AttemptLost { reason, .. } => {
                self.losses.add(&reason);
                self.current = None;
            }
            BuildEvent::StopRequested { .. } => self.is_stopping = true,
            BuildEvent::Settled { .. } => self.is_over = true,
        }
        Ok(())
    }

    /// True while that attempt is the one whose outcome counts.
    pub(crate) fn is_current(&self, attempt: u32) -> bool {
        let current = self.current.as_ref();
        !self.is_over && current.is_some_and(|(number, _)| *number == attempt)
    }
}

/// The subject of a build.
pub(crate) fn subject(build: BuildId) -> Subject {
    Subject::of("build", &build.to_string()).expect("an id is short and made of digits and hyphens")
}

/// Reads and folds all of it.
pub(crate) async fn read(ledger: &dyn Ledger, build: BuildId) -> Result<Story, StoryError> {
    let (subject, mut story) = (subject(build), Story::default());
    loop {
        let entries = ledger
            .read_subject(&subject, story.last, ENTRIES_AT_ONCE)
            .await?;
        let is_end = entries.len() < ENTRIES_AT_ONCE;
        for entry in &entries {
            story.fold(entry)?;
        }
        if is_end {
            return Ok(story);
        }
    }
}
