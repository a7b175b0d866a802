//! `croft project`: what is built again and again. Files have the shape of AWS's `create-project`, of what `batch-get-projects`
//! prints, or of what `croft project get -o json` prints.

use croft_proto::farm::Project;
use croft_proto::shape::{self, Key, Shape};
use croft_spec::{Diagnostic, Sheet};
use reqwest::Method;
use serde_json::Value;

use super::applying::{self, Change};
use super::call::{Call, Farm};
use super::rows::ProjectRow;
use super::written::{self, Around, NEXT, Source, Written, mistake};
use super::{block_on, farm, pages};
use crate::args::{Format, Global};
use crate::exit::Exit;
use crate::farm::words::{ProjectCommand, ProjectWords};
use crate::output;

pub(crate) fn project(global: &Global, words: &ProjectWords) -> anyhow::Result<Exit> {
    let farm = farm(global, &words.connect)?;
    block_on(act(&farm, &words.command))
}

async fn act(farm: &Farm, command: &ProjectCommand) -> anyhow::Result<Exit> {
    match command {
        ProjectCommand::Apply(words) => {
            let source = Source::read(words.path()?)?;
            let projects = source.take(projects)?;
            apply(farm, &source, projects, words.output.output).await
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

/// Each project is its own change; all of them are asked about first.
async fn apply(
    farm: &Farm,
    source: &Source,
    projects: Vec<Written>,
    format: Format,
) -> anyhow::Result<Exit> {
    let changes = projects.into_iter().map(|project| {
        let name = name_of(&project);
        Change {
            path: ["v1", "projects", &name].map(str::to_string).into(),
            name,
            at: project.at,
            json: project.json,
            coming: Vec::new(),
        }
    });
    let changes: Vec<Change> = changes.collect();
    let applied = applying::apply(farm, source, &changes).await?;
    let rows = applied.into_iter().map(|mut one| ProjectRow {
        project: one.answer["project"].take(),
        how: one.how,
    });
    let rows: Vec<ProjectRow> = rows.collect();
    output::rows(&rows, format)?;
    Ok(Exit::Succeeded)
}

fn name_of(project: &Written) -> String {
    project.json["name"]
        .as_str()
        .unwrap_or_default()
        .to_string()
}

/// What AWS's tools and ours print around projects.
const AROUND: Around = Around {
    keys: &["projects", "project"],
    shape: Shape::Map(&[
        Key::read("projects"),
        Key::read("project"),
        Key::told("projectsNotFound"),
        Key::told("notes"),
        NEXT,
    ]),
};

/// The projects in a file, every one of them checked before the first is applied.
fn projects(file_name: &str, bytes: &[u8]) -> Result<Vec<Written>, Vec<Diagnostic>> {
    let mut sheet = Sheet::read(file_name, bytes)?;
    let projects = written::documents(&mut sheet, &AROUND);
    for project in &projects {
        let wrong = shape::read::<Project>(&project.json).err();
        written::say::<Project>(project, wrong.unwrap_or_default(), &mut sheet);
    }
    let named = projects
        .iter()
        .map(|project| (name_of(project), project.at.clone(), "name"));
    written::refuse_twice(&mut sheet, named.filter(|(name, ..)| !name.is_empty()));
    if projects.is_empty() && !sheet.is_wrong() {
        sheet.wrong("", &mistake("there is no project in the file".into(), None));
    }
    let wrong = sheet.finish();
    match wrong.is_empty() {
        true => Ok(projects),
        false => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let projects = projects("web.yml", text.as_bytes()).unwrap();
        let name = |project: &Written| project.json["name"].as_str().unwrap().to_string();
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
    fn nothing_is_applied_when_one_is_wrong_and_every_mistake_has_its_place() {
        let wrong = |text: &str| -> Vec<String> {
            let found = projects("web.yml", text.as_bytes()).unwrap_err();
            let told = |found: &Diagnostic| format!("{} {}", found.place, found.message);
            found.iter().map(told).collect()
        };
        let said = wrong(
            "- {name: web}\n- name: api\n  timeoutInMinutes: 1\n- {name: '-'}\n- source: {type: NO_SOURCE}\n- name: x2\n  sources: {}\n",
        );
        for part in [
            "web.yml:3:21 timeoutInMinutes",
            "web.yml:4:10 name `-`",
            "web.yml:5:3 `name` is missing, a text",
            "web.yml:7:3 sources: there is no such key",
        ] {
            assert!(
                said.iter().any(|said| said.starts_with(part)),
                "{part}: {said:#?}"
            );
        }
        assert_eq!(
            wrong("{\"projects\": []}"),
            ["web.yml:1:1 there is no project in the file"]
        );
        for text in ["", "{", "a: [", "web"] {
            assert!(!wrong(text).is_empty(), "{text}");
        }
    }
}
