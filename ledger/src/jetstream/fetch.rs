//! Reading by asking. One request, answered by whichever replica is near, as many messages as were asked for.

use std::time::Duration;

use async_nats::{Message, StatusCode};
use futures_util::StreamExt as _;
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use super::Shared;
use super::decode::Stored;
use crate::{Cause, Entry, ReadError, Seq, Subject};

/// Between two tries when a replica lags behind or nobody answers.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Most in one request; a broker allows 1000.
const PAGE: usize = 500;

/// What is asked for.
#[derive(Debug, Serialize)]
struct Request {
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_by_subj: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_by_subj: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    min_last_seq: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What one message of the answer is.
enum Part {
    Entry(Entry),
    End,
}

impl Shared {
    pub(super) async fn read(
        &self,
        subject: Option<Subject>,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let wanted = subject.map_or_else(
            || format!("{}.>", self.prefix),
            |subject| self.address(&subject),
        );
        self.ask(Request {
            seq: Some(after.next().get()),
            batch: Some(limit.min(PAGE)),
            next_by_subj: Some(wanted),
            last_by_subj: None,
            min_last_seq: self.saw_until().get(),
        })
        .await
    }

    /// The last entry of a subject.
    pub(super) async fn last_of(&self, subject: &Subject) -> Result<Option<Entry>, ReadError> {
        let request = Request {
            seq: None,
            batch: None,
            next_by_subj: None,
            last_by_subj: Some(self.address(subject)),
            min_last_seq: self.saw_until().get(),
        };
        Ok(self.ask(request).await?.pop())
    }

    async fn ask(&self, request: Request) -> Result<Vec<Entry>, ReadError> {
        let until = Instant::now() + self.timeout();
        loop {
            let tried = timeout(self.timeout(), self.ask_once(&request)).await;
            let error = match tried {
                Ok(Err(ReadError::Unavailable { source })) => source,
                Ok(done) => return done,
                Err(elapsed) => elapsed.into(),
            };
            if Instant::now() >= until {
                return Err(unavailable(error));
            }
            sleep(TRY_AGAIN_AFTER).await;
        }
    }

    async fn ask_once(&self, request: &Request) -> Result<Vec<Entry>, ReadError> {
        let question = serde_json::to_vec(request).map_err(unavailable)?;
        let address = format!("$JS.API.DIRECT.GET.{}", self.stream);
        let inbox = self.client.new_inbox();
        let subscribed = self.client.subscribe(inbox.clone()).await;
        let mut answers = subscribed.map_err(unavailable)?;
        let asked = self
            .client
            .publish_with_reply(address, inbox, question.into());
        asked.await.map_err(unavailable)?;
        let mut entries = Vec::new();
        while let Some(message) = answers.next().await {
            match self.part(message)? {
                Part::End => return Ok(entries),
                Part::Entry(entry) => {
                    self.saw(entry.seq);
                    entries.push(entry);
                    // Only a batch has an end of its own.
                    if request.batch.is_none() {
                        return Ok(entries);
                    }
                }
            }
        }
        Err(unavailable("the connection was closed"))
    }

    fn part(&self, message: Message) -> Result<Part, ReadError> {
        match message.status {
            None | Some(StatusCode::OK) => self.stored(&message).map(Part::Entry),
            // The end, or nothing at all.
            Some(code) if code.as_u16() == 204 || code.as_u16() == 404 => Ok(Part::End),
            Some(code) => {
                let said = message.description.as_deref().unwrap_or("no reason");
                Err(unavailable(format!("the broker answered {code}: {said}")))
            }
        }
    }

    fn stored(&self, message: &Message) -> Result<Entry, ReadError> {
        let header = |name: &str| {
            let headers = message.headers.as_ref()?;
            headers.get(name).map(|value| value.as_str())
        };
        let seq = header("Nats-Sequence").and_then(|seq| seq.parse().ok());
        let (Some(seq), Some(subject), Some(at)) =
            (seq, header("Nats-Subject"), header("Nats-Time-Stamp"))
        else {
            return Err(unavailable("an answer that is no stored message"));
        };
        let seq = Seq::new(seq);
        let at = async_nats::datetime::parse_rfc3339(at).map_err(|error| ReadError::Damaged {
            seq,
            reason: error.to_string(),
        })?;
        let stored = Stored {
            seq,
            subject,
            at_nanos: at.unix_timestamp_nanos(),
            headers: message.headers.as_ref(),
            payload: message.payload.clone(),
        };
        stored.entry(&self.prefix)
    }
}

fn unavailable(error: impl Into<Cause>) -> ReadError {
    let source = error.into();
    ReadError::Unavailable { source }
}
