use std::sync::atomic::{AtomicUsize, Ordering};

use croft_ledger::{Append, Clock, Expected, Memory};
use croft_proto::Timestamp;
use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::*;

/// Gives keys up to a generation, and counts how often it is asked.
#[derive(Debug, Default)]
pub(crate) struct Giver {
    /// The newest generation it gives; 0 has no answer.
    pub(crate) newest: AtomicUsize,
    pub(crate) asked: AtomicUsize,
}

impl Giver {
    pub(crate) fn of(newest: usize) -> Arc<Self> {
        let giver = Self::default();
        giver.newest.store(newest, Ordering::SeqCst);
        Arc::new(giver)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl KeySource for Giver {
    fn keys(&self) -> BoxFuture<'_, Result<BTreeMap<u32, PoolKey>, String>> {
        async {
            self.asked.fetch_add(1, Ordering::SeqCst);
            sleep(Duration::from_millis(100)).await;
            match u32::try_from(self.newest.load(Ordering::SeqCst)).unwrap() {
                0 => Err("no server is there".to_string()),
                newest => Ok((1..=newest)
                    .map(|number| (number, PoolKey::generate().unwrap()))
                    .collect()),
            }
        }
        .boxed()
    }
}

fn with(giver: &Arc<Giver>) -> PoolKeys {
    let first = BTreeMap::from([(1, PoolKey::generate().unwrap())]);
    PoolKeys::new(first, Some(Arc::clone(giver) as Arc<dyn KeySource>))
}

#[tokio::test(start_paused = true)]
async fn a_known_key_is_not_asked_for_and_an_unknown_one_once_for_all_slots() {
    let giver = Giver::of(2);
    let keys = with(&giver);
    assert!(keys.key(1).await.is_ok());
    assert_eq!(giver.asked(), 0);
    let all = join_all((0..8).map(|_| keys.key(2))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(giver.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_not_given_is_asked_for_once_in_five_seconds_by_all_slots_together() {
    let giver = Giver::of(1);
    let keys = with(&giver);
    let begun = Instant::now();
    let all = join_all((0..8).map(|_| keys.key(2))).await;
    assert!(all.iter().all(|got| matches!(got, Err(NoKey::NotGiven))));
    assert_eq!(giver.asked(), 1, "eight slots had the same answer");
    assert!(matches!(keys.key(2).await, Err(NoKey::NotGiven)));
    assert_eq!(giver.asked(), 2);
    assert!(begun.elapsed() >= ASK_EVERY, "{:?}", begun.elapsed());
    giver.newest.store(2, Ordering::SeqCst);
    assert!(keys.key(2).await.is_ok(), "it was made since");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_not_waited_for_for_ever() {
    #[derive(Debug)]
    struct Silent;
    impl KeySource for Silent {
        fn keys(&self) -> BoxFuture<'_, Result<BTreeMap<u32, PoolKey>, String>> {
            std::future::pending().boxed()
        }
    }
    let keys = PoolKeys::new(BTreeMap::new(), Some(Arc::new(Silent)));
    let begun = Instant::now();
    let got = keys.key(1).await;
    assert!(matches!(got, Err(NoKey::Unanswered { .. })), "{got:?}");
    assert_eq!(begun.elapsed(), ANSWER);
    let giver = Giver::of(0);
    let got = with(&giver).key(2).await;
    let reason = "no server is there".to_string();
    assert_eq!(got.err(), Some(NoKey::Unanswered { reason }));
    let got = PoolKeys::default().key(1).await;
    assert_eq!(got.err(), Some(NoKey::NobodyToAsk));
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_waiting_for_an_answer_leaves_the_question_to_the_next() {
    let giver = Giver::of(2);
    let keys = with(&giver);
    let soon = timeout(Duration::from_millis(50), keys.key(2)).await;
    assert!(soon.is_err());
    assert!(keys.key(2).await.is_ok());
    assert_eq!(giver.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_asked_for_when_the_ledger_has_it_before_a_build_needs_it() {
    let ledger = Memory::new(Clock::from_fn(|| Timestamp::from_millis(0)));
    let giver = Giver::of(2);
    let keys = with(&giver);
    let keyed = |generation| PoolEvent::Keyed {
        generation,
        public: String::new(),
        wrapped: String::new(),
    };
    let mut last = Seq::ZERO;
    for generation in [1, 2] {
        let append = Append {
            subject: Subject::of("pool", "default").unwrap(),
            expected: Expected::Last(last),
            event: serde_json::to_vec(&keyed(generation)).unwrap().into(),
        };
        last = ledger.append(vec![append]).await.unwrap().last;
    }
    let pool = "default".parse().unwrap();
    let following = timeout(LOOK * 10, keys.follow(&ledger, &pool));
    assert!(following.await.is_err(), "it goes on");
    assert!(keys.known(2).is_some());
    assert_eq!(giver.asked(), 1, "once for one new key");
}
