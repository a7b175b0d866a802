//! Sources as a container gets them: the directory itself, or a copy-on-write view mounted on this machine where the
//! engine can see it, or a copy. Receives a [`Request`], hands the creating step one [`View`] per source.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use croft_beneath::Root;
use tokio::process::Command;

use super::super::{Error, Progress, Report, Request, Source, View, workspace};

/// A view for every source; copies where this machine cannot overlay.
///
/// # Errors
/// When a copy fails. What was mounted until then is taken away again.
pub(crate) async fn views(
    runner: &Path,
    request: &Request,
    report: Report<'_>,
) -> Result<Vec<View>, Error> {
    let mut views = Vec::new();
    for (index, source) in request.sources.iter().enumerate() {
        match view(runner, request, index, source, report).await {
            Ok(view) => views.push(view),
            Err(error) => {
                take_away(&views)?;
                return Err(error);
            }
        }
    }
    Ok(views)
}

async fn view(
    runner: &Path,
    request: &Request,
    index: usize,
    source: &Source,
    report: Report<'_>,
) -> Result<View, Error> {
    let view = workspace::first(&request.directory, index, source);
    let View::Overlay { lower, layers } = &view else {
        return Ok(view);
    };
    if let Err(error) = overlay(runner, lower, layers).await {
        // It may have come half the way.
        take_away(std::slice::from_ref(&view))?;
        report(Progress::Copying(error.to_string()));
        return workspace::copy(&request.directory, index, source).await;
    }
    Ok(view)
}

/// Replaces the overlays among `views` by copies: for an engine that does not see what this process mounts.
///
/// # Errors
/// When a copy or an unmounting fails.
pub(crate) async fn copies(request: &Request, views: &mut [View]) -> Result<(), Error> {
    for (index, source) in request.sources.iter().enumerate() {
        if matches!(views[index], View::Overlay { .. }) {
            take_away(&views[index..=index])?;
            views[index] = workspace::copy(&request.directory, index, source).await?;
        }
    }
    Ok(())
}

/// The directory on this machine that the container gets.
pub(crate) fn seen(view: &View) -> PathBuf {
    match view {
        View::InPlace(directory) | View::Copy(directory) => directory.clone(),
        View::Overlay { layers, .. } => merged(layers),
    }
}

/// Whether the container sees what was mounted for it: the engine may live in a mount namespace of its own.
pub(crate) fn arrived(root: &Root, request: &Request, views: &[View]) -> bool {
    request
        .sources
        .iter()
        .zip(views)
        .filter(|(_, view)| matches!(view, View::Overlay { .. }))
        .all(|(source, view)| {
            let here = Root::open(&seen(view)).and_then(|here| here.metadata(Path::new("/")));
            let there = root.metadata(&source.inside);
            matches!((here, there), (Ok(here), Ok(there)) if here.identity == there.identity)
        })
}

/// Unmounts every overlay; a container that still has one keeps it until it ends.
///
/// # Errors
/// When the kernel refuses one; the others are gone all the same.
pub(crate) fn take_away(views: &[View]) -> Result<(), Error> {
    let mut outcome = Ok(());
    for view in views {
        if let View::Overlay { layers, .. } = view {
            let taken = croft_runner::overlay::unmount(layers, &merged(layers));
            outcome = outcome.and(taken.map_err(Error::at(format!(
                "cannot unmount below {}",
                layers.display()
            ))));
        }
    }
    outcome
}

fn merged(layers: &Path) -> PathBuf {
    layers.join("merged")
}

/// By a program of its own: mounting changes the process's working directory.
async fn overlay(runner: &Path, lower: &Path, layers: &Path) -> io::Result<()> {
    let output = Command::new(runner.join("croft-runner"))
        .arg("overlay")
        .args([lower, layers, &merged(layers)])
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(
        words
            .trim()
            .trim_start_matches("croft-runner: ")
            .to_string(),
    ))
}
