//! A build as the ledger tells it: folded from the events of its row. Handed to the API, which shows it.

/// As AWS shows one.
mod json;

use croft_ledger::Seq;
use croft_proto::farm::{AutoRetry, BuildId, LossReason, Priority, SettledBy, Submitted};
use croft_proto::{PhaseType, Status, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::QueryError;
use crate::event::BuildEvent;

/// Where a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// No worker has it.
    Waiting,
    /// A worker has claimed it.
    Running,
    /// A worker has it, and is to end it.
    Stopping,
    /// It is over, like this.
    Over(Status),
}

impl Stage {
    /// Every stage there is.
    pub const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Running,
        Self::Stopping,
        Self::Over(Status::Succeeded),
        Self::Over(Status::Failed),
        Self::Over(Status::Fault),
        Self::Over(Status::TimedOut),
        Self::Over(Status::Stopped),
    ];

    /// The stages of builds that AWS's word for a status is shown for.
    #[must_use]
    pub fn of_status(status: Status) -> Vec<Self> {
        let stages = Self::ALL.into_iter();
        stages.filter(|stage| stage.status() == status).collect()
    }

    /// `waiting`, `running`, `stopping` or `over`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Over(_) => "over",
        }
    }

    /// AWS's word for it.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Waiting | Self::Running | Self::Stopping => Status::InProgress,
            Self::Over(status) => status,
        }
    }

    /// True when nothing more happens to it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Over(_))
    }

    /// As in the table: below 3 while it is not over.
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Waiting => 0,
            Self::Running => 1,
            Self::Stopping => 2,
            Self::Over(Status::Succeeded) => 3,
            Self::Over(Status::Failed) => 4,
            // In progress and over is refused before it comes here.
            Self::Over(Status::Fault | Status::InProgress) => 5,
            Self::Over(Status::TimedOut) => 6,
            Self::Over(Status::Stopped) => 7,
        }
    }

    pub(crate) fn from_code(code: i64) -> Self {
        let found = Self::ALL.into_iter().find(|stage| stage.code() == code);
        found.unwrap_or(Self::Over(Status::Fault))
    }
}

/// One try of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub attempt: u32,
    /// Who claimed it.
    pub worker: String,
    /// When, by the ledger's clock.
    pub started_at: Timestamp,
    /// How it was lost, if it was.
    pub lost: Option<Lost>,
}

/// How an attempt was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Why.
    pub reason: LossReason,
    /// When, by the ledger's clock.
    pub at: Timestamp,
}

/// Somebody wants a build to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopRequest {
    /// Who.
    pub by: String,
    /// When, by the ledger's clock.
    pub at: Timestamp,
}

/// How a build ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// How.
    pub status: Status,
    /// Who says so.
    pub by: SettledBy,
    /// For a person: what ended it, when no worker did.
    pub message: Option<String>,
    /// When, by the clock of whoever settled it.
    pub at: Timestamp,
    /// When that was recorded, by the ledger's clock.
    pub recorded_at: Timestamp,
    /// The attempt whose outcome this is; 0 when none ran.
    pub attempt: u32,
    /// `{"build", "summary", "kept"}` as the worker left it; none when no worker ran it to its end.
    pub build: Option<Value>,
}

/// Something that happened to a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// The event's name in the ledger: `submitted`, `attemptStarted`, `attemptLost`, `stopRequested`, `settled`.
    pub event: &'static str,
    /// Where.
    pub seq: Seq,
    /// When, by the ledger's clock.
    pub at: Timestamp,
    /// For a person: which worker, why, by whom; may be empty.
    pub detail: String,
}

/// A build.
#[derive(Clone, Debug, PartialEq)]
pub struct BuildRow {
    /// Which.
    pub id: BuildId,
    /// The project's name.
    pub project: String,
    /// Its number within the project.
    pub number: u64,
    /// Where it runs.
    pub pool: String,
    /// Before which others.
    pub priority: Priority,
    /// Milliseconds in the queue after which it is given up.
    pub queued_ms_max: u64,
    /// How often it is started whose worker was lost.
    pub attempts_max: u32,
    /// Automatic retries.
    pub auto_retry: AutoRetry,
    /// Who asked for it.
    pub initiator: String,
    /// What is built: [`croft_proto::farm::Requested`] as JSON.
    pub request: Value,
    /// Where it was submitted: the order of builds, and the cursor of their pages.
    pub submitted: Seq,
    /// When, by the ledger's clock.
    pub submitted_at: Timestamp,
    /// In order; empty while it has never run.
    pub attempts: Vec<Attempt>,
    /// The last one, if there is any.
    pub stop_requested: Option<StopRequest>,
    /// How it ended, if it has.
    pub settled: Option<Settlement>,
    /// Where it is.
    pub stage: Stage,
    /// The last sequence of its subject.
    pub last: Seq,
    timeline: Vec<Happened>,
}

/// The columns that make a build.
pub(crate) struct Columns {
    pub(crate) id: BuildId,
    pub(crate) seq: Seq,
    pub(crate) at: Timestamp,
    pub(crate) stage: Stage,
    pub(crate) last: Seq,
    pub(crate) submitted: Vec<u8>,
    pub(crate) life: Option<Vec<u8>>,
    pub(crate) settled: Option<(Seq, Timestamp, Vec<u8>)>,
}

/// An item of a row's `life`.
#[derive(Deserialize)]
struct Noted<'a> {
    seq: u64,
    at: u64,
    #[serde(borrow)]
    event: &'a RawValue,
}

impl BuildRow {
    pub(crate) fn read(columns: &Columns) -> Result<Self, QueryError> {
        let mut row = Self::begun(columns)?;
        if let Some(life) = &columns.life {
            let life: Vec<Noted<'_>> = serde_json::from_slice(life)?;
            for noted in life {
                let event = BuildEvent::read(noted.event.get().as_bytes())?;
                row.happened(event, Seq::new(noted.seq), Timestamp::from_millis(noted.at))?;
            }
        }
        if let Some((seq, at, event)) = &columns.settled {
            row.happened(BuildEvent::read(event)?, *seq, *at)?;
        }
        Ok(row)
    }

    fn begun(columns: &Columns) -> Result<Self, QueryError> {
        let BuildEvent::Submitted(submitted) = BuildEvent::read(&columns.submitted)? else {
            let error = <serde_json::Error as serde::de::Error>::custom("not a submission");
            return Err(error.into());
        };
        let submitted = Submitted {
            project: submitted.project.owned(),
            number: submitted.number,
            pool: submitted.pool.owned(),
            priority: submitted.priority,
            queued_ms_max: submitted.queued_ms_max,
            attempts_max: submitted.attempts_max,
            auto_retry: submitted.auto_retry,
            initiator: submitted.initiator.owned(),
            request: Box::new(serde_json::from_str(submitted.request.get())?),
        };
        let mut row = Self::accepted(columns.id, submitted, columns.seq, columns.at);
        (row.stage, row.last) = (columns.stage, columns.last);
        Ok(row)
    }

    /// A build that was just accepted, at that place and time of the ledger: as it is shown until something happens to it.
    #[must_use]
    pub fn accepted(id: BuildId, submitted: Submitted, seq: Seq, at: Timestamp) -> Self {
        Self {
            id,
            project: submitted.project,
            number: submitted.number,
            pool: submitted.pool,
            priority: submitted.priority,
            queued_ms_max: submitted.queued_ms_max,
            attempts_max: submitted.attempts_max,
            auto_retry: submitted.auto_retry,
            request: *submitted.request,
            submitted: seq,
            submitted_at: at,
            attempts: Vec::new(),
            stop_requested: None,
            settled: None,
            stage: Stage::Waiting,
            last: seq,
            timeline: vec![Happened {
                event: "submitted",
                seq,
                at,
                detail: format!("by {}", submitted.initiator),
            }],
            initiator: submitted.initiator,
        }
    }

    fn happened(
        &mut self,
        event: BuildEvent<'_>,
        seq: Seq,
        at: Timestamp,
    ) -> Result<(), QueryError> {
        let (event, detail) = match event {
            BuildEvent::Submitted(_) => return Ok(()),
            BuildEvent::AttemptStarted { attempt, worker } => {
                let worker = worker.owned();
                let detail = format!("attempt {attempt} on {worker}");
                self.attempts.push(Attempt {
                    attempt,
                    worker,
                    started_at: at,
                    lost: None,
                });
                ("attemptStarted", detail)
            }
            BuildEvent::AttemptLost { attempt, reason } => {
                let detail = match &reason {
                    LossReason::Unheard { silent_ms } => {
                        format!("attempt {attempt}: nothing was heard of it for {silent_ms} ms")
                    }
                    LossReason::GivenBack { message, .. } => {
                        format!("attempt {attempt} was given back: {message}")
                    }
                };
                let mut attempts = self.attempts.iter_mut();
                if let Some(lost) = attempts.find(|known| known.attempt == attempt) {
                    lost.lost = Some(Lost { reason, at });
                }
                ("attemptLost", detail)
            }
            BuildEvent::StopRequested { by } => {
                let by = by.owned();
                let detail = format!("by {by}");
                self.stop_requested = Some(StopRequest { by, at });
                ("stopRequested", detail)
            }
            BuildEvent::Settled {
                attempt,
                status,
                by,
                message,
                build,
                at: ended_at,
            } => {
                let message = message.map(crate::event::Text::owned);
                let why = message.as_deref().map(|why| format!(": {why}"));
                let detail = format!("{status}{}", why.unwrap_or_default());
                let build = build.map(|build| serde_json::from_str(build.get()));
                self.settled = Some(Settlement {
                    status,
                    by,
                    message,
                    at: ended_at,
                    recorded_at: at,
                    attempt,
                    build: build.transpose()?,
                });
                ("settled", detail)
            }
        };
        self.timeline.push(Happened {
            event,
            seq,
            at,
            detail,
        });
        Ok(())
    }

    /// `<project>:<uuid>`.
    #[must_use]
    pub fn full_id(&self) -> String {
        format!("{}:{}", self.project, self.id)
    }

    /// Its name as AWS writes one; region and account are placeholders.
    #[must_use]
    pub fn arn(&self) -> String {
        arn(&self.project, self.id)
    }

    /// What happened to it, in order.
    #[must_use]
    pub fn timeline(&self) -> &[Happened] {
        &self.timeline
    }

    /// When it last began to wait: when it was submitted, or its last attempt was lost.
    #[must_use]
    pub fn queued_at(&self) -> Timestamp {
        let mut lost = self.attempts.iter().filter_map(|it| it.lost.as_ref());
        lost.next_back().map_or(self.submitted_at, |lost| lost.at)
    }

    /// The attempt that runs, or whose outcome is the build's.
    #[must_use]
    pub fn current_attempt(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|last| last.lost.is_none())
    }

    /// What each phase of the finished build took, in milliseconds; empty when no worker ran it to its end.
    #[must_use]
    pub fn phase_millis(&self) -> Vec<(PhaseType, u64)> {
        let build = self.settled.as_ref().and_then(|it| it.build.as_ref());
        let phases = build.and_then(|build| build.pointer("/build/phases"));
        let phases = phases.and_then(Value::as_array).into_iter().flatten();
        let phases = phases.filter_map(|phase| croft_proto::BuildPhase::deserialize(phase).ok());
        phases
            .filter_map(|phase| Some((phase.phase_type, phase.millis()?)))
            .collect()
    }

    /// The build in the shape of AWS's `Build`, with ours under `x-croft`.
    ///
    /// A finished one is what its worker says of it. Otherwise it is what the ledger knows: of one that runs that it began to be
    /// provisioned, and not how far it is.
    #[must_use]
    pub fn build_json(&self) -> Value {
        json::of(self)
    }
}

pub(crate) fn arn(project: &str, id: BuildId) -> String {
    format!("arn:aws:codebuild:us-east-1:000000000000:build/{project}:{id}")
}
