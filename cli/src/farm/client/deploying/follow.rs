//! A stream of one deployment: opened, again when it breaks, and read until the deployment is over. Receives a farm and who hears; hands each
//! look at the deployment to whoever tells it.

use anyhow::Context as _;
use reqwest::Response;
use serde_json::Value;
use tokio::time::Instant;

use super::super::call::{Call, Failure, Farm};
use super::super::follow::{AWAY_MAX, PAUSE_MAX, PAUSE_MIN, SILENT_MAX};
use super::super::sse::{Message, Parser};

/// Who hears a stream.
pub(super) trait Hearing {
    /// Asks for it.
    fn call(&self) -> Call;
    /// The last place that the server said.
    fn last(&self) -> Option<&str>;
    /// Takes in a message.
    fn hear(&mut self, message: &Message<'_>) -> Result<(), serde_json::Error>;
    /// Tells what was heard since it was asked to last.
    fn tell(&mut self) -> anyhow::Result<()>;
    /// Whether the last message was heard.
    fn is_over(&self) -> bool;
}

/// A deployment as it is, and the targets that have changed since the look before.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Look {
    pub(super) info: Value,
    pub(super) targets: Vec<Value>,
}

/// Where in a stream of events one is.
struct Looking<'a> {
    id: &'a str,
    last: Option<String>,
    info: Value,
    targets: Vec<Value>,
    is_over: bool,
    heard: Vec<Look>,
    teller: &'a mut dyn FnMut(&Look) -> anyhow::Result<()>,
}

impl Hearing for Looking<'_> {
    fn call(&self) -> Call {
        Call::get(&["v1", "deployments", self.id, "events"])
    }

    fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    fn hear(&mut self, message: &Message<'_>) -> Result<(), serde_json::Error> {
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
        if let Some(id) = message.id {
            self.last = Some(id.to_string());
            self.heard.push(Look {
                info: self.info.clone(),
                targets: std::mem::take(&mut self.targets),
            });
        }
        Ok(())
    }

    fn tell(&mut self) -> anyhow::Result<()> {
        let mut heard = self.heard.drain(..);
        heard.try_for_each(|look| (self.teller)(&look))
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}

/// Hands on what is heard of a deployment until it is over; the deployment then.
///
/// # Errors
/// Those of [`hear`].
pub(super) async fn follow(
    farm: &Farm,
    id: &str,
    tell: &mut dyn FnMut(&Look) -> anyhow::Result<()>,
) -> anyhow::Result<Value> {
    let mut looking = Looking {
        id,
        last: None,
        info: Value::Null,
        targets: Vec::new(),
        is_over: false,
        heard: Vec::new(),
        teller: tell,
    };
    hear(farm, id, &mut looking).await?;
    Ok(looking.info)
}

/// Has a stream heard to its end.
///
/// # Errors
/// When there is no such deployment; when the server stays away for a minute, or answers what is not understood; those of who tells it.
pub(super) async fn hear(
    farm: &Farm,
    id: &str,
    hearing: &mut (dyn Hearing + '_),
) -> anyhow::Result<()> {
    let (mut away, mut pause) = (None, PAUSE_MIN);
    loop {
        let mut call = hearing.call().header("accept", "text/event-stream");
        if let Some(last) = hearing.last() {
            call = call.header("last-event-id", last);
        }
        let failure = match farm.once(&call).await {
            Ok(response) => {
                if read(farm, response, hearing, &mut away).await? {
                    return Ok(());
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
    hearing: &mut (dyn Hearing + '_),
    away: &mut Option<Instant>,
) -> anyhow::Result<bool> {
    let mut parser = Parser::default();
    loop {
        let piece = tokio::time::timeout(SILENT_MAX, response.chunk()).await;
        let Ok(Ok(Some(piece))) = piece else {
            return Ok(false);
        };
        *away = None;
        let mut heard = Ok(());
        let parsed = parser.push(&piece, &mut |message| {
            if heard.is_ok() {
                heard = hearing.hear(message);
            }
        });
        let server = &farm.connection.server;
        heard.map_err(|source| Failure::Strange {
            server: server.to_string(),
            source,
        })?;
        hearing.tell()?;
        parsed.with_context(|| format!("cannot follow the deployment on {server}"))?;
        if hearing.is_over() {
            return Ok(true);
        }
    }
}
