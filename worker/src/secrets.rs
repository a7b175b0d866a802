//! Values of `parameter-store` and `secrets-manager`: from the caller's own file, or from AWS with the caller's own
//! credentials. Receives references of the buildspec, hands back names and values; every value goes to the masker first.
//!
//! AWS is asked through its own command-line program: it knows every way a person signs in (profiles, single sign-on,
//! one-time codes), which no library here would.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use croft_proto::Place;
use croft_spec::{Env, SecretReference};
use serde_json::Value;

use crate::program;
use crate::request::{AwsAccess, NoValue, SecretSource, Vault};

/// AWS answers for at most so many parameters at once.
const PARAMETERS_PER_CALL: usize = 10;

/// Why a value is missing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "{place}: {kind} {name:?} has no value: put it into a file for --secret-file, ask AWS with -c, or give it to the farm with `croft secret set`",
        place = at(.place)
    )]
    NoSource {
        kind: &'static str,
        name: String,
        place: Place,
    },
    #[error("{place}: Parameter does not exist: {name}", place = at(.place))]
    NoParameter { name: String, place: Place },
    #[error("{place}: {why}", place = at(.place))]
    Vault { why: NoValue, place: Place },
    #[error("{place}: secret {name:?} has no key {key:?}", place = at(.place))]
    NoKey {
        name: String,
        key: String,
        place: Place,
    },
    #[error("the aws program cannot be run: install AWS's command line, or use --secret-file")]
    NoProgram(#[source] io::Error),
    #[error("AWS refused: {0}")]
    Refused(String),
    #[error("AWS's answer cannot be read")]
    Answer(#[source] serde_json::Error),
}

impl Error {
    /// False for what is the user's to mend.
    pub(crate) const fn is_the_machines(&self) -> bool {
        match self {
            Self::Vault { why, .. } => matches!(why, NoValue::Machine(_)),
            Self::NoSource { .. }
            | Self::NoParameter { .. }
            | Self::NoKey { .. }
            | Self::NoProgram(_)
            | Self::Refused(_)
            | Self::Answer(_) => false,
        }
    }
}

fn at(place: &Place) -> String {
    format!("{}:{}:{}", place.file, place.line, place.column)
}

/// Name and value of every variable that the buildspec takes from a store, in its order.
pub(crate) async fn resolve(
    env: &Env,
    source: &SecretSource,
) -> Result<Vec<(String, String)>, Error> {
    let mut resolved = parameters(env, source).await?;
    for (variable, reference, place) in &env.secrets_manager {
        let text = secret(reference, place, source).await?;
        resolved.push((variable.clone(), pick(text, reference, place)?));
    }
    Ok(resolved)
}

async fn parameters(env: &Env, source: &SecretSource) -> Result<Vec<(String, String)>, Error> {
    let mut own = source.values.clone();
    if let Some(vault) = &source.vault {
        for (_, name, place) in &env.parameter_store {
            own.extend(
                of_vault(vault, name, place)
                    .await?
                    .map(|value| (name.clone(), value)),
            );
        }
    }
    let known = |name: &String| own.get(name);
    let missing: Vec<&String> = env
        .parameter_store
        .iter()
        .map(|(_, name, _)| name)
        .filter(|name| known(name).is_none())
        .collect();
    let mut asked = BTreeMap::new();
    if let Some(access) = &source.aws {
        for names in missing.chunks(PARAMETERS_PER_CALL) {
            let mut arguments = vec!["ssm", "get-parameters", "--with-decryption", "--names"];
            arguments.extend(names.iter().map(|name| name.as_str()));
            let answer = ask(access, &arguments).await?;
            for parameter in answer["Parameters"].as_array().into_iter().flatten() {
                if let (Some(name), Some(value)) =
                    (parameter["Name"].as_str(), parameter["Value"].as_str())
                {
                    asked.insert(name.to_string(), value.to_string());
                }
            }
        }
    }
    let value = |name: &String, place: &Place| match known(name).or_else(|| asked.get(name)) {
        Some(value) => Ok(value.clone()),
        None if source.aws.is_some() => Err(Error::NoParameter {
            name: name.clone(),
            place: place.clone(),
        }),
        None => Err(Error::NoSource {
            kind: "parameter",
            name: name.clone(),
            place: place.clone(),
        }),
    };
    env.parameter_store
        .iter()
        .map(|(variable, name, place)| Ok((variable.clone(), value(name, place)?)))
        .collect()
}

async fn of_vault(
    vault: &Arc<dyn Vault>,
    name: &str,
    place: &Place,
) -> Result<Option<String>, Error> {
    vault.value(name).await.map_err(|why| Error::Vault {
        why,
        place: place.clone(),
    })
}

async fn secret(
    reference: &SecretReference,
    place: &Place,
    source: &SecretSource,
) -> Result<String, Error> {
    let id = &reference.secret_id;
    let version = reference
        .version_id
        .as_ref()
        .or(reference.version_stage.as_ref());
    let versioned = version.and_then(|version| source.values.get(&format!("{id}#{version}")));
    if let Some(value) = versioned.or_else(|| source.values.get(id)) {
        return Ok(value.clone());
    }
    if let Some(vault) = &source.vault
        && let Some(value) = of_vault(vault, id, place).await?
    {
        return Ok(value);
    }
    let Some(access) = &source.aws else {
        return Err(Error::NoSource {
            kind: "secret",
            name: id.clone(),
            place: place.clone(),
        });
    };
    let mut arguments = vec!["secretsmanager", "get-secret-value", "--secret-id", id];
    if let Some(stage) = &reference.version_stage {
        arguments.extend(["--version-stage", stage]);
    }
    if let Some(version) = &reference.version_id {
        arguments.extend(["--version-id", version]);
    }
    let answer = ask(access, &arguments).await?;
    answer["SecretString"]
        .as_str()
        .map(str::to_string)
        .ok_or_else(|| {
            Error::Refused(format!(
                "secret {id:?} is binary; only text can become a variable"
            ))
        })
}

/// The whole text, or one key of it.
fn pick(text: String, reference: &SecretReference, place: &Place) -> Result<String, Error> {
    let Some(key) = &reference.json_key else {
        return Ok(text);
    };
    let no_key = || Error::NoKey {
        name: reference.secret_id.clone(),
        key: key.clone(),
        place: place.clone(),
    };
    match serde_json::from_str::<Value>(&text)
        .ok()
        .and_then(|value| value.get(key).cloned())
    {
        Some(Value::String(value)) => Ok(value),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
        Some(value @ (Value::Array(_) | Value::Object(_))) => Ok(value.to_string()),
        Some(Value::Null) | None => Err(no_key()),
    }
}

async fn ask(access: &AwsAccess, arguments: &[&str]) -> Result<Value, Error> {
    let mut command = program::command("aws");
    command.args(arguments).args(["--output", "json"]);
    if let Some(home) = &access.home {
        command.env("HOME", home);
    }
    if let Some(profile) = &access.profile {
        command.args(["--profile", profile]);
    }
    let output = command.output().await.map_err(Error::NoProgram)?;
    if !output.status.success() {
        return Err(Error::Refused(
            String::from_utf8_lossy(&output.stderr).trim().to_string(),
        ));
    }
    serde_json::from_slice(&output.stdout).map_err(Error::Answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> Env {
        let reference = SecretReference {
            secret_id: "app/db".into(),
            json_key: Some("password".into()),
            version_stage: None,
            version_id: None,
        };
        Env {
            parameter_store: vec![("TOKEN".into(), "/app/token".into(), Place::default())],
            secrets_manager: vec![("PASSWORD".into(), reference, Place::default())],
            ..Env::default()
        }
    }

    fn file(pairs: &[(&str, &str)]) -> SecretSource {
        let values = pairs
            .iter()
            .map(|(name, value)| ((*name).to_string(), (*value).to_string()))
            .collect();
        SecretSource {
            values,
            ..SecretSource::default()
        }
    }

    #[tokio::test]
    async fn values_come_from_the_file_and_a_key_out_of_a_json_secret() {
        let source = file(&[
            ("/app/token", "t0ken"),
            ("app/db", r#"{"password":"hunter2","port":5432}"#),
        ]);
        let resolved = resolve(&env(), &source).await.unwrap();
        assert_eq!(
            resolved,
            [
                ("TOKEN".into(), "t0ken".into()),
                ("PASSWORD".into(), "hunter2".into())
            ]
        );
    }

    #[tokio::test]
    async fn a_missing_value_names_the_place_and_the_ways_out() {
        let error = resolve(&env(), &file(&[])).await.unwrap_err().to_string();
        assert!(
            error.contains("/app/token") && error.contains("--secret-file") && error.contains("-c"),
            "{error}"
        );
        let error = resolve(&env(), &file(&[("/app/token", "x"), ("app/db", "{}")]))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::NoKey { .. }), "{error}");
    }
}
