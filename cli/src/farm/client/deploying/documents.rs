//! Documents of applications, deployment groups and configurations: as AWS's `create-...` take them, as its `get-...` print them, or as
//! ours do. All of a file is checked before the first is applied.

use std::path::Path;

use croft_deploy::verdict::Settings;
use croft_proto::deploy::{Application, ComputePlatform, DeploymentConfig, DeploymentGroup};
use croft_proto::nearest;
use croft_proto::shape::{self, Key, Mistake, Shape};
use croft_spec::{Diagnostic, Sheet};
use serde_json::Value;

use super::super::applying::Change;
use super::super::written::{self, Around, NEXT, Source, Written, mistake};
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
    /// Its JSON pointer in the file.
    pub(super) at: String,
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

    /// It, to be applied beside the others of its file.
    pub(super) fn change(&self, all: &[Self]) -> Change {
        let names = |key: &str, kind: Kind| {
            let named = self.kind == Kind::Group && self.json[key].is_string();
            let is_it = |other: &&Self| other.kind == kind && other.json[key] == self.json[key];
            named && all.iter().any(|other| is_it(&other))
        };
        let coming = [(APPLICATION, Kind::App), (CONFIG, Kind::Config)];
        let coming = coming.into_iter().filter(|&(key, kind)| names(key, kind));
        Change {
            name: self.name(),
            at: self.at.clone(),
            path: self.path(),
            json: self.json.clone(),
            coming: coming.map(|(key, _)| key).collect(),
        }
    }

    /// Where it goes.
    fn path(&self) -> Vec<String> {
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
}

/// A file, and its documents in the order in which they are applied.
pub(super) fn read(file: &Path) -> Result<(Source, Vec<Document>), Wrong> {
    let source = Source::read(file)?;
    let documents = source.take(documents)?;
    Ok((source, documents))
}

/// What the tools print around documents.
const AROUND: Around = Around {
    keys: &[
        "application",
        "applications",
        "deploymentGroupInfo",
        "deploymentGroup",
        "deploymentGroups",
        "deploymentGroupsInfo",
        "deploymentConfigInfo",
        "deploymentConfig",
        "deploymentConfigs",
    ],
    shape: Shape::Map(&[
        Key::read("application"),
        Key::read("applications"),
        Key::read("deploymentGroupInfo"),
        Key::read("deploymentGroup"),
        Key::read("deploymentGroups"),
        Key::read("deploymentGroupsInfo"),
        Key::read("deploymentConfigInfo"),
        Key::read("deploymentConfig"),
        Key::read("deploymentConfigs"),
        Key::told("applicationName"),
        Key::told("errorMessage"),
        NEXT,
    ]),
};

/// The key that tells what a document is about, the most telling one first.
const NAMES: [(&str, Kind); 3] = [
    ("deploymentGroupName", Kind::Group),
    (APPLICATION, Kind::App),
    (CONFIG, Kind::Config),
];

const APPLICATION: &str = "applicationName";
const CONFIG: &str = "deploymentConfigName";

fn documents(file_name: &str, bytes: &[u8]) -> Result<Vec<Document>, Vec<Diagnostic>> {
    let mut sheet = Sheet::read(file_name, bytes)?;
    let found = written::documents(&mut sheet, &AROUND);
    let mut documents = Vec::new();
    for one in &found {
        let named = NAMES.iter().find(|(name, _)| one.json.get(name).is_some());
        match named {
            Some((_, kind)) => {
                check(one, *kind, &found, &mut sheet);
                documents.push(Document {
                    kind: *kind,
                    at: one.at.clone(),
                    json: one.json.clone(),
                });
            }
            None => one.wrong(&mut sheet, &unnamed(&one.json)),
        }
    }
    let named = documents.iter().map(|document| {
        let key = match document.kind {
            Kind::Config => CONFIG,
            Kind::App => APPLICATION,
            Kind::Group => "deploymentGroupName",
        };
        (document.name(), document.at.clone(), key)
    });
    written::refuse_twice(&mut sheet, named.filter(|(name, ..)| !name.contains('?')));
    if found.is_empty() && !sheet.is_wrong() {
        let said = "there is no application, group or configuration in the file";
        sheet.wrong("", &mistake(said.into(), None));
    }
    let wrong = sheet.finish();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    documents.sort_by_key(|document| document.kind);
    Ok(documents)
}

/// Says what is wrong with a document, also beside the others of its file.
fn check(one: &Written, kind: Kind, all: &[Written], sheet: &mut Sheet<'_>) {
    match kind {
        Kind::Config => {
            let wrong = shape::read::<DeploymentConfig>(&one.json).err();
            written::say::<DeploymentConfig>(one, wrong.unwrap_or_default(), sheet);
        }
        Kind::App => {
            let wrong = shape::read::<Application>(&one.json).err();
            written::say::<Application>(one, wrong.unwrap_or_default(), sheet);
        }
        Kind::Group => {
            let beside = Beside {
                platform: platform(&one.json, all),
                config: config(&one.json, all),
            };
            let wrong = shape::read_with(&one.json, |group| beyond_form(group, &beside)).err();
            written::say::<DeploymentGroup>(one, wrong.unwrap_or_default(), sheet);
        }
    }
}

/// What the file says that the group's application runs on.
fn platform(group: &Value, all: &[Written]) -> Option<ComputePlatform> {
    let name = &group["applicationName"];
    let is_it = |json: &&Value| {
        json.get("deploymentGroupName").is_none() && json["applicationName"] == *name
    };
    let application = all.iter().map(|one| &one.json).find(is_it)?;
    let application: Application = serde_json::from_value(application.clone()).ok()?;
    Some(application.compute_platform)
}

/// What the file says of the configuration that the group names, or is known of that name.
fn config(group: &Value, all: &[Written]) -> Option<DeploymentConfig> {
    let name = group[CONFIG].as_str()?;
    if let Some(predefined) = DeploymentConfig::predefined(name) {
        return Some(predefined);
    }
    let is_it = |json: &&Value| json.get(APPLICATION).is_none() && json[CONFIG] == name;
    let config = all.iter().map(|one| &one.json).find(is_it)?;
    serde_json::from_value(config.clone()).ok()
}

/// What of its file a group is judged beside.
struct Beside {
    platform: Option<ComputePlatform>,
    config: Option<DeploymentConfig>,
}

fn beyond_form(group: &DeploymentGroup, beside: &Beside) -> Vec<Mistake> {
    let verdicts = group.own.as_ref().and_then(|own| own.verdicts.as_ref());
    let of_verdicts = verdicts.and_then(|written| Settings::applied(written).err());
    let of_platform = beside
        .platform
        .and_then(|platform| group.check_platform(platform).err());
    let config = beside.config.as_ref();
    let of_config = config.and_then(|config| group.check_config(config).err());
    let mut wrong = of_verdicts.unwrap_or_default();
    let of_platform = of_platform.unwrap_or_default().into_iter();
    wrong.extend(of_platform.chain(of_config).map(Mistake::of_value));
    wrong
}

/// Nobody knows what a document without a name is; one may be misspelt.
fn unnamed(json: &Value) -> Mistake {
    let names = NAMES.map(|(name, _)| name);
    let keys = json.as_object().into_iter().flat_map(serde_json::Map::keys);
    let mut meant = keys.filter_map(|key| nearest(key, &names).map(|name| (key, name)));
    mistake(
        "a document without applicationName, deploymentGroupName or deploymentConfigName"
            .to_string(),
        meant
            .next()
            .map(|(key, name)| format!("did you mean `{name}` by `{key}`?")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let documents = documents("shop.yml", text.as_bytes()).unwrap();
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
        let group = &documents("shop.yml", text.as_bytes()).unwrap()[2];
        assert_eq!(
            group.path(),
            ["v1", "applications", "shop", "groups", "prod"]
        );
    }

    /// `line:column code: message; help`, each.
    fn wrong(text: &str) -> Vec<String> {
        let found = documents("shop.yml", text.as_bytes()).unwrap_err();
        let told = |found: &Diagnostic| {
            let (line, column) = (found.place.line, found.place.column);
            let help = found.help.as_deref().unwrap_or_default();
            format!("{line}:{column} {}: {}; {help}", found.code, found.message)
        };
        found.iter().map(told).collect()
    }

    #[test]
    fn every_mistake_of_a_file_is_shown_where_it_stands_before_anything_is_applied() {
        let text = "- {applicationName: 'a b'}\n\
            - applicationName: shop\n  deploymentGroupName: prod\n  x-croft:\n    bakeMinutes: 9999\n\
            - {deploymentConfigName: c}\n- {name: x}\n- 5\n\
            - applicationName: toys\n  computPlatform: ECS\n\
            - applicationName: toys\n  deploymentGroupName: all\n  ec2TagFilter:\n  - {key: role}\n  bakeMinutes: 3\n\
            - applicationNam: books\n\
            - applicationName: shop\n  deploymentGroupName: 7\n";
        let said = wrong(text);
        for part in [
            "1:21 bad-setting: applicationName `a b`",
            "5:18 bad-setting: x-croft.bakeMinutes: at most",
            "6:3 bad-setting: minimumHealthyHosts: computePlatform Server",
            "7:3 bad-setting: a document without",
            "8:3 bad-setting: `5` is no document",
            "10:3 unknown-key: computPlatform: there is no such key; did you mean `computePlatform`?",
            "13:3 unknown-key: ec2TagFilter: there is no such key; did you mean `ec2TagFilters`?",
            "15:3 unknown-key: bakeMinutes: there is no such key; the keys are",
            "16:3 bad-setting: a document without applicationName, deploymentGroupName or deploymentConfigName; did you mean `applicationName` by `applicationNam`?",
            "18:24 bad-setting: deploymentGroupName: expected a text, found the number 7; put the value in quotes",
        ] {
            assert!(
                said.iter().any(|line| line.starts_with(part)),
                "{part}: {said:#?}"
            );
        }
        assert_eq!(said.len(), 10, "{said:#?}");
    }

    #[test]
    fn values_that_do_not_fit_are_all_shown_where_they_stand() {
        let text = "applicationName: shop\ndeploymentGroupName: prod\ndeploymentStyle:\n  deploymentType: BLUE_GREN\n\
            ec2TagFilters:\n- Key: 5\n  Type: KEY\nx-croft:\n  bakeMinutes: soon\n  router:\n    type: nginx\n  bakeMinute: 1\n\
            alarmConfiguration:\n  alarms:\n  - nam: errors\n";
        let said = wrong(text);
        for (said, part) in said.iter().zip([
            "4:19 bad-setting: deploymentStyle.deploymentType: expected one of `IN_PLACE` and `BLUE_GREEN`, found the text `BLUE_GREN`; did you mean `BLUE_GREEN`?",
            "6:8 bad-setting: ec2TagFilters[0].Key: expected a text, found the number 5; put the value in quotes",
            "7:9 bad-setting: ec2TagFilters[0].Type: expected one of",
            "9:16 bad-setting: x-croft.bakeMinutes: expected a whole number, found the text `soon`",
            "11:11 bad-setting: x-croft.router.type: expected one of `haproxy`, `script` and `none`, found the text `nginx`",
            "12:3 unknown-key: x-croft.bakeMinute: there is no such key; did you mean `bakeMinutes`?",
            "15:5 unknown-key: alarmConfiguration.alarms[0].nam: there is no such key; did you mean `name`?",
            "15:5 bad-setting: alarmConfiguration.alarms[0]: `name` is missing, a text",
        ]) {
            assert!(said.starts_with(part), "{part}: {said}");
        }
        assert_eq!(said.len(), 8, "{said:#?}");
    }

    #[test]
    fn json_has_lines_too() {
        let text = "{\n  \"applicationName\": \"shop\",\n  \"deploymentGroupName\": \"prod\",\n\t\"ec2TagFilters\": [{\"Key\": \"a\", \"Typ\": \"KEY_ONLY\"}],\n  \"x\": \"\\ud83d\\ude00\"\n}";
        let said = wrong(text);
        assert!(
            said[0].starts_with("4:33 unknown-key: ec2TagFilters[0].Typ"),
            "{said:#?}"
        );
        assert!(said[1].starts_with("5:3 unknown-key: x: "), "{said:#?}");
        for (text, part) in [
            (
                "{\n  \"applicationName\": \"shop\"\n  \"computePlatform\": \"ECS\"\n}",
                "3:3 json-syntax: expected",
            ),
            (
                "{\"applicationName\": \"a\",\n \"applicationName\": \"b\"}",
                "2:2 duplicate-key",
            ),
            ("applicationName: shop\n  computePlatform: ECS\n", "2:"),
            ("", "1:1 bad-setting: there is no application"),
            ("[]", "1:1 bad-setting: there is no application"),
        ] {
            let said = wrong(text);
            assert!(said[0].starts_with(part), "{part}: {said:#?}");
        }
    }

    #[test]
    fn a_group_is_checked_beside_its_application_and_as_its_detectors_would_read_it() {
        let text = "- {applicationName: shop, computePlatform: ECS}\n\
            - applicationName: shop\n  deploymentGroupName: prod\n  x-croft:\n    verdicts:\n      metrics:\n      - name: m\n        request: all\n";
        let said = wrong(text);
        for part in [
            "2:3 bad-setting: deploymentStyle.deploymentType: containers",
            "4:3 bad-setting: x-croft.containers: a host's two",
            "8:9 unknown-key: x-croft.verdicts.metrics[0].request: there is no such key; did you mean `requests`?",
        ] {
            assert!(
                said.iter().any(|line| line.starts_with(part)),
                "{part}: {said:#?}"
            );
        }
    }

    #[test]
    fn what_is_printed_beside_documents_is_taken_and_nothing_else() {
        let text = r#"{"applicationName": "shop", "deploymentGroupsInfo": [{"applicationName": "shop", "deploymentGroupName": "prod"}],
            "errorMessage": ""}"#;
        assert_eq!(names(text), ["shop/prod"]);
        let said = wrong("application: {applicationName: shop}\ndeploymentGrup: {}\n");
        assert!(
            said[0].starts_with("2:1 unknown-key: deploymentGrup"),
            "{said:#?}"
        );
    }
}
