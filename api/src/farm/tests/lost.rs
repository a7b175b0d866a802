//! Live output that is lost on the way: a follower has all of a build's events all the same, from its archived log.

use std::sync::Arc;
use std::time::Duration;

use croft_bus::{
    Announcement, Build, Bus, Chunk, FollowError, Health, Hint, Item, Place, Pool, PublishError,
    PutError, RenewError, Renewal, RenewalRequest, TakeError, Taken, Unavailable, Verdict,
};
use croft_proto::farm::{BuildEvent, LossReason};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};

use super::events::{Events, line, seqs};
use super::rig::Rig;

/// How live output ends too early.
#[derive(Clone, Copy, Debug)]
enum Ends {
    /// The stream ends.
    Short,
    /// Nothing comes any more.
    Silent,
}

/// A bus whose followers get so many items, and then nothing.
#[derive(Debug)]
struct Lossy {
    inner: Arc<dyn Bus>,
    items: usize,
    ends: Ends,
}

impl Bus for Lossy {
    fn publish(&self, pool: &Pool, hint: Hint) -> BoxFuture<'_, Result<(), PublishError>> {
        self.inner.publish(pool, hint)
    }
    fn take(&self, pool: &Pool, wait: Duration) -> BoxFuture<'_, Result<Option<Taken>, TakeError>> {
        self.inner.take(pool, wait)
    }
    fn waiting(&self, pool: &Pool) -> BoxFuture<'_, Result<u64, Unavailable>> {
        self.inner.waiting(pool)
    }
    fn drop_all(&self, pool: &Pool) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.inner.drop_all(pool)
    }
    fn renew(&self, renewal: Renewal) -> BoxFuture<'_, Result<Verdict, RenewError>> {
        self.inner.renew(renewal)
    }
    fn renewals(&self) -> BoxFuture<'_, Result<BoxStream<'static, RenewalRequest>, Unavailable>> {
        self.inner.renewals()
    }
    fn put(
        &self,
        build: &Build,
        attempt: u32,
        chunk: Chunk,
    ) -> BoxFuture<'_, Result<(), PutError>> {
        self.inner.put(build, attempt, chunk)
    }
    fn end(&self, build: &Build, attempt: u32, number: u64) -> BoxFuture<'_, Result<(), PutError>> {
        self.inner.end(build, attempt, number)
    }
    fn follow(&self, build: &Build, from: Place) -> BoxStream<'static, Result<Item, FollowError>> {
        let some = self.inner.follow(build, from).take(self.items);
        match self.ends {
            Ends::Short => some.boxed(),
            Ends::Silent => some.chain(stream::pending()).boxed(),
        }
    }
    fn announce(&self, announcement: Announcement) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.inner.announce(announcement)
    }
    fn announcements(
        &self,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Announcement>, Unavailable>> {
        self.inner.announcements()
    }
    fn health(&self) -> BoxFuture<'_, Health> {
        self.inner.health()
    }
}

async fn rig(items: usize, ends: Ends) -> Rig {
    let lossy = |inner| -> Arc<dyn Bus> { Arc::new(Lossy { inner, items, ends }) };
    let rig = Rig::over(|_| {}, |ledger| ledger, lossy).await;
    rig.project("web").await;
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_live_comes_from_the_archive_once_and_in_order() {
    for ends in [Ends::Short, Ends::Silent] {
        // The attempt's beginning and as many chunks as there are left.
        for items in [0, 1, 3, 6] {
            let rig = rig(items, ends).await;
            let (id, build) = rig.build("web").await;
            rig.claim(build, 1).await;
            for chunk in 0..5 {
                let text = format!("{}{}", line(2 * chunk + 1), line(2 * chunk + 2));
                rig.put(build, 1, chunk, &text).await;
            }
            rig.end(build, 1, 5).await;
            let mut events = Events::of(&rig, &id, None).await;
            let mut all = Vec::new();
            for _ in 0..2 * items.saturating_sub(1) {
                let event = loop {
                    let event = events.next().await.unwrap();
                    if event.kind == "build" {
                        break event;
                    }
                };
                all.push(event);
            }
            let text: String = (1..=12).map(line).collect();
            let tree = rig.keep(&[("events.ndjson", text.as_bytes())]);
            rig.settle(build, &id, Some(tree)).await;
            all.extend(events.all().await);
            let wanted: Vec<u64> = (1..=12).collect();
            assert_eq!(seqs(&all), wanted, "{items} {ends:?}");
            assert_eq!(all.last().unwrap().kind, "end");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_attempts_output_does_not_pass_for_that_of_the_last() {
    let rig = rig(2, Ends::Silent).await;
    let (id, build) = rig.build("web").await;
    rig.claim(build, 1).await;
    rig.put(build, 1, 0, &line(1)).await;
    let mut events = Events::of(&rig, &id, None).await;
    while events.next().await.unwrap().kind != "build" {}
    let lost = BuildEvent::AttemptLost {
        attempt: 1,
        reason: LossReason::Unheard { silent_ms: 20_000 },
    };
    rig.append(build, &lost).await;
    rig.claim(build, 2).await;
    let text: String = (1..=3).map(line).collect();
    let tree = rig.keep(&[("events.ndjson", text.as_bytes())]);
    rig.settle_attempt(build, 2, &id, Some(tree)).await;
    let rest = events.all().await;
    assert_eq!(seqs(&rest), [1, 2, 3]);
    let attempt = rest.iter().find(|event| event.kind == "attempt").unwrap();
    assert_eq!(attempt.data["attempt"], 2);
}
