//! One build from its submission to its outcome: the loop that walks the phases. What follows what is decided in
//! [`crate::journey`]; here it is done. Receives a [`BuildRequest`], tells the writer on the way, hands back an [`Outcome`].

use std::path::PathBuf;
use std::sync::Arc;

use croft_cache::Store;
use croft_exec::output::Writer;
use croft_proto::{
    Build, Diagnostic, EventKind, NoticeLevel, PhaseType, Status, Summary, Timestamp,
};
use croft_spec::Buildspec;
use tokio::sync::watch;

use crate::attempt::{Attempt, AttemptEnd};
use crate::interrupt::{Interrupts, Stop};
use crate::request::{BuildRequest, BuildspecFile, PrimarySource};
use crate::runtime::{Progress, Runtime};
use crate::timeline::{Context, Timeline};

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

/// A buildspec that was read.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) spec: Option<Buildspec>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) text: String,
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
    timeline.pass(PhaseType::Submitted);
    timeline.pass(PhaseType::Queued);
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
            } => {
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
                if let Err(error) = clear(&request.directory) {
                    let message = format!("the last try's files could not be removed: {error}");
                    engine.writer.emit(EventKind::Notice {
                        level: NoticeLevel::Warning,
                        message,
                    });
                }
            }
        }
    }
}

/// A folder's buildspec can be read before anything is made for the build: mistakes are told at once.
fn read_early(request: &BuildRequest) -> Option<Read> {
    match (&request.source, &request.buildspec) {
        (_, BuildspecFile::OnHost(path)) => Some(read_file(path, &path.display().to_string())),
        (PrimarySource::Folder(folder), file) => Some(read_in(folder, file)),
        (PrimarySource::Git { .. }, _) => None,
    }
}

/// The buildspec that `file` means in the source at `folder`.
pub(crate) fn read_in(folder: &std::path::Path, file: &BuildspecFile) -> Read {
    let relative = match file {
        BuildspecFile::Default => PathBuf::from("buildspec.yml"),
        BuildspecFile::InSource(path) | BuildspecFile::OnHost(path) => path.clone(),
    };
    read_file(&folder.join(&relative), &relative.display().to_string())
}

fn read_file(path: &std::path::Path, name: &str) -> Read {
    match std::fs::read(path) {
        Ok(bytes) => {
            let parsed = croft_spec::parse(name, &bytes);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Read {
                spec: parsed.spec,
                diagnostics: parsed.diagnostics,
                text,
            }
        }
        Err(error) => {
            let help = if error.kind() == std::io::ErrorKind::NotFound {
                "put a buildspec.yml into the source's top folder, or name another file with -b"
            } else {
                "make the file readable"
            };
            let diagnostic = Diagnostic {
                code: "no-buildspec".into(),
                level: croft_proto::Level::Error,
                message: format!("{} cannot be read: {error}", path.display()),
                place: croft_proto::Place {
                    file: name.into(),
                    line: 0,
                    column: 0,
                },
                start: 0,
                end: 0,
                help: Some(help.into()),
            };
            Read {
                spec: None,
                diagnostics: vec![diagnostic],
                text: String::new(),
            }
        }
    }
}

/// One sentence for the phase's context; the command line shows all findings.
pub(crate) fn yaml_error(diagnostics: &[Diagnostic]) -> String {
    let errors: Vec<&Diagnostic> = diagnostics
        .iter()
        .filter(|found| found.level == croft_proto::Level::Error)
        .collect();
    let Some(first) = errors.first() else {
        return "the buildspec cannot be used".to_string();
    };
    let place = &first.place;
    let more = if errors.len() > 1 {
        format!(" (and {} more)", errors.len() - 1)
    } else {
        String::new()
    };
    format!(
        "{}:{}:{}: {}{more}",
        place.file, place.line, place.column, first.message
    )
}

fn clear(directory: &std::path::Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
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
        start_time: now,
        end_time: None,
        current_phase: PhaseType::Submitted,
        build_status: Status::InProgress,
        build_complete: false,
        source_version: match &request.source {
            PrimarySource::Git { revision, .. } => revision.clone(),
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
