//! Secrets: set, removed, listed by their names. A value comes in here once, and leaves only sealed to pools and wrapped under the master
//! key; no answer, no log and no error shows any of it.

use axum::http::StatusCode;
use croft_keys::{PoolPublic, SECRET_BYTES_MAX, seal};
use croft_ledger::Subject;
use croft_proto::farm::{DEFAULT_POOL, SealedFor, SecretEvent, SecretKind};
use croft_views::{PoolKeyRow, SecretRow};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::call::{Answer, Call, changed, json as answer_json, not_json, short};
use super::limits::{BODY_BYTES_MAX, NAME_CHARS_MAX, READ_WAIT};
use super::pools;
use super::problem::Problem;
use super::record::record;
use super::reseal;
use super::state::State;
use super::tokens::wrong_patterns;

/// What is asked for.
struct Asked {
    value: Zeroizing<String>,
    kind: SecretKind,
    projects: Vec<String>,
}

/// `GET /v1/secrets`
pub(super) async fn list(call: Call) -> Answer {
    call.catch_up_with_caller().await?;
    let limit = call.limit()?;
    let after = call.asked("cursor").map(str::to_string);
    let views = &call.state.farm.views;
    let page = views
        .ask(move |read| read.secrets(after.as_deref(), limit))
        .await?;
    let secrets: Vec<Value> = page.rows.iter().map(shown).collect();
    answer_json(
        StatusCode::OK,
        &json!({"secrets": secrets, "nextToken": page.next}),
    )
}

fn shown(row: &SecretRow) -> Value {
    json!({
        "name": row.name,
        "version": row.version,
        "kind": row.kind,
        "projects": row.projects,
        "created": row.created,
        "lastChanged": row.changed,
        "pools": row.sealed.iter().map(|sealed| &sealed.pool).collect::<Vec<_>>(),
    })
}

/// `PUT /v1/secrets/{name}`
pub(super) async fn put(mut call: Call) -> Answer {
    let name = call.param("name").to_string();
    let is_printable = !name.chars().any(char::is_control);
    if !is_printable || !(1..=NAME_CHARS_MAX).contains(&name.chars().count()) {
        return Err(Problem::invalid(format!(
            "a secret's name has 1 to {NAME_CHARS_MAX} printable characters"
        )));
    }
    let asked = read(&call.bytes(BODY_BYTES_MAX).await?)?;
    let state = &call.state;
    let keys = keys(state).await?;
    let subject = Subject::of("secret", &name)?;
    let mut version = 1;
    let seq = record::<SecretEvent, _>(&*state.farm.ledger, &subject, |there| {
        version = last_version(there).saturating_add(1);
        set(state, &name, version, &asked, &keys).map(Some)
    })
    .await
    .map_err(|problem| too_many(problem, keys.len()))?;
    if let Some(seq) = seq {
        state.farm.views.reached(seq, READ_WAIT).await;
    }
    // A pool that came meanwhile is not left out.
    reseal::all(state).await;
    let kind = asked.kind;
    let secret =
        json!({"name": name, "version": version, "kind": kind, "projects": asked.projects});
    changed(StatusCode::OK, &json!({"secret": secret}), seq)
}

fn too_many(problem: Problem, pools: usize) -> Problem {
    if problem.status == StatusCode::BAD_REQUEST {
        return Problem::invalid(format!(
            "the value is too long to be kept for {pools} pools: an event holds 64 KiB"
        ));
    }
    problem
}

/// What of a body is what. An error shows nothing of it: whatever stands anywhere in it may be the value.
fn read(bytes: &[u8]) -> Result<Asked, Problem> {
    let body: Value = serde_json::from_slice(bytes).map_err(|error| not_json(&error))?;
    let Value::Object(mut body) = body else {
        return Err(Problem::invalid("a secret is a JSON object"));
    };
    let value = match body.remove("value") {
        Some(Value::String(value)) => Zeroizing::new(value),
        Some(_) | None => return Err(Problem::invalid("value: it has to be a string")),
    };
    if value.is_empty() || value.len() > SECRET_BYTES_MAX {
        return Err(Problem::invalid(format!(
            "value: it has to have 1 to {SECRET_BYTES_MAX} bytes"
        )));
    }
    let kind = match body.remove("kind") {
        None | Some(Value::Null) => SecretKind::default(),
        Some(kind) => serde_json::from_value(kind).map_err(|_shows_it: serde_json::Error| {
            Problem::invalid("kind: SECRETS_MANAGER or PARAMETER_STORE")
        })?,
    };
    let projects: Vec<String> = match body.remove("projects") {
        None | Some(Value::Null) => Vec::new(),
        Some(projects) => {
            serde_json::from_value(projects).map_err(|_shows_it: serde_json::Error| {
                Problem::invalid("projects: a list of strings")
            })?
        }
    };
    if !wrong_patterns(&projects).is_empty() {
        return Err(Problem::invalid(
            "projects: names of projects, or their beginnings with a `*` behind",
        ));
    }
    if !body.is_empty() {
        return Err(Problem::invalid(
            "only value, kind and projects are known of a secret",
        ));
    }
    Ok(Asked {
        value,
        kind,
        projects,
    })
}

/// The newest keys of all pools; there is one for the usual pool at least.
async fn keys(state: &State) -> Result<Vec<PoolKeyRow>, Problem> {
    let newest = state.farm.views.ask(|read| read.newest_pool_keys()).await?;
    if !newest.is_empty() {
        return Ok(newest);
    }
    pools::ensure_key(state, DEFAULT_POOL).await?;
    Ok(state.farm.views.ask(|read| read.newest_pool_keys()).await?)
}

pub(super) fn last_version(events: &[SecretEvent]) -> u32 {
    let mut versions = events.iter().rev().filter_map(|event| match event {
        SecretEvent::Set { version, .. } => Some(*version),
        SecretEvent::Resealed { .. } | SecretEvent::Removed => None,
    });
    versions.next().unwrap_or_default()
}

fn set(
    state: &State,
    name: &str,
    version: u32,
    asked: &Asked,
    keys: &[PoolKeyRow],
) -> Result<SecretEvent, Problem> {
    let number = version.to_string();
    let value = asked.value.as_bytes();
    let wrapped = state
        .farm
        .master
        .wrap(&["secret", name, &number], value)
        .map_err(|error| Problem::internal(&error))?;
    let sealed = keys
        .iter()
        .map(|key| sealed_for(name, &number, key, value))
        .collect::<Result<_, _>>()?;
    Ok(SecretEvent::Set {
        version,
        kind: asked.kind,
        projects: asked.projects.clone(),
        wrapped: wrapped.to_string(),
        sealed,
    })
}

/// A value, sealed to one pool.
pub(super) fn sealed_for(
    name: &str,
    version: &str,
    key: &PoolKeyRow,
    value: &[u8],
) -> Result<SealedFor, Problem> {
    let public: PoolPublic = key
        .public
        .parse()
        .map_err(|error: croft_keys::BadPoolKey| Problem::internal(&error))?;
    let sealed = seal(&public, &["secret", name, version, &key.pool], value)
        .map_err(|error| Problem::internal(&error))?;
    Ok(SealedFor {
        pool: key.pool.clone(),
        generation: key.generation,
        sealed: sealed.to_string(),
    })
}

/// `DELETE /v1/secrets/{name}`
pub(super) async fn delete(call: Call) -> Answer {
    let name = call.param("name").to_string();
    let subject = Subject::of("secret", &name)?;
    let ledger = &call.state.farm.ledger;
    let seq = record::<SecretEvent, _>(&**ledger, &subject, |there| match there.last() {
        Some(SecretEvent::Set { .. } | SecretEvent::Resealed { .. }) => {
            Ok(Some(SecretEvent::Removed))
        }
        Some(SecretEvent::Removed) | None => Err(Problem::not_found(format!(
            "there is no secret `{}`",
            short(&name)
        ))),
    })
    .await?;
    if let Some(seq) = seq {
        call.state.farm.views.reached(seq, READ_WAIT).await;
    }
    changed(StatusCode::OK, &json!({"deleted": name}), seq)
}
