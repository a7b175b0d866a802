//! What happened in a build, in order. Written by the one output writer; followed by renderers and, as `-o ndjson`, by tools.

use serde::{Deserialize, Serialize};

use crate::{Build, BuildPhase, CacheSummary, PhaseType, Place, Report, Summary, Timestamp};

/// How loud a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoticeLevel {
    /// Good to know.
    Info,
    /// Something is not as it should be; the build goes on.
    Warning,
    /// The build fails because of it.
    Error,
}

/// One thing that happened.
///
/// **Shape.** One JSON object: `seq`, `time`, `type`, and the fields of that type. `seq` starts at 1 and has no gaps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// From 1, without gaps, over events and output chunks together.
    pub seq: u64,
    /// When.
    pub time: Timestamp,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum EventKind {
    /// First of all.
    BuildStarted {
        /// As it stands.
        build: Box<Build>,
        /// How long the last successful build of this project took; absent for the first.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        expected_ms: Option<u64>,
    },
    /// A phase began.
    PhaseStarted {
        /// Which.
        phase: PhaseType,
        /// How long it took in the last successful build; absent when unknown.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        expected_ms: Option<u64>,
    },
    /// A phase ended.
    PhaseCompleted {
        /// With status, times and contexts.
        phase: BuildPhase,
    },
    /// A command is about to run.
    CommandStarted {
        /// Its phase.
        phase: PhaseType,
        /// From 1 in its list.
        index: u32,
        /// How many its list has.
        count: u32,
        /// True when it is of the phase's `finally` list.
        finally: bool,
        /// Its text, masked; several lines for a block.
        command: String,
        /// Where it stands in the buildspec.
        place: Place,
    },
    /// A command ended.
    CommandCompleted {
        /// Its phase.
        phase: PhaseType,
        /// From 1 in its list.
        index: u32,
        /// 0 to 255; 128 + the signal's number when a signal killed it.
        exit_status: i32,
        /// Milliseconds.
        duration_ms: u64,
    },
    /// A piece of the commands' output, masked. Pieces need not end at a line's end.
    Output {
        /// Its phase.
        phase: PhaseType,
        /// Bytes that are not UTF-8 are replaced by U+FFFD here; the log keeps them.
        text: String,
    },
    /// Something a person should know.
    Notice {
        /// How loud.
        level: NoticeLevel,
        /// What, one or a few sentences, masked.
        message: String,
    },
    /// Cache contents were brought in, or not.
    CacheRestored {
        /// How it went.
        cache: CacheSummary,
    },
    /// Cache contents were stored, or not.
    CacheSaved {
        /// How it went.
        cache: CacheSummary,
    },
    /// A report was read.
    ReportReady {
        /// What it says.
        report: Box<Report>,
    },
    /// The build will be tried again from its start, because of `on-failure: RETRY`.
    Retrying {
        /// The try that comes next; the first retry is 2.
        attempt: u32,
        /// The last try's number.
        attempts_max: u32,
        /// The error message that was matched.
        reason: String,
    },
    /// Last of all.
    BuildCompleted {
        /// As it ended.
        build: Box<Build>,
        /// What a person wants to know.
        summary: Box<Summary>,
    },
}
