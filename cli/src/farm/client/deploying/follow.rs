//! The stream of one deployment: opened, again when it breaks, and read until the deployment is over. Receives a farm and an id; hands each
//! look at the deployment to whoever tells it.

use anyhow::Context as _;
use reqwest::Response;
use serde_json::Value;
use tokio::time::Instant;

use super::super::call::{Call, Failure, Farm};
use super::super::follow::{AWAY_MAX, PAUSE_MAX, PAUSE_MIN, SILENT_MAX};
use super::super::sse::{Message, Parser};

/// A deployment as it is, and the targets that have changed since the look before.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Look {
    pub(super) info: Value,
    pub(super) targets: Vec<Value>,
}

/// Where in a stream one is.
#[derive(Debug, Default)]
struct Reading {
    /// The last place that the server said.
    last: Option<String>,
    info: Value,
    targets: Vec<Value>,
    is_over: bool,
}

impl Reading {
    fn hear(&mut self, message: &Message<'_>) -> Result<Option<Look>, serde_json::Error> {
        let mut data: Value = serde_json::from_str(message.data)?;
        match message.event {
            "state" => self.info = data["deploymentInfo"].take(),
            "targets" => {
                let targets = data["deploymentTargets"].as_array_mut();
                self.targets.append(targets.unwrap_or(&mut Vec::new()));
            }
            "end" => self.is_over = true,
            // What a later server may say beside it.
            _ => {}
        }
        let Some(id) = message.id else {
            return Ok(None);
        };
        self.last = Some(id.to_string());
        Ok(Some(Look {
            info: self.info.clone(),
            targets: std::mem::take(&mut self.targets),
        }))
    }
}

/// Hands on what is heard of a deployment until it is over; the deployment then.
///
/// # Errors
/// When there is no such deployment; when the server stays away for a minute, or answers what is not understood; those of `tell`.
pub(super) async fn follow(
    farm: &Farm,
    id: &str,
    tell: &mut dyn FnMut(&Look) -> anyhow::Result<()>,
) -> anyhow::Result<Value> {
    let mut reading = Reading::default();
    let (mut away, mut pause) = (None, PAUSE_MIN);
    loop {
        let mut call = Call::get(&["v1", "deployments", id, "events"]);
        call = call.header("accept", "text/event-stream");
        if let Some(last) = &reading.last {
            call = call.header("last-event-id", last);
        }
        let failure = match farm.once(&call).await {
            Ok(response) => {
                if read(farm, response, &mut reading, tell, &mut away).await? {
                    return Ok(reading.info);
                }
                None
            }
            Err(failure) if failure.is_passing() => Some(failure),
            Err(failure) => return Err(failure.into()),
        };
        let since = *away.get_or_insert_with(|| {
            pause = PAUSE_MIN;
            Instant::now()
        });
        let next = failure.as_ref().and_then(Failure::retry_after);
        let next = next.unwrap_or(pause);
        pause = (pause * 2).min(PAUSE_MAX);
        if since.elapsed() + next > AWAY_MAX {
            return Err(given_up(id, failure));
        }
        tokio::time::sleep(next).await;
    }
}

fn given_up(id: &str, failure: Option<Failure>) -> anyhow::Error {
    let context = format!(
        "the server has not been there for a minute; the deployment goes on without: croft deployment watch {id}"
    );
    match failure {
        Some(failure) => anyhow::Error::from(failure).context(context),
        None => anyhow::anyhow!(context),
    }
}

/// Whether the deployment was over before the connection was.
async fn read(
    farm: &Farm,
    mut response: Response,
    reading: &mut Reading,
    tell: &mut dyn FnMut(&Look) -> anyhow::Result<()>,
    away: &mut Option<Instant>,
) -> anyhow::Result<bool> {
    let mut parser = Parser::default();
    loop {
        let piece = tokio::time::timeout(SILENT_MAX, response.chunk()).await;
        let Ok(Ok(Some(piece))) = piece else {
            return Ok(false);
        };
        *away = None;
        let mut heard = Ok(Vec::new());
        let parsed = parser.push(&piece, &mut |message| {
            if let Ok(all) = &mut heard {
                match reading.hear(message) {
                    Ok(more) => all.extend(more),
                    Err(error) => heard = Err(error),
                }
            }
        });
        let server = &farm.connection.server;
        let heard = heard.map_err(|source| Failure::Strange {
            server: server.to_string(),
            source,
        })?;
        for heard in &heard {
            tell(heard)?;
        }
        parsed.with_context(|| format!("cannot follow the deployment on {server}"))?;
        if reading.is_over {
            return Ok(true);
        }
    }
}
