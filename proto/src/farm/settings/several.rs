//! Lists of a project whose entries have names: what two have, what nobody could have, and what names none of them. Asked by the
//! project's own check.

use std::collections::HashMap;

use super::{Project, Source, Variable};
use crate::suggest::{listed, nearest};

/// Every entry that cannot be beside the others, each beginning with its path.
pub(super) fn wrong(project: &Project) -> Vec<String> {
    let mut wrong = Vec::new();
    let variables = &project.environment.environment_variables;
    let names = variables
        .iter()
        .map(|variable| Some(variable.name.as_str()));
    twice(
        "environment.environmentVariables",
        "name",
        names,
        &mut wrong,
    );
    wrong.extend(unnameable(variables));
    let sources = project.secondary_sources.iter();
    let names = sources.map(|source| source.source_identifier.as_deref());
    twice("secondarySources", "sourceIdentifier", names, &mut wrong);
    let versions = project.secondary_source_versions.iter();
    let names = versions.map(|version| Some(version.source_identifier.as_str()));
    twice(
        "secondarySourceVersions",
        "sourceIdentifier",
        names,
        &mut wrong,
    );
    wrong.extend(versions_of_nothing(project));
    let artifacts = project.secondary_artifacts.iter();
    let names = artifacts.map(|artifacts| artifacts.artifact_identifier.as_deref());
    twice(
        "secondaryArtifacts",
        "artifactIdentifier",
        names,
        &mut wrong,
    );
    wrong
}

fn twice<'n>(
    list: &str,
    key: &str,
    names: impl Iterator<Item = Option<&'n str>>,
    wrong: &mut Vec<String>,
) {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (number, name) in names.enumerate() {
        let Some(name) = name else { continue };
        if let Some(first) = first.get(name) {
            wrong.push(format!(
                "{list}[{number}].{key}: `{name}` is the {key} of {list}[{first}] already; keep one of the two"
            ));
            continue;
        }
        first.insert(name, number);
    }
}

/// Variables that no process can be given.
fn unnameable(variables: &[Variable]) -> impl Iterator<Item = String> {
    let is_none = |name: &str| name.is_empty() || name.contains(['=', '\0']);
    let numbered = variables.iter().enumerate();
    numbered
        .filter(move |(_, variable)| is_none(&variable.name))
        .map(|(number, variable)| {
            format!(
                "environment.environmentVariables[{number}].name: no variable can be called `{}`; use letters, digits and `_`, no digit first",
                variable.name.escape_default()
            )
        })
}

/// Versions of sources that there are none of.
fn versions_of_nothing(project: &Project) -> Vec<String> {
    let sources = project.secondary_sources.iter();
    let known: Vec<&str> = sources.filter_map(named).collect();
    let versions = project.secondary_source_versions.iter().enumerate();
    let lost = versions.filter(|(_, version)| !known.contains(&version.source_identifier.as_str()));
    lost.map(|(number, version)| {
        let name = &version.source_identifier;
        let help = match (nearest(name, &known), known.is_empty()) {
            (Some(meant), _) => format!("did you mean `{meant}`?"),
            (None, true) => "there are no secondarySources".to_string(),
            (None, false) => format!("there are {}", listed(&known)),
        };
        format!(
            "secondarySourceVersions[{number}].sourceIdentifier: no secondary source is called `{name}`; {help}"
        )
    })
    .collect()
}

fn named(source: &Source) -> Option<&str> {
    source.source_identifier.as_deref()
}
