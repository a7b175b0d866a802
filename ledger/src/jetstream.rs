//! The log in one stream of a NATS server or cluster, for a farm. Connected by the composition root.
//!
//! A subject `build.1` is the stream's subject `<prefix>.build.1`; the broker's sequences are the log's, and its clock is. One
//! event is an ordinary publish, several are an atomic batch, each event with the header that says what it expects. A tombstone
//! is a *roll-up* of its subject: one publish that replaces all messages there by itself, under the same kind of expectation.
//! So purging is as atomic as appending, the subject's last sequence stays, and no second subject has to be kept in step.

/// Which stream of which broker.
mod config;
/// The stream as it must be.
mod stream;
/// In.
mod publish;
/// Out, by asking.
mod fetch;
/// Out, as it comes.
mod consume;
/// A message as an entry.
mod decode;
/// Writing it all anew.
mod restoring;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::Info;
use croft_nats::{Broker, ConnectError, Durability};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::Semaphore;

pub use config::Config;
pub use restoring::JetStreamRestoring;

use crate::check::check;
use crate::{
    Append, AppendError, Appended, Entry, Health, Ledger, ReadError, RestoreError, Seq, Subject,
};

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
    broker: Broker,
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
        let client = config.broker.connect().await?;
        Self::open(client, config).await
    }

    /// The same over a connection that is there already, such as the one of this role's bus. Of the configured broker only the
    /// patience and the monitoring count.
    ///
    /// # Errors
    ///
    /// Those of [`JetStream::connect`].
    pub async fn open(client: Client, config: Config) -> Result<Self, ConnectError> {
        croft_nats::check_version(&client)?;
        let context = croft_nats::context(&client, config.broker.timeout);
        croft_nats::once_settled(|| stream::prepare(&context, &config)).await?;
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                context,
                stream: config.stream,
                prefix: config.prefix,
                broker: config.broker,
                batches: Semaphore::new(BATCHES_MAX),
                seen: AtomicU64::new(0),
            }),
        })
    }

    /// Writes the stream anew.
    ///
    /// # Errors
    ///
    /// It has, or had, entries; or it cannot be asked.
    pub async fn restore(&self) -> Result<JetStreamRestoring, RestoreError> {
        restoring::begin(Arc::clone(&self.shared)).await
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

    fn timeout(&self) -> Duration {
        self.broker.timeout
    }

    async fn health(&self) -> Health {
        let mut wrong = Vec::from_iter(croft_nats::wrong_with(&self.client));
        let mut kept_by = Vec::new();
        if self.is_connected() {
            match self.context.get_stream(&self.stream).await {
                Ok(stream) => kept_by = self.kept_by(stream.cached_info()),
                Err(error) => wrong.push(format!(
                    "the stream {} does not answer: {}",
                    self.stream,
                    croft_nats::chain(&error)
                )),
            }
        }
        let Durability {
            durable,
            wrong: lazy,
        } = self.broker.durability(&kept_by).await;
        wrong.extend(lazy);
        let version = self.client.server_info().version;
        Health {
            backend: format!("jetstream: nats-server {version}"),
            durable,
            wrong,
        }
    }

    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// The names of the servers that keep the stream.
    fn kept_by(&self, info: &Info) -> Vec<String> {
        let Some(cluster) = &info.cluster else {
            return vec![self.client.server_info().server_name];
        };
        let followers = cluster.replicas.iter().map(|peer| peer.name.clone());
        cluster
            .leader
            .clone()
            .into_iter()
            .chain(followers)
            .collect()
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
