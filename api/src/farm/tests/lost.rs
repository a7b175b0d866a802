//! Live output that is lost on the way: a follower has its end from the archived log, and is told what it does not have.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use croft_bus::{
    Announcement, Build, Bus, Chunk, Deployment, FollowError, Health, Heard, Hint, Host, Item,
    Mark, Place, Pool, Presence, PublishError, PutError, RenewError, Renewal, RenewalRequest,
    TakeError, Taken, Unavailable, Verdict,
};
use croft_proto::farm::{BuildEvent, BuildId, LossReason};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use tokio::sync::Notify;

use super::deployments::{shop, start};
use super::events::{Event, Events, line, seqs};
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
    /// Chunks 1 and 2 are lost; the one after them comes when this is notified.
    hole: Option<Arc<Notify>>,
}

/// The same without those two chunks.
async fn without(
    hole: Arc<Notify>,
    item: Result<Item, FollowError>,
) -> Vec<Result<Item, FollowError>> {
    match item {
        Ok(Item::Chunk(Chunk { first: 1 | 2, .. })) => Vec::new(),
        Ok(Item::Chunk(chunk @ Chunk { first: 3, .. })) => {
            hole.notified().await;
            vec![Ok(Item::Skipped { to: 3 }), Ok(Item::Chunk(chunk))]
        }
        other => vec![other],
    }
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
        let all = self.inner.follow(build, from);
        let all = match self.hole.clone() {
            None => all,
            Some(hole) => all
                .then(move |item| without(Arc::clone(&hole), item))
                .flat_map(stream::iter)
                .boxed(),
        };
        let some = all.take(self.items);
        match self.ends {
            Ends::Short => some.boxed(),
            Ends::Silent => some.chain(stream::pending()).boxed(),
        }
    }
    fn print(
        &self,
        deployment: &Deployment,
        host: &Host,
        piece: Bytes,
    ) -> BoxFuture<'_, Result<(), PutError>> {
        self.inner.print(deployment, host, piece)
    }
    fn listen(
        &self,
        deployment: &Deployment,
        host: Option<&Host>,
        after: Option<Mark>,
    ) -> BoxStream<'static, Result<Heard, FollowError>> {
        match self.ends {
            Ends::Short => self.inner.listen(deployment, host, after),
            Ends::Silent => stream::pending().boxed(),
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
    fn tell_presence(&self, presence: Presence) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.inner.tell_presence(presence)
    }
    fn presences(&self) -> BoxFuture<'_, Result<BoxStream<'static, Presence>, Unavailable>> {
        self.inner.presences()
    }
    fn health(&self) -> BoxFuture<'_, Health> {
        self.inner.health()
    }
}

async fn rig(items: usize, ends: Ends) -> Rig {
    holed(items, ends, None).await
}

async fn holed(items: usize, ends: Ends, hole: Option<Arc<Notify>>) -> Rig {
    let lossy = |inner| -> Arc<dyn Bus> {
        Arc::new(Lossy {
            inner,
            items,
            ends,
            hole,
        })
    };
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
            let (id, build) = five_chunks(&rig).await;
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
    assert_eq!(attempt.data["before"]["why"], "unheard");
}

/// A running build with ten lines in five chunks.
async fn five_chunks(rig: &Rig) -> (String, BuildId) {
    let (id, build) = rig.build("web").await;
    rig.claim(build, 1).await;
    for chunk in 0..5 {
        let text = format!("{}{}", line(2 * chunk + 1), line(2 * chunk + 2));
        rig.put(build, 1, chunk, &text).await;
    }
    rig.end(build, 1, 5).await;
    (id, build)
}

fn twelve_lines(rig: &Rig) -> String {
    let text: String = (1..=12).map(line).collect();
    rig.keep(&[("events.ndjson", text.as_bytes())])
}

async fn until(events: &mut Events, is_it: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut seen = Vec::new();
    while !seen.last().is_some_and(&is_it) {
        seen.push(events.next().await.unwrap());
    }
    seen
}

fn kinds(events: &[Event]) -> Vec<&str> {
    let kinds = events.iter().map(|event| event.kind.as_str());
    kinds.filter(|kind| *kind != "state").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_in_the_middle_is_said_and_the_rest_comes_once_and_in_order() {
    // The attempt's beginning, a chunk, the gap, and one chunk more, or all.
    for (items, live) in [(4, 8), (9, 10)] {
        let hole = Arc::new(Notify::new());
        hole.notify_one();
        let rig = holed(items, Ends::Short, Some(hole)).await;
        let (id, build) = five_chunks(&rig).await;
        let mut events = Events::of(&rig, &id, None).await;
        let mut all = until(&mut events, |event| event.data["seq"] == live).await;
        let tree = twelve_lines(&rig);
        rig.settle(build, &id, Some(tree)).await;
        all.extend(events.all().await);
        // With the end of the output there is nothing that the archive is asked for.
        let last = if items == 4 { 12 } else { 10 };
        let wanted: Vec<u64> = [1, 2].into_iter().chain(7..=last).collect();
        assert_eq!(seqs(&all), wanted, "{items}");
        let kinds = kinds(&all);
        assert_eq!(
            kinds[..5],
            ["attempt", "build", "build", "skipped", "build"]
        );
        assert_eq!(kinds.iter().filter(|kind| **kind == "skipped").count(), 1);
        assert_eq!(kinds.last(), Some(&"end"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_when_the_build_is_over_comes_from_the_archive() {
    let hole = Arc::new(Notify::new());
    let rig = holed(9, Ends::Short, Some(Arc::clone(&hole))).await;
    let (id, build) = five_chunks(&rig).await;
    let mut events = Events::of(&rig, &id, None).await;
    let mut all = until(&mut events, |event| event.data["seq"] == 2).await;
    let tree = twelve_lines(&rig);
    rig.settle(build, &id, Some(tree)).await;
    all.extend(until(&mut events, |event| event.data["status"] == "SUCCEEDED").await);
    hole.notify_one();
    all.extend(events.all().await);
    assert_eq!(seqs(&all), (1..=12).collect::<Vec<u64>>());
    assert!(!kinds(&all).contains(&"skipped"));
}

/// Makes every file beneath a folder as long as it was, and nothing but zeros.
fn spoil(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            spoil(&path);
        } else {
            let length = std::fs::metadata(&path).unwrap().len();
            let zeros = vec![0; usize::try_from(length).unwrap()];
            std::fs::write(&path, zeros).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_that_cannot_be_read_is_said_to_be_skipped_before_the_end() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let unknown = "0".repeat(64);
    for is_there in [true, false] {
        let (id, build) = rig.build("web").await;
        rig.claim(build, 1).await;
        let tree = match is_there {
            true => twelve_lines(&rig),
            false => unknown.clone(),
        };
        rig.settle(build, &id, Some(tree)).await;
        rig.get(&format!("/v1/builds/{id}?wait=complete&timeout=50"))
            .await
            .is(200);
        spoil(&rig.folder.path().join("kept"));
        let all = Events::of(&rig, &id, None).await.all().await;
        assert_eq!(kinds(&all), ["attempt", "skipped", "end"], "{is_there}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hosts_have_printed_is_not_waited_for_without_end() {
    let rig = rig(0, Ends::Silent).await;
    let digest = shop(&rig).await;
    let id = start(&rig, &digest).await;
    let path = format!("/v1/deployments/{id}/output?follow=false");
    let said = Events::at(&rig, &path, None).await.all().await;
    let kinds: Vec<&str> = said.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["end"]);
    assert_eq!(said[0].data["isWhole"], false);
}
