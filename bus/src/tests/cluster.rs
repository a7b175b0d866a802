//! A cluster whose leader is killed while hints, output and renewals are on their way.

use std::time::{Duration, Instant};

use async_nats::jetstream;
use croft_nats_testing::Cluster;
use futures_util::StreamExt as _;
use futures_util::future::{join_all, select};

use super::nats::{build, chunk, hint, look_again, publish, put, renewal, take};
use super::run;
use crate::conformance::settings;
use crate::{Bus as _, Config, Item, Nats, Place, Verdict};

/// Within which a cluster has a new leader, and all goes on.
const AGAIN_MAX: Duration = Duration::from_secs(15);

/// Three copies, by way of one server; the others are learned of.
async fn connect(server: String) -> Nats {
    let mut config = Config {
        replicas: 3,
        settings: settings(),
        ..Config::new(server)
    };
    config.broker.timeout = Duration::from_secs(1);
    Nats::connect(config).await.unwrap()
}

async fn leader(cluster: &Cluster) -> String {
    let client = async_nats::connect(cluster.addresses()).await.unwrap();
    let stream = jetstream::new(client).get_stream("CROFT_BUS_HINTS").await;
    let stream = stream.unwrap();
    let cluster = stream.cached_info().cluster.as_ref();
    cluster.unwrap().leader.clone().unwrap()
}

/// Publishes a hint and takes it, puts output, renews a lease: each until it is done.
async fn everything(server: &Nats, worker: &Nats, number: u64) {
    publish(server, &hint(number)).await;
    // An older one may come again: that it was done was told to the leader that died.
    loop {
        let taken = take(worker).await;
        assert!(taken.seq <= number, "{taken:?}");
        if taken.seq == number {
            break;
        }
    }
    put(worker, number).await;
    while worker.renew(renewal()).await.is_err() {
        look_again().await;
    }
}

#[test]
fn all_goes_on_after_a_clusters_leader_has_died() {
    const BEFORE: u64 = 15;
    /// With the end of it, the output is no more than is kept: the follower that asks for all of it gets all.
    const AFTER: u64 = 30;
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    run(async {
        // One of them is connected to the leader.
        let all = join_all(cluster.addresses().into_iter().map(connect)).await;
        let [server, worker, api] = all.as_slice() else {
            panic!("not three");
        };
        let renewals = server.renewals().await.unwrap();
        let answering = renewals.for_each(|request| async {
            let answered = request.answer(Verdict::Go).await;
            drop(answered);
        });
        let followed = api.follow(&build(), Place::START).map(Result::unwrap);
        let working = async {
            for number in 0..BEFORE {
                everything(server, worker, number).await;
            }
            let leader = leader(&cluster).await;
            cluster.server(&leader).kill();
            let since = Instant::now();
            everything(server, worker, BEFORE).await;
            assert!(since.elapsed() < AGAIN_MAX, "{:?}", since.elapsed());
            for number in BEFORE + 1..AFTER {
                everything(server, worker, number).await;
            }
            while worker.end(&build(), 1, AFTER).await.is_err() {
                look_again().await;
            }
            // What the leader that died had, the others have as well: none is skipped.
            let mut wanted = vec![Item::Began { attempt: 1 }];
            wanted.extend((0..AFTER).map(|number| Item::Chunk(chunk(number))));
            wanted.push(Item::End);
            assert_eq!(followed.collect::<Vec<_>>().await, wanted);
            for bus in &all {
                while !bus.health().await.is_well() {
                    look_again().await;
                }
            }
        };
        select(std::pin::pin!(answering), std::pin::pin!(working)).await;
    });
}
