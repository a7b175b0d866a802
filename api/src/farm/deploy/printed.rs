//! What hosts print while they are deployed to: taken from a host that has something to do in that deployment, as fast as a host may print,
//! and given to the bus for whoever follows. Nothing of it is kept.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use croft_bus::{CHUNK_BYTES_MAX, PutError};
use croft_deploy::Deployment;
use croft_deploy::server::Seen;
use croft_proto::deploy::{
    DeploymentId, HostOutput, OutputAnswer, PrintedOutput, PrintedUntil, Side,
};
use serde::Deserialize as _;
use serde_json::Value;
use tokio::time::Instant;

use super::super::agents::{host_of, read};
use super::super::call::{Answer, Call, json};
use super::super::metrics::Printed;
use super::super::problem::Problem;
use super::super::state::State;
use super::targets::host_of as host_of_target;
use crate::chain::chain;

/// A pebibyte: what a host says of itself is counted and added up, and must not run over.
const PRINTED_BYTES_MAX: u64 = 1 << 50;

/// Hosts of which it is remembered what was not taken: more than are refused at once, and a megabyte or two. Of one that is forgotten some bytes
/// are counted twice.
const UNTAKEN_HOSTS_MAX: usize = 10_000;

/// What was not taken of hosts, so that none of it is counted twice: a host says again what is refused, and says of what it gave up that it
/// was left out.
#[derive(Debug, Default)]
pub(in super::super) struct Untaken(Mutex<HashMap<String, Refused>>);

#[derive(Debug)]
struct Refused {
    deployment: DeploymentId,
    begun_ms: u64,
    until: u64,
    bytes: u64,
}

impl Untaken {
    /// Bytes of a refused piece that were not refused before.
    fn refused(&self, host: &str, output: &HostOutput) -> u64 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(host).filter(|known| known.is_of(output));
        let (before, until) = known.map_or((0, 0), |known| (known.bytes, known.until));
        let fresh = output.until().saturating_sub(until).min(output.bytes());
        let refused = Refused {
            deployment: output.deployment_id.clone(),
            begun_ms: output.begun_ms,
            until: until.max(output.until()),
            bytes: before.saturating_add(fresh),
        };
        if !all.contains_key(host) && all.len() >= UNTAKEN_HOSTS_MAX {
            // Any of them: what a host has taken of it goes by itself, and the others are alike.
            if let Some(other) = all.keys().next().cloned() {
                all.remove(&other);
            }
        }
        all.insert(host.to_string(), refused);
        fresh
    }

    /// Bytes that a piece says were left out, without those that were refused.
    fn left_out(&self, host: &str, output: &HostOutput) -> u64 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.remove(host).filter(|known| known.is_of(output));
        let refused = known.map_or(0, |known| known.bytes);
        output.left_out.saturating_sub(refused)
    }
}

impl Refused {
    fn is_of(&self, output: &HostOutput) -> bool {
        self.deployment == output.deployment_id && self.begun_ms == output.begun_ms
    }
}

/// `POST /v1/agent/output`
pub(in super::super) async fn take(mut call: Call) -> Answer {
    let (host, body) = host_of(&mut call).await?;
    let state = &call.state;
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
    let output: HostOutput = read(&body)?;
    let taken = taken(state, &host, output.clone()).await;
    match &taken {
        Ok(answer) => {
            let left_out = state.untaken.left_out(&host, &output);
            state.metrics.printed(Printed::Received, answer.bytes);
            state.metrics.printed(Printed::LeftOut, left_out);
        }
        // What passes is said again, and counted when it is taken.
        Err(problem) if problem.status.is_client_error() => {
            let bytes = state.untaken.refused(&host, &output);
            state.metrics.printed(Printed::Refused, bytes);
        }
        Err(_) => {}
    }
    json(StatusCode::OK, &taken?)
}

async fn taken(state: &State, host: &str, output: HostOutput) -> Result<OutputAnswer, Problem> {
    let bytes = output.bytes();
    if output.from.max(output.left_out) > PRINTED_BYTES_MAX {
        return Err(Problem::invalid(format!(
            "no host has printed more than {PRINTED_BYTES_MAX} bytes"
        )));
    }
    let asked = (host.to_string(), output.clone());
    let look = state
        .farm
        .deploy
        .look(move |seen| may_print(seen, &asked.0, &asked.1));
    look.await??;
    let deployment = named(output.deployment_id.to_string())?;
    let (name, host) = (named(host.to_string())?, host.to_string());
    let printed = PrintedOutput { host, output };
    let piece = serde_json::to_vec(&printed).map_err(|error| Problem::internal(&error))?;
    let put = state.farm.bus.print(&deployment, &name, piece.into()).await;
    put.map_err(|error| not_put(&error))?;
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

/// Passes when the host has an event of that deployment to run, or says what it had printed by the end of its last.
fn may_print(seen: Seen<'_>, host: &str, output: &HostOutput) -> Result<(), Problem> {
    let id = &output.deployment_id;
    let Some(deployment) = seen.state.deployment(id) else {
        let over = seen.book.find(id);
        let mut targets = over.iter().flat_map(|over| &over.targets);
        if targets.any(|target| host_of_target(target) == Some(host) && is_late(target, output)) {
            return Ok(());
        }
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
    if !runs(deployment, host, output) {
        return Err(Problem::conflict(
            "NoEventException",
            format!("the host `{host}` has nothing to run in the deployment `{id}` now"),
        ));
    }
    Ok(())
}

/// Whether the host runs an event there, or its last one ended before the farm had that.
fn runs(deployment: &Deployment, host: &str, output: &HostOutput) -> bool {
    let mut sides = [Side::New, Side::Old].into_iter();
    sides.any(|side| {
        let target = deployment.target(side, host);
        let target = target.map(|number| deployment.at(number));
        target.is_some_and(|target| {
            let was_announced = target.printed.is_some_and(|until| is_within(until, output));
            target.running.is_some() || was_announced
        })
    })
}

/// The same of a target as it is shown.
fn is_late(target: &Value, output: &HostOutput) -> bool {
    printed_of(target).is_some_and(|until| is_within(until, output))
}

fn is_within(until: PrintedUntil, output: &HostOutput) -> bool {
    until.begun_ms == output.begun_ms && output.until() <= until.bytes
}

/// What the host of a target had printed when an event ended before the farm had all of it.
pub(super) fn printed_of(target: &Value) -> Option<PrintedUntil> {
    PrintedUntil::deserialize(target.pointer("/x-croft/printed")?).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use croft_proto::deploy::{LifecycleEvent, OutputLine, OutputStream};

    use super::*;

    /// A piece of one line.
    pub(in super::super) fn output(from: u64, left_out: u64, bytes: usize) -> HostOutput {
        HostOutput {
            deployment_id: DeploymentId::drawn([0; 9]),
            generation: 1,
            event: LifecycleEvent::ApplicationStart,
            begun_ms: 1,
            from,
            left_out,
            lines: vec![OutputLine {
                script: None,
                stream: OutputStream::Stdout,
                text: "x".repeat(bytes - 1),
            }],
        }
    }

    #[test]
    fn what_is_refused_again_and_left_out_afterwards_is_counted_once() {
        let untaken = Untaken::default();
        let piece = output(10, 0, 5);
        let counted: Vec<u64> = (0..3).map(|_| untaken.refused("a", &piece)).collect();
        assert_eq!(counted, [5, 0, 0]);
        assert_eq!(
            untaken.refused("b", &piece),
            5,
            "another host's are its own"
        );
        assert_eq!(untaken.refused("a", &output(15, 5, 7)), 7);
        // Both were given up, and 3 more never sent.
        assert_eq!(untaken.left_out("a", &output(25, 15, 1)), 3);
        assert_eq!(untaken.left_out("a", &output(30, 4, 1)), 4);
        let anew = HostOutput {
            begun_ms: 2,
            ..output(0, 0, 5)
        };
        untaken.refused("a", &piece);
        assert_eq!(untaken.refused("a", &anew), 5, "it counts anew");
    }

    #[test]
    fn of_hosts_without_end_only_so_many_are_remembered() {
        let untaken = Untaken::default();
        let piece = output(0, 0, 5);
        for number in 0..=UNTAKEN_HOSTS_MAX {
            assert_eq!(untaken.refused(&format!("h{number}"), &piece), 5);
        }
        assert_eq!(untaken.0.lock().unwrap().len(), UNTAKEN_HOSTS_MAX);
        let last = format!("h{UNTAKEN_HOSTS_MAX}");
        assert_eq!(untaken.refused(&last, &piece), 0, "the newest is known");
    }
}
