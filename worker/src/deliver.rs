//! What a build leaves: reports read, artifacts stored. Receives the build's tree and the buildspec, hands back summaries.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use croft_beneath::Root;
use croft_collect::{Destination, Packaging, read_report, select, store, write_json};
use croft_exec::output::Writer;
use croft_proto::{ArtifactSummary, EventKind, NoticeLevel, Report, Status};
use croft_spec::{Artifacts, ReportGroup};

use crate::commands::{Limit, Session};
use crate::expand::{self, expand};

/// Reads every report group; writes them as JSON into `folder`. A report that cannot be read is a problem of that report's,
/// never of the build's. Of a build that is interrupted only the reports read by then are there.
pub(crate) async fn reports(
    session: &mut Session,
    root: &Root,
    (project, source): (&str, &Path),
    groups: &[ReportGroup],
    folder: &Path,
    limit: &mut Limit<'_>,
) -> Vec<Report> {
    let writer = Arc::clone(&session.writer);
    let mut reports = Vec::new();
    for group in groups {
        if limit.reached().is_some() {
            break;
        }
        let name = match expand(session, root, &group.name, limit).await {
            Ok(name) if name.starts_with("arn:") => name,
            Ok(name) => format!("{project}-{name}"),
            Err(expand::Error::Interrupted { .. }) => break,
            Err(error) => {
                warn(
                    &writer,
                    format!("report group {:?}: {}", group.name, crate::chain(&error)),
                );
                continue;
            }
        };
        let report = match in_background(root, {
            let (group, source) = (group.clone(), source.to_path_buf());
            move |root| read_report(&group, &name, &root, &source)
        })
        .await
        {
            Ok(mut report) => {
                // What is kept of a report is what is shown of it.
                writer.mask_report(&mut report);
                report
            }
            Err(reason) => {
                warn(&writer, format!("report group {:?}: {reason}", group.name));
                continue;
            }
        };
        for problem in &report.problems {
            warn(&writer, format!("report {}: {problem}", report.name));
        }
        writer.emit(EventKind::ReportReady {
            report: Box::new(report.clone()),
        });
        reports.push(report);
    }
    if !reports.is_empty()
        && let Err(error) = write_reports(folder, &reports)
    {
        warn(
            &writer,
            format!(
                "the reports could not be written to {}: {error}",
                folder.display()
            ),
        );
    }
    reports
}

fn write_reports(folder: &Path, reports: &[Report]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let file = std::fs::File::create(folder.join("reports.json"))?;
    write_json(reports, std::io::BufWriter::new(file))
}

/// Where artifacts go and how.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) folder: PathBuf,
    pub(crate) packaging: Packaging,
    pub(crate) source: PathBuf,
}

/// Why artifacts were not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undelivered {
    /// A sentence for the user.
    Failed(String),
    /// The build was interrupted.
    Interrupted(Status),
}

impl From<String> for Undelivered {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

impl From<expand::Error> for Undelivered {
    fn from(error: expand::Error) -> Self {
        match error {
            expand::Error::Interrupted { status, .. } => Self::Interrupted(status),
            error @ (expand::Error::Failed { .. }
            | expand::Error::Lost(_)
            | expand::Error::Unusable { .. }) => Self::Failed(crate::chain(&error)),
        }
    }
}

/// Stores the primary artifact and every secondary one.
///
/// # Errors
/// The first entry that cannot be stored, or the interruption.
pub(crate) async fn artifacts(
    session: &mut Session,
    root: &Root,
    artifacts: &Artifacts,
    delivery: &Delivery,
    limit: &mut Limit<'_>,
) -> Result<Vec<ArtifactSummary>, Undelivered> {
    let mut entries = Vec::new();
    if artifacts.secondary.is_empty() {
        entries.push((None, artifacts));
    }
    // With secondary artifacts AWS uploads those and the primary one; `files` is required, and an empty list means none.
    if !artifacts.secondary.is_empty() && !artifacts.files.is_empty() {
        entries.push((None, artifacts));
    }
    entries.extend(
        artifacts
            .secondary
            .iter()
            .map(|(identifier, entry)| (Some(identifier.as_str()), entry)),
    );
    let mut stored = Vec::new();
    for (identifier, entry) in entries {
        if let Some(status) = limit.reached() {
            return Err(Undelivered::Interrupted(status));
        }
        let summary = one(session, root, (identifier, entry), delivery, limit).await;
        stored.push(
            summary.map_err(|undelivered| match (identifier, undelivered) {
                (Some(identifier), Undelivered::Failed(reason)) => {
                    Undelivered::Failed(format!("secondary artifact {identifier}: {reason}"))
                }
                (_, undelivered) => undelivered,
            })?,
        );
    }
    Ok(stored)
}

async fn one(
    session: &mut Session,
    root: &Root,
    (identifier, entry): (Option<&str>, &Artifacts),
    delivery: &Delivery,
    limit: &mut Limit<'_>,
) -> Result<ArtifactSummary, Undelivered> {
    let mut entry = Artifacts {
        secondary: Vec::new(),
        ..entry.clone()
    };
    let mut texts: Vec<&mut String> = entry
        .files
        .iter_mut()
        .chain(&mut entry.exclude_paths)
        .collect();
    texts.extend(entry.base_directory.as_mut());
    texts.extend(entry.name.as_mut());
    for text in texts {
        *text = expand(session, root, text, limit).await?;
    }
    let identifier = identifier.map(str::to_string);
    let (delivery, writer) = (delivery.clone(), Arc::clone(&session.writer));
    let stored = in_background(root, move |root| {
        let selection = select(&entry, delivery.packaging, &root, &delivery.source)
            .map_err(|error| crate::chain(&error))?;
        for warning in &selection.warnings {
            warn(&writer, warning.clone());
        }
        let destination = Destination {
            folder: &delivery.folder,
            identifier: identifier.as_deref(),
            name: entry.name.as_deref(),
        };
        store(&selection, &root, &destination).map_err(|error| crate::chain(&error))
    })
    .await??;
    Ok(stored)
}

async fn in_background<T: Send + 'static>(
    root: &Root,
    step: impl FnOnce(Root) -> T + Send + 'static,
) -> Result<T, String> {
    let root = root.try_clone().map_err(|error| error.to_string())?;
    tokio::task::spawn_blocking(move || step(root))
        .await
        .map_err(|error| error.to_string())
}

fn warn(writer: &Writer, message: String) {
    writer.emit(EventKind::Notice {
        level: NoticeLevel::Warning,
        message,
    });
}
