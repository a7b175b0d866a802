//! Deployment configurations: listed, shown, made, deleted. Predefined ones are always there; one that somebody made never changes.

use axum::http::StatusCode;
use croft_deploy::{Recorded, Refusal, State};
use croft_ledger::{Expected, Seq, Subject};
use croft_proto::deploy::{ConfigEvent, DeploymentConfig, RESERVED_PREFIX};
use serde_json::{Value, json};

use super::super::body::named;
use super::super::call::{Answer, Call, changed, json as answer_json, short};
use super::super::limits::READ_WAIT;
use super::super::problem::Problem;
use super::checks::{self, Coming};

/// The key with its name.
const NAME: &str = "deploymentConfigName";

/// `GET /v1/deployment-configs`
pub(in super::super) async fn list(call: Call) -> Answer {
    call.catch_up_deployments().await?;
    let deploy = &call.state.farm.deploy;
    let custom: Vec<DeploymentConfig> = deploy
        .look(|seen| {
            let configs = seen.state.configs();
            configs
                .filter_map(|(_, (config, _))| config.clone())
                .collect()
        })
        .await?;
    let predefined = DeploymentConfig::PREDEFINED.iter();
    let predefined = predefined.filter_map(|name| DeploymentConfig::predefined(name));
    let all: Vec<DeploymentConfig> = predefined.chain(custom).collect();
    answer_json(StatusCode::OK, &json!({"deploymentConfigs": all}))
}

/// `GET /v1/deployment-configs/{name}`
pub(in super::super) async fn get(call: Call) -> Answer {
    call.catch_up_deployments().await?;
    let name = call.param("name").to_string();
    let asked = name.clone();
    let deploy = &call.state.farm.deploy;
    let found = deploy.look(move |seen| seen.state.config(&asked)).await?;
    let config = found.ok_or_else(|| Problem::from(Refusal::NoConfig(short(&name))))?;
    answer_json(StatusCode::OK, &json!({"deploymentConfigInfo": config}))
}

/// `POST /v1/deployment-configs/{name}/check`
pub(in super::super) async fn check(mut call: Call) -> Answer {
    call.catch_up_deployments().await?;
    let (given, wanted): (Value, DeploymentConfig) =
        named(&mut call, &[("deploymentConfigName", "name")]).await?;
    let deploy = &call.state.farm.deploy;
    let refusal = deploy.look(move |seen| {
        let name = &wanted.deployment_config_name;
        let there = seen.state.config(name)?;
        (there != wanted).then(|| never_changes(name))
    });
    let refusals = refusal.await?.map(|refusal| (NAME, refusal));
    checks::answer(&given, refusals.into_iter().collect(), &Coming::default())
}

fn never_changes(name: &str) -> Refusal {
    Refusal::Exists(format!(
        "the configuration `{name}` is there already, and configurations never change: give this one another name"
    ))
}

/// `PUT /v1/deployment-configs/{name}`
pub(in super::super) async fn put(mut call: Call) -> Answer {
    let (given, config): (Value, DeploymentConfig) =
        named(&mut call, &[("deploymentConfigName", "name")]).await?;
    let name = config.deployment_config_name.clone();
    let deploy = &call.state.farm.deploy;
    let asked = name.clone();
    let there = deploy.look(move |seen| seen.state.config(&asked)).await?;
    let body = json!({"deploymentConfigInfo": config});
    if there.as_ref() == Some(&config) {
        return answer_json(StatusCode::OK, &body);
    }
    let asked = name.clone();
    let check = move |state: &State| match there_as(state, &asked) {
        Some((Some(_), _)) => Err(never_changes(&asked)),
        Some((None, last)) => Ok(Expected::Last(last)),
        None => Ok(Expected::NEW),
    };
    let event = ConfigEvent::Made(Box::new(config));
    let done = deploy
        .record(
            Subject::of("deployconfig", &name)?,
            Recorded::Config(Box::new(event)),
            check,
        )
        .await;
    let done = done.map_err(|refused| Problem::refused_for(&given, NAME, refused))?;
    deploy.folded(done.seq, READ_WAIT).await;
    changed(StatusCode::CREATED, &body, Some(done.seq))
}

/// `DELETE /v1/deployment-configs/{name}`
pub(in super::super) async fn delete(call: Call) -> Answer {
    let name = call.param("name").to_string();
    if name.starts_with(RESERVED_PREFIX) {
        return Err(Problem::invalid(format!(
            "`{}`: what is predefined cannot be deleted",
            short(&name)
        )));
    }
    let asked = name.clone();
    let check = move |state: &State| {
        let Some((Some(_), last)) = there_as(state, &asked) else {
            return Err(Refusal::NoConfig(asked.clone()));
        };
        match needs(state, &asked) {
            Some(by) => Err(Refusal::InUse(format!(
                "the configuration `{asked}` is in use by {by}"
            ))),
            None => Ok(Expected::Last(last)),
        }
    };
    let deploy = &call.state.farm.deploy;
    let event = ConfigEvent::Deleted;
    let done = deploy
        .record(
            Subject::of("deployconfig", &name)?,
            Recorded::Config(Box::new(event)),
            check,
        )
        .await?;
    deploy.folded(done.seq, READ_WAIT).await;
    changed(StatusCode::OK, &json!({"deleted": name}), Some(done.seq))
}

/// What somebody made of that name, also when it is gone.
fn there_as<'s>(state: &'s State, name: &str) -> Option<(Option<&'s DeploymentConfig>, Seq)> {
    let mut configs = state.configs();
    let found = configs.find(|(known, _)| *known == name);
    found.map(|(_, (config, last))| (config.as_ref(), *last))
}

/// A group or a deployment that is paced by it, or would be when it is gone back to.
fn needs(state: &State, config: &str) -> Option<String> {
    let is_it = |name: Option<&String>| name.is_some_and(|name| name == config);
    let of_group = state.groups().find_map(|(name, group)| {
        let settings = group.settings.as_ref()?;
        let good = group.good.iter();
        let is_in_use = is_it(settings.deployment_config_name.as_ref())
            || good
                .map(|good| good.asked.deployment_config_name.as_ref())
                .any(is_it);
        is_in_use.then(|| format!("the group `{}/{}`", name.application, name.group))
    });
    of_group.or_else(|| {
        let open = state.deployments().filter(|one| one.end.is_none());
        open.filter(|one| is_it(one.accepted.asked.deployment_config_name.as_ref()))
            .map(|one| format!("the deployment `{}`", one.id))
            .next()
    })
}
