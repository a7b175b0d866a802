//! `croft app`, `croft group` and `croft deployment-config`: what is deployed, where to, and how fast.

use reqwest::Method;
use serde_json::Value;

use super::super::call::{Call, Failure, Farm};
use super::super::rows::{AppRow, AppliedRow, ConfigRow, GroupRow, InstanceRow};
use super::super::{block_on, farm, pages};
use super::documents::{self, Document};
use crate::args::{Format, Global};
use crate::exit::Exit;
use crate::farm::words::{
    AppCommand, AppWords, ApplyWords, ConfigCommand, ConfigWords, GroupCommand, GroupWords,
};
use crate::output;

pub(crate) fn app(global: &Global, words: &AppWords) -> anyhow::Result<Exit> {
    let farm = farm(global, &words.connect)?;
    block_on(act_on_app(&farm, &words.command))
}

async fn act_on_app(farm: &Farm, command: &AppCommand) -> anyhow::Result<Exit> {
    let path = ["v1", "applications"];
    match command {
        AppCommand::Apply(words) => return apply(farm, words).await,
        AppCommand::List(output) => {
            let found = pages::all(farm, &path, &[], "applications", pages::ROWS_MAX).await?;
            let rows: Vec<AppRow> = found.into_iter().map(AppRow).collect();
            output::rows(&rows, output.output)?;
        }
        AppCommand::Get { name, output } => {
            let mut answer: Value = farm.json(&Call::get(&["v1", "applications", name])).await?;
            output::one(&AppRow(answer["application"].take()), output.output)?;
        }
        AppCommand::Delete { name } => {
            let call = Call::new(Method::DELETE, &["v1", "applications", name]);
            farm.bytes(&call).await?;
            output::text(&format!(
                "{name} is removed; its deployments stay on record\n"
            ))?;
        }
    }
    Ok(Exit::Succeeded)
}

pub(crate) fn group(global: &Global, words: &GroupWords) -> anyhow::Result<Exit> {
    let farm = farm(global, &words.connect)?;
    block_on(act_on_group(&farm, &words.command))
}

async fn act_on_group(farm: &Farm, command: &GroupCommand) -> anyhow::Result<Exit> {
    match command {
        GroupCommand::Apply(words) => return apply(farm, words).await,
        GroupCommand::List {
            application,
            output,
        } => {
            let path = ["v1", "applications", application, "groups"];
            let found = pages::all(farm, &path, &[], "deploymentGroups", pages::ROWS_MAX).await?;
            let rows: Vec<GroupRow> = found.into_iter().map(GroupRow).collect();
            output::rows(&rows, output.output)?;
        }
        GroupCommand::Get { name, output } => {
            let (application, group) = (&name.application, &name.group);
            let path = ["v1", "applications", application, "groups", group];
            let mut answer: Value = farm.json(&Call::get(&path)).await?;
            let group = answer["deploymentGroupInfo"].take();
            let hosts = group["x-croft-state"]["instances"].as_array().cloned();
            output::one(&GroupRow(group), output.output)?;
            if matches!(output.output, Format::Table | Format::Wide) {
                let rows = hosts.unwrap_or_default().into_iter().map(InstanceRow);
                let rows: Vec<InstanceRow> = rows.collect();
                output::text("\n")?;
                output::rows(&rows, output.output)?;
            }
        }
        GroupCommand::Delete { name } => {
            let (application, group) = (&name.application, &name.group);
            let path = ["v1", "applications", application, "groups", group];
            let answer: Value = farm.json(&Call::new(Method::DELETE, &path)).await?;
            output::text(&format!("{application}/{group} is removed\n"))?;
            for note in answer["notes"].as_array().into_iter().flatten() {
                output::text(&format!("{}\n", note.as_str().unwrap_or_default()))?;
            }
        }
    }
    Ok(Exit::Succeeded)
}

pub(crate) fn deployment_config(global: &Global, words: &ConfigWords) -> anyhow::Result<Exit> {
    let farm = farm(global, &words.connect)?;
    block_on(act_on_config(&farm, &words.command))
}

async fn act_on_config(farm: &Farm, command: &ConfigCommand) -> anyhow::Result<Exit> {
    let path = ["v1", "deployment-configs"];
    match command {
        ConfigCommand::Apply(words) => return apply(farm, words).await,
        ConfigCommand::List(output) => {
            let found = pages::all(farm, &path, &[], "deploymentConfigs", pages::ROWS_MAX).await?;
            let rows: Vec<ConfigRow> = found.into_iter().map(ConfigRow).collect();
            output::rows(&rows, output.output)?;
        }
        ConfigCommand::Get { name, output } => {
            let call = Call::get(&["v1", "deployment-configs", name]);
            let mut answer: Value = farm.json(&call).await?;
            let config = ConfigRow(answer["deploymentConfigInfo"].take());
            output::one(&config, output.output)?;
        }
        ConfigCommand::Delete { name } => {
            let call = Call::new(Method::DELETE, &["v1", "deployment-configs", name]);
            farm.bytes(&call).await?;
            output::text(&format!("{name} is removed\n"))?;
        }
    }
    Ok(Exit::Succeeded)
}

/// Each document is its own change: should one be refused, those before it stay applied, and are named.
async fn apply(farm: &Farm, words: &ApplyWords) -> anyhow::Result<Exit> {
    let mut rows = Vec::new();
    let (source, documents) = documents::read(words.path()?)?;
    for document in documents {
        let (name, at) = (document.name(), document.at.clone());
        match apply_one(farm, document).await {
            Ok(row) => rows.push(row),
            Err(wrong) => {
                let problem = if let Some(Failure::Refused(problem)) = wrong.downcast_ref() {
                    Some(problem)
                } else {
                    None
                };
                let placed = problem.and_then(|problem| source.refused(&at, problem));
                tell_what_stays(&name, problem.is_some(), &rows);
                return Err(placed.map_or(wrong, anyhow::Error::from));
            }
        }
    }
    show(rows, words.output.output)
}

fn tell_what_stays(name: &str, is_refused: bool, applied: &[AppliedRow]) {
    if is_refused && applied.is_empty() {
        return;
    }
    let what = if is_refused {
        "was refused"
    } else {
        "may be applied or not"
    };
    let names: Vec<&str> = applied.iter().map(|row| row.name.as_str()).collect();
    let before = match names.as_slice() {
        [] => String::new(),
        names => format!(
            "; what came before it in the file is applied and stays: {}",
            names.join(", ")
        ),
    };
    eprintln!("croft: {name} {what}{before}. Apply the whole file again once that is mended");
}

async fn apply_one(farm: &Farm, document: Document) -> anyhow::Result<AppliedRow> {
    let path = document.path();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let call = Call::new(Method::PUT, &path).json(&document.json);
    let answer = farm.open(&call).await?;
    let how = if answer.status().as_u16() == 201 {
        "made"
    } else {
        "configured"
    };
    let mut answer: Value = farm.understood(&farm.whole(answer).await?)?;
    let name = document.name();
    for note in answer["notes"].as_array().into_iter().flatten() {
        let note = note.as_str().unwrap_or_default();
        eprintln!("croft: warning: {name}: {note}");
    }
    let fields = ["application", "deploymentGroupInfo", "deploymentConfigInfo"];
    let field = fields.into_iter().find(|field| answer.get(field).is_some());
    Ok(AppliedRow {
        json: field.map_or(Value::Null, |field| answer[field].take()),
        name,
        how,
    })
}

fn show(rows: Vec<AppliedRow>, format: Format) -> anyhow::Result<Exit> {
    output::rows(&rows, format)?;
    Ok(Exit::Succeeded)
}
