//! What is said to whoever listens now, over a broker: plain messages, of which nothing is kept.

use async_nats::{Client, Request, Subject, Subscriber};
use futures_util::future::{self, BoxFuture};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use serde::de::DeserializeOwned;

use super::Shared;
use crate::held::Answer;
use crate::{
    Announcement, Presence, RenewError, Renewal, RenewalRequest, Unavailable, Verdict, wire,
};

impl Shared {
    pub(super) async fn renew(&self, renewal: &Renewal) -> Result<Verdict, RenewError> {
        let wait = Some(self.config.settings.renew_wait);
        let request = Request::new().payload(wire::encode(renewal)).timeout(wait);
        let answered = self.client.send_request(self.plain("renew"), request).await;
        let answer = answered.map_err(|error| {
            tracing::debug!(%error, build = %renewal.build, "a renewal was not answered");
            RenewError::Unheard
        })?;
        wire::decode(&answer.payload).map_err(RenewError::NotUnderstood)
    }

    pub(super) async fn renewals(&self) -> Result<BoxStream<'static, RenewalRequest>, Unavailable> {
        let client = self.client.clone();
        let heard = self.listen("renew").await?;
        let requests = heard.filter_map(move |message| {
            let slot = message.reply.clone().map(|reply| Slot {
                client: client.clone(),
                reply,
            });
            let request = understood(&message)
                .zip(slot)
                .map(|(renewal, slot)| RenewalRequest::new(renewal, slot));
            future::ready(request)
        });
        Ok(requests.boxed())
    }

    pub(super) async fn announce(&self, announcement: &Announcement) -> Result<(), Unavailable> {
        let payload = wire::encode(announcement);
        let said = self.client.publish(self.plain("announce"), payload).await;
        said.map_err(Unavailable::new)
    }

    pub(super) async fn announcements(
        &self,
    ) -> Result<BoxStream<'static, Announcement>, Unavailable> {
        let heard = self.listen("announce").await?;
        Ok(heard
            .filter_map(|message| future::ready(understood(&message)))
            .boxed())
    }

    pub(super) async fn tell_presence(&self, presence: &Presence) -> Result<(), Unavailable> {
        let payload = wire::encode(presence);
        let said = self.client.publish(self.plain("present"), payload).await;
        said.map_err(Unavailable::new)
    }

    pub(super) async fn presences(&self) -> Result<BoxStream<'static, Presence>, Unavailable> {
        let heard = self.listen("present").await?;
        Ok(heard
            .filter_map(|message| future::ready(understood(&message)))
            .boxed())
    }

    /// No queue group: everybody hears everything. After a reconnection the client listens again by itself.
    async fn listen(&self, to: &str) -> Result<Subscriber, Unavailable> {
        let heard = self.client.subscribe(self.plain(to)).await;
        let heard = heard.map_err(Unavailable::new)?;
        // What this process says from now on comes to the broker after this.
        self.client.flush().await.map_err(Unavailable::new)?;
        Ok(heard)
    }

    fn plain(&self, of: &str) -> String {
        format!("{}.{of}", self.config.prefix)
    }
}

/// The message, or none when it is for newer receivers, or nobody's.
fn understood<T: DeserializeOwned>(message: &async_nats::Message) -> Option<T> {
    let understood = wire::decode(&message.payload);
    understood
        .inspect_err(|error| tracing::warn!(%error, subject = %message.subject, "left a message"))
        .ok()
}

struct Slot {
    client: Client,
    reply: Subject,
}

impl Answer for Slot {
    fn answer(self: Box<Self>, verdict: Verdict) -> BoxFuture<'static, Result<(), Unavailable>> {
        async move {
            let said = self.client.publish(self.reply, wire::encode(&verdict));
            said.await.map_err(Unavailable::new)
        }
        .boxed()
    }
}
