//! Live output, in, over a broker: a message per chunk, of which the broker keeps the last so many of each build.
//!
//! The broker lets go of the oldest by itself and asks nobody. So followers say now and then how far they are, and whoever puts
//! holds back what would push out a chunk that they want. It counts a build's bytes as well, since the broker only counts
//! chunks: one loud build must not push out all others.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::Subscriber;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::Shared as Nats;
use crate::message::{Record, Took};
use crate::patience::Followers;
use crate::{Build, Cause, Output, Place, PutError, Unavailable, wire};

/// Builds that this process puts output of and remembers followers of. Over it, those that nobody puts to right now are
/// forgotten, and their followers are known again when they next say something.
const BUILDS_MAX: usize = 256;

/// The smallest wait that counts: a loop of waits must end also when the clock is coarse.
const TICK: Duration = Duration::from_micros(1);

pub(super) type Shared = Arc<Mutex<Putting>>;

/// What is known of a build whose output this process puts.
#[derive(Debug)]
pub(super) struct Putting {
    followers: Followers<String>,
    heard: Option<Subscriber>,
    head: Place,
    /// What the broker keeps of this build, as far as this process put it.
    kept: VecDeque<Sent>,
    bytes: usize,
}

#[derive(Debug)]
struct Sent {
    place: Place,
    /// In the broker's stream.
    seq: u64,
    size_bytes: usize,
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
        putting.hear(place);
        let is_first = place.attempt > putting.head.attempt;
        let gone = putting.too_many(&record, &self.config.settings.output);
        if !is_first && let Some(last) = gone.checked_sub(1).map(|last| putting.kept[last].place) {
            putting.wait(place, last.next()).await;
        }
        let subject = self.subject("output", build.as_str());
        let payload = wire::encode_record(&record);
        let published = self.insist(|| async {
            let sent = self.context.publish(subject.clone(), payload.clone());
            sent.await?.await
        });
        let published = published.await.map_err(unavailable)?;
        putting.sent(&record, published.sequence);
        let is_loud = putting.bytes > self.config.settings.output.bytes_max;
        putting.let_go(gone);
        if (is_loud || (is_first && gone > 0))
            && let Some(first) = putting.kept.front()
        {
            self.purge(subject, first.seq).await;
        }
        if record.bytes.is_none() {
            self.lock_putting().remove(build);
        }
        Ok(())
    }

    /// Removes a build's chunks before that sequence. When it fails, the bound of all still holds.
    async fn purge(&self, subject: String, seq: u64) {
        let purged = async {
            let stream = self
                .context
                .get_stream_no_info(self.config.output())
                .await?;
            let purged = stream.purge().filter(subject).sequence(seq).await?;
            Ok::<_, Cause>(purged.purged)
        };
        if let Err(error) = purged.await {
            tracing::debug!(%error, "could not let go of output");
        }
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
            kept: VecDeque::new(),
            bytes: 0,
        }));
        of.insert(build.clone(), Arc::clone(&putting));
        putting
    }

    fn lock_putting(&self) -> MutexGuard<'_, HashMap<Build, Shared>> {
        self.putting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Putting {
    /// How many of the oldest go for one more: those that the broker lets go of; or, when there are too many bytes, as many as
    /// it takes to have a quarter free, so that the broker is not asked with every chunk; or all, when an attempt begins.
    fn too_many(&self, record: &Record, settings: &Output) -> usize {
        if record.attempt > self.head.attempt {
            return self.kept.len();
        }
        let too_many = (self.kept.len() + 1).saturating_sub(settings.chunks_max);
        let mut bytes = self.bytes + record.size_bytes();
        let bytes_max = if bytes > settings.bytes_max {
            settings.bytes_max / 4 * 3
        } else {
            settings.bytes_max
        };
        let mut gone = 0;
        for old in &self.kept {
            if gone >= too_many && bytes <= bytes_max {
                break;
            }
            bytes -= old.size_bytes;
            gone += 1;
        }
        gone
    }

    fn sent(&mut self, record: &Record, seq: u64) {
        let place = record.place();
        // A stream that began again has nothing of what was kept, and its sequences mean something else.
        if self.kept.back().is_some_and(|last| last.seq >= seq) {
            self.kept.clear();
            self.bytes = 0;
        }
        let size_bytes = record.size_bytes();
        self.bytes += size_bytes;
        self.head = place.next();
        self.kept.push_back(Sent {
            place,
            seq,
            size_bytes,
        });
    }

    /// Forgets the oldest, but never the one that was sent last.
    fn let_go(&mut self, count: usize) {
        let count = count.min(self.kept.len().saturating_sub(1));
        let gone = self.kept.drain(..count).map(|old| old.size_bytes);
        self.bytes -= gone.sum::<usize>();
    }

    /// Takes down what followers have said meanwhile.
    fn hear(&mut self, head: Place) {
        let Some(heard) = &mut self.heard else {
            return;
        };
        while let Some(Some(message)) = heard.next().now_or_never() {
            take_down(&mut self.followers, &message, head);
        }
    }

    /// Until followers have what is before `kept`, or there is no more patience with them.
    async fn wait(&mut self, head: Place, kept: Place) {
        let Some(heard) = &mut self.heard else {
            return;
        };
        while let Some(limit) = self.followers.wait(kept) {
            let began = Instant::now();
            match timeout(limit, heard.next()).await {
                Ok(Some(message)) => take_down(&mut self.followers, &message, head),
                // The connection was closed for good: nobody will say anything.
                Ok(None) => return,
                Err(_elapsed) => {}
            }
            self.followers.waited(began.elapsed().max(TICK), kept);
        }
    }
}

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
