//! The log in one stream of a NATS server or cluster, for a farm. Connected by the composition root.
//!
//! A subject `build.1` is the stream's subject `<prefix>.build.1`; the broker's sequences are the log's, and its clock is. One
//! event is an ordinary publish, several are an atomic batch, each event with the header that says what it expects. A tombstone
//! is a *roll-up* of its subject: one publish that replaces all messages there by itself, under the same kind of expectation.
//! So purging is as atomic as appending, the subject's last sequence stays, and no second subject has to be kept in step.

/// Where and as whom.
mod config;
/// The stream, made and checked.
mod stream;
/// In.
mod publish;
/// Out, by asking.
mod fetch;
/// Out, as it comes.
mod consume;
/// A message as an entry.
mod decode;
/// Signing with a credentials file.
mod sign;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::Context;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::Semaphore;

pub use config::{Config, ConnectError, Credentials};

use crate::check::check;
use crate::{Append, AppendError, Appended, Entry, Health, Ledger, ReadError, Seq, Subject};

/// Batches of this process that the broker may hold unfinished. It allows 50 to all servers of a farm together.
const BATCHES_MAX: usize = 16;

/// A log in a broker. Clones share the connection.
#[derive(Clone, Debug)]
pub struct JetStream {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    context: Context,
    stream: String,
    prefix: String,
    timeout: Duration,
    batches: Semaphore,
    /// The highest sequence that this handle has appended or read: no replica may answer from before it.
    seen: AtomicU64,
}

impl JetStream {
    /// Connects, makes the stream where there is none, and checks that it is what it must be.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`]: the servers cannot be reached, are too old, or have not the settings asked for.
    pub async fn connect(config: Config) -> Result<Self, ConnectError> {
        let client = config.connect().await?;
        let context = stream::context(&client, &config);
        stream::prepare(&context, &config).await?;
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                context,
                stream: config.stream,
                prefix: config.prefix,
                timeout: config.timeout,
                batches: Semaphore::new(BATCHES_MAX),
                seen: AtomicU64::new(0),
            }),
        })
    }
}

impl Shared {
    fn saw(&self, seq: Seq) {
        self.seen.fetch_max(seq.get(), Ordering::Relaxed);
    }

    fn saw_until(&self) -> Seq {
        Seq::new(self.seen.load(Ordering::Relaxed))
    }

    async fn last(&self) -> Result<Seq, ReadError> {
        let unavailable = |source| ReadError::Unavailable { source };
        let stream = self.context.get_stream(&self.stream).await;
        let stream = stream.map_err(|error| unavailable(error.into()))?;
        let last = Seq::new(stream.cached_info().state.last_sequence);
        // A leader of yesterday, back from a partition, answers with what it had.
        let last = last.max(self.saw_until());
        self.saw(last);
        Ok(last)
    }

    async fn health(&self) -> Health {
        let mut wrong = Vec::new();
        if self.client.connection_state() == State::Connected {
            if let Err(error) = self.context.get_stream(&self.stream).await {
                wrong.push(format!(
                    "the stream {} does not answer: {error}",
                    self.stream
                ));
            }
        } else {
            wrong.push("there is no connection to a NATS server".into());
        }
        let version = self.client.server_info().version;
        Health {
            backend: format!("jetstream: nats-server {version}"),
            // A client cannot ask for `sync_interval`; the server's monitoring page says it.
            durable: None,
            wrong,
        }
    }
}

impl Ledger for JetStream {
    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        async move {
            check(&batch)?;
            self.shared.append(batch).await
        }
        .boxed()
    }

    fn read(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        self.shared.read(None, after, limit).boxed()
    }

    fn read_subject(
        &self,
        subject: &Subject,
        after: Seq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        self.shared
            .read(Some(subject.clone()), after, limit)
            .boxed()
    }

    fn follow(&self, after: Seq) -> BoxStream<'static, Result<Entry, ReadError>> {
        consume::follow(Arc::clone(&self.shared), after)
    }

    fn last(&self) -> BoxFuture<'_, Result<Seq, ReadError>> {
        self.shared.last().boxed()
    }

    fn purge(&self, subject: &Subject, last: Seq) -> BoxFuture<'_, Result<Seq, AppendError>> {
        let subject = subject.clone();
        async move { self.shared.purge(&subject, last).await }.boxed()
    }

    fn health(&self) -> BoxFuture<'_, Health> {
        self.shared.health().boxed()
    }
}
