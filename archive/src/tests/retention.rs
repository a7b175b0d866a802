use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use croft_ledger::{
    Append, AppendError, Body, Clock, Entry, Expected, Ledger, Seq, Subject, Through,
};
use croft_proto::Timestamp;
use croft_views::{BuildFilter, FinishedBuild, Views};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;

use super::{all, append, build, depot, farm, subject};
use crate::{History, Retention, RetentionError, Whole, plan};

const DAY_MS: u64 = 24 * 3600 * 1000;

/// A ledger whose server is killed at its n-th purge.
#[derive(Debug)]
struct Dying {
    inner: Arc<dyn Ledger>,
    purges: AtomicUsize,
}

impl Through for Dying {
    fn inner(&self) -> &dyn Ledger {
        self.inner.as_ref()
    }

    fn purge(&self, subject: &Subject, last: Seq) -> BoxFuture<'_, Result<Seq, AppendError>> {
        if self.purges.fetch_sub(1, Ordering::Relaxed) == 0 {
            let source = "killed".into();
            return async { Err(AppendError::Unavailable { source }) }.boxed();
        }
        self.inner.purge(subject, last)
    }
}

/// A read model of all that is in the ledger.
async fn views(ledger: &dyn Ledger) -> Views {
    let views = Views::in_memory().unwrap();
    views.apply(&all(ledger).await).unwrap();
    views
}

fn retention(ledger: Arc<dyn Ledger>, views: Views, folder: &std::path::Path) -> Retention {
    Retention {
        ledger,
        views,
        archive: depot(folder),
        clock: Clock::from_fn(|| Timestamp::from_millis(1_800_000_000_000)),
        keep_ms: 90 * DAY_MS,
        every: Duration::from_secs(3600),
    }
}

async fn listed(views: &Views) -> Vec<String> {
    let page = views.ask(|read| read.builds(&BuildFilter::default(), None, 100));
    let rows = page.await.unwrap().rows;
    rows.iter().map(|row| format!("{row:?}")).collect()
}

/// A read model made from nothing, of that ledger with its past.
async fn made_anew(ledger: &Arc<dyn Ledger>, folder: &std::path::Path) -> Views {
    let views = Views::in_memory().unwrap();
    let (stop, stopped) = watch::channel(false);
    let last = ledger.last().await.unwrap();
    let whole = Arc::new(Whole::new(Arc::clone(ledger), depot(folder)));
    let following = croft_views::follow(whole, views.clone(), stopped);
    let reached = async {
        assert!(views.reached(last, Duration::from_secs(30)).await);
        stop.send_replace(true);
    };
    let (followed, ()) = tokio::join!(following, reached);
    followed.unwrap();
    views
}

#[test]
fn only_what_was_over_long_enough_is_due() {
    let finished = |number: u8, submitted: u64, settled: u64| FinishedBuild {
        build: build(number.into())
            .split_once('.')
            .unwrap()
            .1
            .parse()
            .unwrap(),
        submitted_seq: Seq::new(submitted),
        last: Seq::new(submitted + 1),
        settled: Timestamp::from_millis(settled),
    };
    let now = Timestamp::from_millis(100);
    let rows = vec![
        finished(1, 9, 10),
        finished(2, 3, 50),
        finished(3, 1, 51),
        finished(4, 5, 200),
    ];
    let due = plan(now, 50, rows);
    let subjects: Vec<_> = due.iter().map(|due| due.subject.to_string()).collect();
    assert_eq!(subjects, [build(2), build(1)]);
    assert_eq!(due[0].last, Seq::new(4));
}

#[tokio::test]
async fn finished_builds_leave_the_ledger_and_are_listed_by_a_view_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = farm(5).await;
    let before = all(&*ledger).await;
    let known = views(&*ledger).await;
    let retention = retention(Arc::clone(&ledger), known.clone(), folder.path());
    let passed = retention.pass().await.unwrap();
    assert_eq!((passed.segments, passed.entries, passed.purged), (1, 10, 5));

    let left = all(&*ledger).await;
    let live: Vec<_> = left
        .iter()
        .filter(|entry| entry.event().is_some())
        .collect();
    assert_eq!(live.len(), 2, "the pool, and the build that is not over");
    let tombstones = left
        .iter()
        .filter(|entry| matches!(entry.body, Body::Tombstone { .. }));
    assert_eq!(tombstones.count(), 5);
    let page = History::new(Arc::new(Arc::clone(&ledger)), depot(folder.path()))
        .read(Seq::ZERO, 1000)
        .await
        .unwrap();
    assert_eq!(page.missing, None);
    assert_eq!(page.entries[..before.len()], before[..]);

    // The view that folded the purge has nothing more to do.
    known.apply(&left).unwrap();
    assert_eq!(retention.pass().await.unwrap().purged, 0);
    let anew = made_anew(&ledger, folder.path()).await;
    assert_eq!(listed(&anew).await, listed(&known).await);
    assert_eq!(listed(&anew).await.len(), 6);
}

/// Requests to stop a build, whose names do not compress: a build of so many bytes.
async fn stop_requests(ledger: &dyn Ledger, on: &str, requests: u32) {
    const NAME_BYTES: usize = 1200;
    let subject = subject(on);
    let own = ledger.read_subject(&subject, Seq::ZERO, 10).await.unwrap();
    let mut last = own.last().unwrap().seq;
    let numbers: Vec<u32> = (0..requests).collect();
    for some in numbers.chunks(croft_ledger::BATCH_MAX) {
        let batch = some.iter().enumerate().map(|(at, number)| {
            let mut name = [0; NAME_BYTES];
            let hasher = blake3::Hasher::new()
                .update(&number.to_be_bytes())
                .finalize_xof();
            { hasher }.fill(&mut name);
            let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
            let event = serde_json::json!({"type": "stopRequested", "by": name}).to_string();
            let expected = match at {
                0 => Expected::Last(last),
                _ => Expected::Previous,
            };
            Append {
                subject: subject.clone(),
                expected,
                event: event.into(),
            }
        });
        last = ledger.append(batch.collect()).await.unwrap().last;
    }
}

#[tokio::test]
async fn a_build_larger_than_a_segment_is_archived_in_several() {
    const REQUESTS: u32 = 9_000;
    let folder = tempfile::tempdir().unwrap();
    let ledger = farm(2).await;
    // The one that is not over yet: it is, after all this.
    stop_requests(&*ledger, &build(3), REQUESTS).await;
    let settled = serde_json::json!({"type": "settled", "attempt": 0, "status": "STOPPED", "by": "stop",
        "message": "stopped", "at": 1_700_000_009.5});
    let large = subject(&build(3));
    let head = ledger.last().await.unwrap();
    let append = Append {
        subject: large.clone(),
        expected: Expected::Last(head),
        event: settled.to_string().into(),
    };
    ledger.append(vec![append]).await.unwrap();
    let before = all(&*ledger).await;
    let known = views(&*ledger).await;
    let retention = retention(Arc::clone(&ledger), known.clone(), folder.path());
    let passed = retention.pass().await.unwrap();
    assert_eq!(passed.purged, 3);
    assert_eq!(passed.entries, before.len() as u64 - 1, "all but the pool");
    let plain_bytes: usize = before
        .iter()
        .filter_map(|entry| entry.event())
        .map(bytes::Bytes::len)
        .sum();
    let least = plain_bytes / crate::SEGMENT_BYTES_MAX;
    assert!(least >= 2 && passed.segments > least as u64, "{passed:?}");
    let left = ledger.read_subject(&large, Seq::ZERO, 10).await.unwrap();
    assert!(matches!(
        left[..],
        [Entry {
            body: Body::Tombstone { .. },
            ..
        }]
    ));
    let history = History::new(Arc::new(Arc::clone(&ledger)), depot(folder.path()));
    let mut found: Vec<Entry> = Vec::new();
    while found.len() < before.len() {
        let after = found.last().map(|entry| entry.seq).unwrap_or_default();
        let page = history.read(after, 1000).await.unwrap();
        assert_eq!(page.missing, None);
        found.extend(page.entries);
    }
    assert!(found[..before.len()] == before[..]);
    known.apply(&all(&*ledger).await).unwrap();
    assert_eq!(retention.pass().await.unwrap().segments, 0);
}

#[tokio::test]
async fn a_server_killed_between_segment_and_purge_loses_nothing() {
    for purges in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let ledger = farm(3).await;
        let before = all(&*ledger).await;
        let known = views(&*ledger).await;
        let dying = Arc::new(Dying {
            inner: Arc::clone(&ledger),
            purges: AtomicUsize::new(purges),
        });
        let killed = retention(dying, known.clone(), folder.path()).pass().await;
        assert!(matches!(killed, Err(RetentionError::Purge(_))));
        // The next server's read model may not even know of the purges yet.
        let next = retention(Arc::clone(&ledger), known, folder.path());
        let passed = next.pass().await.unwrap();
        assert_eq!(passed.purged, 3 - purges as u64);
        let page = History::new(Arc::new(Arc::clone(&ledger)), depot(folder.path()))
            .read(Seq::ZERO, 1000)
            .await
            .unwrap();
        assert_eq!(page.missing, None);
        assert_eq!(page.entries[..before.len()], before[..]);
        assert_eq!(
            listed(&made_anew(&ledger, folder.path()).await).await.len(),
            4
        );
    }
}

#[tokio::test]
async fn two_servers_at_once_purge_each_build_once() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = farm(20).await;
    let before = all(&*ledger).await;
    let known = views(&*ledger).await;
    let one = retention(Arc::clone(&ledger), known.clone(), folder.path());
    let other = one.clone();
    let (one, other) = tokio::join!(one.pass(), other.pass());
    one.unwrap();
    other.unwrap();
    let left = all(&*ledger).await;
    assert_eq!(left.len(), 22, "a tombstone each, the pool, one build");
    let anew = made_anew(&ledger, folder.path()).await;
    assert_eq!(listed(&anew).await.len(), 21);
    let page = History::new(Arc::new(ledger), depot(folder.path()))
        .read(Seq::ZERO, 1000)
        .await
        .unwrap();
    assert_eq!(page.entries[..before.len()], before[..]);
}

#[tokio::test]
async fn nothing_is_purged_when_the_segment_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = farm(3).await;
    let before = all(&*ledger).await;
    let known = views(&*ledger).await;
    let archive = folder.path().join("archive");
    let retention = retention(Arc::clone(&ledger), known, &archive);
    // Where the segment's folder would be, there is a file.
    let history = History::new(Arc::new(Arc::clone(&ledger)), depot(&archive));
    let lineage = history.lineage().await.unwrap().unwrap();
    std::fs::write(archive.join(lineage.to_string()), "in the way").unwrap();
    assert!(matches!(
        retention.pass().await,
        Err(RetentionError::Archive(_))
    ));
    assert_eq!(all(&*ledger).await, before);
}

#[tokio::test]
async fn what_is_purged_while_a_view_is_behind_is_found_in_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = farm(3).await;
    let whole = Whole::new(Arc::clone(&ledger), depot(folder.path()));
    let mut following = Ledger::follow(&whole, Seq::new(2));
    let third = following.next().await.unwrap().unwrap();
    assert_eq!(third.seq, Seq::new(3));
    let known = views(&*ledger).await;
    retention(Arc::clone(&ledger), known, folder.path())
        .pass()
        .await
        .unwrap();
    append(&*ledger, "project.x", "{}").await;
    let last = ledger.last().await.unwrap();
    for seq in 4..=last.get() {
        let next = following.next().await.unwrap().unwrap();
        assert_eq!(next.seq, Seq::new(seq));
    }
}

#[tokio::test]
async fn another_farms_segments_at_the_same_place_are_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let first = farm(3).await;
    let known = views(&*first).await;
    retention(Arc::clone(&first), known, folder.path())
        .pass()
        .await
        .unwrap();
    // A farm that is begun anew, whose first entry is another.
    let second: Arc<dyn Ledger> = Arc::new(croft_ledger::Memory::new(super::clock()));
    append(&*second, "token.1", "{}").await;
    let lost = append(&*second, &build(1), "{}").await;
    second.purge(&subject(&build(1)), lost).await.unwrap();
    let page = History::new(Arc::new(second), depot(folder.path()))
        .read(Seq::ZERO, 1000)
        .await
        .unwrap();
    assert_eq!(page.missing, Some((lost, lost)));
    assert_eq!(page.entries.len(), 2);
}
