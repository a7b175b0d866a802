//! `croft app`, `croft group` and `croft deployment-config`: what is deployed, where to, and how fast.

use reqwest::Method;
use serde_json::Value;

use super::super::applying::{self, Change};
use super::super::call::{Call, Farm};
use super::super::rows::{AppRow, AppliedRow, ConfigRow, GroupRow, InstanceRow};
use super::super::{block_on, farm, pages};
use super::documents;
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

/// Each document is its own change; all of them are asked about first.
async fn apply(farm: &Farm, words: &ApplyWords) -> anyhow::Result<Exit> {
    let (source, documents) = documents::read(words.path()?)?;
    let changes: Vec<Change> = documents
        .iter()
        .map(|document| document.change(&documents))
        .collect();
    let applied = applying::apply(farm, &source, &changes).await?;
    let fields = ["application", "deploymentGroupInfo", "deploymentConfigInfo"];
    let rows = applied.into_iter().map(|mut one| {
        let mut fields = fields.into_iter();
        let field = fields.find(|field| one.answer.get(field).is_some());
        AppliedRow {
            json: field.map_or(Value::Null, |field| one.answer[field].take()),
            name: one.name,
            how: one.how,
        }
    });
    let rows: Vec<AppliedRow> = rows.collect();
    output::rows(&rows, words.output.output)?;
    Ok(Exit::Succeeded)
}
