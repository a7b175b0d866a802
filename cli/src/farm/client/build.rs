//! `croft build`: look at builds and act on them.

use std::io::Write as _;

use reqwest::Method;
use serde_json::Value;

use super::call::{Call, Failure, Farm};
use super::rows::BuildRow;
use super::{artifacts, block_on, explain, farm, pages, submit, watch};
use crate::args::{Format, Global};
use crate::exit::Exit;
use crate::farm::words::{BuildCommand, BuildWords, StatusWord};
use crate::{output, run};

pub(crate) fn build(global: &Global, words: &BuildWords) -> anyhow::Result<Exit> {
    let farm = farm(global, &words.connect)?;
    block_on(act(&farm, &words.command))
}

pub(super) async fn act(farm: &Farm, command: &BuildCommand) -> anyhow::Result<Exit> {
    match command {
        BuildCommand::Start {
            project,
            source_version,
            start,
        } => submit::start_own(farm, project, source_version.as_deref(), start).await,
        BuildCommand::List {
            project,
            status,
            limit,
            output,
        } => list(farm, project.as_deref(), *status, *limit, output.output).await,
        BuildCommand::Get { build, output } => show(one(farm, &build.id).await?, output.output),
        BuildCommand::Logs { build, follow } => logs(farm, &build.id, *follow).await,
        BuildCommand::Stop { build, output } => {
            let call = Call::new(Method::POST, &["v1", "builds", &build.id, "stop"]);
            show(build_of(farm.json(&call).await?), output.output)
        }
        BuildCommand::Retry { build, output } => {
            let call = Call::new(Method::POST, &["v1", "builds", &build.id, "retry"]);
            // Asked twice, it is the same build.
            let call = call.header("idempotency-key", uuid::Uuid::new_v4().to_string());
            show(build_of(farm.json(&call).await?), output.output)
        }
        BuildCommand::Explain { build, output } => {
            explain::explain(farm, &build.id, output.output).await
        }
        BuildCommand::Watch { build, output } => {
            watch::watch(farm, &full_id(farm, &build.id).await?, *output).await
        }
        BuildCommand::Artifacts {
            build,
            into,
            output,
        } => match into {
            None => artifacts::list(farm, &build.id, output.output).await,
            Some(into) => artifacts::get(farm, &build.id, into).await,
        },
    }
}

async fn list(
    farm: &Farm,
    project: Option<&str>,
    status: Option<StatusWord>,
    limit: u64,
    format: Format,
) -> anyhow::Result<Exit> {
    let mut query = Vec::new();
    query.extend(project.map(|project| ("project", project.to_string())));
    query.extend(status.map(|status| ("status", status.name().to_string())));
    let found = pages::all(farm, &["v1", "builds"], &query, "builds", limit).await?;
    let rows: Vec<BuildRow> = found.into_iter().map(BuildRow).collect();
    output::rows(&rows, format)?;
    Ok(Exit::Succeeded)
}

async fn one(farm: &Farm, id: &str) -> Result<Value, Failure> {
    let answer = farm.json(&Call::get(&["v1", "builds", id])).await?;
    Ok(build_of(answer))
}

fn build_of(mut answer: Value) -> Value {
    answer["build"].take()
}

/// The id as other commands are told to be typed with.
async fn full_id(farm: &Farm, id: &str) -> Result<String, Failure> {
    let build = one(farm, id).await?;
    Ok(build["id"].as_str().unwrap_or(id).to_string())
}

fn show(build: Value, format: Format) -> anyhow::Result<Exit> {
    output::one(&BuildRow(build), format).map(|()| Exit::Succeeded)
}

/// The log as it is kept; of a build that runs, what its commands print until they are done.
async fn logs(farm: &Farm, id: &str, follow: bool) -> anyhow::Result<Exit> {
    if follow {
        let build = one(farm, id).await?;
        if build["buildComplete"] != Value::Bool(true) {
            return watch::output_alone(farm, build["id"].as_str().unwrap_or(id)).await;
        }
    }
    let mut answer = farm.open(&Call::get(&["v1", "builds", id, "log"])).await?;
    let mut out = run::standard_output();
    loop {
        match answer.chunk().await {
            Ok(Some(piece)) => out.write_all(&piece)?,
            Ok(None) => return Ok(Exit::Succeeded),
            Err(source) => {
                let server = farm.connection.server.to_string();
                return Err(Failure::Broken { server, source }.into());
            }
        }
    }
}
