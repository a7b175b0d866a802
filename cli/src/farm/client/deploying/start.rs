//! `croft deploy`: the revision comes to a folder where it is not one already, its AppSpec is checked, the folder goes into the local store,
//! what the server lacks of it goes there, and a deployment of it is started and followed.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::Context as _;
use croft_agent::Files;
use croft_proto::Level;
use croft_spec::appspec::{self, Around};
use reqwest::Method;
use serde_json::{Value, json};

use super::super::call::{Call, Farm};
use super::super::rows::DeploymentRow;
use super::super::submit::put;
use super::super::upload::{Purpose, upload};
use super::super::{block_on, farm};
use super::revision::Revision;
use super::watch;
use crate::args::{Format, Global};
use crate::exit::{Exit, Wrong};
use crate::farm::words::DeployWords;
use crate::files;
use crate::lint::misnamed;
use crate::output;
use crate::run::refuse_state_in;
use crate::surroundings::Surroundings;

/// What an AppSpec is called when nobody says otherwise.
const NAMES: [&str; 2] = ["appspec.yml", "appspec.yaml"];

pub(crate) fn deploy(global: &Global, words: &DeployWords) -> anyhow::Result<Exit> {
    let named = words.app_spec_filename.as_deref();
    let (files, shown) = match Revision::of(&words.revision)? {
        Revision::OnTheFarm(digest) => {
            let farm = farm(global, &words.connect)?;
            let origin = json!({"revisionType": "Local Directory", "location": ""});
            let asked = asked(words, Some(&digest), &origin, named);
            return block_on(started(&farm, words, asked));
        }
        Revision::Built(build) => {
            let farm = farm(global, &words.connect)?;
            let origin = json!({"revisionType": "Build", "buildId": build});
            let asked = asked(words, None, &origin, named);
            return block_on(started(&farm, words, asked));
        }
        Revision::Elsewhere(elsewhere) => {
            let shown = elsewhere.shown(&words.revision);
            (block_on(elsewhere.bring())?, shown)
        }
    };
    let source = files.folder();
    let Some(appspec) = checked(words, source, &shown)? else {
        return Ok(Exit::Usage);
    };
    let farm = farm(global, &words.connect)?;
    let surroundings = Surroundings::read(global)?;
    refuse_state_in(source, &surroundings)?;
    block_on(async {
        let store = surroundings.open_cache()?;
        let tree = put(&store, source)?;
        let uploaded = upload(&farm, &store, &tree, Purpose::Revision).await?;
        uploaded.tell(&shown);
        // The name that hosts look for by themselves need not be said.
        let named = (appspec != NAMES[0]).then_some(appspec.as_str());
        let asked = asked(words, Some(&tree.id.to_string()), files.origin(), named);
        started(&farm, words, asked).await
    })
}

/// The AppSpec's name in the folder, when there is no mistake in it; what is found is printed, with the place that the person named.
fn checked(words: &DeployWords, source: &Path, named: &Path) -> anyhow::Result<Option<String>> {
    let name = match &words.app_spec_filename {
        Some(name) => name.clone(),
        None => NAMES
            .into_iter()
            .find(|name| source.join(name).is_file())
            .map(str::to_string)
            .ok_or_else(|| {
                let other = misnamed(source, NAMES[0]);
                let other = other.as_ref().and_then(|path| path.file_name());
                let other = other.map(|name| format!("; there is a {}: rename it", name.display()));
                Wrong(format!(
                    "there is no appspec.yml in {}: name a folder with one by --revision, or the file by --app-spec-filename{}",
                    named.display(),
                    other.unwrap_or_default()
                ))
            })?,
    };
    // Of the folder that one is in, the name alone says it.
    let shown = match named == Path::new(".") {
        true => name.clone(),
        false => named.join(&name).display().to_string(),
    };
    let bytes = std::fs::read(source.join(&name));
    let bytes = bytes.map_err(|error| Wrong(format!("{shown}: {}", files::why(&error))))?;
    let files = Files::open(source).with_context(|| format!("cannot read {}", named.display()))?;
    let found = appspec::lint_in(&shown, &bytes, &files, Around::Revision);
    if !found.is_empty() {
        let text = String::from_utf8_lossy(&bytes);
        let color = output::style(&std::io::stderr()).color;
        eprint!("{}", croft_spec::render(&found, &text, color));
    }
    let mistakes = found.iter().filter(|found| found.level == Level::Error);
    match mistakes.count() {
        0 => Ok(Some(name)),
        mistakes => {
            eprintln!("croft: {shown} has {mistakes} mistake(s); nothing is deployed");
            Ok(None)
        }
    }
}

/// What is asked for. Without a digest the farm finds it by the origin.
fn asked(
    words: &DeployWords,
    digest: Option<&str>,
    origin: &Value,
    appspec: Option<&str>,
) -> Value {
    let mut asked = json!({
        "applicationName": words.group.application,
        "deploymentGroupName": words.group.group,
        "revision": {"origin": origin},
        "fileExistsBehavior": words.file_exists_behavior.name(),
        "ignoreApplicationStopFailures": words.ignore_application_stop_failures,
    });
    if let Some(digest) = digest {
        asked["revision"]["digest"] = digest.into();
    }
    for (field, value) in [
        ("deploymentConfigName", words.config.as_deref()),
        ("description", words.description.as_deref()),
    ] {
        if let Some(value) = value {
            asked[field] = value.into();
        }
    }
    for (field, value) in [
        ("appSpecFilename", appspec),
        ("busy", words.busy.map(|busy| busy.name())),
    ] {
        if let Some(value) = value {
            asked["x-croft"][field] = value.into();
        }
    }
    asked
}

async fn started(farm: &Farm, words: &DeployWords, asked: Value) -> anyhow::Result<Exit> {
    let token = match &words.idempotency_token {
        Some(token) => token.clone(),
        None => uuid::Uuid::new_v4().to_string(),
    };
    let call = Call::new(Method::POST, &["v1", "deployments"]).header("idempotency-key", token);
    let mut answer: Value = farm.json(&call.json(&asked)).await?;
    let info = answer["deploymentInfo"].take();
    let is_watched = words.watch || (!words.detach && std::io::stdout().is_terminal());
    if !is_watched {
        // The id and nothing else, for scripts; the whole deployment for tools.
        let format = match words.output {
            Format::Table | Format::Wide => Format::Name,
            other @ (Format::Json | Format::Yaml | Format::Name | Format::Ndjson) => other,
        };
        output::one(&DeploymentRow(info), format)?;
        return Ok(Exit::Succeeded);
    }
    let id = info["deploymentId"]
        .as_str()
        .unwrap_or_default()
        .to_string();
    eprintln!("croft: started {id}");
    watch(farm, &id, words.output).await
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        words: DeployWords,
    }

    fn words(line: &str) -> DeployWords {
        let words = std::iter::once("croft").chain(line.split(' '));
        Line::try_parse_from(words).unwrap().words
    }

    #[test]
    fn what_is_asked_for_is_what_the_words_say() {
        let plain = asked(&words("shop prod"), Some("ab"), &json!({}), None);
        assert_eq!(
            plain,
            json!({"applicationName": "shop", "deploymentGroupName": "prod",
                "revision": {"digest": "ab", "origin": {}}, "fileExistsBehavior": "DISALLOW",
                "ignoreApplicationStopFailures": false})
        );
        let line = "shop prod --config c --description d --busy queue --file-exists-behavior overwrite --ignore-application-stop-failures";
        let full = asked(&words(line), Some("ab"), &json!({}), Some("deploy/app.yml"));
        assert_eq!(full["deploymentConfigName"], "c");
        assert_eq!(full["fileExistsBehavior"], "OVERWRITE");
        assert_eq!(
            full["x-croft"],
            json!({"appSpecFilename": "deploy/app.yml", "busy": "QUEUE"})
        );
        let parsed: croft_proto::deploy::StartDeployment = {
            let mut full = full.clone();
            full["revision"]["origin"] = json!({"revisionType": "Local Directory", "location": ""});
            serde_json::from_value(full).unwrap()
        };
        assert!(parsed.ignore_application_stop_failures);
    }

    #[test]
    fn an_appspec_with_mistakes_or_none_at_all_deploys_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let words = words("shop prod");
        let none = checked(&words, folder.path(), Path::new("dist")).unwrap_err();
        assert!(
            none.to_string().contains("no appspec.yml in dist: "),
            "{none}"
        );
        std::fs::write(
            folder.path().join("appspec.yaml"),
            "version: 0.0\nos: linux\n",
        )
        .unwrap();
        let found = checked(&words, folder.path(), Path::new("dist")).unwrap();
        assert_eq!(found.as_deref(), Some("appspec.yaml"));
        let lacking =
            "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: start.sh\n";
        let appspec = folder.path().join("appspec.yaml");
        std::fs::write(&appspec, lacking).unwrap();
        let found = || checked(&words, folder.path(), Path::new("dist")).unwrap();
        assert_eq!(found(), None);
        std::fs::write(folder.path().join("start.sh"), "").unwrap();
        assert_eq!(found().as_deref(), Some("appspec.yaml"));
        std::fs::write(folder.path().join("appspec.yml"), "version: 0.0\nos: mac\n").unwrap();
        assert_eq!(
            checked(&words, folder.path(), Path::new("dist")).unwrap(),
            None
        );
    }
}
