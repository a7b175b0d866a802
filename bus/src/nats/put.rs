//! Live output, in, over a broker: a message per chunk, of which the broker keeps the last so many of each build.
//!
//! The broker lets go of the oldest by itself and asks nobody. So followers say now and then how far they are, and whoever puts
//! holds back what would push out a chunk that they want.

use std::sync::{Arc, PoisonError};

use async_nats::Subscriber;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::Shared as Nats;
use crate::message::{Record, Took};
use crate::patience::Followers;
use crate::{Build, Place, PutError, Unavailable, wire};

/// Builds that this process puts output of and remembers followers of. Over it, those that nobody puts to right now are
/// forgotten, and their followers are known again when they next say something.
const BUILDS_MAX: usize = 256;

pub(super) type Shared = Arc<Mutex<Putting>>;

/// What is known of a build whose output this process puts.
#[derive(Debug)]
pub(super) struct Putting {
    followers: Followers<String>,
    heard: Option<Subscriber>,
    head: Place,
}

impl Nats {
    pub(super) async fn put(&self, build: &Build, record: Record) -> Result<(), PutError> {
        let putting = self.putting(build);
        let mut putting = putting.lock().await;
        let unavailable = |error| PutError::Unavailable(Unavailable::new(error));
        if putting.heard.is_none() {
            let subject = self.subject("took", build.as_str());
            let heard = self.client.subscribe(subject).await;
            putting.heard = Some(heard.map_err(|error| unavailable(error.into()))?);
        }
        let place = record.place();
        if place < putting.head {
            return Ok(());
        }
        putting
            .wait(place, self.config.settings.output.chunks_max)
            .await;
        let subject = self.subject("output", build.as_str());
        let payload = wire::encode_record(&record);
        let published = self.insist(|| async {
            let sent = self.context.publish(subject.clone(), payload.clone());
            sent.await?.await
        });
        published.await.map_err(unavailable)?;
        putting.head = place.next();
        if record.bytes.is_none() {
            self.lock_putting().remove(build);
        }
        Ok(())
    }

    fn putting(&self, build: &Build) -> Shared {
        let mut of = self.lock_putting();
        if let Some(putting) = of.get(build) {
            return Arc::clone(putting);
        }
        if of.len() >= BUILDS_MAX {
            of.retain(|_, putting| Arc::strong_count(putting) > 1);
        }
        let kept = &self.config.settings.output;
        let putting = Arc::new(Mutex::new(Putting {
            followers: Followers::new(kept.patience, kept.chunks_max),
            heard: None,
            head: Place::START,
        }));
        of.insert(build.clone(), Arc::clone(&putting));
        putting
    }

    fn lock_putting(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<Build, Shared>> {
        self.putting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Putting {
    /// Until that chunk pushes out nothing that followers want, or there is no more patience with them.
    async fn wait(&mut self, place: Place, chunks_max: usize) {
        let Some(heard) = &mut self.heard else {
            return;
        };
        let head = place;
        while let Some(Some(message)) = heard.next().now_or_never() {
            take_down(&mut self.followers, &message, head);
        }
        let chunks_max = u64::try_from(chunks_max).unwrap_or(u64::MAX);
        let Some(first_kept) = place.next().chunk.checked_sub(chunks_max) else {
            return;
        };
        let kept = Place {
            chunk: first_kept,
            ..place
        };
        while let Some(limit) = self.followers.wait(kept) {
            let began = Instant::now();
            match timeout(limit, heard.next()).await {
                Ok(Some(message)) => take_down(&mut self.followers, &message, head),
                // The connection was closed for good: nobody will say anything.
                Ok(None) => return,
                Err(_elapsed) => {}
            }
            // At least a little, so that it ends also with a clock that is coarse.
            self.followers.waited(began.elapsed().max(TICK), kept);
        }
    }
}

/// The smallest wait that counts.
const TICK: std::time::Duration = std::time::Duration::from_micros(1);

fn take_down(followers: &mut Followers<String>, message: &async_nats::Message, head: Place) {
    match wire::decode::<Took>(&message.payload) {
        Ok(Took {
            follower,
            attempt,
            chunk,
        }) => followers.took(follower, Place { attempt, chunk }, head),
        // A newer follower is not waited for.
        Err(error) => tracing::debug!(%error, "left what a follower said"),
    }
}
