use std::sync::Arc;
use std::time::Duration;

use croft_bus::{Bus, Memory as MemoryBus, Renewal, Settings, Verdict};
use croft_ledger::{
    Append, Body, Clock, Entry, Expected, Ledger, Memory, ReadError, Seq, Subject, Through,
};
use croft_proto::Status;
use croft_proto::farm::{BuildEvent, BuildId, Lease};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::steps::{settled, submitted_as};
use crate::*;

const SOON: Duration = Duration::from_secs(20);

/// A history that has no end, and the next entry of it is always there.
#[derive(Debug)]
struct Endless(Memory);

impl Through for Endless {
    fn inner(&self) -> &dyn Ledger {
        &self.0
    }

    fn follow(&self, _after: Seq) -> BoxStream<'static, Result<Entry, ReadError>> {
        let entry = |seq| {
            Ok(Entry {
                seq: Seq::new(seq),
                subject: Subject::of("audit", "s1").unwrap(),
                at: Clock::system().now(),
                body: Body::Event("{}".into()),
            })
        };
        futures_util::stream::iter((1..).map(entry)).boxed()
    }

    fn last(&self) -> BoxFuture<'_, Result<Seq, ReadError>> {
        async { Ok(Seq::new(u64::MAX)) }.boxed()
    }
}

async fn append(ledger: &dyn Ledger, build: BuildId, event: &BuildEvent) {
    let subject = build_subject(build);
    let entries = ledger.read_subject(&subject, Seq::ZERO, 64).await.unwrap();
    let last = entries.last().map_or(Seq::ZERO, |entry| entry.seq);
    let append = Append {
        subject,
        expected: Expected::Last(last),
        event: serde_json::to_vec(event).unwrap().into(),
    };
    ledger.append(vec![append]).await.unwrap();
}

async fn renewed(bus: &MemoryBus, build: BuildId, attempt: u32) -> Verdict {
    let renewal = Renewal {
        build: build.to_string().parse().unwrap(),
        attempt,
        worker: "w1".parse().unwrap(),
    };
    let answered = async {
        loop {
            if let Ok(verdict) = bus.renew(renewal.clone()).await {
                return verdict;
            }
            // Nobody listens yet.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, answered).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_still_folds_a_long_history_answers_renewals_from_the_builds_own_entries() {
    let ledger = Arc::new(Endless(Memory::new(Clock::system())));
    let bus = Arc::new(MemoryBus::new(&Settings::default()));
    let (server, handle) = Server::new(Parts {
        ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
        bus: Arc::clone(&bus) as Arc<dyn Bus>,
        lease: Lease::new(1_000).unwrap(),
        clock: Clock::system(),
        metrics: Metrics::new(&prometheus::Registry::new()).unwrap(),
    });
    let build = BuildId::derived([7; 16]);
    let submitted = BuildEvent::Submitted(Box::new(submitted_as(1)));
    append(ledger.as_ref(), build, &submitted).await;
    for attempt in 1..=2 {
        let worker = format!("w{attempt}");
        append(
            ledger.as_ref(),
            build,
            &BuildEvent::AttemptStarted { attempt, worker },
        )
        .await;
    }
    let (stop, stopped) = watch::channel(false);
    let mut servers = JoinSet::new();
    servers.spawn(server.run(stopped));

    assert_eq!(renewed(&bus, build, 2).await, Verdict::Go);
    assert_eq!(renewed(&bus, build, 1).await, Verdict::Lost, "a stale one");
    // A claim that this read may be too old for.
    let early = Renewal {
        build: build.to_string().parse().unwrap(),
        attempt: 3,
        worker: "w1".parse().unwrap(),
    };
    assert!(bus.renew(early).await.is_err(), "nobody knows it");
    append(
        ledger.as_ref(),
        build,
        &BuildEvent::StopRequested { by: "x".into() },
    )
    .await;
    let told = renewed(&bus, build, 2).await;
    assert!(matches!(told, Verdict::Stop { .. }), "{told:?}");
    let end = settled(2, Status::Stopped, Clock::system().now());
    append(ledger.as_ref(), build, &end).await;
    assert_eq!(renewed(&bus, build, 2).await, Verdict::Lost);
    assert!(!handle.progress().is_caught_up);
    stop.send_replace(true);
    servers.join_next().await.unwrap().unwrap().unwrap();
}
