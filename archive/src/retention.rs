//! Finished subjects: into segments, then out of the ledger. Received from whoever runs a server: the ledger, a read model that knows
//! which builds are over, how long they are kept. Several servers may do it at once, and each may be killed at any step:
//!
//! 1. the entries of finished builds are read from the ledger, each build's up to the last that the read model knows;
//! 2. segments of them are written, and read back; a build that is larger than a segment lies in several;
//! 3. each build of which all is written is purged at that last sequence.
//!
//! Killed before 3, a build is archived again, and its entries lie in two segments as the same. Whoever comes second to 3 is refused by
//! the ledger or changes nothing. So nothing is purged that is in no segment.

use std::sync::Arc;
use std::time::Duration;

use croft_cache::Depot;
use croft_ledger::{AppendError, Clock, Ledger, ReadError, Seq, Subject};
use croft_proto::Timestamp;
use croft_proto::farm::BuildId;
use croft_views::{FinishedBuild, QueryError, Views};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::segment::Gathered;
use crate::{Error, History};

/// Builds looked at in one pass. What is left is for the next one, an hour later: a farm that is asked for the first time to forget
/// has other things to do.
const PASS_MAX: usize = 20_000;

/// Entries of one build read at once.
const READ: usize = 256;

/// Why a pass ended early. What it has done stands; the next one goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetentionError {
    /// The read model cannot be asked.
    #[error("failed to ask which builds are over")]
    Views(#[from] QueryError),
    /// The ledger cannot be read.
    #[error("failed to read what is to be archived")]
    Read(#[from] ReadError),
    /// No segment was written.
    #[error("failed to archive finished builds")]
    Archive(#[from] Error),
    /// The ledger does not purge.
    #[error("failed to purge an archived build")]
    Purge(#[from] AppendError),
}

/// A subject that has been kept long enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub subject: Subject,
    /// Its last sequence, as the read model has it.
    pub last: Seq,
}

/// What a pass has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Segments written.
    pub segments: u64,
    /// Entries in them.
    pub entries: u64,
    /// Subjects purged by this pass.
    pub purged: u64,
}

/// Which of the finished builds are due: those that ended `keep_ms` ago or longer, in the order in which they were submitted, so that
/// segments overlap little.
#[must_use]
pub fn plan(now: Timestamp, keep_ms: u64, mut finished: Vec<FinishedBuild>) -> Vec<Due> {
    finished.retain(|build| now.millis_since(build.settled) >= keep_ms);
    finished.sort_by_key(|build| build.submitted_seq);
    let due = finished.into_iter().map(|build| Due {
        subject: subject(build.build),
        last: build.last,
    });
    due.collect()
}

fn subject(build: BuildId) -> Subject {
    Subject::of("build", &build.to_string()).expect("an id is made of digits and hyphens")
}

/// The loop that archives and purges.
#[derive(Clone, Debug)]
pub struct Retention {
    /// The truth.
    pub ledger: Arc<dyn Ledger>,
    /// Which builds are over.
    pub views: Views,
    /// Where segments go.
    pub archive: Depot,
    /// For "long ago".
    pub clock: Clock,
    /// How long a build is kept after its end.
    pub keep_ms: u64,
    /// How often it is looked at.
    pub every: Duration,
}

impl Retention {
    /// Passes now and then until `stop` is true or its sender is gone. What goes wrong is said and tried again the next time.
    ///
    /// **Cancel.** A pass that is dropped leaves what a killed one leaves: nothing is lost.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.pass_on() => {}
        }
    }

    async fn pass_on(&self) {
        let mut tick = tokio::time::interval(self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // The first is at once: a server that is started anew every half hour must not forget to forget.
            tick.tick().await;
            match self.pass().await {
                Ok(passed) => tracing::info!(?passed, "looked for builds to archive"),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "builds were not archived"
                ),
            }
        }
    }

    /// Archives and purges what is due now.
    ///
    /// # Errors
    /// See [`RetentionError`]; what was done before it stands.
    pub async fn pass(&self) -> Result<Passed, RetentionError> {
        let now = self.clock.now();
        let before = Timestamp::from_millis(now.millis().saturating_sub(self.keep_ms));
        let asked = self
            .views
            .ask(move |read| read.finished_builds(before, PASS_MAX));
        let due = plan(now, self.keep_ms, asked.await?);
        let mut passed = Passed::default();
        let log = Arc::new(Arc::clone(&self.ledger));
        let history = History::new(log, self.archive.clone());
        let (mut gathered, mut subjects) = (Gathered::default(), Vec::new());
        for due in due {
            let before = passed.segments;
            if !self
                .gather(&history, &due, &mut gathered, &mut passed)
                .await?
            {
                continue;
            }
            subjects.push(due);
            // Also when the build was too large for one: what there is of others beside it is complete, too.
            if gathered.is_full() || passed.segments > before {
                self.archive(&history, &mut gathered, &mut subjects, &mut passed)
                    .await?;
            }
        }
        if !subjects.is_empty() {
            self.archive(&history, &mut gathered, &mut subjects, &mut passed)
                .await?;
        }
        Ok(passed)
    }

    /// Gathers all entries of the subject, and writes those that make full segments. False when it is not as the read model has it:
    /// purged by another server, or not read that far yet. What was gathered of it then lies in a segment and in the ledger.
    async fn gather(
        &self,
        history: &History,
        due: &Due,
        gathered: &mut Gathered,
        passed: &mut Passed,
    ) -> Result<bool, RetentionError> {
        let mut after = Seq::ZERO;
        while after < due.last {
            let page = self.ledger.read_subject(&due.subject, after, READ).await?;
            let Some(last) = page.last() else {
                return Ok(false);
            };
            after = last.seq;
            if page.iter().any(|entry| entry.event().is_none()) {
                return Ok(false);
            }
            for entry in page {
                if gathered.is_full() {
                    write(history, gathered, passed).await?;
                }
                gathered.push(entry);
            }
        }
        Ok(after == due.last)
    }

    /// Writes what is gathered, and purges the subjects: nothing of them is anywhere else than in segments that are written.
    async fn archive(
        &self,
        history: &History,
        gathered: &mut Gathered,
        subjects: &mut Vec<Due>,
        passed: &mut Passed,
    ) -> Result<(), RetentionError> {
        if !gathered.entries.is_empty() {
            write(history, gathered, passed).await?;
        }
        for due in subjects.drain(..) {
            match self.ledger.purge(&due.subject, due.last).await {
                Ok(_) => passed.purged += 1,
                // Another server was faster.
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Writes a segment of what is gathered.
async fn write(
    history: &History,
    gathered: &mut Gathered,
    passed: &mut Passed,
) -> Result<(), Error> {
    let entries = gathered.take();
    let count = entries.len() as u64;
    history.shelf().await?.put(entries).await?;
    passed.entries += count;
    passed.segments += 1;
    Ok(())
}
