//! Cases of live output: in order, without gaps or repeats, or with a word about what was skipped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};

use super::{KEPT, build, settings};
use crate::{Bus, CHUNK_BYTES_MAX, Chunk, FollowError, Item, Place, PutError};

/// Who does nothing for so long stands still; much longer than a chunk takes, much shorter than the patience.
const STILL: Duration = Duration::from_millis(50);

type Followed = BoxStream<'static, Result<Item, FollowError>>;

fn text(attempt: u32, number: u64) -> Bytes {
    Bytes::from(format!("{attempt}:{number}"))
}

async fn put(bus: &Arc<dyn Bus>, on: &str, attempt: u32, number: u64) {
    let chunk = Chunk {
        first: number,
        bytes: text(attempt, number),
    };
    let put = bus.put(&build(on), attempt, chunk).await;
    put.expect("nothing is against it");
}

async fn put_all(bus: &Arc<dyn Bus>, on: &str, numbers: std::ops::Range<u64>) {
    for number in numbers {
        put(bus, on, 1, number).await;
    }
}

async fn end(bus: &Arc<dyn Bus>, on: &str, attempt: u32, number: u64) {
    let ended = bus.end(&build(on), attempt, number).await;
    ended.expect("nothing is against it");
}

fn follow(bus: &Arc<dyn Bus>, on: &str) -> Followed {
    bus.follow(&build(on), Place::START)
}

/// In short: `b1` began, `s3` skipped to, `3` a chunk, `e` the end.
async fn next(followed: &mut Followed) -> String {
    let item = followed.next().await.expect("there is more");
    match item.expect("it can be followed") {
        Item::Began { attempt } => format!("b{attempt}"),
        Item::Skipped { to } => format!("s{to}"),
        Item::Chunk(chunk) => {
            let said = String::from_utf8_lossy(&chunk.bytes).into_owned();
            let (_, number) = said.split_once(':').expect("as it was put");
            assert_eq!(number, chunk.first.to_string());
            number.to_owned()
        }
        Item::End => "e".into(),
    }
}

async fn next_of(followed: &mut Followed, count: usize) -> Vec<String> {
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(next(followed).await);
    }
    items
}

async fn rest(mut followed: Followed) -> String {
    let mut items = vec![next(&mut followed).await];
    while items.last().is_some_and(|last| last != "e") {
        items.push(next(&mut followed).await);
    }
    assert!(followed.next().await.is_none(), "the end is the last");
    items.join(" ")
}

pub(super) async fn a_follower_gets_what_is_kept_then_what_comes(bus: Arc<dyn Bus>) {
    put_all(&bus, "b", 0..3).await;
    let mut early = follow(&bus, "b");
    assert_eq!(next_of(&mut early, 3).await, ["b1", "0", "1"]);
    put_all(&bus, "b", 3..5).await;
    end(&bus, "b", 1, 5).await;
    assert_eq!(rest(early).await, "2 3 4 e");
    let late = follow(&bus, "b");
    assert_eq!(rest(late).await, "b1 0 1 2 3 4 e");
}

pub(super) async fn a_follower_begins_in_the_middle(bus: Arc<dyn Bus>) {
    put_all(&bus, "b", 0..4).await;
    let from = |attempt, chunk| bus.follow(&build("b"), Place { attempt, chunk });
    let mut middle = from(1, 2);
    assert_eq!(next_of(&mut middle, 3).await, ["b1", "2", "3"]);
    let mut ahead = from(1, 5);
    let mut of_an_earlier_attempt = from(0, 3);
    assert_eq!(next_of(&mut of_an_earlier_attempt, 2).await, ["b1", "0"]);
    put_all(&bus, "b", 4..6).await;
    assert_eq!(next_of(&mut ahead, 2).await, ["b1", "5"]);
    assert_eq!(next_of(&mut middle, 2).await, ["4", "5"]);
}

pub(super) async fn a_follower_that_comes_first_waits(bus: Arc<dyn Bus>) {
    let mut followed = follow(&bus, "b");
    assert!(followed.next().now_or_never().is_none());
    let putting = async {
        put_all(&bus, "b", 0..2).await;
        end(&bus, "b", 1, 2).await;
    };
    let (items, ()) = join(rest(followed), putting).await;
    assert_eq!(items, "b1 0 1 e");
}

pub(super) async fn a_chunk_put_again_is_given_once(bus: Arc<dyn Bus>) {
    put_all(&bus, "b", 0..3).await;
    put_all(&bus, "b", 1..4).await;
    end(&bus, "b", 1, 4).await;
    end(&bus, "b", 1, 4).await;
    assert_eq!(rest(follow(&bus, "b")).await, "b1 0 1 2 3 e");
}

pub(super) async fn a_gap_is_told(bus: Arc<dyn Bus>) {
    put_all(&bus, "b", 2..3).await;
    put_all(&bus, "b", 5..6).await;
    end(&bus, "b", 1, 7).await;
    assert_eq!(rest(follow(&bus, "b")).await, "b1 s2 2 s5 5 s7 e");
}

pub(super) async fn a_later_attempt_takes_over(bus: Arc<dyn Bus>) {
    put_all(&bus, "b", 0..2).await;
    let mut followed = follow(&bus, "b");
    assert_eq!(next_of(&mut followed, 3).await, ["b1", "0", "1"]);
    put(&bus, "b", 2, 0).await;
    // The first one has not heard yet that it is lost.
    put_all(&bus, "b", 2..3).await;
    put(&bus, "b", 2, 1).await;
    end(&bus, "b", 2, 2).await;
    assert_eq!(rest(followed).await, "b2 0 1 e");
}

pub(super) async fn what_is_not_kept_is_skipped(bus: Arc<dyn Bus>) {
    let count = KEPT as u64 * 2;
    put_all(&bus, "b", 0..count).await;
    let mut followed = follow(&bus, "b");
    let first = count - KEPT as u64;
    let wanted = ["b1".into(), format!("s{first}"), first.to_string()];
    assert_eq!(next_of(&mut followed, 3).await, wanted);
    end(&bus, "b", 1, count).await;
    let items = rest(followed).await;
    assert!(!items.contains('s'), "{items}");
    assert!(items.ends_with(&format!("{} e", count - 1)), "{items}");
}

/// A follower that looks away for a moment loses nothing, however little is kept.
pub(super) async fn putting_waits_for_a_follower(bus: Arc<dyn Bus>) {
    let count = KEPT as u64 * 10;
    put(&bus, "b", 1, 0).await;
    let mut followed = follow(&bus, "b");
    assert_eq!(next_of(&mut followed, 2).await, ["b1", "0"]);
    let done = AtomicU64::new(0);
    let putting = async {
        for number in 1..count {
            put(&bus, "b", 1, number).await;
            done.store(number, Ordering::Relaxed);
        }
        end(&bus, "b", 1, count).await;
    };
    let reading = async {
        let mut before = 0;
        // Until putting stands still.
        loop {
            tokio::time::sleep(STILL).await;
            let now = done.load(Ordering::Relaxed);
            if now > 0 && now == before {
                break;
            }
            before = now;
        }
        assert!(before < count - 1, "it has not waited");
        let since = tokio::time::Instant::now();
        let items = rest(followed).await;
        // It is heard of as it goes on, and not given up some time.
        let patience = settings().output.patience;
        assert!(since.elapsed() < patience, "{:?}", since.elapsed());
        items
    };
    let (items, ()) = join(reading, putting).await;
    let wanted: String = (1..count).map(|number| format!("{number} ")).collect();
    assert_eq!(items, format!("{wanted}e"));
}

pub(super) async fn a_slow_follower_does_not_stop_a_build(bus: Arc<dyn Bus>) {
    let count = KEPT as u64 * 20;
    put(&bus, "b", 1, 0).await;
    let mut slow = follow(&bus, "b");
    assert_eq!(next_of(&mut slow, 2).await, ["b1", "0"]);
    let since = tokio::time::Instant::now();
    // Nobody reads meanwhile.
    put_all(&bus, "b", 1..count).await;
    end(&bus, "b", 1, count).await;
    // Waited for once, not once a chunk.
    let patience = settings().output.patience;
    assert!(since.elapsed() >= patience, "{:?}", since.elapsed());
    assert!(since.elapsed() < patience * 20, "{:?}", since.elapsed());
    let items = rest(slow).await;
    let skips = items.split(' ').filter(|item| item.starts_with('s'));
    assert_eq!(skips.count(), 1, "{items}");
    assert!(items.ends_with(&format!("{} e", count - 1)), "{items}");
}

pub(super) async fn a_loud_build_is_kept_within_its_bytes(bus: Arc<dyn Bus>) {
    let count = KEPT as u64 - 4;
    let bytes = Bytes::from(vec![b'x'; CHUNK_BYTES_MAX]);
    for first in 0..count {
        let bytes = bytes.clone();
        let put = bus.put(&build("b"), 1, Chunk { first, bytes }).await;
        put.expect("nothing is against it");
    }
    let items = follow(&bus, "b").take(2).collect::<Vec<_>>().await;
    let Ok(Item::Skipped { to }) = items[1] else {
        panic!("{items:?}");
    };
    let kept = (count - to) * CHUNK_BYTES_MAX as u64;
    let bytes_max = settings().output.bytes_max as u64;
    // A broker may have let go of a quarter more than it must.
    assert!(kept <= bytes_max && kept >= bytes_max / 2, "{kept}");
}

/// One build's output pushes out another's when there is too much of all, and nobody waits for followers then.
pub(super) async fn the_oldest_of_all_goes_first(bus: Arc<dyn Bus>) {
    const EACH: u64 = 10;
    let bytes = Bytes::from(vec![b'x'; CHUNK_BYTES_MAX]);
    let builds = settings().output.bytes_max_in_all / CHUNK_BYTES_MAX / 10 + 3;
    for number in 0..builds {
        let on = build(&format!("b{number}"));
        for first in 0..EACH {
            let bytes = bytes.clone();
            let put = bus.put(&on, 1, Chunk { first, bytes }).await;
            put.expect("nothing is against it");
        }
    }
    let last = format!("b{}", builds - 1);
    for (on, wanted) in [("b0", "b1 s10 e"), (last.as_str(), "b1")] {
        end(&bus, on, 1, EACH).await;
        let mut followed = follow(&bus, on);
        let mut items = vec![next(&mut followed).await];
        if on == "b0" {
            items.extend(next_of(&mut followed, 2).await);
        } else {
            let first = followed.next().await.expect("it is kept");
            let bytes = bytes.clone();
            assert_eq!(first.ok(), Some(Item::Chunk(Chunk { first: 0, bytes })));
        }
        assert_eq!(items.join(" "), wanted);
    }
}

pub(super) async fn builds_are_apart(bus: Arc<dyn Bus>) {
    let (mut one, mut other) = (follow(&bus, "b.1"), follow(&bus, "b.*"));
    put(&bus, "b.1", 1, 0).await;
    put(&bus, "b.*", 2, 1).await;
    assert_eq!(next_of(&mut one, 2).await, ["b1", "0"]);
    assert_eq!(next_of(&mut other, 3).await, ["b2", "s1", "1"]);
}

pub(super) async fn a_chunk_has_a_largest_size(bus: Arc<dyn Bus>) {
    let chunk = |size_bytes| Chunk {
        first: 0,
        bytes: vec![b'x'; size_bytes].into(),
    };
    let error = bus.put(&build("b"), 1, chunk(CHUNK_BYTES_MAX + 1)).await;
    assert!(
        matches!(error, Err(PutError::TooLarge { size_bytes }) if size_bytes == CHUNK_BYTES_MAX + 1),
        "{error:?}"
    );
    let put = bus.put(&build("b"), 1, chunk(CHUNK_BYTES_MAX)).await;
    put.expect("the largest fits");
    let mut followed = follow(&bus, "b");
    assert_eq!(next(&mut followed).await, "b1");
    let item = followed.next().await.expect("it is kept");
    assert_eq!(item.ok(), Some(Item::Chunk(chunk(CHUNK_BYTES_MAX))));
}
