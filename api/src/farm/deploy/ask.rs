//! What people ask of deployments: that one begins, ends, goes on, or that a group goes back. Parsed here; decided by the room that
//! deploys, which has it durable before it answers.

use axum::http::StatusCode;
use axum::http::header::HeaderName;
use croft_deploy::server::Done;
use croft_deploy::{GroupName, Refusal, Then};
use croft_keys::AccessRole;
use croft_proto::deploy::{
    DeploymentId, DeploymentInfo, Revision, RevisionOrigin, StartDeployment,
};
use croft_proto::shape::{self, Strays, Written as _};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::call::{Answer, Call, build_id, changed, json as answer_json, not_json, short};
use super::super::limits::{BODY_BYTES_MAX, READ_WAIT};
use super::super::problem::Problem;
use super::built;
use super::known::{Known, known};
use super::revisions::keep;

/// Asked twice with the same one, there is one deployment.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// What ids are drawn for.
const PURPOSE: &str = "croft deploy 2026 id";

/// `POST /v1/deployments`
pub(in super::super) async fn start(mut call: Call) -> Answer {
    let mut asked = asked(&mut call).await?;
    let application = asked.application_name.clone();
    call.is_about(format!(
        "application.{} group.{}",
        short(&application),
        short(&asked.deployment_group_name)
    ));
    call.allow(AccessRole::Deployer, Some(&application))?;
    let id = drawn(&call);
    if let Some(answer) = again(&call, &id, &asked).await? {
        return answer_json(StatusCode::OK, &answer);
    }
    if let RevisionOrigin::Build { build_id } = &asked.revision.origin {
        let appspec = asked.own().app_spec_filename;
        let made = built::revision(&call, build_id, appspec.as_deref()).await?;
        asked.revision = of_build(&asked.revision.digest, made)?;
    }
    asked.check().map_err(Problem::all_invalid)?;
    refuse_unfit_pace(&call, &asked).await?;
    keep(&call.state, &asked.revision.digest).await?;
    let by = call.actor();
    let done = call.state.farm.deploy.start(id, asked, &by).await?;
    shown(&call, done, StatusCode::CREATED).await
}

/// A configuration of its own, in place of its group's, must be one for what the group deploys to.
async fn refuse_unfit_pace(call: &Call, asked: &StartDeployment) -> Result<(), Problem> {
    let Some(config) = asked.deployment_config_name.clone() else {
        return Ok(());
    };
    let name = GroupName {
        application: asked.application_name.clone(),
        group: asked.deployment_group_name.clone(),
    };
    let unfit = call.state.farm.deploy.look(move |seen| {
        let settings = seen.state.group(&name)?.settings.as_ref()?;
        settings.check_config(&seen.state.config(&config)?).err()
    });
    match unfit.await? {
        Some(wrong) => Err(Problem::invalid(wrong)),
        None => Ok(()),
    }
}

/// The revision that a build made. What is told to be of a build is of it: a digest beside it may say the same, and nothing else.
fn of_build(said: &str, made: Revision) -> Result<Revision, Problem> {
    if said.is_empty() || said == made.digest {
        return Ok(made);
    }
    Err(Problem::new(
        StatusCode::BAD_REQUEST,
        "InvalidRevisionException",
        format!(
            "revision.digest: `{}` is not what the build made, which is `{}`; leave it out, or leave out revision.origin",
            short(said),
            made.digest
        ),
    ))
}

/// Whether that is the revision that was deployed, as far as it is told: a build may have several names, and its digest be left out.
fn is_same_revision(there: &Revision, asked: &Revision) -> bool {
    let (
        RevisionOrigin::Build { build_id: there_id },
        RevisionOrigin::Build { build_id: asked_id },
    ) = (&there.origin, &asked.origin)
    else {
        return there == asked;
    };
    let is_same_build = match (build_id(there_id), build_id(asked_id)) {
        (Ok(there), Ok(asked)) => there == asked,
        _ => false,
    };
    is_same_build && (asked.digest.is_empty() || asked.digest == there.digest)
}

/// The body. A revision that is only a digest is somebody's files; one that is only a build has its digest from it.
async fn asked(call: &mut Call) -> Result<StartDeployment, Problem> {
    let bytes = call.bytes(BODY_BYTES_MAX).await?;
    let mut given: Value = serde_json::from_slice(&bytes).map_err(|error| not_json(&error))?;
    let strays = Strays::of(&given, &StartDeployment::SHAPE);
    if !strays.is_clean() {
        return Err(Problem::mistaken(&given, &strays.into_mistakes()));
    }
    if let Some(revision) = given.get_mut("revision").and_then(Value::as_object_mut) {
        complete(revision);
    }
    // Rules that need more than its form are asked once it is known what a build made.
    shape::typed(&given).map_err(|mistake| Problem::mistaken(&given, &[mistake]))
}

/// Says what may be left out of a revision.
fn complete(revision: &mut Map<String, Value>) {
    let Some(origin) = revision.get("origin") else {
        let local = json!({"revisionType": "Local Directory", "location": ""});
        revision.insert("origin".into(), local);
        return;
    };
    if origin["revisionType"] == "Build" && !revision.contains_key("digest") {
        revision.insert("digest".into(), "".into());
    }
}

/// The id: of the caller's key when there is one, so that a question that is asked twice starts one deployment; else a new one.
fn drawn(call: &Call) -> DeploymentId {
    let key = match call.header(&IDEMPOTENCY_KEY) {
        Some(key) => key.to_string(),
        None => uuid::Uuid::new_v4().to_string(),
    };
    let token = call.caller.as_ref().map(|record| record.id.to_string());
    let seed = format!("{PURPOSE}\n{}\n{key}", token.unwrap_or_default());
    let digest = digest(&SHA256, seed.as_bytes());
    let mut bytes = [0; 9];
    bytes.copy_from_slice(&digest.as_ref()[..9]);
    DeploymentId::drawn(bytes)
}

/// The deployment that the same key has started already.
async fn again(
    call: &Call,
    id: &DeploymentId,
    asked: &StartDeployment,
) -> Result<Option<Value>, Problem> {
    if call.header(&IDEMPOTENCY_KEY).is_none() {
        return Ok(None);
    }
    let there = match known(&call.state, id).await {
        Ok(there) => there,
        Err(problem) if problem.status == StatusCode::NOT_FOUND => return Ok(None),
        Err(problem) => return Err(problem),
    };
    let info = &there.info;
    let is_same = info.application_name == asked.application_name
        && info.deployment_group_name == asked.deployment_group_name
        && is_same_revision(&info.revision, &asked.revision);
    if is_same {
        return Ok(Some(there.shown()));
    }
    Err(Problem::conflict(
        "IdempotencyParameterMismatch",
        format!("the same key has started the deployment `{id}`, of something else"),
    ))
}

/// What may be said when a deployment is stopped.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stopping {
    #[serde(default)]
    auto_rollback_enabled: bool,
}

/// What may be said when a deployment is to go on.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Continuing {
    /// AWS's. The path names it.
    #[serde(default, rename = "deploymentId")]
    _id: Option<String>,
    /// AWS's. What it waits for is known.
    #[serde(default, rename = "deploymentWaitType")]
    _wait: Option<String>,
    #[serde(default, rename = "x-croft")]
    own: OwnOfContinuing,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OwnOfContinuing {
    /// The step that is meant, from 0: no other one is let through, and once however often it is asked.
    step: Option<u32>,
}

/// The deployment that the path names, unless it is over.
fn going_on(info: DeploymentInfo) -> Result<DeploymentId, Problem> {
    let id = info.deployment_id;
    match info.complete_time {
        None => Ok(id),
        Some(at) => Err(Problem::from(Refusal::Over {
            id,
            ended: Some((info.status, at)),
        })),
    }
}

/// `POST /v1/deployments/{id}/stop`
pub(in super::super) async fn stop(mut call: Call) -> Answer {
    let id = going_on(call.deployment()?.info)?;
    let bytes = call.bytes(BODY_BYTES_MAX).await?;
    let asked: Stopping = match bytes.is_empty() {
        true => Stopping::default(),
        false => serde_json::from_slice(&bytes).map_err(|error| not_json(&error))?,
    };
    let then = match asked.auto_rollback_enabled {
        true => Then::GoBack,
        false => Then::AsTheGroupSays,
    };
    let by = call.actor();
    let done = call.state.farm.deploy.stop(id, then, &by).await?;
    shown(&call, done, StatusCode::OK).await
}

/// `POST /v1/deployments/{id}/continue`
pub(in super::super) async fn go_on(mut call: Call) -> Answer {
    let bytes = call.bytes(BODY_BYTES_MAX).await?;
    let asked: Continuing = match bytes.is_empty() {
        true => Continuing::default(),
        false => serde_json::from_slice(&bytes).map_err(|error| not_json(&error))?,
    };
    let (by, step) = (call.actor(), asked.own.step);
    // Who asks again, since he was not answered, is told what he would have been.
    let has_said = |known: &Known| {
        let mut said = known.info.own.continued.iter();
        said.any(|one| Some(one.step) == step && one.by == by)
    };
    let there = call.deployment()?;
    if has_said(&there) {
        return answer_json(StatusCode::OK, &there.shown());
    }
    let info = there.info;
    let id = going_on(info)?;
    match call.state.farm.deploy.go_on(id.clone(), step, &by).await {
        Ok(done) => shown(&call, done, StatusCode::OK).await,
        Err(refused) => {
            let there = known(&call.state, &id).await?;
            match has_said(&there) {
                true => answer_json(StatusCode::OK, &there.shown()),
                false => Err(refused.into()),
            }
        }
    }
}

/// `POST /v1/applications/{name}/groups/{group}/rollback`
pub(in super::super) async fn roll_back(call: Call) -> Answer {
    let group = GroupName {
        application: call.param("name").to_string(),
        group: call.param("group").to_string(),
    };
    let by = call.actor();
    let done = call.state.farm.deploy.roll_back(group, &by).await?;
    shown(&call, done, StatusCode::CREATED).await
}

/// The deployment that a change was about, once it is folded.
async fn shown(call: &Call, done: Done, status: StatusCode) -> Answer {
    let deploy = &call.state.farm.deploy;
    deploy.folded(done.seq, READ_WAIT).await;
    let id = done
        .deployment
        .ok_or_else(|| Problem::unavailable("it is done, but cannot be shown yet"))?;
    call.is_about(format!("deployment.{id}"));
    let known = known(&call.state, &id).await?;
    changed(status, &known.shown(), Some(done.seq))
}
