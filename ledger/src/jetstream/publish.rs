//! Appending. Receives checked batches; answers with where they are, or what the broker's refusal means.

use std::time::Duration;

use async_nats::{HeaderMap, RequestErrorKind};
use bytes::Bytes;
use serde::Deserialize;

use super::Shared;
use super::decode::PURGED;
use crate::check::conflict;
use crate::{Append, AppendError, Appended, Body, Cause, Entry, Expected, Seq, Subject};

const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";
const BATCH_ID: &str = "Nats-Batch-Id";
const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
const BATCH_COMMIT: &str = "Nats-Batch-Commit";
pub(super) const ROLLUP: &str = "Nats-Rollup";
/// Makes the broker refuse a message that another stream would take: the prefix could be configured twice.
const EXPECTED_STREAM: &str = "Nats-Expected-Stream";

/// An expectation does not hold, or a cluster is about to store another message of the subject.
const WRONG_LAST_SEQUENCE: [u64; 2] = [10071, 10164];
/// The broker lost the batch's beginning (a reconnection, a new leader), or has too many unfinished ones: nothing is stored.
const NOT_THIS_TIME: [u64; 3] = [10176, 10210, 10163];
/// How often such a batch is sent.
const TRIES_MAX: u32 = 5;
/// And after how long, times the tries before. Whatever of a batch was lost stays with the broker as a beginning without an end.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// One message of a batch.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) subject: &'a Subject,
    pub(super) headers: HeaderMap,
    pub(super) event: Bytes,
}

/// The broker's answer.
#[derive(Debug, Deserialize)]
struct Reply {
    seq: Option<u64>,
    count: Option<usize>,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// What did not become an acknowledgement.
#[derive(Debug)]
enum Failed {
    Refused(Refusal),
    Error(AppendError),
}

impl Shared {
    pub(super) async fn append(&self, batch: Vec<Append>) -> Result<Appended, AppendError> {
        let sent = match batch.as_slice() {
            [one] => self.append_one(one).await,
            _ => self.append_all(&batch).await,
        };
        match sent {
            Ok(appended) => {
                self.saw(appended.last);
                Ok(appended)
            }
            Err(Failed::Error(error)) => Err(error),
            Err(Failed::Refused(refusal)) => Err(self.explain(&batch, refusal).await),
        }
    }

    async fn append_one(&self, append: &Append) -> Result<Appended, Failed> {
        let headers = self.headers(append.expected);
        let reply = self
            .send(&append.subject, headers, append.event.clone())
            .await?;
        let seq = reply.seq.map(Seq::new).unwrap_or_default();
        Ok(Appended {
            first: seq,
            last: seq,
        })
    }

    async fn append_all(&self, batch: &[Append]) -> Result<Appended, Failed> {
        let turn = self.batches.acquire().await;
        let _turn = turn.map_err(|closed| Failed::Error(unavailable(closed)))?;
        let mut tries = 1;
        loop {
            match self.send_all(batch).await {
                Err(Failed::Refused(refusal))
                    if NOT_THIS_TIME.contains(&refusal.err_code) && tries < TRIES_MAX =>
                {
                    tokio::time::sleep(TRY_AGAIN_AFTER * tries).await;
                    tries += 1;
                }
                other => return other,
            }
        }
    }

    async fn send_all(&self, batch: &[Append]) -> Result<Appended, Failed> {
        let messages = batch.iter().map(|append| Message {
            subject: &append.subject,
            headers: self.headers(append.expected),
            event: append.event.clone(),
        });
        self.send_together(messages.collect()).await
    }

    /// The same of messages whose headers say all; one that is alone is no batch. Nothing is explained and nothing tried again.
    pub(super) async fn send_messages(
        &self,
        mut messages: Vec<Message<'_>>,
    ) -> Result<Appended, AppendError> {
        let sent = match (messages.pop(), messages.is_empty()) {
            (None, _) => return Err(unavailable("there is nothing to send")),
            (
                Some(Message {
                    subject,
                    headers,
                    event,
                }),
                true,
            ) => {
                let reply = self.send(subject, headers, event).await;
                reply.map(|reply| {
                    let seq = reply.seq.map(Seq::new).unwrap_or_default();
                    Appended {
                        first: seq,
                        last: seq,
                    }
                })
            }
            (Some(last), false) => {
                messages.push(last);
                self.send_together(messages).await
            }
        };
        sent.map_err(|failed| match failed {
            Failed::Refused(refusal) => refusal.unavailable(),
            Failed::Error(error) => error,
        })
    }

    /// All but the last are sent without waiting; the broker holds them until the last one's commit, whose answer counts for all.
    async fn send_together(&self, batch: Vec<Message<'_>>) -> Result<Appended, Failed> {
        let id = self.client.new_inbox().replace('.', "-");
        let count = batch.len();
        let mut reply = None;
        for (at, message) in batch.into_iter().enumerate() {
            self.must_be_connected()?;
            let Message {
                subject,
                mut headers,
                event,
            } = message;
            headers.insert(BATCH_ID, id.as_str());
            headers.insert(BATCH_SEQUENCE, (at + 1).to_string());
            if at + 1 == count {
                headers.insert(BATCH_COMMIT, "1");
                reply = Some(self.send(subject, headers, event).await?);
            } else {
                let subject = self.address(subject);
                let sent = self.client.publish_with_headers(subject, headers, event);
                // Nothing is stored without the commit.
                sent.await
                    .map_err(|error| Failed::Error(unavailable(error)))?;
            }
        }
        let reply = reply.filter(|reply| reply.count == Some(count));
        let Some(last) = reply.and_then(|reply| reply.seq) else {
            let source = "the broker stored another number of events than it was sent".into();
            return Err(Failed::Error(AppendError::Unknown { source }));
        };
        let first = last.saturating_sub(count as u64 - 1);
        Ok(Appended {
            first: Seq::new(first),
            last: Seq::new(last),
        })
    }

    pub(super) async fn purge(&self, subject: &Subject, last: Seq) -> Result<Seq, AppendError> {
        let mut headers = self.headers(Expected::Last(last));
        headers.insert(ROLLUP, "sub");
        headers.insert(PURGED, last.to_string());
        let sent = self.send(subject, headers, Bytes::new()).await;
        match sent {
            Ok(reply) => {
                let seq = reply.seq.map(Seq::new).unwrap_or_default();
                self.saw(seq);
                Ok(seq)
            }
            Err(Failed::Error(error)) => Err(error),
            Err(Failed::Refused(refusal)) if !refusal.is_conflict() => Err(refusal.unavailable()),
            Err(Failed::Refused(refusal)) => {
                let entry = self.last_of(subject).await.unwrap_or_default();
                match entry {
                    Some(Entry { body, seq, .. }) if body == (Body::Tombstone { last }) => Ok(seq),
                    Some(entry) => Err(conflict(subject, last, Some(entry.seq))),
                    None => Err(conflict(subject, last, refusal.actual())),
                }
            }
        }
    }

    pub(super) fn headers(&self, expected: Expected) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED_STREAM, self.stream.as_str());
        // A later message of a subject has no expectation: the broker compares all of a batch with the log before it.
        if let Expected::Last(seq) = expected {
            headers.insert(EXPECTED, seq.to_string());
        }
        headers
    }

    pub(super) fn address(&self, subject: &Subject) -> String {
        format!("{}.{subject}", self.prefix)
    }

    async fn send(
        &self,
        subject: &Subject,
        headers: HeaderMap,
        event: Bytes,
    ) -> Result<Reply, Failed> {
        self.must_be_connected()?;
        let subject = self.address(subject);
        let asked = self.client.request_with_headers(subject, headers, event);
        let answer = asked.await.map_err(|error| {
            Failed::Error(match error.kind() {
                // Nobody took it, so nobody stored it.
                RequestErrorKind::NoResponders
                | RequestErrorKind::InvalidSubject
                | RequestErrorKind::MaxPayloadExceeded => unavailable(error),
                RequestErrorKind::TimedOut | RequestErrorKind::Other => unknown(error),
            })
        })?;
        let reply: Result<Reply, _> = serde_json::from_slice(&answer.payload);
        match reply {
            Ok(Reply {
                error: Some(refusal),
                ..
            }) => Err(Failed::Refused(refusal)),
            Ok(reply) if reply.seq.is_some() => Ok(reply),
            Ok(_) => Err(Failed::Error(unknown("an answer without a sequence"))),
            Err(error) => Err(Failed::Error(unknown(error))),
        }
    }

    /// Whether anything should be sent. The client would keep it and send it once it is connected again, long after the caller
    /// was told; and fifty beginnings of batches without an end stop all batches until the broker gives them up, after 10 s.
    fn must_be_connected(&self) -> Result<(), Failed> {
        if self.is_connected() {
            return Ok(());
        }
        let error = unavailable("there is no connection to a NATS server");
        Err(Failed::Error(error))
    }

    /// Which of the batch's expectations was refused. The broker does not say, so its subjects are asked.
    async fn explain(&self, batch: &[Append], refusal: Refusal) -> AppendError {
        if !refusal.is_conflict() {
            return refusal.unavailable();
        }
        let expectations = batch.iter().filter_map(|append| match append.expected {
            Expected::Last(expected) => Some((&append.subject, expected)),
            Expected::Previous => None,
        });
        let expectations: Vec<_> = expectations.collect();
        if let [(subject, expected)] = expectations[..]
            && let Some(actual) = refusal.actual()
        {
            return conflict(subject, expected, Some(actual));
        }
        for (subject, expected) in &expectations {
            let Ok(last) = self.last_of(subject).await else {
                break;
            };
            let actual = last.map(|entry| entry.seq).unwrap_or_default();
            if actual != *expected {
                return conflict(subject, *expected, Some(actual));
            }
        }
        let (subject, expected) = expectations[0];
        conflict(subject, expected, None)
    }
}

impl Refusal {
    fn is_conflict(&self) -> bool {
        WRONG_LAST_SEQUENCE.contains(&self.err_code)
    }

    /// `wrong last sequence: 7`.
    fn actual(&self) -> Option<Seq> {
        let (_, number) = self.description.rsplit_once(": ")?;
        number.parse().ok().map(Seq::new)
    }

    fn unavailable(self) -> AppendError {
        let Self {
            err_code,
            description,
        } = self;
        unavailable(format!("the broker refused: {description} ({err_code})"))
    }
}

fn unavailable(source: impl Into<Cause>) -> AppendError {
    let source = source.into();
    AppendError::Unavailable { source }
}

fn unknown(source: impl Into<Cause>) -> AppendError {
    let source = source.into();
    AppendError::Unknown { source }
}
