//! Applications: listed, shown, applied, deleted. Recorded by the room that deploys; a token's projects are also its applications.

use axum::http::StatusCode;
use croft_deploy::{Recorded, Refusal, State};
use croft_ledger::{Expected, Subject};
use croft_proto::deploy::{AppEvent, Application};
use croft_proto::shape::{Strays, Written as _};
use serde_json::{Value, json};

use super::super::body::named;
use super::super::call::{Answer, Call, changed, json as answer_json};
use super::super::limits::READ_WAIT;
use super::super::problem::Problem;
use super::checks::{self, Coming};

/// The key that never changes.
const PLATFORM: &str = "computePlatform";

/// `GET /v1/applications`
pub(in super::super) async fn list(call: Call) -> Answer {
    call.catch_up_deployments().await?;
    let deploy = &call.state.farm.deploy;
    let all: Vec<Application> = deploy
        .look(|seen| {
            let apps = seen.state.apps();
            apps.filter_map(|(_, app)| app.application.clone())
                .collect()
        })
        .await?;
    let visible = all
        .iter()
        .filter(|application| call.sees(&application.application_name));
    let visible: Vec<&Application> = visible.collect();
    answer_json(StatusCode::OK, &json!({"applications": visible}))
}

/// `GET /v1/applications/{name}`
pub(in super::super) async fn get(call: Call) -> Answer {
    call.catch_up_deployments().await?;
    let name = call.param("name").to_string();
    let asked = name.clone();
    let deploy = &call.state.farm.deploy;
    let found = deploy
        .look(move |seen| seen.state.app(&asked)?.application.clone())
        .await?;
    let application = found.ok_or_else(|| Problem::from(Refusal::NoApplication(name)))?;
    answer_json(StatusCode::OK, &json!({"application": application}))
}

/// What stands against an application as it is wanted.
fn refusal(state: &State, wanted: &Application) -> Option<Refusal> {
    let name = &wanted.application_name;
    let known = state.app(name)?.application.as_ref()?;
    (known.compute_platform != wanted.compute_platform).then(|| {
        Refusal::Exists(format!(
            "the application `{name}` is there, and its computePlatform cannot be changed"
        ))
    })
}

/// `POST /v1/applications/{name}/check`
pub(in super::super) async fn check(mut call: Call) -> Answer {
    call.catch_up_deployments().await?;
    let (given, wanted): (Value, Application) =
        named(&mut call, &[("applicationName", "name")]).await?;
    let deploy = &call.state.farm.deploy;
    let refusal = deploy.look(move |seen| refusal(seen.state, &wanted));
    let refusals = refusal.await?.map(|refusal| (PLATFORM, refusal));
    checks::answer(&given, refusals.into_iter().collect(), &Coming::default())
}

/// `PUT /v1/applications/{name}`
pub(in super::super) async fn put(mut call: Call) -> Answer {
    let (given, application): (Value, Application) =
        named(&mut call, &[("applicationName", "name")]).await?;
    let notes = Strays::of(&given, &Application::SHAPE).idle;
    let name = application.application_name.clone();
    let deploy = &call.state.farm.deploy;
    let asked = name.clone();
    let was_there = deploy.look(move |seen| is_there(seen.state, &asked));
    let status = match was_there.await? {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    let wanted = application.clone();
    let check = move |state: &State| {
        if let Some(refusal) = refusal(state, &wanted) {
            return Err(refusal);
        }
        let there = state.app(&wanted.application_name);
        Ok(there.map_or(Expected::NEW, |app| Expected::Last(app.last)))
    };
    let event = AppEvent::Applied {
        application: application.clone(),
    };
    let done = deploy
        .record(
            Subject::of("app", &name)?,
            Recorded::App(Box::new(event)),
            check,
        )
        .await;
    let done = done.map_err(|refused| Problem::refused_for(&given, PLATFORM, refused))?;
    deploy.folded(done.seq, READ_WAIT).await;
    let body = json!({"application": application, "notes": notes});
    changed(status, &body, Some(done.seq))
}

/// `DELETE /v1/applications/{name}`
pub(in super::super) async fn delete(call: Call) -> Answer {
    let name = call.param("name").to_string();
    let asked = name.clone();
    let check = move |state: &State| {
        let there = state.app(&asked).filter(|app| app.application.is_some());
        let app = there.ok_or_else(|| Refusal::NoApplication(asked.clone()))?;
        let mut groups = state.groups();
        let group =
            groups.find(|(name, group)| name.application == asked && group.settings.is_some());
        match group {
            Some((name, _)) => Err(Refusal::InUse(format!(
                "the application has the group `{}`: delete its groups first",
                name.group
            ))),
            None => Ok(Expected::Last(app.last)),
        }
    };
    let deploy = &call.state.farm.deploy;
    let done = deploy
        .record(
            Subject::of("app", &name)?,
            Recorded::App(Box::new(AppEvent::Deleted)),
            check,
        )
        .await?;
    deploy.folded(done.seq, READ_WAIT).await;
    changed(StatusCode::OK, &json!({"deleted": name}), Some(done.seq))
}

pub(super) fn is_there(state: &State, name: &str) -> bool {
    state.app(name).is_some_and(|app| app.application.is_some())
}
