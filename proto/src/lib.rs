//! Croft's vocabulary: ids, times, the state of a build, the events of its life, and diagnostics.
//!
//! Every other room speaks these types. Nothing here reads a clock, a file or a socket, and nothing here is asynchronous.
//! Public JSON has the shape AWS published for the same thing (camelCase names, epoch seconds as numbers, the same status
//! words); what Croft adds are separate fields.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// When: moments and spans.
mod time;
/// What a build is: phases, statuses, contexts.
mod build;
/// What a build produced: test reports, artifacts, cache use.
mod outcome;
/// What happened, in order.
mod event;
/// The nearest known word.
mod suggest;
/// Which keys an input may have.
pub mod shape;
/// What is wrong with an input file, and where.
mod diagnostic;
/// What a deployment is made of.
pub mod deploy;
/// What the farm records of projects and builds.
pub mod farm;

pub use build::{Build, BuildPhase, EnvironmentVariable, PhaseContext, PhaseType, Status};
pub use diagnostic::{Diagnostic, Level, Place};
pub use event::{Event, EventKind, NoticeLevel};
pub use outcome::{
    ArtifactSummary, CacheMethod, CacheStatus, CacheSummary, CaseStatus, CommandSummary,
    CoverageSummary, FailedCommand, Report, ReportStatus, ReportType, Summary, TestCase,
    TestSummary,
};
pub use suggest::{listed, nearest};
pub use time::Timestamp;
