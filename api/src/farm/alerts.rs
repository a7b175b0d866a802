//! What Alertmanager pushes. Its token is a deployer's: whoever may push an alert may stop deployments.

use axum::http::StatusCode;
use croft_deploy::alarm::Webhook;
use serde_json::json;

use super::call::{Answer, Call, json as answer_json, not_json, short};
use super::problem::Problem;

/// Bytes of one message: Alertmanager sends a group's alerts at once.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// `POST /v1/alerts`
pub(super) async fn pushed(mut call: Call) -> Answer {
    let bytes = call.bytes(MESSAGE_BYTES_MAX).await?;
    let message: Webhook = serde_json::from_slice(&bytes).map_err(|error| not_json(&error))?;
    call.is_about(format!("alerts.{}", short(&message.group_key)));
    let heard = message.alerts.len();
    let alerted = call.state.farm.deploy.alerted(message).await;
    alerted.map_err(Problem::from)?;
    answer_json(StatusCode::OK, &json!({"alerts": heard}))
}
