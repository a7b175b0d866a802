//! Live output of hosts over a broker: a message per piece on the deployment's and host's subject, numbered by the broker, so that any
//! server may put what a host prints. The broker keeps the last so many of each host, and asks nobody who reads.

use std::sync::Arc;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{Config, Stream as Messages};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::time::sleep;

use super::Shared;
use super::follow::{EXPIRES, FORGOTTEN_AFTER, HEARTBEAT, TRY_AGAIN_AFTER};
use crate::{
    Cause, Deployment, FollowError, Heard, Host, Mark, NotUnderstood, PutError, Unavailable, wire,
};

/// Pieces asked for at once: a megabyte when all are of the largest size.
const AHEAD_MAX: usize = 16;

impl Shared {
    pub(super) async fn print(
        &self,
        deployment: &Deployment,
        host: &Host,
        piece: &Bytes,
    ) -> Result<(), PutError> {
        let subject = self.printed(deployment, Some(host));
        let payload = wire::encode_piece(piece);
        let published = self.insist(|| async {
            let sent = self.context.publish(subject.clone(), payload.clone());
            sent.await?.await
        });
        let published = published.await.map(drop);
        published.map_err(|error| PutError::Unavailable(Unavailable::new(error)))
    }

    /// The subject of one host, or of all.
    fn printed(&self, deployment: &Deployment, host: Option<&Host>) -> String {
        let of = self.subject("printed", deployment.as_str());
        let host = host.map_or_else(|| "*".into(), |host| croft_nats::escape(host.as_str()));
        format!("{of}.{host}")
    }
}

struct Listening {
    shared: Arc<Shared>,
    subject: String,
    /// What was given.
    after: Option<Mark>,
    /// Of the stream in use.
    epoch: u64,
    messages: Option<Messages>,
    /// Of the consumer in use; its messages are numbered without gaps, and a gap means that one was lost on the way.
    received: u64,
    /// So many are to come until all is given that was there at the beginning; none when that is said.
    left: Option<u64>,
    has_ended: bool,
}

pub(super) fn listen(
    shared: Arc<Shared>,
    deployment: &Deployment,
    host: Option<&Host>,
    after: Option<Mark>,
) -> BoxStream<'static, Result<Heard, FollowError>> {
    let listening = Listening {
        subject: shared.printed(deployment, host),
        shared,
        after,
        epoch: 0,
        messages: None,
        received: 0,
        left: Some(0),
        has_ended: false,
    };
    stream::unfold(listening, |mut listening| async move {
        if listening.has_ended {
            return None;
        }
        let next = listening.next().await;
        listening.has_ended = next.is_err();
        Some((next, listening))
    })
    .boxed()
}

impl Listening {
    async fn next(&mut self) -> Result<Heard, FollowError> {
        loop {
            match self.message().await {
                Ok(None) => return Ok(Heard::CaughtUp),
                Ok(Some(message)) => {
                    if let Some(heard) = self.accept(&message)? {
                        return Ok(heard);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, subject = self.subject, "listening anew");
                    self.messages = None;
                    sleep(TRY_AGAIN_AFTER).await;
                    if let Err(error) = self.shared.prepare().await {
                        tracing::debug!(%error, "the bus cannot be prepared");
                    }
                }
            }
        }
    }

    /// The next message; none when all was given that there was.
    async fn message(&mut self) -> Result<Option<Message>, Cause> {
        if self.messages.is_none() {
            self.messages = Some(self.consumer().await?);
            self.received = 0;
        }
        if self.left.take_if(|left| *left == 0).is_some() {
            return Ok(None);
        }
        let next = match &mut self.messages {
            Some(messages) => messages.next().await.transpose()?,
            None => None,
        };
        next.map(Some)
            .ok_or_else(|| "the broker has forgotten the consumer".into())
    }

    async fn consumer(&mut self) -> Result<Messages, Cause> {
        let name = self.shared.config.printed();
        let stream = self.shared.context.get_stream(name).await?;
        let made = stream.cached_info().created.unix_timestamp_nanos();
        self.epoch = u64::try_from(made).unwrap_or_default();
        let after = self.after.filter(|mark| mark.epoch == self.epoch);
        let config = Config {
            deliver_policy: match after {
                Some(mark) => DeliverPolicy::ByStartSequence {
                    start_sequence: mark.seq.saturating_add(1),
                },
                None => DeliverPolicy::All,
            },
            filter_subject: self.subject.clone(),
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: FORGOTTEN_AFTER,
            ..Config::default()
        };
        let consumer = stream.create_consumer(config).await?;
        if let Some(left) = &mut self.left {
            *left = consumer.cached_info().num_pending;
        }
        let messages = consumer
            .stream()
            .max_messages_per_batch(AHEAD_MAX)
            .heartbeat(HEARTBEAT)
            .expires(EXPIRES);
        Ok(messages.messages().await?)
    }

    /// What it holds, unless a message before it was lost.
    fn accept(&mut self, message: &Message) -> Result<Option<Heard>, FollowError> {
        let not_understood = FollowError::NotUnderstood;
        let info = message.info().map_err(|error| {
            let reason = error.to_string();
            not_understood(NotUnderstood::Damaged { reason })
        })?;
        if info.consumer_sequence != self.received + 1 {
            self.messages = None;
            return Ok(None);
        }
        self.received = info.consumer_sequence;
        let mark = Mark {
            epoch: self.epoch,
            seq: info.stream_sequence,
        };
        self.after = Some(mark);
        if let Some(left) = &mut self.left {
            // Some of them may have gone since.
            *left = left.saturating_sub(1).min(info.pending);
        }
        let bytes = wire::decode_piece(&message.payload).map_err(not_understood)?;
        Ok(Some(Heard::Piece { mark, bytes }))
    }
}
