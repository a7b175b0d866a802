//! Builds: listed, shown, waited for. Read from the view, which is waited for where a caller knows more than it does.

use std::time::Duration;

use axum::http::StatusCode;
use croft_ledger::Seq;
use croft_proto::Status;
use croft_proto::farm::BuildId;
use croft_views::{BuildFilter, BuildRow, Stage};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::call::{Answer, Call, json as answer_json, short};
use super::limits::{COMPLETE_WAIT_MAX, PAGES_LOOKED_MAX, READ_WAIT};
use super::problem::Problem;
use super::state::State;

/// `GET /v1/builds`
pub(super) async fn list(call: Call) -> Answer {
    call.catch_up_with_builds().await?;
    let (limit, mut before) = (call.limit()?, call.before()?);
    let project = call.asked("project").map(str::to_string);
    if let Some(project) = &project {
        call.allow(croft_keys::AccessRole::Viewer, Some(project))?;
    }
    let filter = BuildFilter {
        project,
        stages: stages(&call)?,
    };
    let mut seen: Vec<Value> = Vec::new();
    for _ in 0..PAGES_LOOKED_MAX {
        let (filter, missing) = (filter.clone(), limit - seen.len());
        let views = &call.state.farm.views;
        let page = views
            .ask(move |read| read.builds(&filter, before, missing))
            .await?;
        let rows = page.rows.iter().filter(|row| call.sees(&row.project));
        seen.extend(rows.map(BuildRow::build_json));
        before = page.next;
        if before.is_none() || seen.len() >= limit {
            break;
        }
    }
    let next = before.map(|seq| seq.get().to_string());
    answer_json(StatusCode::OK, &json!({"builds": seen, "nextToken": next}))
}

/// The stages that `status` means: AWS's word, or ours for where a build is.
fn stages(call: &Call) -> Result<Vec<Stage>, Problem> {
    let Some(word) = call.asked("status") else {
        return Ok(Vec::new());
    };
    let statuses = [
        Status::InProgress,
        Status::Succeeded,
        Status::Failed,
        Status::Fault,
        Status::TimedOut,
        Status::Stopped,
    ];
    let status = statuses.into_iter().find(|status| status.name() == word);
    if let Some(status) = status {
        return Ok(Stage::of_status(status));
    }
    let of_word =
        |stage: &Stage| stage.word() == word || (word == "QUEUED" && *stage == Stage::Waiting);
    let stages: Vec<Stage> = Stage::ALL.into_iter().filter(of_word).collect();
    if stages.is_empty() {
        return Err(Problem::invalid(format!(
            "status=`{}`: IN_PROGRESS, SUCCEEDED, FAILED, FAULT, TIMED_OUT, STOPPED, QUEUED, or waiting, running, stopping, over",
            short(word)
        )));
    }
    Ok(stages)
}

/// `GET /v1/builds/{id}`
pub(super) async fn get(mut call: Call) -> Answer {
    let mut build = *call.build()?;
    match call.asked("wait") {
        None => {}
        Some("complete") => {
            let seconds = call.parsed::<u64>("timeout")?.unwrap_or(30);
            let wait = Duration::from_secs(seconds).min(COMPLETE_WAIT_MAX);
            build = until_over(&call.state, build, wait).await?;
        }
        Some(_) => {
            return Err(Problem::invalid(
                "wait: the only thing to wait for is `complete`",
            ));
        }
    }
    answer_json(StatusCode::OK, &json!({"build": build.build_json()}))
}

/// The build once it is over, or as it is after that time.
async fn until_over(
    state: &State,
    mut build: BuildRow,
    wait: Duration,
) -> Result<BuildRow, Problem> {
    let until = Instant::now() + wait;
    while !build.stage.is_over() {
        let left = until.saturating_duration_since(Instant::now());
        let changed = tokio::select! {
            () = state.draining.cancelled() => return Ok(build),
            changed = state.farm.views.wait_change(build.id, build.last, left) => changed?,
        };
        if changed.is_none() {
            break;
        }
        if let Some(later) = find(state, build.id)? {
            build = later;
        }
    }
    Ok(build)
}

/// `GET /v1/builds/{id}/reports`
pub(super) async fn reports(mut call: Call) -> Answer {
    let build = call.build()?;
    let settled = build.settled.as_ref().and_then(|it| it.build.as_ref());
    let reports = settled.and_then(|build| build.pointer("/summary/reports"));
    let reports = reports.cloned().unwrap_or_else(|| json!([]));
    answer_json(StatusCode::OK, &json!({"reports": reports}))
}

/// A build, also one that the view hears of in a moment.
pub(super) async fn known(state: &State, id: BuildId) -> Result<BuildRow, Problem> {
    if let Some(row) = find(state, id)? {
        return Ok(row);
    }
    let last = state.farm.ledger.last().await?;
    state.farm.views.reached(last, READ_WAIT).await;
    let found = find(state, id)?;
    found.ok_or_else(|| Problem::not_found(format!("there is no build `{id}`")))
}

pub(super) fn find(state: &State, id: BuildId) -> Result<Option<BuildRow>, Problem> {
    Ok(state.farm.views.ask_now(|read| read.build(id))?)
}

/// The build after a change of it, if the view has that in time.
pub(super) async fn after(
    state: &State,
    id: BuildId,
    seq: Option<Seq>,
) -> Result<Option<BuildRow>, Problem> {
    let seq = match seq {
        Some(seq) => seq,
        None => state.farm.ledger.last().await?,
    };
    state.farm.views.reached(seq, READ_WAIT).await;
    find(state, id)
}

/// AWS's word for where a build is, and `QUEUED` while it waits.
pub(super) fn status_word(build: &BuildRow) -> &'static str {
    match build.stage {
        Stage::Waiting => "QUEUED",
        Stage::Running | Stage::Stopping | Stage::Over(_) => build.stage.status().name(),
    }
}
