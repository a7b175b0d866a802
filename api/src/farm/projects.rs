//! Projects: listed, shown, applied, deleted. What decides about their builds is the scheduler's; this parses and shows.

use axum::http::StatusCode;
use croft_proto::farm::{Project, ProjectEvent};
use croft_views::ProjectRow;
use serde_json::{Value, json};

use super::body::named;
use super::call::{Answer, Call, changed, json as answer_json, short};
use super::limits::{PAGES_LOOKED_MAX, READ_WAIT};
use super::pools::ensure_key;
use super::problem::Problem;
use super::state::State;

/// `GET /v1/projects`
pub(super) async fn list(call: Call) -> Answer {
    call.catch_up_with_caller().await?;
    let limit = call.limit()?;
    let mut after = call.asked("cursor").map(str::to_string);
    let mut seen = Vec::new();
    for _ in 0..PAGES_LOOKED_MAX {
        let from = after.clone();
        let missing = limit - seen.len();
        let views = &call.state.farm.views;
        let page = views
            .ask(move |read| read.projects(from.as_deref(), missing))
            .await?;
        let rows = page.rows.into_iter().filter(|row| call.sees(&row.name));
        seen.extend(rows.map(|row| shown(&row)));
        after = page.next;
        if after.is_none() || seen.len() >= limit {
            break;
        }
    }
    answer_json(
        StatusCode::OK,
        &json!({"projects": seen, "nextToken": after}),
    )
}

/// `GET /v1/projects/{name}`
pub(super) async fn get(call: Call) -> Answer {
    call.catch_up_with_caller().await?;
    let row = known(&call.state, call.param("name")).await?;
    answer_json(StatusCode::OK, &json!({"project": shown(&row)}))
}

/// `PUT /v1/projects/{name}`
pub(super) async fn put(mut call: Call) -> Answer {
    let name = call.param("name").to_string();
    let (given, project): (Value, Project) = named(&mut call, &[("name", "name")]).await?;
    let rules = project.rules().map_err(Problem::all_invalid)?;
    let state = &call.state;
    let was_there = find(state, &name)?.is_some();
    let pool = rules.pool.clone();
    let event = ProjectEvent::Applied {
        rules: Box::new(rules),
        project: Box::new(given.clone()),
    };
    let seq = state.farm.handle.project(name.clone(), event).await?;
    // Its builds need the pool's key when they need a secret; without it they still run.
    if let Err(problem) = ensure_key(state, &pool).await {
        tracing::warn!(%pool, why = %problem.detail, "a pool has no key yet");
    }
    if let Some(seq) = seq {
        state.farm.views.reached(seq, READ_WAIT).await;
    }
    let shown = match find(state, &name)? {
        Some(row) => shown(&row),
        None => given.clone(),
    };
    let status = match was_there {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    let notes = Project::notes(&given);
    changed(status, &json!({"project": shown, "notes": notes}), seq)
}

/// `POST /v1/projects/{name}/check`
pub(super) async fn check(mut call: Call) -> Answer {
    let (given, project): (Value, Project) = named(&mut call, &[("name", "name")]).await?;
    project.rules().map_err(Problem::all_invalid)?;
    croft_scheduler::fits(&given)?;
    answer_json(StatusCode::OK, &json!({}))
}

/// `DELETE /v1/projects/{name}`
pub(super) async fn delete(call: Call) -> Answer {
    let name = call.param("name").to_string();
    let handle = &call.state.farm.handle;
    let seq = handle.project(name.clone(), ProjectEvent::Deleted).await?;
    if let Some(seq) = seq {
        call.state.farm.views.reached(seq, READ_WAIT).await;
    }
    changed(StatusCode::OK, &json!({"deleted": name}), seq)
}

/// A project, also one that the view hears of in a moment.
pub(super) async fn known(state: &State, name: &str) -> Result<ProjectRow, Problem> {
    if let Some(row) = find(state, name)? {
        return Ok(row);
    }
    let last = state.farm.ledger.last().await?;
    state.farm.views.reached(last, READ_WAIT).await;
    let found = find(state, name)?;
    found.ok_or_else(|| Problem::not_found(format!("there is no project `{}`", short(name))))
}

fn find(state: &State, name: &str) -> Result<Option<ProjectRow>, Problem> {
    Ok(state.farm.views.ask_now(|read| read.project(name))?)
}

/// As it was applied, with what the farm knows of it.
fn shown(row: &ProjectRow) -> Value {
    let mut project = row.project.clone();
    if let Some(object) = project.as_object_mut() {
        object.insert("name".into(), row.name.clone().into());
        let arn = format!(
            "arn:aws:codebuild:us-east-1:000000000000:project/{}",
            row.name
        );
        object.insert("arn".into(), arn.into());
        object.insert("created".into(), json!(row.created));
        object.insert("lastModified".into(), json!(row.last_modified));
    }
    project
}
