//! `croft alarm`: what a group's releases are judged by, and what each query gives now.

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use super::super::call::{Call, Farm};
use super::super::rows::text;
use super::super::{block_on, farm};
use crate::args::Global;
use crate::exit::Exit;
use crate::farm::words::{AlarmCommand, AlarmWords, GroupName};
use crate::output::{self, Rows};

pub(crate) fn alarm(global: &Global, words: &AlarmWords) -> anyhow::Result<Exit> {
    let farm = farm(global, &words.connect)?;
    block_on(act(&farm, &words.command))
}

fn path(name: &GroupName) -> [&str; 6] {
    let GroupName { application, group } = name;
    ["v1", "applications", application, "groups", group, "alarms"]
}

async fn act(farm: &Farm, command: &AlarmCommand) -> anyhow::Result<Exit> {
    match command {
        AlarmCommand::List { name, output } => {
            let mut answer: Value = farm.json(&Call::get(&path(name))).await?;
            let rows: Vec<AlarmRow> = taken(&mut answer, "alarms").map(AlarmRow).collect();
            output::rows(&rows, output.output)?;
            Ok(Exit::Succeeded)
        }
        AlarmCommand::Test { name, output } => {
            let [v1, applications, application, groups, group, alarms] = path(name);
            let path = [v1, applications, application, groups, group, alarms, "test"];
            let mut answer: Value = farm.json(&Call::new(Method::POST, &path)).await?;
            let rows: Vec<TriedRow> = taken(&mut answer, "tried").map(TriedRow).collect();
            output::rows(&rows, output.output)?;
            let is_wrong =
                |row: &TriedRow| matches!(row.0["state"].as_str(), Some("MISTAKE" | "SOURCE_DOWN"));
            Ok(match rows.iter().any(is_wrong) {
                true => Exit::BuildFailed,
                false => Exit::Succeeded,
            })
        }
    }
}

fn taken(answer: &mut Value, field: &str) -> impl Iterator<Item = Value> + use<> {
    let rows = answer[field].as_array_mut().map(std::mem::take);
    rows.unwrap_or_default().into_iter()
}

#[derive(Serialize)]
#[serde(transparent)]
struct AlarmRow(Value);

impl Rows for AlarmRow {
    fn titles() -> (Vec<&'static str>, usize) {
        (vec!["NAME", "KIND", "QUERY"], 3)
    }

    fn cells(&self) -> Vec<String> {
        ["/name", "/kind", "/query"]
            .map(|at| text(&self.0, at))
            .to_vec()
    }

    fn name(&self) -> String {
        text(&self.0, "/name")
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct TriedRow(Value);

impl Rows for TriedRow {
    fn titles() -> (Vec<&'static str>, usize) {
        (
            vec!["NAME", "KIND", "STATE", "SERIES", "VALUES", "WHAT", "QUERY"],
            6,
        )
    }

    fn cells(&self) -> Vec<String> {
        let values = self.0["values"].as_array().into_iter().flatten();
        let values: Vec<String> = values.map(ToString::to_string).collect();
        vec![
            text(&self.0, "/name"),
            text(&self.0, "/kind"),
            text(&self.0, "/state"),
            text(&self.0, "/series"),
            values.join(" "),
            text(&self.0, "/message"),
            text(&self.0, "/query"),
        ]
    }

    fn name(&self) -> String {
        text(&self.0, "/name")
    }
}
