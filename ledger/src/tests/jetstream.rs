//! The broker: killed, lazy, with other settings; connections that go and come back, or are shared.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::Config as Stream;
use bytes::Bytes;
use croft_nats_testing::{Server, Setup};
use futures_util::StreamExt as _;
use futures_util::future::{join, join_all};

use super::run;
use crate::{
    Append, AppendError, Config, ConnectError, Entry, Expected, JetStream, Ledger, ReadError, Seq,
    Subject,
};

fn config(address: &str) -> Config {
    let mut config = Config::new(address);
    config.broker.timeout = Duration::from_secs(1);
    config
}

fn new(on: &str) -> Append {
    Append {
        subject: on.parse().unwrap(),
        expected: Expected::NEW,
        event: Bytes::from_static(b"{}"),
    }
}

fn twice(on: &str) -> Vec<Append> {
    let second = Append {
        expected: Expected::Previous,
        ..new(on)
    };
    vec![new(on), second]
}

/// Between two looks at a condition: looking without a pause keeps a busy machine from ever reaching it.
pub(super) async fn look_again() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// Tries until the broker says something; the answer is whether it is there by this append's doing.
async fn insist(ledger: &JetStream, on: &str, batch: &[Append]) -> Result<(), usize> {
    loop {
        match ledger.append(batch.to_vec()).await {
            Ok(_) => return Ok(()),
            Err(AppendError::Unavailable { .. } | AppendError::Unknown { .. }) => {
                look_again().await;
            }
            Err(AppendError::Conflict { .. }) => return Err(read(ledger, on).await.len()),
            Err(error) => panic!("{error}"),
        }
    }
}

async fn read(ledger: &JetStream, on: &str) -> Vec<Entry> {
    let on: Subject = on.parse().unwrap();
    loop {
        match ledger.read_subject(&on, Seq::ZERO, 100).await {
            Ok(entries) => return entries,
            Err(ReadError::Unavailable { .. }) => look_again().await,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(super) async fn read_all(ledger: &JetStream) -> Vec<Entry> {
    let (mut entries, mut after) = (Vec::new(), Seq::ZERO);
    loop {
        let page = ledger.read(after, 500).await.unwrap();
        let Some(last) = page.last() else {
            return entries;
        };
        after = last.seq;
        entries.extend(page);
    }
}

#[test]
fn what_was_acknowledged_survives_a_killed_server_and_followers_miss_and_repeat_nothing() {
    const EACH: usize = 60;
    const WRITERS: usize = 8;
    let Some(mut server) = Server::start() else {
        return;
    };
    run(async {
        let ledger = JetStream::connect(config(&server.address)).await.unwrap();
        let acknowledged = AtomicUsize::new(0);
        let writers = (0..WRITERS).map(|writer| {
            let (ledger, acknowledged) = (&ledger, &acknowledged);
            async move {
                for number in 0..EACH {
                    let on = format!("build.{writer}-{number}");
                    let batch = if number % 2 == 0 {
                        vec![new(&on)]
                    } else {
                        twice(&on)
                    };
                    // A conflict with oneself: the lost answer was a yes, and all of the batch is there.
                    let count = insist(ledger, &on, &batch).await.err();
                    assert!(count.is_none_or(|count| count == batch.len()));
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let killing = async {
            for at in [WRITERS * EACH / 4, WRITERS * EACH / 2] {
                while acknowledged.load(Ordering::Relaxed) < at {
                    look_again().await;
                }
                server.kill();
                server.restart();
            }
        };
        let count = WRITERS * EACH / 2 * 3;
        let following = ledger.follow(Seq::ZERO).take(count).collect::<Vec<_>>();
        let (_, (followed, ())) = join(join_all(writers), join(following, killing)).await;
        let followed: Vec<Entry> = followed.into_iter().map(Result::unwrap).collect();
        let stored = read_all(&ledger).await;
        assert_eq!(stored.len(), count);
        assert_eq!(followed, stored);
    });
}

#[test]
fn a_server_that_is_away_is_unavailable_and_comes_back() {
    let Some(mut server) = Server::start() else {
        return;
    };
    run(async {
        let ledger = JetStream::connect(config(&server.address)).await.unwrap();
        ledger.append(vec![new("build.1")]).await.unwrap();
        server.kill();
        // Nothing was sent, or nobody knows.
        let error = ledger.append(vec![new("build.2")]).await.unwrap_err();
        let is_away = matches!(
            error,
            AppendError::Unavailable { .. } | AppendError::Unknown { .. }
        );
        assert!(is_away, "{error}");
        while ledger.health().await.is_well() {
            look_again().await;
        }
        let error = ledger.append(vec![new("build.3")]).await.unwrap_err();
        assert!(matches!(error, AppendError::Unavailable { .. }), "{error}");
        assert!(ledger.read(Seq::ZERO, 1).await.is_err());
        server.restart();
        let there = insist(&ledger, "build.2", &[new("build.2")]).await;
        assert!(there.is_ok() || there == Err(1));
        let entries = read_all(&ledger).await;
        assert_eq!(entries.len(), 2, "{entries:?}");
        assert!(ledger.health().await.is_well());
    });
}

#[test]
fn batches_of_many_callers_stay_below_what_the_broker_holds() {
    let Some(server) = Server::start() else {
        return;
    };
    run(async {
        let ledger = JetStream::connect(Config::new(&server.address))
            .await
            .unwrap();
        let batches = (0..200).map(|number| {
            let ledger = &ledger;
            async move {
                ledger
                    .append(twice(&format!("build.{number}")))
                    .await
                    .unwrap()
            }
        });
        join_all(batches).await;
        assert_eq!(read_all(&ledger).await.len(), 400);
    });
}

#[test]
fn a_stream_with_other_settings_is_refused_by_name() {
    let Some(server) = Server::start() else {
        return;
    };
    run(async {
        let client = async_nats::connect(&server.address).await.unwrap();
        let context = jetstream::new(client);
        let foreign = Stream {
            name: "CROFT_LEDGER".into(),
            subjects: vec!["croft.ledger.>".into()],
            max_age: Duration::from_secs(3600),
            ..Stream::default()
        };
        context.create_stream(foreign).await.unwrap();
        let error = JetStream::connect(Config::new(&server.address)).await;
        let error = error.unwrap_err();
        assert!(matches!(error, ConnectError::Setting { .. }), "{error}");
        assert!(
            error.to_string().contains("its discard must be New"),
            "{error}"
        );
    });
}

#[test]
fn connecting_again_finds_the_same_log() {
    let Some(server) = Server::start() else {
        return;
    };
    run(async {
        let first = JetStream::connect(Config::new(&server.address))
            .await
            .unwrap();
        let last = first.append(twice("build.1")).await.unwrap().last;
        let second = JetStream::connect(Config::new(&server.address))
            .await
            .unwrap();
        assert_eq!(second.last().await.unwrap(), last);
        let error = second.append(vec![new("build.1")]).await.unwrap_err();
        assert!(matches!(error, AppendError::Conflict { .. }), "{error}");
        let other = Config {
            stream: "OTHER".into(),
            prefix: "other".into(),
            ..Config::new(&server.address)
        };
        let other: Arc<dyn Ledger> = Arc::new(JetStream::connect(other).await.unwrap());
        assert_eq!(other.last().await.unwrap(), Seq::ZERO);
    });
}

#[test]
fn two_logs_share_a_connection() {
    let Some(server) = Server::start() else {
        return;
    };
    run(async {
        let one = config(&server.address);
        let other = Config {
            stream: "OTHER".into(),
            prefix: "other".into(),
            ..one.clone()
        };
        let client = one.broker.connect().await.unwrap();
        let one = JetStream::open(client.clone(), one).await.unwrap();
        let other = JetStream::open(client, other).await.unwrap();
        one.append(vec![new("build.1")]).await.unwrap();
        other.append(twice("build.1")).await.unwrap();
        assert_eq!(read_all(&one).await.len(), 1);
        assert_eq!(read_all(&other).await.len(), 2);
    });
}

#[test]
fn a_broker_that_does_not_wait_for_its_disk_is_wrong_where_its_monitoring_is_read() {
    for (sync_interval, durable) in [("always", true), ("\"2m\"", false)] {
        let setup = Setup {
            sync_interval,
            ..Setup::default()
        };
        let Some(server) = setup.start() else {
            return;
        };
        let mut config = config(&server.address);
        let blind = run(async {
            JetStream::connect(config.clone())
                .await
                .unwrap()
                .health()
                .await
        });
        assert!(blind.is_well(), "{blind:?}");
        assert_eq!(blind.durable, None);
        config.broker.monitoring = vec![server.monitoring.clone()];
        let health = run(async { JetStream::connect(config).await.unwrap().health().await });
        assert!(
            health.backend.starts_with("jetstream: nats-server 2."),
            "{health:?}"
        );
        assert_eq!(health.durable, Some(durable));
        assert_eq!(health.is_well(), durable, "{health:?}");
        let says_how = |wrong: &String| wrong.contains("sync_interval: always");
        assert!(health.wrong.iter().all(says_how), "{health:?}");
    }
}
