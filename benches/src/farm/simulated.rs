//! What a server costs while a thousand workers each run a build: the processor time of a real `croft server` over a real broker.
//!
//! The workers are simulated, in this process: they say what real ones do (announcements, a claim each, renewals), and run nothing.
//! They share one connection to the broker, which makes no difference to the server: it hears them through its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use croft_bus::{Announcement, Bus, Nats, Pool, Renewal, Taken, Verdict as Said};
use croft_ledger::{Append, Body, Entry, Expected, JetStream, Ledger, Seq, Subject as At};
use croft_proto::farm::{BuildEvent, Lease, SettledBy};
use croft_proto::{Status, Timestamp};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::http::{Client, text};
use super::spread::Spread;
use crate::sample::Verdict;
use crate::subject::Subject;

const WORKERS: usize = 1_000;
const POOL: &str = "simulated";
/// Who submit the builds: one token may not ask so often.
const CLIENTS: usize = 8;
/// How long the server is looked at while all builds run.
const SPAN: Duration = Duration::from_secs(30);
/// From the last claim until it is looked at.
const REST: Duration = Duration::from_secs(5);
const CLAIMED_MAX: Duration = Duration::from_secs(180);
const SETTLED_MAX: Duration = Duration::from_secs(60);
const ANNOUNCE_EVERY: Duration = Duration::from_secs(5);
const TAKE: Duration = Duration::from_secs(5);
/// Of one core.
const CORES_MAX: f64 = 1.0;
/// Entries of a build's subject that are read at once; it has a handful.
const ENTRIES: usize = 64;

/// What all workers have in common.
struct Shared {
    bus: Nats,
    ledger: JetStream,
    /// One for each worker that has its build.
    claims: Semaphore,
}

/// What a worker has seen.
#[derive(Clone, Copy, Default)]
struct Seen {
    renewals: u32,
    unheard: u32,
}

/// A build that is a worker's.
struct Claimed {
    at: At,
    renewal: Renewal,
}

pub(super) fn workers(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let spread = Spread::start(subject)?;
    let project = serde_json::json!({
        "name": "bench",
        "source": {
            "type": "NO_SOURCE",
            "buildspec": "version: 0.2\nphases:\n  build:\n    commands: [\"true\"]\n",
        },
        "environment": {"image": "sandbox"},
        "x-croft": {"pool": POOL},
    });
    spread
        .client()?
        .granted("PUT", "/v1/projects/bench", &project.to_string())?;
    for client in &mut spread.builders(CLIENTS)? {
        for _ in 0..WORKERS / CLIENTS {
            client.granted("POST", "/v1/builds", r#"{"projectName": "bench"}"#)?;
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(text)?;
    let (cores, seen) = runtime.block_on(measure(&spread))?;
    println!(
        "farm simulated-workers: {} renewals, of which {} were not answered in time",
        seen.renewals, seen.unheard
    );
    settled(spread.client()?)?;
    Ok(vec![Verdict::limit(
        "a croft server while 1,000 simulated workers run a build each",
        cores,
        CORES_MAX,
        "cores",
    )])
}

/// The server's processor time in each second of the span, and what the workers saw.
async fn measure(spread: &Spread) -> Result<(f64, Seen), String> {
    let address = &spread.nats.address;
    let bus = croft_bus::Config::new(address.clone());
    let client = bus.broker.connect().await.map_err(text)?;
    let ledger = croft_ledger::Config::new(address.clone());
    let shared = Arc::new(Shared {
        bus: Nats::open(client.clone(), bus).await.map_err(text)?,
        ledger: JetStream::open(client, ledger).await.map_err(text)?,
        claims: Semaphore::new(0),
    });
    let (end, ended) = watch::channel(false);
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        workers.spawn(worker(Arc::clone(&shared), number, ended.clone()));
    }
    let all = u32::try_from(WORKERS).map_err(text)?;
    let claimed = timeout(CLAIMED_MAX, shared.claims.acquire_many(all));
    tokio::select! {
        claimed = claimed => drop(claimed.map_err(|_late| {
            format!("only {} builds were claimed", shared.claims.available_permits())
        })?),
        Some(early) = workers.join_next() => {
            early.map_err(text)??;
            return Err("a worker has ended early".into());
        }
    }
    tokio::time::sleep(REST).await;
    let (begun, before) = (Instant::now(), spread.server.processor_time()?);
    tokio::time::sleep(SPAN).await;
    let after = spread.server.processor_time()?;
    let cores = (after - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    end.send_replace(true);
    let mut seen = Seen::default();
    while let Some(worker) = workers.join_next().await {
        let one = worker.map_err(text)??;
        seen.renewals += one.renewals;
        seen.unheard += one.unheard;
    }
    Ok((cores, seen))
}

/// One worker with one slot. It says that it is there, whatever else it does, until its build is over.
async fn worker(
    shared: Arc<Shared>,
    number: usize,
    end: watch::Receiver<bool>,
) -> Result<Seen, String> {
    let name = format!("simulated-{number}");
    // All at the same instant would be a burst that no farm has.
    let share = number as f64 / WORKERS as f64;
    tokio::time::sleep(ANNOUNCE_EVERY.mul_f64(share)).await;
    let slots_free = AtomicU32::new(1);
    tokio::select! {
        seen = build(&shared, &name, &slots_free, end) => seen,
        never = announce(&shared, &name, &slots_free) => Err(never),
    }
}

/// Ends with what went wrong only.
async fn announce(shared: &Shared, name: &str, slots_free: &AtomicU32) -> String {
    let mut due = interval(ANNOUNCE_EVERY);
    loop {
        due.tick().await;
        if let Err(reason) = say(shared, name, slots_free.load(Ordering::Relaxed)).await {
            return reason;
        }
    }
}

async fn say(shared: &Shared, name: &str, slots_free: u32) -> Result<(), String> {
    let said = shared.bus.announce(Announcement {
        worker: name.parse().map_err(text)?,
        pool: POOL.parse().map_err(text)?,
        slots_free,
        slots: 1,
        version: "simulated".into(),
    });
    said.await.map_err(text)
}

/// Claims a build, renews its lease until the end, and settles it.
async fn build(
    shared: &Shared,
    name: &str,
    slots_free: &AtomicU32,
    mut end: watch::Receiver<bool>,
) -> Result<Seen, String> {
    let claimed = loop {
        if let Some(claimed) = claim(shared, name).await? {
            break claimed;
        }
    };
    slots_free.store(0, Ordering::Relaxed);
    say(shared, name, 0).await?;
    shared.claims.add_permits(1);
    let mut renew = interval(Duration::from_millis(Lease::default().renew_ms()));
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Seen::default();
    while !*end.borrow_and_update() {
        tokio::select! {
            changed = end.changed() => changed.map_err(text)?,
            _ = renew.tick() => {
                seen.renewals += 1;
                match shared.bus.renew(claimed.renewal.clone()).await {
                    Ok(Said::Go) => {}
                    Ok(said @ (Said::Stop { .. } | Said::Lost)) => {
                        return Err(format!("{name} was told {said:?}"));
                    }
                    Err(_unheard) => seen.unheard += 1,
                }
            }
        }
    }
    settle(shared, &claimed).await?;
    Ok(seen)
}

/// Takes a hint and appends the claim behind what is there of the build. None when no hint came, or somebody else was faster.
async fn claim(shared: &Shared, name: &str) -> Result<Option<Claimed>, String> {
    let pool: Pool = POOL.parse().map_err(text)?;
    let Some(taken) = shared.bus.take(&pool, TAKE).await.map_err(text)? else {
        return Ok(None);
    };
    let Taken { hint, .. } = &taken;
    let at = At::of("build", hint.build.as_str()).map_err(text)?;
    let renewal = Renewal {
        build: hint.build.clone(),
        attempt: 1,
        worker: name.parse().map_err(text)?,
    };
    let (events, last) = read(shared, &at).await?;
    let is_ours = matches!(events.as_slice(), [BuildEvent::Submitted(_)]) && {
        let started = BuildEvent::AttemptStarted {
            attempt: 1,
            worker: name.into(),
        };
        append(shared, &at, last, &started).await.is_ok()
    };
    taken.done().await.map_err(text)?;
    Ok(is_ours.then_some(Claimed { at, renewal }))
}

/// The outcome, behind the claim: there may be nothing between the two.
async fn settle(shared: &Shared, claimed: &Claimed) -> Result<(), String> {
    let (events, last) = read(shared, &claimed.at).await?;
    let worker = claimed.renewal.worker.as_str();
    match events.as_slice() {
        [
            BuildEvent::Submitted(_),
            BuildEvent::AttemptStarted { worker: whose, .. },
        ] if whose == worker => {}
        other => return Err(format!("{} has another story: {other:?}", claimed.at)),
    }
    let settled = BuildEvent::Settled {
        attempt: 1,
        status: Status::Succeeded,
        by: SettledBy::Worker,
        message: None,
        build: None,
        at: Timestamp::from_millis(1_800_000_000_000),
    };
    append(shared, &claimed.at, last, &settled).await
}

/// What happened to a build, and the sequence of the last of it.
async fn read(shared: &Shared, at: &At) -> Result<(Vec<BuildEvent>, Expected), String> {
    let entries = shared.ledger.read_subject(at, Seq::ZERO, ENTRIES);
    let entries = entries.await.map_err(text)?;
    let last = entries.last().ok_or("a hint for what is not there")?.seq;
    let event = |entry: &Entry| match &entry.body {
        Body::Event(event) => serde_json::from_slice(event).map_err(text),
        Body::Tombstone { .. } => Err("it was purged".to_string()),
    };
    let events = entries.iter().map(event).collect::<Result<_, _>>()?;
    Ok((events, Expected::Last(last)))
}

async fn append(
    shared: &Shared,
    at: &At,
    expected: Expected,
    event: &BuildEvent,
) -> Result<(), String> {
    let append = Append {
        subject: at.clone(),
        expected,
        event: serde_json::to_vec(event).map_err(text)?.into(),
    };
    let appended = shared.ledger.append(vec![append]).await;
    appended.map(drop).map_err(text)
}

/// Every build is over, and well, as the server tells.
fn settled(mut admin: Client) -> Result<(), String> {
    let begun = Instant::now();
    while begun.elapsed() < SETTLED_MAX {
        let path = "/v1/builds?status=SUCCEEDED&limit=1000";
        let succeeded = admin.granted("GET", path, "")?;
        if succeeded["builds"].as_array().map(Vec::len) == Some(WORKERS) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Err("the server has not seen all builds succeed".into())
}
