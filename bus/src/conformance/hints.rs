//! Cases of hints: each comes to one taker at a time, until it is done.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};

use super::{LONG, build, pool, settings};
use crate::{Bus, Hint, Taken};

fn hint(number: u64) -> Hint {
    Hint {
        build: build(&format!("app:{number}")),
        attempt: 1,
        seq: number,
    }
}

async fn publish(bus: &Arc<dyn Bus>, on: &str, hint: Hint) {
    let published = bus.publish(&pool(on), hint).await;
    published.expect("nothing is against it");
}

/// One that is there or will be.
async fn take(bus: &Arc<dyn Bus>, on: &str) -> Taken {
    let taken = bus.take(&pool(on), LONG).await.expect("hints can be taken");
    taken.expect("one comes")
}

async fn is_empty(bus: &Arc<dyn Bus>, on: &str) -> bool {
    let taken = bus.take(&pool(on), Duration::ZERO).await;
    taken.expect("hints can be taken").is_none()
}

async fn waiting(bus: &Arc<dyn Bus>, on: &str) -> u64 {
    let waiting = bus.waiting(&pool(on)).await;
    waiting.expect("hints can be counted")
}

async fn done(taken: Taken) {
    taken.done().await.expect("it can be done");
}

pub(super) async fn nothing_waits_in_an_empty_pool(bus: Arc<dyn Bus>) {
    assert_eq!(waiting(&bus, "p").await, 0);
    assert!(is_empty(&bus, "p").await);
    let short = Duration::from_millis(20);
    let taken = bus.take(&pool("p"), short).await;
    assert!(taken.expect("hints can be taken").is_none());
}

pub(super) async fn hints_come_in_the_order_of_publishing(bus: Arc<dyn Bus>) {
    for number in 1..=3 {
        publish(&bus, "p", hint(number)).await;
    }
    assert_eq!(waiting(&bus, "p").await, 3);
    for number in 1..=3 {
        let taken = take(&bus, "p").await;
        assert_eq!(taken.hint, hint(number));
        done(taken).await;
    }
    assert_eq!(waiting(&bus, "p").await, 0);
}

pub(super) async fn a_hint_published_twice_is_one(bus: Arc<dyn Bus>) {
    publish(&bus, "p", hint(1)).await;
    publish(&bus, "p", hint(1)).await;
    // Whatever the sequence: it is the attempt that waits once.
    publish(&bus, "p", Hint { seq: 9, ..hint(1) }).await;
    assert_eq!(waiting(&bus, "p").await, 1);
    done(take(&bus, "p").await).await;
    // Within the window also when it is done.
    publish(&bus, "p", hint(1)).await;
    assert!(is_empty(&bus, "p").await);
}

pub(super) async fn another_attempt_is_another_hint(bus: Arc<dyn Bus>) {
    publish(&bus, "p", hint(1)).await;
    let attempt = 2;
    publish(&bus, "p", Hint { attempt, ..hint(1) }).await;
    done(take(&bus, "p").await).await;
    assert_eq!(take(&bus, "p").await.hint.attempt, attempt);
}

pub(super) async fn two_takers_get_different_hints(bus: Arc<dyn Bus>) {
    for number in 0..20 {
        publish(&bus, "p", hint(number)).await;
    }
    let takers = (0..20).map(|_| async {
        let taken = take(&bus, "p").await;
        let number = taken.hint.seq;
        done(taken).await;
        number
    });
    let mut numbers = join_all(takers).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
}

pub(super) async fn pools_are_apart(bus: Arc<dyn Bus>) {
    publish(&bus, "p", hint(1)).await;
    publish(&bus, "q", hint(1)).await;
    assert_eq!(waiting(&bus, "p").await, 1);
    done(take(&bus, "p").await).await;
    assert!(is_empty(&bus, "p").await);
    assert_eq!(waiting(&bus, "q").await, 1);
    bus.drop_all(&pool("p")).await.expect("it can be dropped");
    assert_eq!(take(&bus, "q").await.hint, hint(1));
}

pub(super) async fn a_taker_that_waits_is_woken(bus: Arc<dyn Bus>) {
    let publishing = async {
        // The taker is polled first and waits by then.
        tokio::task::yield_now().await;
        publish(&bus, "p", hint(1)).await;
    };
    let (taken, ()) = join(take(&bus, "p"), publishing).await;
    assert_eq!(taken.hint, hint(1));
}

pub(super) async fn a_hint_that_is_done_does_not_come_back(bus: Arc<dyn Bus>) {
    publish(&bus, "p", hint(1)).await;
    done(take(&bus, "p").await).await;
    let wait = settings().ack_wait * 2;
    let taken = bus.take(&pool("p"), wait).await;
    assert!(taken.expect("hints can be taken").is_none());
}

pub(super) async fn a_hint_that_is_not_acknowledged_comes_back(bus: Arc<dyn Bus>) {
    publish(&bus, "p", hint(1)).await;
    let first = take(&bus, "p").await;
    assert!(is_empty(&bus, "p").await, "it is held");
    assert_eq!(waiting(&bus, "p").await, 1);
    let second = take(&bus, "p").await;
    assert_eq!(second.hint, first.hint);
    // There is no fence: the first holder is late, and its word counts.
    done(first).await;
    assert_eq!(waiting(&bus, "p").await, 0);
    done(second).await;
}

pub(super) async fn a_hint_given_back_comes_after_its_delay(bus: Arc<dyn Bus>) {
    publish(&bus, "p", hint(1)).await;
    let taken = take(&bus, "p").await;
    let back = taken.give_back(Duration::ZERO).await;
    back.expect("it can be given back");
    let taken = take(&bus, "p").await;
    let delay = settings().ack_wait * 2;
    let since = tokio::time::Instant::now();
    taken.give_back(delay).await.expect("it can be given back");
    done(take(&bus, "p").await).await;
    // Brokers count from when they hear it, and round.
    assert!(since.elapsed() > delay * 9 / 10, "{:?}", since.elapsed());
}

pub(super) async fn a_pool_that_was_dropped_is_published_anew(bus: Arc<dyn Bus>) {
    publish(&bus, "p", hint(1)).await;
    publish(&bus, "p", hint(2)).await;
    let held = take(&bus, "p").await;
    bus.drop_all(&pool("p")).await.expect("it can be dropped");
    assert_eq!(waiting(&bus, "p").await, 0);
    assert!(is_empty(&bus, "p").await);
    publish(&bus, "p", hint(1)).await;
    publish(&bus, "p", hint(1)).await;
    assert_eq!(waiting(&bus, "p").await, 1);
    // What was held before is not what was published after.
    done(held).await;
    assert_eq!(take(&bus, "p").await.hint, hint(1));
}

pub(super) async fn names_of_any_bytes_are_pools_and_builds(bus: Arc<dyn Bus>) {
    for name in ["a.b", "a.>", "*", "ü x", "$SYS", &"ü".repeat(40)] {
        let build = build(name);
        let hint = Hint { build, ..hint(1) };
        publish(&bus, name, hint.clone()).await;
        let taken = take(&bus, name).await;
        assert_eq!(taken.hint, hint);
        done(taken).await;
    }
}
