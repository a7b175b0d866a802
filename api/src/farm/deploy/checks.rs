//! Whether a document would be taken, asked before the first of a file is applied. Received from those who know the rules; nothing is changed
//! by asking.

use axum::http::StatusCode;
use croft_deploy::Refusal;
use serde_json::{Value, json};

use super::super::call::{Answer, Call, json as answer_json};
use super::super::problem::Problem;

/// Keys of a document that name what is made before it is: that it is not there yet is no mistake.
#[derive(Clone, Debug, Default)]
pub(super) struct Coming(Vec<String>);

impl Coming {
    /// As the call says it: `?coming=applicationName,deploymentConfigName`.
    pub(super) fn of(call: &Call) -> Self {
        let keys = call.asked("coming").unwrap_or_default().split(',');
        Self(keys.map(str::to_string).collect())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|coming| coming == key)
    }
}

/// That it would be taken, or all that stands against it, with the key that each is about.
pub(super) fn answer(
    given: &Value,
    mut refusals: Vec<(&'static str, Refusal)>,
    coming: &Coming,
) -> Answer {
    refusals.retain(|(key, _)| !coming.has(key));
    match refusals.is_empty() {
        true => answer_json(StatusCode::OK, &json!({})),
        false => Err(Problem::refused_for_all(given, refusals)),
    }
}
