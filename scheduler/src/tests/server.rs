use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use croft_bus::{Announcement, Bus, Memory as MemoryBus, Renewal, Settings, Verdict};
use croft_ledger::{
    Append, AppendError, Appended, Clock, Entry, Expected, Ledger, Memory, ReadError, Seq, Through,
};
use croft_proto::farm::{
    BuildEvent, BuildId, Concurrency, ConcurrencyMode, Lease, LossReason, ProjectEvent,
    ProjectRules, SettledBy,
};
use croft_proto::{Status, Timestamp};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::steps::{applied, rules};
use crate::*;

/// Long enough for anything that is about to happen.
const SOON: Duration = Duration::from_secs(20);

struct Farm {
    ledger: Arc<Memory>,
    bus: Arc<MemoryBus>,
    handles: Vec<Handle>,
    stop: watch::Sender<bool>,
    servers: JoinSet<Result<(), ServerError>>,
}

fn now() -> Timestamp {
    Clock::system().now()
}

async fn farm(servers: usize, rules: ProjectRules) -> Farm {
    farm_over(servers, rules, |ledger| ledger).await
}

/// The same, with servers that see the ledger through something.
async fn farm_over(
    servers: usize,
    rules: ProjectRules,
    through: impl Fn(Arc<Memory>) -> Arc<dyn Ledger>,
) -> Farm {
    let ledger = Arc::new(Memory::new(Clock::system()));
    let bus = Arc::new(MemoryBus::new(&Settings::default()));
    let (stop, stopped) = watch::channel(false);
    let mut farm = Farm {
        ledger,
        bus,
        handles: Vec::new(),
        stop,
        servers: JoinSet::new(),
    };
    for _ in 0..servers {
        let (server, handle) = Server::new(Parts {
            ledger: through(Arc::clone(&farm.ledger)),
            bus: Arc::clone(&farm.bus) as Arc<dyn Bus>,
            lease: Lease::new(1_000).unwrap(),
            clock: Clock::system(),
            metrics: Metrics::new(&prometheus::Registry::new()).unwrap(),
        });
        farm.servers.spawn(server.run(stopped.clone()));
        farm.handles.push(handle);
    }
    let event = applied(rules);
    farm.handles[0].project("web".into(), event).await.unwrap();
    farm
}

pub(super) fn asked() -> Asked {
    Asked {
        project: "web".into(),
        build: BuildId::from(uuid::Uuid::new_v4()),
        priority: None,
        auto_retry_limit: None,
        queued_timeout_in_minutes: None,
        token: None,
        initiator: "test".into(),
        request: serde_json::json!({}),
    }
}

impl Farm {
    async fn end(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.servers.join_next().await {
            ended.unwrap().unwrap();
        }
    }

    async fn events(&self, build: BuildId) -> Vec<(Seq, BuildEvent)> {
        let read = self
            .ledger
            .read_subject(&build_subject(build), Seq::ZERO, 64)
            .await;
        let entries = read.unwrap();
        let event = |entry: &Entry| serde_json::from_slice(entry.event().unwrap()).unwrap();
        entries
            .iter()
            .map(|entry| (entry.seq, event(entry)))
            .collect()
    }

    async fn wait_for(&self, build: BuildId, wanted: impl Fn(&BuildEvent) -> bool) -> BuildEvent {
        let found = async {
            loop {
                let events = self.events(build).await;
                if let Some((_, event)) = events.into_iter().find(|(_, event)| wanted(event)) {
                    return event;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, found).await.unwrap()
    }

    async fn announce(&self, slots_free: u32) {
        let said = Announcement {
            worker: "w1".parse().unwrap(),
            pool: "default".parse().unwrap(),
            slots_free,
            slots: 4,
            version: "0".into(),
        };
        self.bus.announce(said).await.unwrap();
    }

    /// Claims the next build that is offered, as a worker does.
    async fn claim(&self) -> (BuildId, u32) {
        let pool = "default".parse().unwrap();
        let taken = async {
            loop {
                self.announce(4).await;
                let taken = self
                    .bus
                    .take(&pool, Duration::from_millis(100))
                    .await
                    .unwrap();
                if let Some(taken) = taken {
                    return taken;
                }
            }
        };
        let taken = tokio::time::timeout(SOON, taken).await.unwrap();
        let build: BuildId = taken.hint.build.as_str().parse().unwrap();
        let attempt = taken.hint.attempt;
        let event = BuildEvent::AttemptStarted {
            attempt,
            worker: "w1".into(),
        };
        self.append(build, Seq::new(taken.hint.seq), &event).await;
        taken.done().await.unwrap();
        (build, attempt)
    }

    async fn append(&self, build: BuildId, last: Seq, event: &BuildEvent) {
        let append = Append {
            subject: build_subject(build),
            expected: Expected::Last(last),
            event: serde_json::to_vec(event).unwrap().into(),
        };
        self.ledger.append(vec![append]).await.unwrap();
    }

    async fn renew(&self, build: BuildId, attempt: u32) -> Verdict {
        let renewal = Renewal {
            build: build.to_string().parse().unwrap(),
            attempt,
            worker: "w1".parse().unwrap(),
        };
        let verdict = async {
            loop {
                if let Ok(verdict) = self.bus.renew(renewal.clone()).await {
                    return verdict;
                }
            }
        };
        tokio::time::timeout(SOON, verdict).await.unwrap()
    }
}

#[tokio::test]
async fn many_that_ask_at_once_share_appends_and_each_has_a_number_of_its_own() {
    let farm = farm(1, rules()).await;
    let mut asking = JoinSet::new();
    for _ in 0..200 {
        let handle = farm.handles[0].clone();
        asking.spawn(async move { handle.start(asked()).await.unwrap() });
    }
    let mut numbers = BTreeSet::new();
    while let Some(started) = asking.join_next().await {
        let events = farm.events(started.unwrap().build).await;
        let BuildEvent::Submitted(submitted) = &events[0].1 else {
            panic!("a build begins with its submission")
        };
        numbers.insert(submitted.number);
    }
    assert_eq!(numbers, (1..=200).collect());
    farm.end().await;
}

#[tokio::test]
async fn the_same_token_twice_at_once_starts_one_build() {
    let farm = farm(2, rules()).await;
    let mut asking = JoinSet::new();
    for turn in 0..20_usize {
        let handle = farm.handles[turn % 2].clone();
        asking.spawn(async move {
            let asked = Asked {
                token: Some("once".into()),
                ..asked()
            };
            handle.start(asked).await.unwrap().build
        });
    }
    let builds: BTreeSet<BuildId> = asking.join_all().await.into_iter().collect();
    assert_eq!(builds.len(), 1);
    farm.end().await;
}

#[tokio::test]
async fn a_limit_that_refuses_counts_what_is_on_its_way_and_lets_go_when_a_build_is_over() {
    let limited = ProjectRules {
        concurrency: Some(Concurrency {
            limit: 3,
            mode: ConcurrencyMode::Reject,
            group: None,
        }),
        ..rules()
    };
    let farm = farm(2, limited).await;
    let mut asking = JoinSet::new();
    for turn in 0..20_usize {
        let handle = farm.handles[turn % 2].clone();
        asking.spawn(async move { handle.start(asked()).await });
    }
    let answers = asking.join_all().await;
    let started: Vec<BuildId> = answers
        .iter()
        .flatten()
        .map(|started| started.build)
        .collect();
    assert_eq!(started.len(), 3, "{answers:?}");
    let refused = answers
        .iter()
        .filter(|answer| matches!(answer, Err(Refused::Rule(Refusal::Limit { limit: 3, .. }))));
    assert_eq!(refused.count(), 17);
    farm.handles[1]
        .stop(started[0], "somebody".into())
        .await
        .unwrap();
    farm.handles[0].start(asked()).await.unwrap();
    farm.end().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_name() {
    let farm = farm(1, rules()).await;
    let nowhere = Asked {
        project: "nowhere".into(),
        ..asked()
    };
    let refused = farm.handles[0].start(nowhere).await.unwrap_err();
    assert_eq!(refused, Refused::Rule(Refusal::NoProject("nowhere".into())));
    let huge = Asked {
        request: serde_json::json!("x".repeat(70_000)),
        ..asked()
    };
    let refused = farm.handles[0].start(huge).await.unwrap_err();
    assert!(matches!(refused, Refused::Rule(Refusal::TooLarge { .. })));
    let gone = farm.handles[0]
        .project("nowhere".into(), ProjectEvent::Deleted)
        .await;
    assert_eq!(
        gone.unwrap_err(),
        Refused::Rule(Refusal::NoProject("nowhere".into()))
    );
    farm.end().await;
}

#[tokio::test]
async fn a_build_is_offered_claimed_renewed_stopped_and_settled() {
    let farm = farm(2, rules()).await;
    let started = farm.handles[0].start(asked()).await.unwrap();
    assert!(farm.handles[1].folded(started.seq.unwrap(), SOON).await);
    let why = farm.handles[1].why(started.build).await.unwrap();
    assert!(matches!(why, Some(Why::NoWorker { .. })), "{why:?}");
    let (build, attempt) = farm.claim().await;
    assert_eq!((build, attempt), (started.build, 1));
    assert_eq!(farm.renew(build, 1).await, Verdict::Go);
    let (granted, seq) = farm.handles[0]
        .stop(build, "somebody".into())
        .await
        .unwrap();
    assert_eq!(granted, Granted::Told);
    for handle in &farm.handles {
        assert!(handle.folded(seq.unwrap(), SOON).await);
    }
    assert!(matches!(farm.renew(build, 1).await, Verdict::Stop { .. }));
    let settled = super::steps::settled(1, Status::Stopped, now());
    farm.append(build, seq.unwrap(), &settled).await;
    assert_eq!(
        farm.handles[0]
            .stop(build, "somebody".into())
            .await
            .unwrap()
            .0,
        Granted::NotRunning
    );
    assert_eq!(farm.renew(build, 1).await, Verdict::Lost);
    farm.end().await;
}

#[tokio::test]
async fn a_silent_attempt_is_lost_offered_again_and_at_last_quarantined() {
    let farm = farm(2, rules()).await;
    let started = farm.handles[0].start(asked()).await.unwrap();
    for attempt in 1..=2 {
        assert_eq!(farm.claim().await, (started.build, attempt));
    }
    let settled = farm
        .wait_for(started.build, |event| {
            matches!(event, BuildEvent::Settled { .. })
        })
        .await;
    let BuildEvent::Settled { status, by, .. } = settled else {
        unreachable!()
    };
    assert_eq!((status, by), (Status::Fault, SettledBy::Quarantine));
    let lost = farm.events(started.build).await.into_iter().filter(|(_, event)| {
        matches!(event, BuildEvent::AttemptLost { reason: LossReason::Unheard { silent_ms }, .. } if *silent_ms >= 1_000)
    });
    assert_eq!(lost.count(), 2);
    farm.end().await;
}

#[tokio::test]
async fn servers_go_on_without_each_other() {
    let mut farm = farm(1, rules()).await;
    let started = farm.handles[0].start(asked()).await.unwrap();
    // A second server that starts late knows all that happened before.
    let (server, handle) = Server::new(Parts {
        ledger: Arc::clone(&farm.ledger) as Arc<dyn Ledger>,
        bus: Arc::clone(&farm.bus) as Arc<dyn Bus>,
        lease: Lease::default(),
        clock: Clock::system(),
        metrics: Metrics::new(&prometheus::Registry::new()).unwrap(),
    });
    let (stop, stopped) = watch::channel(false);
    let mut late = JoinSet::new();
    late.spawn(server.run(stopped));
    assert!(handle.folded(started.seq.unwrap(), SOON).await);
    farm.servers.abort_all();
    while farm.servers.join_next().await.is_some() {}
    assert_eq!(farm.claim().await, (started.build, 1));
    handle.start(asked()).await.unwrap();
    assert!(
        farm.handles[0].start(asked()).await.is_err(),
        "a server that is gone says so"
    );
    stop.send_replace(true);
    late.join_next().await.unwrap().unwrap().unwrap();
}

/// Whoever follows it hears of one entry only.
#[derive(Debug)]
struct Silent(Memory);

impl Through for Silent {
    fn inner(&self) -> &dyn Ledger {
        &self.0
    }

    fn follow(&self, after: Seq) -> BoxStream<'static, Result<Entry, ReadError>> {
        let first = self.0.follow(after).take(1);
        first.chain(stream::pending()).boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_what_is_in_the_ledger_is_told_when_the_server_stops() {
    let ledger = Arc::new(Silent(Memory::new(Clock::system())));
    let (server, handle) = Server::new(Parts {
        ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
        bus: Arc::new(MemoryBus::new(&Settings::default())),
        lease: Lease::default(),
        clock: Clock::system(),
        metrics: Metrics::new(&prometheus::Registry::new()).unwrap(),
    });
    let (stop, stopped) = watch::channel(false);
    let mut servers = JoinSet::new();
    servers.spawn(server.run(stopped));
    handle
        .project("web".into(), applied(rules()))
        .await
        .unwrap();
    let stops = async {
        while Ledger::last(ledger.as_ref()).await.unwrap() <= Seq::new(1) {
            tokio::task::yield_now().await;
        }
        stop.send_replace(true);
    };
    let (started, ()) = tokio::join!(handle.start(asked()), stops);
    assert!(started.unwrap().seq.is_some());
    servers.join_next().await.unwrap().unwrap().unwrap();
}

/// Loses sight of the first loss that is appended, before it has happened.
#[derive(Debug)]
struct Lossy {
    inner: Arc<Memory>,
    has_lost: Arc<AtomicBool>,
}

impl Through for Lossy {
    fn inner(&self) -> &dyn Ledger {
        self.inner.as_ref()
    }

    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        let is_loss = batch.iter().any(|append| {
            let text = String::from_utf8_lossy(&append.event);
            text.contains("attemptLost")
        });
        if is_loss && !self.has_lost.swap(true, Ordering::SeqCst) {
            let source = "the broker was cut off".into();
            return async { Err(AppendError::Unknown { source }) }.boxed();
        }
        self.inner.append(batch)
    }
}

#[tokio::test]
async fn a_loss_that_did_not_arrive_is_not_said_again_of_whoever_is_heard_by_then() {
    let has_lost = Arc::new(AtomicBool::new(false));
    let known = Arc::clone(&has_lost);
    let farm = farm_over(1, rules(), move |inner| {
        let has_lost = Arc::clone(&known);
        Arc::new(Lossy { inner, has_lost })
    });
    let farm = farm.await;
    let started = farm.handles[0].start(asked()).await.unwrap();
    assert_eq!(farm.claim().await, (started.build, 1));
    let until = tokio::time::Instant::now() + SOON;
    while !has_lost.load(Ordering::SeqCst) {
        assert!(tokio::time::Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // For three leases, in which what was decided in the silence must not come up again.
    for _ in 0..30 {
        assert_eq!(farm.renew(started.build, 1).await, Verdict::Go);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(farm.events(started.build).await.len(), 2);
    farm.end().await;
}
