//! What hosts print while they are deployed to: taken from a host that has something to do in that deployment, as fast as a host may print,
//! and given to the bus for whoever follows. Nothing of it is kept.

use axum::http::StatusCode;
use croft_bus::{CHUNK_BYTES_MAX, PutError};
use croft_deploy::{Deployment, State as Folded};
use croft_proto::deploy::{HostOutput, OutputAnswer, PrintedOutput, Side};
use tokio::time::Instant;

use super::super::agents::{host_of, read};
use super::super::call::{Answer, Call, json};
use super::super::metrics::Printed;
use super::super::problem::Problem;
use super::super::state::State;
use crate::chain::chain;

/// A pebibyte: what a host says of itself is counted and added up, and must not run over.
const PRINTED_BYTES_MAX: u64 = 1 << 50;

/// `POST /v1/agent/output`
pub(in super::super) async fn take(mut call: Call) -> Answer {
    let (host, body) = host_of(&mut call).await?;
    let state = &call.state;
    let taken = taken(state, host, &body).await;
    if taken.is_err() {
        state.metrics.printed(Printed::Refused, body.len() as u64);
    }
    json(StatusCode::OK, &taken?)
}

async fn taken(state: &State, host: String, body: &[u8]) -> Result<OutputAnswer, Problem> {
    let size_bytes = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let paced = state
        .printing
        .take_many(host.clone(), size_bytes, Instant::now());
    paced.map_err(|seconds| {
        Problem::throttled(
            seconds,
            format!("the host `{host}` prints more than is taken of one: slow down"),
        )
    })?;
    let output: HostOutput = read(body)?;
    let (bytes, left_out) = (output.bytes(), output.left_out);
    if output.from.max(left_out) > PRINTED_BYTES_MAX {
        return Err(Problem::invalid(format!(
            "no host has printed more than {PRINTED_BYTES_MAX} bytes"
        )));
    }
    let asked = (host.clone(), output.clone());
    let look = state
        .farm
        .deploy
        .look(move |seen| may_print(seen.state, &asked.0, &asked.1));
    look.await??;
    let deployment = named(output.deployment_id.to_string())?;
    let (name, printed) = (named(host.clone())?, PrintedOutput { host, output });
    let piece = serde_json::to_vec(&printed).map_err(|error| Problem::internal(&error))?;
    let put = state.farm.bus.print(&deployment, &name, piece.into()).await;
    put.map_err(|error| not_put(&error))?;
    state.metrics.printed(Printed::Received, bytes);
    state.metrics.printed(Printed::LeftOut, left_out);
    Ok(OutputAnswer { bytes })
}

/// A deployment's or a host's name on the bus.
pub(super) fn named<T: TryFrom<String, Error = croft_bus::NameError>>(
    name: String,
) -> Result<T, Problem> {
    T::try_from(name).map_err(|error| Problem::invalid(error.to_string()))
}

fn not_put(error: &PutError) -> Problem {
    if matches!(error, PutError::TooLarge { .. }) {
        return Problem::too_large(CHUNK_BYTES_MAX);
    }
    tracing::debug!(error = %chain(error), "what a host printed did not reach the bus");
    Problem::unavailable("what is on its way cannot be given on now: say it again")
}

/// Passes when the host has an event of that deployment to run.
fn may_print(folded: &Folded, host: &str, output: &HostOutput) -> Result<(), Problem> {
    let id = &output.deployment_id;
    let Some(deployment) = folded.deployment(id) else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "DeploymentDoesNotExistException",
            format!("there is no deployment `{id}` on its way"),
        ));
    };
    let plan = deployment.plan.as_ref();
    let generation = plan.map(|plan| plan.generation);
    if generation != Some(output.generation) {
        return Err(Problem::conflict(
            "StaleGenerationException",
            format!(
                "the deployment `{id}` has not the generation {}",
                output.generation
            ),
        ));
    }
    if !deployment.has(host) {
        return Err(Problem::forbidden(format!(
            "the host `{host}` is none of the deployment `{id}`"
        )));
    }
    if !runs(deployment, host) {
        return Err(Problem::conflict(
            "NoEventException",
            format!("the host `{host}` has nothing to run in the deployment `{id}` now"),
        ));
    }
    Ok(())
}

fn runs(deployment: &Deployment, host: &str) -> bool {
    let mut sides = [Side::New, Side::Old].into_iter();
    sides.any(|side| {
        let target = deployment.target(side, host);
        target.is_some_and(|number| deployment.at(number).running.is_some())
    })
}
