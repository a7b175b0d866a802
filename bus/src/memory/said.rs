//! What is said to whoever listens now: renewals, which are answered, announcements, and who hears which hosts. Nothing of it is kept.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{self, BoxFuture};
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, oneshot};
use tokio::time::timeout;

use crate::held::Answer;
use crate::{Announcement, Presence, RenewError, Renewal, RenewalRequest, Unavailable, Verdict};

/// What a listener may be behind: a renewal from each of a thousand builds. More are lost on it, and come again.
const BEHIND_MAX: usize = 1024;

/// Where to put the one answer; the first takes it away.
type Reply = Arc<Mutex<Option<oneshot::Sender<Verdict>>>>;

#[derive(Debug)]
pub(super) struct Said {
    renewals: broadcast::Sender<(Renewal, Reply)>,
    announcements: broadcast::Sender<Announcement>,
    presences: broadcast::Sender<Presence>,
    renew_wait: Duration,
}

impl Said {
    pub(super) fn new(renew_wait: Duration) -> Self {
        Self {
            renewals: broadcast::Sender::new(BEHIND_MAX),
            announcements: broadcast::Sender::new(BEHIND_MAX),
            presences: broadcast::Sender::new(BEHIND_MAX),
            renew_wait,
        }
    }

    pub(super) async fn renew(&self, renewal: Renewal) -> Result<Verdict, RenewError> {
        let (reply, answer) = oneshot::channel();
        let reply = Arc::new(Mutex::new(Some(reply)));
        let sent = self.renewals.send((renewal, reply));
        sent.map_err(|_nobody| RenewError::Unheard)?;
        let answered = timeout(self.renew_wait, answer).await;
        let answered = answered.map_err(|_elapsed| RenewError::Unheard)?;
        answered.map_err(|_dropped| RenewError::Unheard)
    }

    pub(super) fn renewals(&self) -> BoxStream<'static, RenewalRequest> {
        let requests = listen(self.renewals.subscribe());
        requests
            .map(|(renewal, reply)| RenewalRequest::new(renewal, Slot(reply)))
            .boxed()
    }

    pub(super) fn announce(&self, announcement: Announcement) {
        let listeners = self.announcements.send(announcement);
        tracing::trace!(heard = listeners.is_ok(), "announced a worker");
    }

    pub(super) fn announcements(&self) -> BoxStream<'static, Announcement> {
        listen(self.announcements.subscribe())
    }

    pub(super) fn tell_presence(&self, presence: Presence) {
        let listeners = self.presences.send(presence);
        tracing::trace!(heard = listeners.is_ok(), "said which hosts are there");
    }

    pub(super) fn presences(&self) -> BoxStream<'static, Presence> {
        listen(self.presences.subscribe())
    }
}

/// What comes; what was missed is passed over.
fn listen<T: Clone + Send + 'static>(from: broadcast::Receiver<T>) -> BoxStream<'static, T> {
    stream::unfold(from, |mut from| async move {
        loop {
            match from.recv().await {
                Ok(said) => return Some((said, from)),
                Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "listened too slowly"),
                Err(RecvError::Closed) => return None,
            }
        }
    })
    .boxed()
}

struct Slot(Reply);

impl Answer for Slot {
    fn answer(self: Box<Self>, verdict: Verdict) -> BoxFuture<'static, Result<(), Unavailable>> {
        future::lazy(move |_| {
            let reply = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            // A worker that has gone on does not hear it; it is told with its next renewal.
            let heard = reply.map(|reply| reply.send(verdict));
            tracing::trace!(was_first = heard.is_some(), "answered a renewal");
            Ok(())
        })
        .boxed()
    }
}
