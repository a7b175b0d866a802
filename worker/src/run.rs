//! One build from its submission to its outcome: the loop that walks the phases. What follows what is decided in
//! [`crate::journey`]; here it is done. Receives a [`BuildRequest`], tells the writer on the way, hands back an [`Outcome`].

use std::sync::Arc;

use croft_cache::Store;
use croft_exec::output::Writer;
use croft_proto::{
    Build, Diagnostic, EventKind, NoticeLevel, PhaseType, Status, Summary, Timestamp,
};
use tokio::sync::watch;

use crate::attempt::{Attempt, AttemptEnd};
use crate::interrupt::{Interrupts, Stop};
use crate::request::{BuildRequest, PrimarySource};
use crate::runtime::{Progress, Runtime};
use crate::timeline::{Context, Timeline};

/// The buildspec's file.
mod read;

pub use read::look_at;
use read::read_early;
pub(crate) use read::{Read, read_in, yaml_error};

/// What builds are run with.
pub struct Engine {
    /// Where commands run.
    pub runtime: Arc<dyn Runtime>,
    /// The cache; `None` when it could not be opened, which was said.
    pub cache: Option<Arc<Store>>,
    /// The one writer of this build.
    pub writer: Arc<Writer>,
    /// Tells the time.
    pub clock: fn() -> Timestamp,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// How a build ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// As it stands after the last phase.
    pub build: Build,
    /// For a person.
    pub summary: Summary,
    /// What is wrong with the buildspec; errors among them ended the build before anything ran.
    pub diagnostics: Vec<Diagnostic>,
    /// The buildspec's text, for showing those.
    pub buildspec: String,
}

/// Runs the build to its outcome. A build that fails is an outcome, and so is a machine that fails it (`FAULT`).
///
/// # Cancel
/// Not safe: what the build made stays until the sweeper's next run. Ask through `stop` instead.
pub async fn run(request: &BuildRequest, engine: &Engine, stop: watch::Receiver<Stop>) -> Outcome {
    let mut timeline = Timeline {
        build: new_build(request, (engine.clock)()),
        writer: Arc::clone(&engine.writer),
        clock: engine.clock,
        expected: request.expected.clone(),
        failure: None,
    };
    let mut summary = Summary {
        log_path: request.log_path.display().to_string(),
        ..Summary::default()
    };
    engine.writer.emit(EventKind::BuildStarted {
        build: Box::new(timeline.build.clone()),
        expected_ms: request.expected.total_ms,
    });
    timeline.waited(request.submitted);
    let interrupts = Interrupts::new(stop, request.timeout);
    let early = read_early(request);
    let (status, read) = match early {
        Some(read) if read.spec.is_none() => {
            timeline.begin(PhaseType::DownloadSource);
            timeline.end(
                Status::Failed,
                Context::new("YAML_FILE_ERROR", yaml_error(&read.diagnostics)),
            );
            (Status::Failed, Some(Box::new(read)))
        }
        early => {
            attempts(
                request,
                engine,
                &mut timeline,
                &mut summary,
                interrupts,
                early,
            )
            .await
        }
    };
    timeline.complete(status);
    summary.failure_message = timeline
        .failure
        .clone()
        .filter(|_| summary.failed_command.is_none() && status != Status::Succeeded);
    // What is kept of the build is what is shown of it.
    engine
        .writer
        .mask_outcome(&mut timeline.build, &mut summary);
    engine.writer.emit(EventKind::BuildCompleted {
        build: Box::new(timeline.build.clone()),
        summary: Box::new(summary.clone()),
    });
    engine.writer.finish();
    let (diagnostics, buildspec) = read
        .map(|read| (read.diagnostics, read.text))
        .unwrap_or_default();
    Outcome {
        build: timeline.build,
        summary,
        diagnostics,
        buildspec,
    }
}

async fn attempts(
    request: &BuildRequest,
    engine: &Engine,
    timeline: &mut Timeline,
    summary: &mut Summary,
    interrupts: Interrupts,
    read: Option<Read>,
) -> (Status, Option<Box<Read>>) {
    let mut number = 1;
    loop {
        let attempt = Attempt::new(request, engine, interrupts.clone(), read.clone(), number);
        match attempt.run(timeline, summary).await {
            AttemptEnd::Over(status, read) => return (status, read),
            AttemptEnd::Again {
                attempt,
                attempts_max,
                reason,
                read: last,
            } => {
                if let Err(error) = crate::sweep::empty(&request.directory) {
                    let message = format!(
                        "the build is not tried again, since the last try's files could not be removed: {error}"
                    );
                    engine.writer.emit(EventKind::Notice {
                        level: NoticeLevel::Error,
                        message,
                    });
                    return (Status::Failed, last);
                }
                number = attempt;
                engine.writer.emit(EventKind::Retrying {
                    attempt,
                    attempts_max,
                    reason,
                });
                timeline.start_over();
                let log_path = std::mem::take(&mut summary.log_path);
                *summary = Summary {
                    log_path,
                    ..Summary::default()
                };
            }
        }
    }
}

fn new_build(request: &BuildRequest, now: Timestamp) -> Build {
    let id = format!("{}:{}", request.project, request.uuid);
    Build {
        arn: format!(
            "arn:aws:codebuild:{}:000000000000:build/{id}",
            request.region
        ),
        id,
        build_number: request.build_number,
        project_name: request.project.clone(),
        start_time: request.submitted.unwrap_or(now),
        end_time: None,
        current_phase: PhaseType::Submitted,
        build_status: Status::InProgress,
        build_complete: false,
        source_version: match &request.source {
            PrimarySource::Git(repository) => repository.revision.clone(),
            PrimarySource::Folder(_) => None,
        },
        resolved_source_version: None,
        phases: Vec::new(),
        exported_environment_variables: Vec::new(),
        initiator: request.initiator.clone(),
        timeout_in_minutes: request.timeout.as_secs().div_ceil(60),
        image: request.image.clone(),
    }
}

/// What is told about a place being made.
pub(crate) fn tell(writer: &Writer, progress: Progress) {
    let (level, message) = match progress {
        Progress::Line(line) => (NoticeLevel::Info, line),
        Progress::Copying(reason) => (
            NoticeLevel::Info,
            format!(
                "copying the source, since a copy-on-write view is not possible here: {reason}"
            ),
        ),
    };
    writer.emit(EventKind::Notice { level, message });
}
