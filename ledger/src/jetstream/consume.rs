//! Following. A consumer that the broker forgets when nobody asks; whatever happens to it, the next begins after the last entry.
//!
//! The client crate's ordered consumer does the same, but after one missed heartbeat it may wait without being woken.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{Config, Stream as Messages};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::time::sleep;

use super::Shared;
use super::decode::Stored;
use crate::{Cause, Entry, ReadError, Seq};

/// A broker that says nothing for twice this long has lost the consumer.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long a request for messages stays with the broker.
const EXPIRES: Duration = Duration::from_secs(30);
/// How long the broker keeps a consumer that nobody asks.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Between two tries; a new leader takes seconds.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

struct Following {
    shared: Arc<Shared>,
    after: Seq,
    messages: Option<Messages>,
    /// Of the consumer in use; its messages are numbered without gaps, and a gap means that one was lost on the way.
    received: u64,
    has_ended: bool,
}

pub(super) fn follow(
    shared: Arc<Shared>,
    after: Seq,
) -> BoxStream<'static, Result<Entry, ReadError>> {
    let following = Following {
        shared,
        after,
        messages: None,
        received: 0,
        has_ended: false,
    };
    stream::unfold(following, |mut following| async move {
        if following.has_ended {
            return None;
        }
        let next = following.next().await;
        following.has_ended = next.is_err();
        Some((next, following))
    })
    .boxed()
}

impl Following {
    async fn next(&mut self) -> Result<Entry, ReadError> {
        loop {
            match self.message().await {
                Ok(Some(message)) => {
                    if let Some(entry) = self.accept(&message)? {
                        self.after = entry.seq;
                        self.shared.saw(entry.seq);
                        return Ok(entry);
                    }
                }
                Ok(None) => self.messages = None,
                Err(error) => {
                    tracing::debug!(%error, after = %self.after, "following the ledger anew");
                    self.messages = None;
                    sleep(TRY_AGAIN_AFTER).await;
                }
            }
        }
    }

    async fn message(&mut self) -> Result<Option<Message>, Cause> {
        if self.messages.is_none() {
            self.messages = Some(self.consumer().await?);
            self.received = 0;
        }
        match &mut self.messages {
            Some(messages) => Ok(messages.next().await.transpose()?),
            None => Ok(None),
        }
    }

    async fn consumer(&self) -> Result<Messages, Cause> {
        let stream = self.shared.context.get_stream_no_info(&self.shared.stream);
        let stream = stream.await?;
        let consumer = stream.create_consumer(Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: self.after.next().get(),
            },
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: FORGOTTEN_AFTER,
            ..Config::default()
        });
        let consumer = consumer.await?;
        let messages = consumer.stream().heartbeat(HEARTBEAT).expires(EXPIRES);
        Ok(messages.messages().await?)
    }

    /// The entry, unless one before it was lost.
    fn accept(&mut self, message: &Message) -> Result<Option<Entry>, ReadError> {
        let damaged = |error: async_nats::Error| ReadError::Damaged {
            seq: self.after,
            reason: format!("what follows it: {error}"),
        };
        let info = message.info().map_err(damaged)?;
        let seq = Seq::new(info.stream_sequence);
        if info.consumer_sequence != self.received + 1 {
            self.messages = None;
            return Ok(None);
        }
        self.received = info.consumer_sequence;
        if seq <= self.after {
            return Ok(None);
        }
        let stored = Stored {
            seq,
            subject: message.subject.as_str(),
            at_nanos: info.published.unix_timestamp_nanos(),
            headers: message.headers.as_ref(),
            payload: message.payload.clone(),
        };
        stored.entry(&self.shared.prefix).map(Some)
    }
}
