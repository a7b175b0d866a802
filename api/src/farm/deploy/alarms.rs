//! What a group's releases are judged by: listed, and tried. Read from the group's settings; what is tried is asked of the server's source of
//! metrics at once, beside the loop that deploys.

use axum::http::StatusCode;
use croft_deploy::server::{listed, try_all};
use croft_deploy::verdict::Settings;
use croft_proto::deploy::DeploymentGroup;
use serde_json::{Value, json};

use super::super::call::{Answer, Call, json as answer_json};
use super::super::problem::Problem;
use super::groups::{name_of, none};

/// The group's settings.
async fn group(call: &Call) -> Result<DeploymentGroup, Problem> {
    call.catch_up_deployments().await?;
    let name = name_of(call);
    let asked = name.clone();
    let found = call
        .state
        .farm
        .deploy
        .look(move |seen| seen.state.group(&asked)?.settings.clone());
    found.await?.ok_or_else(|| Problem::from(none(&name)))
}

fn settings(group: &DeploymentGroup) -> Result<Settings, Problem> {
    let own = group.own.as_ref();
    match own.and_then(|own| own.verdicts.as_ref()) {
        Some(written) => Settings::read(written).map_err(Problem::all_invalid),
        None => Ok(Settings::default()),
    }
}

/// `GET /v1/applications/{name}/groups/{group}/alarms`
pub(in super::super) async fn list(call: Call) -> Answer {
    let group = group(&call).await?;
    let external = group.alarms().into_iter().flat_map(|of| &of.alarms);
    let external = external.map(|alarm| json!({"name": alarm.name, "kind": "external"}));
    let own = listed(&settings(&group)?);
    let all: Vec<Value> = external.chain(own.iter().map(|one| json!(one))).collect();
    answer_json(StatusCode::OK, &json!({"alarms": all}))
}

/// `POST /v1/applications/{name}/groups/{group}/alarms/test`
pub(in super::super) async fn test(call: Call) -> Answer {
    let settings = settings(&group(&call).await?)?;
    let farm = &call.state.farm;
    let Some(source) = farm.deploy.metrics() else {
        return Err(Problem::invalid(
            "this server has no Prometheus to ask: start it with --prometheus URL",
        ));
    };
    let tried = try_all(&**source, &settings, farm.clock.now()).await;
    answer_json(StatusCode::OK, &json!({"tried": tried}))
}
