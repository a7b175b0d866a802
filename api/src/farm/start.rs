//! Starting a build, ending one, starting one again. Parsed here; decided by the scheduler, which has it durable before it answers.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use axum::http::header::HeaderName;
use croft_cache::Id;
use croft_keys::AccessRole;
use croft_ledger::{Body, Seq, Subject};
use croft_proto::farm::{BuildEvent, BuildId, LEAVING_MAX, Requested, SecretEvent, StartBuild};
use croft_scheduler::{Accepted, Asked, build_subject};
use croft_views::BuildRow;
use serde::Serialize;
use serde_json::Value;

use super::builds;
use super::call::{Answer, Call, changed};
use super::configured;
use super::held::Need;
use super::problem::Problem;
use super::record::told;
use super::state::State;
use super::tokens::admits;

/// The same as a start's `idempotencyToken`.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A build as it is answered.
#[derive(Serialize)]
struct Shown {
    build: Value,
}

/// `POST /v1/builds`
pub(super) async fn start(mut call: Call) -> Answer {
    let start: StartBuild = call.json().await?;
    let name = start.project_name.clone();
    if name.is_empty() {
        return Err(Problem::invalid("projectName is missing"));
    }
    call.is_about(format!("project.{}", super::call::short(&name)));
    call.allow(AccessRole::Builder, Some(&name))?;
    call.catch_up_with_caller().await?;
    let configured = configured::project(&call.state, &name).await?;
    let (project, rules) = (&configured.project, &configured.rules);
    let requested = Requested::of(project, &start).map_err(Problem::all_invalid)?;
    has_credential(&call.state, &requested, &name).await?;
    let queued_minutes = start
        .queued_timeout_in_minutes_override
        .unwrap_or(rules.queued_timeout_in_minutes);
    let attempts = u64::from(rules.attempts_max.max(1));
    keep_source(&call.state, &requested, queued_minutes, attempts).await?;
    let asked = Asked {
        project: name,
        build: BuildId::from(uuid::Uuid::now_v7()),
        priority: start.own.as_ref().and_then(|own| own.priority),
        auto_retry_limit: start.auto_retry_limit_override,
        queued_timeout_in_minutes: start.queued_timeout_in_minutes_override,
        token: token(&call, start.idempotency_token)?,
        initiator: call.actor(),
        request: value(&requested)?,
    };
    started(&call, asked).await
}

/// `POST /v1/builds/{id}/retry`
pub(super) async fn retry(mut call: Call) -> Answer {
    let build = call.build()?;
    let mut requested: Requested =
        serde_json::from_value(build.request.clone()).map_err(|error| Problem::internal(&error))?;
    requested.retry_of = Some(build.id);
    has_credential(&call.state, &requested, &build.project).await?;
    let minutes = u32::try_from(build.queued_ms_max / 60_000).unwrap_or(u32::MAX);
    keep_source(
        &call.state,
        &requested,
        minutes,
        u64::from(build.attempts_max.max(1)),
    )
    .await?;
    let asked = Asked {
        project: build.project.clone(),
        build: BuildId::from(uuid::Uuid::now_v7()),
        priority: Some(build.priority),
        auto_retry_limit: Some(build.auto_retry.auto_retry_limit),
        queued_timeout_in_minutes: Some(minutes),
        token: token(&call, None)?,
        initiator: call.actor(),
        request: value(&requested)?,
    };
    started(&call, asked).await
}

/// `POST /v1/builds/{id}/stop`
pub(super) async fn stop(mut call: Call) -> Answer {
    let build = call.build()?;
    let by = call.actor();
    let (_granted, seq) = call.state.farm.handle.stop(build.id, by).await?;
    let later = builds::after(&call.state, build.id, seq).await?;
    let build = later.as_ref().unwrap_or(&build).build_json();
    changed(StatusCode::OK, &Shown { build }, seq)
}

async fn started(call: &Call, asked: Asked) -> Answer {
    let state = &call.state;
    let started = state.farm.handle.start(asked).await?;
    call.is_about(format!("build.{}", started.build));
    let row = match started.new.map(|new| *new) {
        // Nobody waits for the view: it would be what this says. Whoever reads next does.
        Some(Accepted {
            build,
            submitted,
            place: Some((seq, at)),
        }) => {
            state.told.fetch_max(seq.get(), Ordering::Release);
            BuildRow::accepted(build, submitted, seq, at)
        }
        Some(_) | None => match builds::after(state, started.build, started.seq).await? {
            Some(row) => row,
            None => submitted(state, started.build).await?,
        },
    };
    let status = match started.seq {
        Some(_) => StatusCode::CREATED,
        // The same token's build was there before.
        None => StatusCode::OK,
    };
    let build = row.build_json();
    changed(status, &Shown { build }, started.seq)
}

/// A build that the view does not have yet, as it was submitted.
async fn submitted(state: &State, id: BuildId) -> Result<BuildRow, Problem> {
    let subject = build_subject(id);
    let entries = state
        .farm
        .ledger
        .read_subject(&subject, Seq::ZERO, 1)
        .await?;
    for entry in entries {
        let Body::Event(bytes) = &entry.body else {
            continue;
        };
        let event = serde_json::from_slice(bytes).map_err(|error| Problem::internal(&error))?;
        if let BuildEvent::Submitted(submitted) = event {
            return Ok(BuildRow::accepted(id, *submitted, entry.seq, entry.at));
        }
    }
    Err(Problem::unavailable(
        "the build was started, but cannot be shown yet: ask for it in a moment",
    ))
}

/// The token of the body or of the header, which mean the same.
fn token(call: &Call, in_body: Option<String>) -> Result<Option<String>, Problem> {
    let in_header = call.header(&IDEMPOTENCY_KEY).map(str::to_string);
    match (in_body, in_header) {
        (Some(body), Some(header)) if body != header => Err(Problem::invalid(
            "idempotencyToken and the header Idempotency-Key are the same thing, and here they differ",
        )),
        (Some(token), _) | (None, Some(token)) => Ok(Some(token)),
        (None, None) => Ok(None),
    }
}

fn value(requested: &Requested) -> Result<Value, Problem> {
    serde_json::to_value(requested).map_err(|error| Problem::internal(&error))
}

/// Refuses a build whose image's registry would be asked as nobody: the secret that says as whom is not there.
async fn has_credential(
    state: &State,
    requested: &Requested,
    project: &str,
) -> Result<(), Problem> {
    let Some(credential) = &requested.environment.registry_credential else {
        return Ok(());
    };
    let name = &credential.credential;
    let may_have = |patterns: &[String]| patterns.is_empty() || admits(patterns, project);
    let subject = Subject::of("secret", name).ok();
    let is_there = match &subject {
        Some(subject) => {
            let there = told::<SecretEvent>(&*state.farm.ledger, subject).await?;
            projects_of(&there.events).is_some_and(may_have)
        }
        None => false,
    };
    if is_there {
        return Ok(());
    }
    Err(Problem::invalid(format!(
        "environment.registryCredential: there is no secret `{}` that project `{project}` may have: `croft secret set` makes one",
        super::call::short(name)
    )))
}

/// Whose builds may have a secret; none when it was removed, or never was.
fn projects_of(events: &[SecretEvent]) -> Option<&[String]> {
    let mut last = None;
    for event in events {
        match event {
            SecretEvent::Set { projects, .. } => last = Some(projects.as_slice()),
            SecretEvent::Resealed { .. } => {}
            SecretEvent::Removed => last = None,
        }
    }
    last
}

/// Keeps an uploaded source for as long as its build may need it; refuses one that is not here.
async fn keep_source(
    state: &State,
    requested: &Requested,
    queued_minutes: u32,
    attempts: u64,
) -> Result<(), Problem> {
    let all = std::iter::once(&requested.source).chain(&requested.secondary_sources);
    for tree in all.filter_map(croft_proto::farm::Source::tree) {
        let id = Id::parse(&tree.to_ascii_lowercase())
            .ok_or_else(|| Problem::invalid(format!("x-croft.tree `{tree}` is no digest")))?;
        let minutes = u64::from(queued_minutes) + u64::from(requested.timeout_in_minutes);
        let need = Need {
            now: state.farm.clock.now(),
            ms: minutes * 60_000 * (attempts + u64::from(LEAVING_MAX)),
        };
        if state.held.covers(&id, need) {
            continue;
        }
        let kept = state.kept();
        let held = state
            .tasks
            .spawn_blocking(move || kept.hold_tree(&id, need.until(), need.now))
            .await;
        match held {
            Ok(Ok(until)) => state.held.note(id, until, need.now),
            Ok(Err(croft_cache::Error::Missing { .. })) => {
                return Err(Problem::invalid(format!(
                    "the source `{tree}` is not here, or not any more: upload it (again)"
                )));
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(error) => return Err(Problem::internal(&error)),
        }
    }
    Ok(())
}
