//! `croft project`: what is built again and again. Files have the shape of AWS's `create-project`, of what `batch-get-projects`
//! prints, or of what `croft project get -o json` prints.

use std::io::Read as _;
use std::path::Path;

use croft_proto::farm::Project;
use reqwest::Method;
use serde_json::Value;

use super::call::{Call, Farm};
use super::rows::ProjectRow;
use super::{block_on, farm, pages};
use crate::args::{Format, Global};
use crate::exit::{Exit, Wrong};
use crate::farm::words::{ProjectCommand, ProjectWords};
use crate::output;

pub(crate) fn project(global: &Global, words: &ProjectWords) -> anyhow::Result<Exit> {
    let farm = farm(global, &words.connect)?;
    block_on(act(&farm, &words.command))
}

async fn act(farm: &Farm, command: &ProjectCommand) -> anyhow::Result<Exit> {
    match command {
        ProjectCommand::Apply { file, output } => {
            let projects = read(file)?;
            apply(farm, projects, output.output).await
        }
        ProjectCommand::Get { name, output } => {
            let mut answer: Value = farm.json(&Call::get(&["v1", "projects", name])).await?;
            // The project itself, or under its name.
            let project = match answer.get_mut("project") {
                Some(project) => project.take(),
                None => answer,
            };
            output::one(&ProjectRow::plain(project), output.output)?;
            Ok(Exit::Succeeded)
        }
        ProjectCommand::List(output) => {
            let found =
                pages::all(farm, &["v1", "projects"], &[], "projects", pages::ROWS_MAX).await?;
            let rows: Vec<ProjectRow> = found.into_iter().map(ProjectRow::plain).collect();
            output::rows(&rows, output.output)?;
            Ok(Exit::Succeeded)
        }
        ProjectCommand::Delete { name } => {
            let call = Call::new(Method::DELETE, &["v1", "projects", name]);
            farm.bytes(&call).await?;
            output::text(&format!("{name} is removed; its builds stay\n"))?;
            Ok(Exit::Succeeded)
        }
    }
}

/// Each project is its own change: should one be refused, those before it stay applied.
async fn apply(farm: &Farm, projects: Vec<Value>, format: Format) -> anyhow::Result<Exit> {
    let mut rows = Vec::new();
    for project in projects {
        let name = project["name"].as_str().unwrap_or_default().to_string();
        let call = Call::new(Method::PUT, &["v1", "projects", &name]).json(&project);
        let answer = farm.open(&call).await?;
        let how = if answer.status().as_u16() == 201 {
            "made"
        } else {
            "configured"
        };
        let mut answer: Value = farm.understood(&farm.whole(answer).await?)?;
        for note in answer["notes"].as_array().into_iter().flatten() {
            let note = note.as_str().unwrap_or_default();
            eprintln!("croft: warning: {name}: {note}");
        }
        rows.push(ProjectRow {
            project: answer["project"].take(),
            how,
        });
    }
    output::rows(&rows, format)?;
    Ok(Exit::Succeeded)
}

fn read(file: &Path) -> Result<Vec<Value>, Wrong> {
    let shown = if file == Path::new("-") {
        "standard input".to_string()
    } else {
        file.display().to_string()
    };
    let mut text = String::new();
    let result = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    result.map_err(|error| Wrong(format!("{shown}: {error}")))?;
    projects(&text).map_err(|reason| Wrong(format!("{shown}: {reason}")))
}

/// The projects in a text, every one of them checked before the first is applied.
fn projects(text: &str) -> Result<Vec<Value>, String> {
    let is_json = text.trim_start().starts_with(['{', '[']);
    let value: Value = if is_json {
        serde_json::from_str(text).map_err(|error| error.to_string())?
    } else {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())?
    };
    let projects = taken_apart(value);
    if projects.is_empty() {
        return Err("there is no project in it".into());
    }
    let mut wrong = Vec::new();
    for (index, json) in projects.iter().enumerate() {
        let name = json["name"].as_str().map(str::to_string);
        let name = name.unwrap_or_else(|| format!("project {}", index + 1));
        match serde_json::from_value::<Project>(json.clone()) {
            Ok(project) => {
                let rules = project.rules().err().unwrap_or_default();
                wrong.extend(rules.iter().map(|reason| format!("{name}: {reason}")));
            }
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    if wrong.is_empty() {
        Ok(projects)
    } else {
        Err(wrong.join("; "))
    }
}

/// One project, a list, or what AWS's tools and ours print around them.
fn taken_apart(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list.into_iter().flat_map(taken_apart).collect(),
        Value::Object(mut map) if !map.contains_key("name") => {
            let inner = map.remove("projects").or_else(|| map.remove("project"));
            inner.map_or_else(|| vec![Value::Object(map)], taken_apart)
        }
        Value::Null => Vec::new(),
        Value::Object(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![value],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let projects = projects(text).unwrap();
        let name = |json: &Value| json["name"].as_str().unwrap().to_string();
        projects.iter().map(name).collect()
    }

    #[test]
    fn one_or_several_in_json_or_yaml_as_they_are_printed() {
        for text in [
            r#"{"name": "web", "environment": {"image": "x"}}"#,
            "name: web\nenvironment: {image: x}\n",
            r#"{"projects": [{"name": "web"}], "projectsNotFound": []}"#,
            r#"[{"name": "web"}]"#,
            "project:\n  name: web\n",
        ] {
            assert_eq!(names(text), ["web"], "{text}");
        }
        assert_eq!(
            names("projects:\n- name: web\n- name: api\n"),
            ["web", "api"]
        );
    }

    #[test]
    fn nothing_is_applied_when_one_is_wrong_and_every_mistake_is_named() {
        let text = "- {name: web}\n- {name: api, timeoutInMinutes: 1}\n- {name: '-'}\n- {source: {type: NO_SOURCE}}\n";
        let said = projects(text).unwrap_err();
        for part in [
            "api: timeoutInMinutes",
            "name `-`",
            "project 4: missing field `name`",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(
            projects("{\"projects\": []}").unwrap_err(),
            "there is no project in it"
        );
        for text in ["", "{", "a: [", "web"] {
            projects(text).unwrap_err();
        }
    }
}
