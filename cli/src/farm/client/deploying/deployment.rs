//! `croft deployment`: listed, shown, followed, stopped, told to go on, taken back, explained.

use reqwest::Method;
use serde_json::{Value, json};

use super::super::call::{Call, Farm};
use super::super::rows::{DeploymentRow, TargetEventRow, TargetRow, text};
use super::super::{block_on, farm, pages};
use super::output::output as printed;
use super::{explain, waits, watch};
use crate::args::{Format, Global};
use crate::exit::Exit;
use crate::farm::words::{DeploymentCommand, DeploymentWords, RollbackWords};
use crate::output;
use crate::surroundings::now;

pub(crate) fn deployment(global: &Global, words: &DeploymentWords) -> anyhow::Result<Exit> {
    let farm = farm(global, &words.connect)?;
    block_on(act(&farm, &words.command))
}

async fn act(farm: &Farm, command: &DeploymentCommand) -> anyhow::Result<Exit> {
    match command {
        DeploymentCommand::List {
            application,
            group,
            status,
            limit,
            output,
        } => {
            let wanted = [
                ("application", application),
                ("group", group),
                ("status", status),
            ];
            list(farm, &wanted, *limit, output.output).await
        }
        DeploymentCommand::Get { name, output } => {
            let call = Call::get(&["v1", "deployments", &name.id]);
            show(farm, &call, output.output).await
        }
        DeploymentCommand::Targets { name, host, output } => {
            targets(farm, &name.id, host.as_deref(), output.output).await
        }
        DeploymentCommand::Watch { name, output } => watch(farm, &name.id, output.output).await,
        DeploymentCommand::Output(words) => printed(farm, words).await,
        DeploymentCommand::Stop {
            name,
            rollback,
            output,
        } => {
            let call = Call::new(Method::POST, &["v1", "deployments", &name.id, "stop"])
                .only_unsent()
                .json(&json!({"autoRollbackEnabled": rollback}));
            show(farm, &call, output.output).await
        }
        DeploymentCommand::Continue { name, output } => {
            // The step that is meant is named: asked again after an answer that was lost, it is no other one that is let through.
            let path = ["v1", "deployments", &name.id];
            let now: Value = farm.json(&Call::get(&path)).await?;
            let step = &now["deploymentInfo"]["x-croft"]["step"];
            let path = ["v1", "deployments", &name.id, "continue"];
            let call = Call::new(Method::POST, &path);
            let call = match step.is_u64() {
                true => call.json(&json!({"x-croft": {"step": step}})),
                false => call.only_unsent(),
            };
            show(farm, &call, output.output).await
        }
        DeploymentCommand::Rollback(words) => roll_back(farm, words).await,
        DeploymentCommand::Explain { name, output } => {
            explain::explain(farm, &name.id, output.output).await
        }
    }
}

async fn list(
    farm: &Farm,
    wanted: &[(&'static str, &Option<String>)],
    limit: u64,
    format: Format,
) -> anyhow::Result<Exit> {
    let wanted = wanted.iter();
    let query: Vec<(&'static str, String)> = wanted
        .filter_map(|(name, value)| Some((*name, (*value).clone()?)))
        .collect();
    let path = ["v1", "deployments"];
    let found = pages::all(farm, &path, &query, "deployments", limit).await?;
    let rows: Vec<DeploymentRow> = found.into_iter().map(DeploymentRow).collect();
    output::rows(&rows, format)?;
    Ok(Exit::Succeeded)
}

/// All hosts of a deployment; of one of them its events.
async fn targets(
    farm: &Farm,
    id: &str,
    host: Option<&str>,
    format: Format,
) -> anyhow::Result<Exit> {
    let mut path = vec!["v1", "deployments", id, "targets"];
    path.extend(host);
    let answer: Value = farm.json(&Call::get(&path)).await?;
    let found = answer["deploymentTargets"].as_array().into_iter().flatten();
    let targets = found.map(|target| target["instanceTarget"].clone());
    if host.is_none() {
        let rows: Vec<TargetRow> = targets.map(TargetRow).collect();
        output::rows(&rows, format)?;
        tell(&waits::waits(&answer["waits"], now()), format)?;
        return Ok(Exit::Succeeded);
    }
    let targets: Vec<Value> = targets.collect();
    let waiting = targets.iter().map(|target| &target["x-croft"]["waits"]);
    let waiting: Vec<String> = waiting.flat_map(|of| waits::waits(of, now())).collect();
    let events =
        targets
            .into_iter()
            .flat_map(|mut target| match target["lifecycleEvents"].take() {
                Value::Array(events) => events,
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Object(_) => Vec::new(),
            });
    let rows: Vec<TargetEventRow> = events.map(TargetEventRow).collect();
    output::rows(&rows, format)?;
    tell(&waiting, format)?;
    Ok(Exit::Succeeded)
}

/// What is waited for, below a table for people.
fn tell(waiting: &[String], format: Format) -> anyhow::Result<()> {
    if matches!(format, Format::Table | Format::Wide) {
        for wait in waiting {
            output::text(&format!("  waits    {wait}\n"))?;
        }
    }
    Ok(())
}

/// Prints the deployment that the server answers with.
async fn show(farm: &Farm, call: &Call, format: Format) -> anyhow::Result<Exit> {
    let mut answer: Value = farm.json(call).await?;
    let info = DeploymentRow(answer["deploymentInfo"].take());
    output::one(&info, format)?;
    let info = info.0;
    tell(&waits::waits(&info["x-croft"]["waits"], now()), format)?;
    if matches!(format, Format::Table | Format::Wide) {
        for one in info["x-croft"]["continued"]
            .as_array()
            .into_iter()
            .flatten()
        {
            output::text(&format!("  went on  {}\n", waits::continued(one, now())))?;
        }
        if let Some(left) = waits::left(&info) {
            output::text(&format!("  left     {left}\n"))?;
        }
        let back = text(&info, "/rollbackInfo/rollbackDeploymentId");
        if back != "-" {
            let id = text(&info, "/deploymentId");
            output::text(&format!(
                "  back     {id} is taken back by {back}: croft deployment watch {back}\n"
            ))?;
        }
    }
    Ok(Exit::Succeeded)
}

/// Prints the deployment that takes a group back, and follows it when that is wished.
async fn roll_back(farm: &Farm, words: &RollbackWords) -> anyhow::Result<Exit> {
    let (application, group) = (&words.group.application, &words.group.group);
    let path = [
        "v1",
        "applications",
        application,
        "groups",
        group,
        "rollback",
    ];
    // A second time it would go back one more.
    let call = Call::new(Method::POST, &path).only_unsent();
    if !words.watch {
        return show(farm, &call, words.output.output).await;
    }
    let answer: Value = farm.json(&call).await?;
    let id = text(&answer, "/deploymentInfo/deploymentId");
    eprintln!("croft: started {id}");
    watch(farm, &id, words.output.output).await
}
