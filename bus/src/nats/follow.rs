//! Live output, out, over a broker. A consumer that the broker forgets when nobody asks; whatever happens to it, or to the
//! stream, the next begins with all that is kept, and what the follower has is passed over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{Config, Stream as Messages};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::time::sleep;

use super::Shared;
use crate::message::Took;
use crate::order::Order;
use crate::{Build, Cause, FollowError, Item, NotUnderstood, Place, wire};

/// A broker that says nothing for twice this long has lost the consumer.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long a request for messages stays with the broker.
pub(super) const EXPIRES: Duration = Duration::from_secs(30);
/// How long the broker keeps a consumer that nobody asks.
pub(super) const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Between two tries; a new leader takes seconds.
pub(super) const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Chunks asked for at once: 4 MiB when all are of the largest size.
const AHEAD_MAX: usize = 64;

struct Following {
    shared: Arc<Shared>,
    output: String,
    took: String,
    /// A name that nobody else has.
    id: String,
    order: Order,
    ready: VecDeque<Item>,
    messages: Option<Messages>,
    /// Of the consumer in use; its messages are numbered without gaps, and a gap means that one was lost on the way.
    received: u64,
    /// What those who put were last told.
    told: Option<Place>,
    has_ended: bool,
}

pub(super) fn follow(
    shared: Arc<Shared>,
    build: &Build,
    from: Place,
) -> BoxStream<'static, Result<Item, FollowError>> {
    let following = Following {
        output: shared.subject("output", build.as_str()),
        took: shared.subject("took", build.as_str()),
        id: shared.client.new_inbox(),
        shared,
        order: Order::new(from),
        ready: VecDeque::new(),
        messages: None,
        received: 0,
        told: None,
        has_ended: false,
    };
    stream::unfold(following, |mut following| async move {
        if following.has_ended {
            return None;
        }
        let next = following.next().await;
        following.has_ended = matches!(next, Err(_) | Ok(Item::End));
        Some((next, following))
    })
    .boxed()
}

impl Following {
    async fn next(&mut self) -> Result<Item, FollowError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(item);
            }
            match self.message().await {
                Ok(Some(message)) => self.accept(&message)?,
                Ok(None) => self.messages = None,
                Err(error) => {
                    tracing::debug!(%error, subject = self.output, "following output anew");
                    self.messages = None;
                    sleep(TRY_AGAIN_AFTER).await;
                    if let Err(error) = self.shared.prepare().await {
                        tracing::debug!(%error, "the bus cannot be prepared");
                    }
                }
            }
            self.tell().await;
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
        let config = Config {
            deliver_policy: DeliverPolicy::All,
            filter_subject: self.output.clone(),
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: FORGOTTEN_AFTER,
            ..Config::default()
        };
        let stream = self.shared.config.output();
        let consumer = self
            .shared
            .context
            .create_consumer_on_stream(config, stream);
        let consumer = consumer.await?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(AHEAD_MAX)
            .heartbeat(HEARTBEAT)
            .expires(EXPIRES);
        Ok(messages.messages().await?)
    }

    /// Makes items of it, unless a message before it was lost.
    fn accept(&mut self, message: &Message) -> Result<(), FollowError> {
        let not_understood = FollowError::NotUnderstood;
        let info = message.info().map_err(|error| {
            let reason = error.to_string();
            not_understood(NotUnderstood::Damaged { reason })
        })?;
        if info.consumer_sequence != self.received + 1 {
            self.messages = None;
            return Ok(());
        }
        self.received = info.consumer_sequence;
        let record = wire::decode_record(&message.payload).map_err(not_understood)?;
        self.ready.extend(self.order.accept(record));
        Ok(())
    }

    /// Tells those who put how far this is, every quarter of what is kept: when it matters, they know it well enough.
    async fn tell(&mut self) {
        let place = self.order.place;
        let quarter = self.shared.config.settings.output.chunks_max / 4;
        let quarter = u64::try_from(quarter).unwrap_or(u64::MAX);
        let is_known = self.told.is_some_and(|told| {
            told.attempt == place.attempt && place.chunk < told.chunk.saturating_add(quarter.max(1))
        });
        if is_known {
            return;
        }
        let took = wire::encode(&Took {
            follower: self.id.clone(),
            attempt: place.attempt,
            chunk: place.chunk,
        });
        // Untold, it is told again with the next chunk.
        let said = self.shared.client.publish(self.took.clone(), took).await;
        self.told = said.is_ok().then_some(place);
    }
}
