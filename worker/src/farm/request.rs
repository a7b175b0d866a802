//! What is to be run: from what was submitted to what the engine takes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use croft_collect::Packaging;
use croft_proto::Timestamp;
use croft_proto::farm::{Requested, Submitted, VariableType};

use super::parts::Parts;
use super::source::Sources;
use super::vault::Opened;
use crate::{BuildRequest, BuildspecFile, Expected, NoValue, SecretSource, Vault};

/// The folders of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    /// Both are called so.
    pub(crate) name: String,
    /// What is kept of it, until that is in the store.
    pub(crate) kept: PathBuf,
    /// What it works in.
    pub(crate) scratch: PathBuf,
}

impl Folders {
    pub(crate) fn log(&self) -> PathBuf {
        self.kept.join("build.log")
    }

    pub(crate) fn events(&self) -> PathBuf {
        self.kept.join("events.ndjson")
    }
}

/// What was submitted, and when.
pub(crate) struct Accepted<'a> {
    pub(crate) uuid: String,
    pub(crate) submitted: &'a Submitted,
    pub(crate) at: Option<Timestamp>,
    pub(crate) requested: &'a Requested,
}

/// What the engine takes, and the values that must not show.
pub(crate) async fn request(
    accepted: &Accepted<'_>,
    parts: &Parts,
    folders: &Folders,
    sources: &Sources,
    vault: Arc<Opened>,
) -> Result<(BuildRequest, Vec<String>), NoValue> {
    let (requested, submitted) = (accepted.requested, accepted.submitted);
    let (overrides, hidden_values) = variables(requested, vault.as_ref()).await?;
    let buildspec =
        buildspec(requested.source.buildspec.as_deref(), &folders.scratch).map_err(|error| {
            NoValue::Machine(format!(
                "the buildspec that was given cannot be written down: {error}"
            ))
        })?;
    let packaging = match requested.artifacts.packaging.as_deref() {
        Some("ZIP") => Packaging::Zip,
        _ => Packaging::None,
    };
    let home = parts.home.path();
    let request = BuildRequest {
        project: submitted.project.clone(),
        cache_scope: submitted.project.clone(),
        uuid: accepted.uuid.clone(),
        folder_name: folders.name.clone(),
        build_number: submitted.number,
        submitted: accepted.at,
        is_local: false,
        initiator: submitted.initiator.clone(),
        image: requested.environment.image.clone(),
        source: sources.primary.clone(),
        secondary_sources: sources.secondary.clone(),
        secondary_repositories: sources.repositories.clone(),
        in_place: false,
        source_is_own: sources.primary_is_own,
        buildspec,
        overrides,
        secrets: SecretSource {
            vault: Some(vault),
            ..SecretSource::default()
        },
        credentials: Vec::new(),
        extra_folders: Vec::new(),
        region: parts.settings.region.clone(),
        timeout: Duration::from_secs(u64::from(requested.timeout_in_minutes) * 60),
        artifacts_directory: folders.kept.join("artifacts"),
        packaging,
        reports_directory: folders.kept.join("reports"),
        expected: Expected::default(),
        directory: folders.scratch.clone(),
        hidden: vec![home.to_path_buf()],
        log_path: folders.log(),
    };
    Ok((request, hidden_values))
}

/// The variables with their values, and those of the values that are secret.
async fn variables(
    requested: &Requested,
    vault: &Opened,
) -> Result<(Vec<(String, String)>, Vec<String>), NoValue> {
    let (mut all, mut secret) = (Vec::new(), Vec::new());
    for variable in &requested.environment.environment_variables {
        let value = match variable.variable_type {
            VariableType::Plaintext => variable.value.clone(),
            VariableType::ParameterStore | VariableType::SecretsManager => {
                let value = value_of(vault, &variable.value).await?;
                secret.push(value.clone());
                value
            }
        };
        all.push((variable.name.clone(), value));
    }
    Ok((all, secret))
}

/// A secret's text, or one key of it: `name` or `name:key`.
async fn value_of(vault: &Opened, reference: &str) -> Result<String, NoValue> {
    if let Some(value) = vault.value(reference).await? {
        return Ok(value);
    }
    let missing = || {
        NoValue::User(format!(
            "there is no secret or parameter `{reference}` that this build may have"
        ))
    };
    let (name, key) = reference.split_once(':').ok_or_else(missing)?;
    let text = vault.value(name).await?.ok_or_else(missing)?;
    let json: serde_json::Value =
        serde_json::from_str(&text).map_err(|_not_json: serde_json::Error| {
            NoValue::User(format!(
                "secret `{name}` is no JSON, so it has no key `{key}`"
            ))
        })?;
    let value = json.get(key).filter(|value| !value.is_null());
    let value =
        value.ok_or_else(|| NoValue::User(format!("secret `{name}` has no key `{key}`")))?;
    Ok(value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_string))
}

/// A path in the source, or a text of its own.
fn buildspec(given: Option<&str>, scratch: &Path) -> io::Result<BuildspecFile> {
    match given {
        None | Some("") => Ok(BuildspecFile::Default),
        Some(text) if text.contains('\n') => {
            let path = scratch.join("buildspec.yml");
            std::fs::write(&path, text)?;
            Ok(BuildspecFile::OnHost(path))
        }
        Some(path) => Ok(BuildspecFile::InSource(PathBuf::from(path))),
    }
}
