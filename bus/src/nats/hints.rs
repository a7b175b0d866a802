//! Builds that wait, over a broker: one work queue, one durable consumer per pool.
//!
//! A broker tells repeated hints apart by an id, and remembers ids also of what was purged. So whoever drops a pool's hints
//! names those it publishes afterwards differently; another publisher may repeat one of them then, which changes nothing.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::pull::Config as Pull;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer};
use async_nats::jetstream::context::PublishError as Refused;
use async_nats::jetstream::message::{AckKind, Message, PublishMessage};
use croft_nats::escape;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use tokio::time::{Instant, sleep, timeout};

use super::Shared;
use crate::held::Receipt;
use crate::{
    Cause, HINTS_MAX, Hint, NotUnderstood, Pool, PublishError, TakeError, Taken, Unavailable, wire,
};

pub(super) type Consumer = PullConsumer;

/// How long one request for a hint stays with the broker: one that was restarted has lost it, and a waiting taker notices
/// with the next.
const REQUEST_MAX: Duration = Duration::from_secs(2);
/// What a broker may be late with saying that nothing came.
const GRACE: Duration = Duration::from_secs(2);
/// Between two tries.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// A hint of a newer croft waits so long for a newer taker; it must not come back to the same one at once.
const NOT_FOR_US_DELAY: Duration = Duration::from_secs(1);

impl Shared {
    pub(super) async fn publish(&self, pool: &Pool, hint: &Hint) -> Result<(), PublishError> {
        let subject = self.subject("hint", pool.as_str());
        let generation = self.generation(pool);
        let (build, attempt) = (escape(hint.build.as_str()), hint.attempt);
        let id = format!("{subject}{generation} {build} {attempt}");
        let payload = wire::encode(hint);
        let published = self.insist(|| async {
            let message = PublishMessage::build().payload(payload.clone());
            let message = message.message_id(&id);
            let sent = self.context.send_publish(subject.clone(), message).await?;
            sent.await
        });
        match published.await {
            Ok(_) => Ok(()),
            Err(error) if is_full(&error) => Err(PublishError::Full),
            Err(error) => Err(PublishError::Unavailable(Unavailable::new(error))),
        }
    }

    pub(super) async fn take(
        &self,
        pool: &Pool,
        wait: Duration,
    ) -> Result<Option<Taken>, TakeError> {
        let limit = Instant::now() + wait;
        let mut has_failed = false;
        loop {
            let left = limit.saturating_duration_since(Instant::now());
            match self.request(pool, left.min(REQUEST_MAX)).await {
                Ok(Some(message)) => return self.taken(message).await.map(Some),
                Ok(None) if limit <= Instant::now() => return Ok(None),
                Ok(None) => {}
                Err(error) => {
                    let is_over = has_failed && limit <= Instant::now();
                    has_failed = true;
                    self.forget(pool);
                    let prepared = self.prepare().await.map_err(Cause::from);
                    if is_over || (prepared.is_err() && limit <= Instant::now()) {
                        return Err(TakeError::Unavailable(Unavailable::new(error)));
                    }
                    tracing::debug!(%error, %pool, "taking hints anew");
                    let left = limit.saturating_duration_since(Instant::now());
                    sleep(TRY_AGAIN_AFTER.min(left)).await;
                }
            }
        }
    }

    async fn request(&self, pool: &Pool, wait: Duration) -> Result<Option<Message>, Cause> {
        let consumer = self.consumer(pool).await?;
        let mut messages = if wait.is_zero() {
            consumer.fetch().max_messages(1).messages().await?
        } else {
            let request = consumer.batch().max_messages(1).expires(wait);
            request.messages().await?
        };
        let next = timeout(wait + GRACE, messages.next()).await?;
        next.transpose()
    }

    async fn taken(&self, message: Message) -> Result<Taken, TakeError> {
        let error = match wire::decode(&message.payload) {
            Ok(hint) => {
                let timeout = self.timeout();
                return Ok(Taken::new(hint, Slip { message, timeout }));
            }
            Err(error) => error,
        };
        let kind = match &error {
            NotUnderstood::Newer { .. } => AckKind::Nak(Some(NOT_FOR_US_DELAY)),
            NotUnderstood::Damaged { .. } => AckKind::Term,
        };
        if let Err(error) = message.ack_with(kind).await {
            // It comes back after `ack_wait` then.
            tracing::debug!(%error, "could not hand back a hint");
        }
        Err(TakeError::NotUnderstood(error))
    }

    async fn consumer(&self, pool: &Pool) -> Result<Consumer, Cause> {
        if let Some(consumer) = self.known_consumers().get(pool) {
            return Ok(consumer.clone());
        }
        let config = Pull {
            durable_name: Some(escape(pool.as_str())),
            filter_subject: self.subject("hint", pool.as_str()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.config.settings.ack_wait,
            max_deliver: -1,
            max_ack_pending: i64::try_from(HINTS_MAX).unwrap_or(i64::MAX),
            memory_storage: true,
            ..Pull::default()
        };
        let stream = self.config.hints();
        let consumer = self.context.create_consumer_on_stream(config, stream);
        let consumer = consumer.await?;
        self.known_consumers()
            .insert(pool.clone(), consumer.clone());
        Ok(consumer)
    }

    fn forget(&self, pool: &Pool) {
        self.known_consumers().remove(pool);
    }

    fn known_consumers(&self) -> MutexGuard<'_, HashMap<Pool, Consumer>> {
        let known = self.consumers.lock();
        known.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn waiting(&self, pool: &Pool) -> Result<u64, Unavailable> {
        let subject = self.subject("hint", pool.as_str());
        let counted = self.insist(|| async {
            let stream = self.context.get_stream_no_info(self.config.hints()).await?;
            let counts = stream.info_with_subjects(&subject).await?;
            let counts = counts.try_fold(0, async |sum, (_, count)| Ok(sum + count));
            let count = counts.await?;
            u64::try_from(count).map_err(Cause::from)
        });
        counted.await.map_err(Unavailable::new)
    }

    pub(super) async fn drop_all(&self, pool: Pool) -> Result<(), Unavailable> {
        let subject = self.subject("hint", pool.as_str());
        let purged = self.insist(|| async {
            let stream = self.context.get_stream_no_info(self.config.hints()).await?;
            let purged = stream.purge().filter(&subject).await?;
            Ok::<_, Cause>(purged.purged)
        });
        let purged = purged.await.map_err(Unavailable::new)?;
        tracing::debug!(%pool, purged, "dropped hints");
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // An inbox is a name that nobody else has.
        generations.insert(pool, self.client.new_inbox());
        Ok(())
    }

    fn generation(&self, pool: &Pool) -> String {
        let generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        generations.get(pool).cloned().unwrap_or_default()
    }
}

/// Whether the broker said that the stream has as many messages as it may have.
fn is_full(error: &Cause) -> bool {
    let refused = error.downcast_ref::<Refused>();
    let source = refused.and_then(|refused| std::error::Error::source(refused));
    let said = source.and_then(|source| source.downcast_ref::<jetstream::Error>());
    said.is_some_and(|said| said.error_code() == ErrorCode::STREAM_STORE_FAILED)
}

/// One taking of a hint.
struct Slip {
    message: Message,
    timeout: Duration,
}

impl Slip {
    async fn tell(self, kind: AckKind) -> Result<(), Unavailable> {
        let told = timeout(self.timeout, self.message.double_ack_with(kind)).await;
        let told = told.map_err(Unavailable::new)?;
        told.map_err(Unavailable::new)
    }
}

impl Receipt for Slip {
    fn done(self: Box<Self>) -> BoxFuture<'static, Result<(), Unavailable>> {
        self.tell(AckKind::Ack).boxed()
    }

    fn give_back(self: Box<Self>, delay: Duration) -> BoxFuture<'static, Result<(), Unavailable>> {
        let delay = (!delay.is_zero()).then_some(delay);
        self.tell(AckKind::Nak(delay)).boxed()
    }
}
