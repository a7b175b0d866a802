//! Documents of applications, deployment groups and configurations: as AWS's `create-...` take them, as its `get-...` print them, or as
//! ours do. All of a file is checked before the first is applied.

use std::io::Read as _;
use std::path::Path;

use croft_proto::deploy::{Application, DeploymentConfig, DeploymentGroup};
use serde_json::Value;

use crate::exit::Wrong;

/// What a document is about. In the order in which they need each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Config,
    App,
    Group,
}

/// One of a file's documents.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Document {
    pub(super) kind: Kind,
    pub(super) json: Value,
}

impl Document {
    /// What it is called, for people.
    pub(super) fn name(&self) -> String {
        let field = |name: &str| self.json[name].as_str().unwrap_or("?").to_string();
        match self.kind {
            Kind::Config => field("deploymentConfigName"),
            Kind::App => field("applicationName"),
            Kind::Group => format!(
                "{}/{}",
                field("applicationName"),
                field("deploymentGroupName")
            ),
        }
    }

    /// Where it goes.
    pub(super) fn path(&self) -> Vec<String> {
        let field = |name: &str| self.json[name].as_str().unwrap_or_default().to_string();
        let app = ["v1".into(), "applications".into(), field("applicationName")];
        match self.kind {
            Kind::Config => vec![
                "v1".into(),
                "deployment-configs".into(),
                field("deploymentConfigName"),
            ],
            Kind::App => app.into(),
            Kind::Group => {
                let group = ["groups".into(), field("deploymentGroupName")];
                app.into_iter().chain(group).collect()
            }
        }
    }

    fn wrong(&self) -> Vec<String> {
        fn read<T: serde::de::DeserializeOwned>(
            json: &Value,
            check: impl FnOnce(T) -> Result<(), Vec<String>>,
        ) -> Vec<String> {
            match serde_json::from_value::<T>(json.clone()) {
                Ok(read) => check(read).err().unwrap_or_default(),
                Err(error) => vec![error.to_string()],
            }
        }
        match self.kind {
            Kind::Config => read(&self.json, |config: DeploymentConfig| config.check()),
            Kind::App => read(&self.json, |app: Application| app.check()),
            Kind::Group => read(&self.json, |group: DeploymentGroup| group.check()),
        }
    }
}

/// A file's documents, in the order in which they are applied.
pub(super) fn read(file: &Path) -> Result<Vec<Document>, Wrong> {
    let is_input = file == Path::new("-");
    let shown = if is_input {
        "standard input".to_string()
    } else {
        file.display().to_string()
    };
    let mut text = String::new();
    let result = if is_input {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    result.map_err(|error| Wrong(format!("{shown}: {error}")))?;
    documents(&text).map_err(|reason| Wrong(format!("{shown}: {reason}")))
}

fn documents(text: &str) -> Result<Vec<Document>, String> {
    let is_json = text.trim_start().starts_with(['{', '[']);
    let value: Value = if is_json {
        serde_json::from_str(text).map_err(|error| error.to_string())?
    } else {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())?
    };
    let mut documents = Vec::new();
    let mut wrong = Vec::new();
    take_apart(value, &mut documents, &mut wrong);
    for document in &documents {
        let name = document.name();
        let reasons = document.wrong();
        wrong.extend(reasons.iter().map(|reason| format!("{name}: {reason}")));
    }
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    if documents.is_empty() {
        return Err("there is no application, group or configuration in it".into());
    }
    documents.sort_by_key(|document| document.kind);
    Ok(documents)
}

/// What the tools print around documents.
const AROUND: [&str; 9] = [
    "application",
    "applications",
    "deploymentGroupInfo",
    "deploymentGroup",
    "deploymentGroups",
    "deploymentGroupsInfo",
    "deploymentConfigInfo",
    "deploymentConfig",
    "deploymentConfigs",
];

fn take_apart(value: Value, documents: &mut Vec<Document>, wrong: &mut Vec<String>) {
    match value {
        Value::Array(list) => list
            .into_iter()
            .for_each(|value| take_apart(value, documents, wrong)),
        Value::Object(mut map) => {
            let inner: Vec<Value> = AROUND.iter().filter_map(|key| map.remove(*key)).collect();
            if !inner.is_empty() {
                return inner
                    .into_iter()
                    .for_each(|value| take_apart(value, documents, wrong));
            }
            let kind = if map.contains_key("deploymentGroupName") {
                Kind::Group
            } else if map.contains_key("applicationName") {
                Kind::App
            } else if map.contains_key("deploymentConfigName") {
                Kind::Config
            } else {
                wrong.push(
                    "a document without applicationName, deploymentGroupName or deploymentConfigName"
                        .into(),
                );
                return;
            };
            documents.push(Document {
                kind,
                json: Value::Object(map),
            });
        }
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            wrong.push(format!("`{value}` is no document"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let documents = documents(text).unwrap();
        documents.iter().map(Document::name).collect()
    }

    #[test]
    fn what_aws_prints_and_what_a_person_writes_are_both_taken() {
        for (text, name) in [
            (r#"{"applicationName": "shop"}"#, "shop"),
            (
                r#"{"application": {"applicationName": "shop", "computePlatform": "Server"}}"#,
                "shop",
            ),
            ("applicationName: shop\n", "shop"),
            (
                r#"{"deploymentGroupInfo": {"applicationName": "shop", "deploymentGroupName": "prod", "serviceRoleArn": "x"}}"#,
                "shop/prod",
            ),
            (
                "deploymentConfigName: careful\nminimumHealthyHosts: {type: HOST_COUNT, value: 1}\n",
                "careful",
            ),
        ] {
            assert_eq!(names(text), [name], "{text}");
        }
    }

    #[test]
    fn one_file_has_all_of_an_application_in_whatever_order() {
        let text = "- {applicationName: shop, deploymentGroupName: prod, deploymentConfigName: careful}\n\
            - {applicationName: shop}\n\
            - {deploymentConfigName: careful, minimumHealthyHosts: {type: HOST_COUNT, value: 1}}\n";
        assert_eq!(names(text), ["careful", "shop", "shop/prod"]);
        let group = &documents(text).unwrap()[2];
        assert_eq!(
            group.path(),
            ["v1", "applications", "shop", "groups", "prod"]
        );
    }

    #[test]
    fn every_mistake_of_a_file_is_named_before_anything_is_applied() {
        let text = "- {applicationName: 'a b'}\n\
            - {applicationName: shop, deploymentGroupName: prod, x-croft: {bakeMinutes: 9999}}\n\
            - {deploymentConfigName: c}\n- {name: x}\n- 5\n";
        let said = documents(text).unwrap_err();
        for part in [
            "a b: applicationName",
            "shop/prod: x-croft.bakeMinutes",
            "c: minimumHealthyHosts",
            "a document without",
            "`5` is no document",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        for text in ["", "[]", "{", "a: ["] {
            documents(text).unwrap_err();
        }
    }
}
