//! Events, read as far as they have to be: what decides is taken, what is only shown later is skimmed and kept as it is. Received
//! from the fold, which has the entries.
//!
//! `croft_proto::farm` has the same events as enums. Reading those would build every value of a request and of a finished build in
//! memory, which takes ten times as long; tests hold the two to each other.

use std::borrow::Cow;

use croft_proto::farm::{AutoRetry, BuildId, LossReason, Priority, ProjectRules, SettledBy};
use croft_proto::{Status, Timestamp};
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;

/// Which event of a build's it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum BuildKind {
    Submitted,
    AttemptStarted,
    AttemptLost,
    StopRequested,
    Settled,
}

/// Every field of every event of a build.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyBuildEvent<'a> {
    #[serde(rename = "type")]
    kind: BuildKind,
    #[serde(borrow, default)]
    project: Option<Text<'a>>,
    number: Option<u64>,
    #[serde(borrow, default)]
    pool: Option<Text<'a>>,
    priority: Option<Priority>,
    queued_ms_max: Option<u64>,
    attempts_max: Option<u32>,
    auto_retry: Option<AutoRetry>,
    #[serde(borrow, default)]
    initiator: Option<Text<'a>>,
    #[serde(borrow, default)]
    request: Option<&'a RawValue>,
    attempt: Option<u32>,
    #[serde(borrow, default)]
    worker: Option<Text<'a>>,
    reason: Option<LossReason>,
    #[serde(borrow, default)]
    by: Option<Text<'a>>,
    status: Option<Status>,
    #[serde(borrow, default)]
    message: Option<Text<'a>>,
    #[serde(borrow, default)]
    build: Option<&'a RawValue>,
    at: Option<Timestamp>,
}

/// A string that is borrowed when nothing in it is escaped.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

impl Text<'_> {
    pub(crate) fn owned(self) -> String {
        self.0.into_owned()
    }
}

/// A build as it was accepted.
#[derive(Debug)]
pub(crate) struct Submitted<'a> {
    pub(crate) project: Text<'a>,
    pub(crate) number: u64,
    pub(crate) pool: Text<'a>,
    pub(crate) priority: Priority,
    pub(crate) queued_ms_max: u64,
    pub(crate) attempts_max: u32,
    pub(crate) auto_retry: AutoRetry,
    pub(crate) initiator: Text<'a>,
    pub(crate) request: &'a RawValue,
}

/// What happened to a build.
#[derive(Debug)]
pub(crate) enum BuildEvent<'a> {
    Submitted(Box<Submitted<'a>>),
    AttemptStarted {
        attempt: u32,
        worker: Text<'a>,
    },
    AttemptLost {
        attempt: u32,
        reason: LossReason,
    },
    StopRequested {
        by: Text<'a>,
    },
    Settled {
        attempt: u32,
        status: Status,
        by: SettledBy,
        message: Option<Text<'a>>,
        build: Option<&'a RawValue>,
        at: Timestamp,
    },
}

impl<'a> BuildEvent<'a> {
    pub(crate) fn read(event: &'a [u8]) -> serde_json::Result<Self> {
        let any: AnyBuildEvent<'a> = serde_json::from_slice(event)?;
        Ok(match any.kind {
            BuildKind::Submitted => Self::Submitted(Box::new(Submitted {
                project: needed(any.project, "project")?,
                number: needed(any.number, "number")?,
                pool: needed(any.pool, "pool")?,
                priority: needed(any.priority, "priority")?,
                queued_ms_max: needed(any.queued_ms_max, "queuedMsMax")?,
                attempts_max: needed(any.attempts_max, "attemptsMax")?,
                auto_retry: needed(any.auto_retry, "autoRetry")?,
                initiator: needed(any.initiator, "initiator")?,
                request: needed(any.request, "request")?,
            })),
            BuildKind::AttemptStarted => Self::AttemptStarted {
                attempt: needed(any.attempt, "attempt")?,
                worker: needed(any.worker, "worker")?,
            },
            BuildKind::AttemptLost => Self::AttemptLost {
                attempt: needed(any.attempt, "attempt")?,
                reason: needed(any.reason, "reason")?,
            },
            BuildKind::StopRequested => Self::StopRequested {
                by: needed(any.by, "by")?,
            },
            BuildKind::Settled => Self::Settled {
                attempt: needed(any.attempt, "attempt")?,
                status: needed(any.status, "status")?,
                by: settled_by(&needed(any.by, "by")?.0)?,
                message: any.message,
                build: any.build,
                at: needed(any.at, "at")?,
            },
        })
    }
}

/// Which event of a project's it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum ProjectKind {
    Applied,
    Admitted,
    Deleted,
}

#[derive(Debug, Deserialize)]
struct AnyProjectEvent<'a> {
    #[serde(rename = "type")]
    kind: ProjectKind,
    #[serde(borrow, default)]
    rules: Option<&'a RawValue>,
    #[serde(borrow, default)]
    project: Option<&'a RawValue>,
    build: Option<BuildId>,
    number: Option<u64>,
}

/// What happened to a project.
#[derive(Debug)]
pub(crate) enum ProjectEvent<'a> {
    Applied {
        rules: &'a RawValue,
        project: &'a RawValue,
    },
    Admitted {
        number: u64,
    },
    Deleted,
}

impl<'a> ProjectEvent<'a> {
    pub(crate) fn read(event: &'a [u8]) -> serde_json::Result<Self> {
        let any: AnyProjectEvent<'a> = serde_json::from_slice(event)?;
        Ok(match any.kind {
            ProjectKind::Applied => {
                let rules = needed(any.rules, "rules")?;
                // Understood now or never: a question must not fail for it.
                let _understood: ProjectRules = serde_json::from_str(rules.get())?;
                Self::Applied {
                    rules,
                    project: needed(any.project, "project")?,
                }
            }
            ProjectKind::Admitted => {
                needed(any.build, "build")?;
                Self::Admitted {
                    number: needed(any.number, "number")?,
                }
            }
            ProjectKind::Deleted => Self::Deleted,
        })
    }
}

/// An entry of an audit chain, kept as it is.
#[derive(Debug, Deserialize)]
pub(crate) struct Noted<'a> {
    #[serde(rename = "type")]
    _kind: NotedKind,
    #[serde(borrow)]
    pub(crate) entry: &'a RawValue,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum NotedKind {
    Noted,
}

/// What of a finished build is of reports. It is the worker's: when it has another shape, there is no history, and no error.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Finished<'a> {
    #[serde(borrow, default)]
    pub(crate) summary: SummaryPart<'a>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct SummaryPart<'a> {
    #[serde(borrow, default)]
    pub(crate) reports: Vec<ReportPart<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReportPart<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) test_cases: Vec<CasePart<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CasePart<'a> {
    #[serde(borrow)]
    pub(crate) prefix: Text<'a>,
    #[serde(borrow)]
    pub(crate) test_suite_name: Text<'a>,
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    pub(crate) status: croft_proto::CaseStatus,
    pub(crate) duration_in_nano_seconds: u64,
}

fn needed<T>(field: Option<T>, name: &'static str) -> serde_json::Result<T> {
    field.ok_or_else(|| serde_json::Error::missing_field(name))
}

fn settled_by(word: &str) -> serde_json::Result<SettledBy> {
    use serde::de::IntoDeserializer as _;
    SettledBy::deserialize(word.into_deserializer())
}
