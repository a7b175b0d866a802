//! The bus of a farm, over a NATS server or cluster. Connected by the composition root.
//!
//! Hints are a work queue, output of builds and of hosts are two streams with limits, all in the broker's memory; renewals, announcements, presences and
//! what followers say of themselves are plain messages. When the broker's memory is gone, whoever asks next makes the streams
//! again, and the roles fill them from the ledger as they go on.

/// Which streams of which broker.
mod config;
/// The streams as they must be.
mod stream;
/// Builds that wait.
mod hints;
/// Live output, in.
mod put;
/// Live output, out.
mod follow;
/// Live output of hosts, in and out.
mod printed;
/// What is said to whoever listens now: renewals, announcements, presences.
mod said;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::Context;
use bytes::Bytes;
use croft_nats::ConnectError;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

pub use config::Config;

use crate::message::{Record, cut, piece as checked};
use crate::{
    Announcement, Build, Bus, Cause, Chunk, Deployment, FollowError, Health, Heard, Hint, Host,
    Item, Mark, Place, Pool, Presence, PublishError, PutError, RenewError, Renewal, RenewalRequest,
    TakeError, Taken, Unavailable, VERSION_BYTES_MAX, Verdict,
};

/// A bus in a broker. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Nats {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    context: Context,
    config: Config,
    /// What this handle's hints are told apart by from those before it dropped the pool's; none when it never did.
    generations: Mutex<HashMap<Pool, String>>,
    consumers: Mutex<HashMap<Pool, hints::Consumer>>,
    putting: Mutex<HashMap<Build, put::Shared>>,
}

impl Nats {
    /// Connects, makes the streams where there are none, and checks that they are what they must be.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`]: the servers cannot be reached, are too old, or have not the settings asked for.
    pub async fn connect(config: Config) -> Result<Self, ConnectError> {
        let client = config.broker.connect().await?;
        Self::open(client, config).await
    }

    /// The same over a connection that is there already, such as the one of this role's ledger. Of the configured broker only
    /// the patience counts.
    ///
    /// # Errors
    ///
    /// Those of [`Nats::connect`].
    pub async fn open(client: Client, config: Config) -> Result<Self, ConnectError> {
        croft_nats::check_version(&client)?;
        let context = croft_nats::context(&client, config.broker.timeout);
        croft_nats::once_settled(|| stream::prepare(&context, &config)).await?;
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                context,
                config,
                generations: Mutex::default(),
                consumers: Mutex::default(),
                putting: Mutex::default(),
            }),
        })
    }
}

impl Shared {
    /// Does it; when that fails, makes the streams again, which a broker that was restarted has lost, and does it once more.
    async fn insist<T, E: Into<Cause>, F: Future<Output = Result<T, E>>>(
        &self,
        mut it: impl FnMut() -> F,
    ) -> Result<T, Cause> {
        let error = match it().await {
            Ok(done) => return Ok(done),
            Err(error) => error.into(),
        };
        if self.client.connection_state() != State::Connected {
            return Err(error);
        }
        tracing::debug!(%error, "preparing the bus anew");
        self.prepare().await?;
        it().await.map_err(Into::into)
    }

    async fn prepare(&self) -> Result<(), ConnectError> {
        stream::prepare(&self.context, &self.config).await
    }

    fn timeout(&self) -> Duration {
        self.config.broker.timeout
    }

    async fn health(&self) -> Health {
        let mut wrong = Vec::from_iter(croft_nats::wrong_with(&self.client));
        if self.client.connection_state() == State::Connected
            && let Err(error) = self.prepare().await
        {
            wrong.push(croft_nats::chain(&error));
        }
        let version = self.client.server_info().version;
        Health {
            backend: format!("nats: nats-server {version}"),
            // All of it is in the servers' memory, as it should be.
            durable: Some(false),
            wrong,
        }
    }

    fn subject(&self, of: &str, name: &str) -> String {
        let token = croft_nats::escape(name);
        format!("{}.{of}.{token}", self.config.prefix)
    }
}

impl Bus for Nats {
    fn publish(&self, pool: &Pool, hint: Hint) -> BoxFuture<'_, Result<(), PublishError>> {
        let pool = pool.clone();
        async move { self.shared.publish(&pool, &hint).await }.boxed()
    }

    fn take(&self, pool: &Pool, wait: Duration) -> BoxFuture<'_, Result<Option<Taken>, TakeError>> {
        let pool = pool.clone();
        async move { self.shared.take(&pool, wait).await }.boxed()
    }

    fn waiting(&self, pool: &Pool) -> BoxFuture<'_, Result<u64, Unavailable>> {
        let pool = pool.clone();
        async move { self.shared.waiting(&pool).await }.boxed()
    }

    fn drop_all(&self, pool: &Pool) -> BoxFuture<'_, Result<(), Unavailable>> {
        let pool = pool.clone();
        async move { self.shared.drop_all(pool).await }.boxed()
    }

    fn renew(&self, renewal: Renewal) -> BoxFuture<'_, Result<Verdict, RenewError>> {
        async move { self.shared.renew(&renewal).await }.boxed()
    }

    fn renewals(&self) -> BoxFuture<'_, Result<BoxStream<'static, RenewalRequest>, Unavailable>> {
        self.shared.renewals().boxed()
    }

    fn put(
        &self,
        build: &Build,
        attempt: u32,
        chunk: Chunk,
    ) -> BoxFuture<'_, Result<(), PutError>> {
        let (build, record) = (build.clone(), Record::of(attempt, chunk));
        async move { self.shared.put(&build, record?).await }.boxed()
    }

    fn end(&self, build: &Build, attempt: u32, number: u64) -> BoxFuture<'_, Result<(), PutError>> {
        let (build, record) = (build.clone(), Record::end(attempt, number));
        async move { self.shared.put(&build, record).await }.boxed()
    }

    fn follow(&self, build: &Build, from: Place) -> BoxStream<'static, Result<Item, FollowError>> {
        follow::follow(Arc::clone(&self.shared), build, from)
    }

    fn print(
        &self,
        deployment: &Deployment,
        host: &Host,
        piece: Bytes,
    ) -> BoxFuture<'_, Result<(), PutError>> {
        let (deployment, host) = (deployment.clone(), host.clone());
        async move {
            self.shared
                .print(&deployment, &host, &checked(piece)?)
                .await
        }
        .boxed()
    }

    fn listen(
        &self,
        deployment: &Deployment,
        host: Option<&Host>,
        after: Option<Mark>,
    ) -> BoxStream<'static, Result<Heard, FollowError>> {
        printed::listen(Arc::clone(&self.shared), deployment, host, after)
    }

    fn announce(&self, mut announcement: Announcement) -> BoxFuture<'_, Result<(), Unavailable>> {
        cut(&mut announcement.version, VERSION_BYTES_MAX);
        async move { self.shared.announce(&announcement).await }.boxed()
    }

    fn announcements(
        &self,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Announcement>, Unavailable>> {
        self.shared.announcements().boxed()
    }

    fn tell_presence(&self, presence: Presence) -> BoxFuture<'_, Result<(), Unavailable>> {
        async move { self.shared.tell_presence(&presence).await }.boxed()
    }

    fn presences(&self) -> BoxFuture<'_, Result<BoxStream<'static, Presence>, Unavailable>> {
        self.shared.presences().boxed()
    }

    fn health(&self) -> BoxFuture<'_, Health> {
        self.shared.health().boxed()
    }
}
