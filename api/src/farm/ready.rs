//! Whether this server is there, and whether it should be asked. Polled by supervisors and balancers, without a token.

use std::sync::PoisonError;

use axum::http::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use super::call::{Answer, Call, json as answer_json};
use super::limits::VIEW_BEHIND_MAX;
use super::state::State;

/// `GET /healthz`
pub(super) async fn healthz(_call: Call) -> Answer {
    answer_json(StatusCode::OK, &json!({"status": "ok"}))
}

/// `GET /readyz`
pub(super) async fn readyz(call: Call) -> Answer {
    let state = &call.state;
    let progress = state.farm.handle.progress();
    let view = is_in_step(state).await;
    let is_written = !*state.is_stuck.borrow();
    let is_draining = state.draining.is_cancelled();
    let deploys = state.farm.deploy.progress().is_caught_up;
    let knows = progress.is_caught_up && progress.is_connected && deploys && view;
    let is_ready = knows && is_written && !is_draining;
    let status = match is_ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = json!({
        "ready": is_ready,
        "schedulerCaughtUp": progress.is_caught_up,
        "deploymentsCaughtUp": deploys,
        "brokerConnected": progress.is_connected,
        "viewInStep": view,
        "ledgerWritten": is_written,
        "draining": is_draining,
    });
    answer_json(status, &body)
}

/// Whether the view is as far as the ledger, or was a moment ago.
async fn is_in_step(state: &State) -> bool {
    let position = state.farm.views.position();
    // The scheduler's fold is as far as this server knows the ledger; asking a broker here would let it decide how long a probe takes.
    let is_there = position >= state.farm.handle.progress().folded;
    let now = Instant::now();
    let mut in_step = state.in_step.lock().unwrap_or_else(PoisonError::into_inner);
    if is_there {
        *in_step = Some(now);
    }
    in_step.is_some_and(|then| now.saturating_duration_since(then) <= VIEW_BEHIND_MAX)
}
