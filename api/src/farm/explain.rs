//! Why a build waits, and what happened to it, for a person.

use axum::http::StatusCode;
use croft_views::{BuildRow, Stage};
use serde_json::{Value, json};

use super::call::{Answer, Call, json as answer_json};
use super::problem::Problem;

/// `GET /v1/builds/{id}/explain`
pub(super) async fn explain(mut call: Call) -> Answer {
    let build = call.build()?;
    let mut answer = json!({"build": build.build_json(), "timeline": timeline(&build)});
    if build.stage == Stage::Waiting
        && let Some(why) = call.state.farm.handle.why(build.id).await?
    {
        let text = why.to_string();
        let mut why = serde_json::to_value(&why).map_err(|error| Problem::internal(&error))?;
        why["text"] = text.into();
        answer["why"] = why;
    }
    if let Some(cache) = cache(&build) {
        answer["cache"] = cache;
    }
    answer_json(StatusCode::OK, &answer)
}

/// What happened, how long after it was submitted; then the phases of the finished build, with what each took.
fn timeline(build: &BuildRow) -> Vec<Value> {
    let mut timeline: Vec<Value> = build
        .timeline()
        .iter()
        .map(|happened| {
            json!({
                "event": happened.event,
                "at": happened.at,
                "millis": happened.at.millis_since(build.submitted_at),
                "detail": happened.detail,
            })
        })
        .collect();
    let settled = build.settled.as_ref().and_then(|it| it.build.as_ref());
    let phases = settled.and_then(|build| build.pointer("/build/phases"));
    let phases = phases.and_then(Value::as_array).into_iter().flatten();
    let took = build.phase_millis();
    for phase in phases {
        let name = phase["phaseType"].as_str().unwrap_or_default();
        let millis = took.iter().find(|(kind, _)| kind.name() == name);
        timeline.push(json!({
            "event": format!("phase {name}"),
            "at": phase["startTime"],
            "millis": millis.map(|(_, millis)| *millis),
        }));
    }
    timeline
}

/// How the cache took part in a finished build.
fn cache(build: &BuildRow) -> Option<Value> {
    let summary = build.settled.as_ref()?.build.as_ref()?.get("summary")?;
    let (restored, saved) = (summary.get("cacheRestored"), summary.get("cacheSaved"));
    if restored.is_none() && saved.is_none() {
        return None;
    }
    Some(json!({"restored": restored, "saved": saved}))
}
