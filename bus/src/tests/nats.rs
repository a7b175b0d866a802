//! The broker: killed, with other settings; messages of other versions; several connections, or a shared one.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::Config as Stream;
use bytes::Bytes;
use croft_nats_testing::Server;
use futures_util::StreamExt as _;
use futures_util::future::{join, select};
use futures_util::stream::BoxStream;

use super::{config, run};
use crate::conformance::settings;
use crate::{
    Announcement, Build, Bus as _, Chunk, Config, ConnectError, FollowError, HINTS_MAX, Heard,
    Hint, Item, Mark, Nats, NotUnderstood, Place, Pool, PublishError, PutError, RenewError,
    Renewal, TakeError, Verdict,
};

/// Longer than anything takes that is expected to happen.
const LONG: Duration = Duration::from_secs(30);

fn quick(server: &Server) -> Config {
    let mut config = config(server);
    config.broker.timeout = Duration::from_secs(1);
    config
}

async fn connect(server: &Server) -> Nats {
    Nats::connect(quick(server)).await.unwrap()
}

pub(super) fn pool() -> Pool {
    "p".parse().unwrap()
}

pub(super) fn build() -> Build {
    "b".parse().unwrap()
}

pub(super) fn hint(seq: u64) -> Hint {
    Hint {
        build: format!("app:{seq}").parse().unwrap(),
        attempt: 1,
        seq,
    }
}

pub(super) fn chunk(first: u64) -> Chunk {
    let bytes = Bytes::from(first.to_string());
    Chunk { first, bytes }
}

pub(super) fn renewal() -> Renewal {
    Renewal {
        build: build(),
        attempt: 1,
        worker: "w".parse().unwrap(),
    }
}

/// Between two looks at a condition: looking without a pause keeps a busy machine from ever reaching it.
pub(super) async fn look_again() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// Until the broker is there.
pub(super) async fn publish(bus: &Nats, hint: &Hint) {
    while let Err(error) = bus.publish(&pool(), hint.clone()).await {
        assert!(matches!(error, PublishError::Unavailable(_)), "{error}");
        look_again().await;
    }
}

/// Until the broker is there.
pub(super) async fn put(bus: &Nats, number: u64) {
    while let Err(error) = bus.put(&build(), 1, chunk(number)).await {
        assert!(matches!(error, PutError::Unavailable(_)), "{error}");
        look_again().await;
    }
}

/// Until the broker is there.
pub(super) async fn take(bus: &Nats) -> Hint {
    loop {
        match bus.take(&pool(), LONG).await {
            Ok(Some(taken)) => {
                let hint = taken.hint.clone();
                taken.done().await.unwrap();
                return hint;
            }
            Ok(None) | Err(TakeError::Unavailable(_)) => look_again().await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn hints_are_gone_with_the_brokers_memory_and_can_be_published_again() {
    let Some(mut server) = Server::start() else {
        return;
    };
    run(async {
        let (bus, worker) = (connect(&server).await, connect(&server).await);
        publish(&bus, &hint(1)).await;
        publish(&bus, &hint(2)).await;
        assert_eq!(take(&worker).await, hint(1));
        assert_eq!(take(&worker).await, hint(2));
        publish(&bus, &hint(3)).await;
        server.kill();
        assert!(bus.publish(&pool(), hint(4)).await.is_err());
        server.restart();
        let mut waiting = bus.waiting(&pool()).await;
        while waiting.is_err() {
            look_again().await;
            waiting = bus.waiting(&pool()).await;
        }
        // What was under way to a dead broker may have come through by now; what it held is gone.
        assert!(waiting.unwrap() <= 1);
        publish(&bus, &hint(3)).await;
        while take(&worker).await != hint(3) {}
    });
}

#[test]
fn a_taker_that_waits_through_a_restart_is_served() {
    let Some(mut server) = Server::start() else {
        return;
    };
    run(async {
        let (bus, worker) = (connect(&server).await, connect(&server).await);
        publish(&bus, &hint(1)).await;
        assert_eq!(take(&worker).await, hint(1));
        let restarting = async {
            server.kill();
            server.restart();
            publish(&bus, &hint(2)).await;
        };
        let (taken, ()) = join(take(&worker), restarting).await;
        assert_eq!(taken, hint(2));
    });
}

#[test]
fn listeners_to_hosts_go_on_after_a_restart_whose_numbers_begin_anew() {
    let Some(mut server) = Server::start() else {
        return;
    };
    run(async {
        let (bus, api) = (connect(&server).await, connect(&server).await);
        let (deployment, host) = ("d".parse().unwrap(), "h".parse().unwrap());
        let print = async |text: &'static str| {
            let piece = || Bytes::from_static(text.as_bytes());
            while bus.print(&deployment, &host, piece()).await.is_err() {
                look_again().await;
            }
        };
        let mut listening = api.listen(&deployment, None, None);
        let mut before = None;
        for text in ["1", "2", "3"] {
            print(text).await;
            let (mark, heard) = next_piece(&mut listening).await;
            assert_eq!(heard, text);
            before = Some(mark);
        }
        server.kill();
        server.restart();
        print("4").await;
        let (mark, heard) = next_piece(&mut listening).await;
        assert_eq!(heard, "4");
        // It is the first of its memory, and not one that was there before.
        let before = before.unwrap();
        assert!(mark.seq <= before.seq, "{mark} {before}");
        assert_ne!(mark.epoch, before.epoch);
        let mut back = api.listen(&deployment, None, Some(before));
        assert_eq!(next_piece(&mut back).await, (mark, heard));
    });
}

/// The next piece with its mark.
async fn next_piece(
    listening: &mut BoxStream<'static, Result<Heard, FollowError>>,
) -> (Mark, Bytes) {
    loop {
        if let Heard::Piece { mark, bytes } = listening.next().await.unwrap().unwrap() {
            return (mark, bytes);
        }
    }
}

#[test]
fn followers_and_writers_of_output_go_on_after_a_restart() {
    let Some(mut server) = Server::start() else {
        return;
    };
    run(async {
        let (worker, api) = (connect(&server).await, connect(&server).await);
        let mut followed = api.follow(&build(), Place::START);
        for number in 0..5 {
            put(&worker, number).await;
        }
        assert_eq!(
            followed.next().await.unwrap().unwrap(),
            Item::Began { attempt: 1 }
        );
        for number in 0..5 {
            let item = followed.next().await.unwrap().unwrap();
            assert_eq!(item, Item::Chunk(chunk(number)));
        }
        server.kill();
        server.restart();
        for number in 5..8 {
            put(&worker, number).await;
        }
        while worker.end(&build(), 1, 8).await.is_err() {
            look_again().await;
        }
        let rest: Vec<Item> = followed.map(Result::unwrap).collect().await;
        let mut wanted: Vec<_> = (5..8).map(|number| Item::Chunk(chunk(number))).collect();
        wanted.push(Item::End);
        assert_eq!(rest, wanted);
        // Who comes late is told what the broker has forgotten.
        let late = api.follow(&build(), Place::START).map(Result::unwrap);
        let late: Vec<Item> = late.take(3).collect().await;
        let skipped = Item::Skipped { to: 5 };
        let began = Item::Began { attempt: 1 };
        assert_eq!(late, [began, skipped, Item::Chunk(chunk(5))]);
    });
}

#[test]
fn renewals_and_announcements_are_heard_again_after_a_restart() {
    let Some(mut server) = Server::start() else {
        return;
    };
    run(async {
        let (worker, api) = (connect(&server).await, connect(&server).await);
        let renewals = api.renewals().await.unwrap();
        let mut announcements = api.announcements().await.unwrap();
        let answering = renewals.for_each(|request| async {
            // It may go away while it is answered.
            let answered = request.answer(Verdict::Go).await;
            drop(answered);
        });
        let announcement = Announcement {
            worker: renewal().worker,
            pool: pool(),
            slots_free: 1,
            slots: 2,
            version: "0.1.0".into(),
        };
        let working = async {
            assert_eq!(worker.renew(renewal()).await.unwrap(), Verdict::Go);
            server.kill();
            let unheard = worker.renew(renewal()).await;
            assert!(matches!(unheard, Err(RenewError::Unheard)), "{unheard:?}");
            server.restart();
            while worker.renew(renewal()).await.is_err() {
                look_again().await;
            }
            worker.announce(announcement.clone()).await.unwrap();
            assert_eq!(announcements.next().await, Some(announcement));
        };
        select(std::pin::pin!(answering), std::pin::pin!(working)).await;
    });
}

#[test]
fn a_writer_waits_for_a_follower_at_another_connection() {
    let Some(server) = Server::start() else {
        return;
    };
    run(async {
        let (worker, api) = (connect(&server).await, connect(&server).await);
        let count = settings().output.chunks_max as u64 * 10;
        put(&worker, 0).await;
        let mut followed = api.follow(&build(), Place::START).map(Result::unwrap);
        assert_eq!(followed.next().await, Some(Item::Began { attempt: 1 }));
        assert_eq!(followed.next().await, Some(Item::Chunk(chunk(0))));
        let putting = async {
            for number in 1..count {
                put(&worker, number).await;
            }
            worker.end(&build(), 1, count).await.unwrap();
        };
        let (items, ()) = join(followed.collect::<Vec<_>>(), putting).await;
        let mut wanted: Vec<_> = (1..count)
            .map(|number| Item::Chunk(chunk(number)))
            .collect();
        wanted.push(Item::End);
        assert_eq!(items, wanted);
    });
}

#[test]
fn a_hint_of_a_newer_croft_is_handed_back_and_a_damaged_one_thrown_away() {
    let Some(server) = Server::start() else {
        return;
    };
    run(async {
        let bus = connect(&server).await;
        let client = async_nats::connect(&server.address).await.unwrap();
        let context = jetstream::new(client);
        let sent = context.publish("croft.bus.hint.p", Bytes::from_static(b"\x02new"));
        sent.await.unwrap().await.unwrap();
        let error = bus.take(&pool(), LONG).await.unwrap_err();
        let newer = NotUnderstood::Newer { version: 2 };
        assert!(
            matches!(&error, TakeError::NotUnderstood(source) if *source == newer),
            "{error:?}"
        );
        assert_eq!(bus.waiting(&pool()).await.unwrap(), 1);
        // It does not keep others from what they understand, and is there for a newer taker however often it came.
        publish(&bus, &hint(1)).await;
        assert_eq!(take(&bus).await, hint(1));
        for _ in 0..2 {
            let error = bus.take(&pool(), LONG).await.unwrap_err();
            assert!(matches!(error, TakeError::NotUnderstood(_)), "{error:?}");
        }
        bus.drop_all(&pool()).await.unwrap();
        let sent = context.publish("croft.bus.hint.p", Bytes::from_static(b"\x01?"));
        sent.await.unwrap().await.unwrap();
        let error = bus.take(&pool(), LONG).await.unwrap_err();
        assert!(
            matches!(
                error,
                TakeError::NotUnderstood(NotUnderstood::Damaged { .. })
            ),
            "{error:?}"
        );
        while bus.waiting(&pool()).await.unwrap() > 0 {
            look_again().await;
        }
    });
}

#[test]
fn a_renewal_of_a_newer_croft_is_left_to_newer_servers() {
    let Some(server) = Server::start() else {
        return;
    };
    run(async {
        let bus = connect(&server).await;
        let mut renewals = bus.renewals().await.unwrap();
        let client = async_nats::connect(&server.address).await.unwrap();
        let newer = client.publish_with_reply("croft.bus.renew", "nobody", "\x02new".into());
        newer.await.unwrap();
        client.flush().await.unwrap();
        let (said, ()) = join(bus.renew(renewal()), async {
            let request = renewals.next().await.unwrap();
            assert_eq!(request.renewal, renewal());
            request.answer(Verdict::Go).await.unwrap();
        })
        .await;
        assert_eq!(said.unwrap(), Verdict::Go);
    });
}

#[test]
fn output_of_a_newer_croft_ends_a_follower_by_name() {
    let Some(server) = Server::start() else {
        return;
    };
    run(async {
        let bus = connect(&server).await;
        put(&bus, 0).await;
        let client = async_nats::connect(&server.address).await.unwrap();
        client
            .publish("croft.bus.output.b", "\x02new".into())
            .await
            .unwrap();
        let followed: Vec<_> = bus.follow(&build(), Place::START).collect().await;
        assert_eq!(followed.len(), 3);
        let error = followed[2].as_ref().unwrap_err();
        let source = std::error::Error::source(error).unwrap().to_string();
        assert!(source.contains("version 2"), "{source}");
    });
}

#[test]
fn a_queue_that_is_full_says_so() {
    let Some(server) = Server::start() else {
        return;
    };
    run(async {
        let bus = connect(&server).await;
        let client = async_nats::connect(&server.address).await.unwrap();
        for _ in 0..HINTS_MAX {
            let sent = client.publish("croft.bus.hint.q", Bytes::from_static(b"\x01"));
            sent.await.unwrap();
        }
        client.flush().await.unwrap();
        let other: Pool = "q".parse().unwrap();
        while bus.waiting(&other).await.unwrap() < HINTS_MAX as u64 {
            look_again().await;
        }
        let error = bus.publish(&pool(), hint(1)).await.unwrap_err();
        assert!(matches!(error, PublishError::Full), "{error:?}");
        bus.drop_all(&other).await.unwrap();
        bus.publish(&pool(), hint(1)).await.unwrap();
    });
}

#[test]
fn a_stream_with_other_settings_is_refused_by_name() {
    let Some(server) = Server::start() else {
        return;
    };
    run(async {
        let client = async_nats::connect(&server.address).await.unwrap();
        let foreign = Stream {
            name: "CROFT_BUS_HINTS".into(),
            subjects: vec!["croft.bus.hint.*".into()],
            ..Stream::default()
        };
        jetstream::new(client).create_stream(foreign).await.unwrap();
        let error = Nats::connect(config(&server)).await.unwrap_err();
        assert!(matches!(error, ConnectError::Setting { .. }), "{error}");
        assert!(
            error.to_string().contains("its storage must be Memory"),
            "{error}"
        );
    });
}

#[test]
fn health_says_what_the_broker_is_and_when_it_is_away() {
    let Some(mut server) = Server::start() else {
        return;
    };
    run(async {
        let bus = connect(&server).await;
        let health = bus.health().await;
        assert!(health.is_well(), "{health:?}");
        assert_eq!(health.durable, Some(false));
        assert!(
            health.backend.starts_with("nats: nats-server 2."),
            "{health:?}"
        );
        server.kill();
        while bus.health().await.is_well() {
            look_again().await;
        }
        server.restart();
        while !bus.health().await.is_well() {
            look_again().await;
        }
        // What the broker's memory had is there again, empty.
        assert_eq!(bus.waiting(&pool()).await.unwrap(), 0);
    });
}

#[test]
fn two_buses_share_a_connection() {
    let Some(server) = Server::start() else {
        return;
    };
    run(async {
        let one = quick(&server);
        let other = Config {
            stream: "OTHER".into(),
            prefix: "other".into(),
            ..one.clone()
        };
        let client = one.broker.connect().await.unwrap();
        let one = Nats::open(client.clone(), one).await.unwrap();
        let other = Nats::open(client, other).await.unwrap();
        publish(&one, &hint(1)).await;
        publish(&other, &hint(2)).await;
        assert_eq!(take(&one).await, hint(1));
        assert_eq!(take(&other).await, hint(2));
    });
}
