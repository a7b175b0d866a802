//! The bus of one process, for one machine and for simulations. What it does is what the other must do.

/// Builds that wait.
mod hints;
/// Live output of builds.
mod output;
/// Live output of hosts.
mod printed;
/// What is said to whoever listens now: renewals, announcements, presences.
mod said;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{self, BoxFuture};
use futures_util::stream::BoxStream;

use crate::message::{Record, cut, piece as checked};
use crate::{
    Announcement, Build, Bus, Chunk, Deployment, FollowError, Health, Heard, Hint, Host, Item,
    Mark, Place, Pool, Presence, PublishError, PutError, RenewError, Renewal, RenewalRequest,
    Settings, TakeError, Taken, Unavailable, VERSION_BYTES_MAX, Verdict,
};
use hints::Hints;
use output::Outputs;
use printed::Printed;
use said::Said;

/// A bus that is gone with its last handle. Clones share it.
#[derive(Clone, Debug)]
pub struct Memory {
    hints: Arc<Hints>,
    output: Arc<Outputs>,
    printed: Arc<Printed>,
    said: Arc<Said>,
}

impl Memory {
    /// An empty bus.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            hints: Arc::new(Hints::new(settings)),
            output: Arc::new(Outputs::new(settings.output.clone())),
            printed: Arc::new(Printed::new(settings.printed.clone())),
            said: Arc::new(Said::new(settings.renew_wait)),
        }
    }
}

impl Bus for Memory {
    fn publish(&self, pool: &Pool, hint: Hint) -> BoxFuture<'_, Result<(), PublishError>> {
        let pool = pool.clone();
        // When polled, not when called: as with the other.
        future::lazy(move |_| self.hints.publish(pool, hint)).boxed()
    }

    fn take(&self, pool: &Pool, wait: Duration) -> BoxFuture<'_, Result<Option<Taken>, TakeError>> {
        let pool = pool.clone();
        async move { Ok(Hints::take(&self.hints, &pool, wait).await) }.boxed()
    }

    fn waiting(&self, pool: &Pool) -> BoxFuture<'_, Result<u64, Unavailable>> {
        let pool = pool.clone();
        future::lazy(move |_| Ok(self.hints.waiting(&pool))).boxed()
    }

    fn drop_all(&self, pool: &Pool) -> BoxFuture<'_, Result<(), Unavailable>> {
        let pool = pool.clone();
        future::lazy(move |_| {
            self.hints.drop_all(&pool);
            Ok(())
        })
        .boxed()
    }

    fn renew(&self, renewal: Renewal) -> BoxFuture<'_, Result<Verdict, RenewError>> {
        self.said.renew(renewal).boxed()
    }

    fn renewals(&self) -> BoxFuture<'_, Result<BoxStream<'static, RenewalRequest>, Unavailable>> {
        future::lazy(|_| Ok(self.said.renewals())).boxed()
    }

    fn put(
        &self,
        build: &Build,
        attempt: u32,
        chunk: Chunk,
    ) -> BoxFuture<'_, Result<(), PutError>> {
        let (build, record) = (build.clone(), Record::of(attempt, chunk));
        async move {
            self.output.put(&build, record?).await;
            Ok(())
        }
        .boxed()
    }

    fn end(&self, build: &Build, attempt: u32, number: u64) -> BoxFuture<'_, Result<(), PutError>> {
        let (build, record) = (build.clone(), Record::end(attempt, number));
        async move {
            self.output.put(&build, record).await;
            Ok(())
        }
        .boxed()
    }

    fn follow(&self, build: &Build, from: Place) -> BoxStream<'static, Result<Item, FollowError>> {
        output::follow(&self.output, build.clone(), from)
    }

    fn print(
        &self,
        deployment: &Deployment,
        host: &Host,
        piece: Bytes,
    ) -> BoxFuture<'_, Result<(), PutError>> {
        let (deployment, host) = (deployment.clone(), host.clone());
        future::lazy(move |_| {
            self.printed.print(&deployment, host, checked(piece)?);
            Ok(())
        })
        .boxed()
    }

    fn listen(
        &self,
        deployment: &Deployment,
        host: Option<&Host>,
        after: Option<Mark>,
    ) -> BoxStream<'static, Result<Heard, FollowError>> {
        printed::listen(&self.printed, deployment.clone(), host.cloned(), after)
    }

    fn announce(&self, mut announcement: Announcement) -> BoxFuture<'_, Result<(), Unavailable>> {
        future::lazy(move |_| {
            cut(&mut announcement.version, VERSION_BYTES_MAX);
            self.said.announce(announcement);
            Ok(())
        })
        .boxed()
    }

    fn announcements(
        &self,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Announcement>, Unavailable>> {
        future::lazy(|_| Ok(self.said.announcements())).boxed()
    }

    fn tell_presence(&self, presence: Presence) -> BoxFuture<'_, Result<(), Unavailable>> {
        future::lazy(move |_| {
            self.said.tell_presence(presence);
            Ok(())
        })
        .boxed()
    }

    fn presences(&self) -> BoxFuture<'_, Result<BoxStream<'static, Presence>, Unavailable>> {
        future::lazy(|_| Ok(self.said.presences())).boxed()
    }

    fn health(&self) -> BoxFuture<'_, Health> {
        future::ready(Health {
            backend: "memory".into(),
            durable: Some(false),
            wrong: Vec::new(),
        })
        .boxed()
    }
}
