//! A cluster whose leader is killed while it is appended to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use bytes::Bytes;
use croft_nats_testing::Cluster;
use futures_util::StreamExt as _;
use futures_util::future::{join, join_all};

use super::jetstream::{look_again, read_all};
use super::run;
use crate::{
    Append, AppendError, Body, Broker, Config, Expected, JetStream, Ledger as _, Seq, Subject,
};

/// Within which a cluster has a new leader, and every writer has appended again.
const AGAIN_MAX: Duration = Duration::from_secs(15);
/// Appends acknowledged before the leader is killed, and after.
const EACH: usize = 150;

fn config(servers: Vec<String>, monitoring: Vec<String>) -> Config {
    let broker = Broker {
        servers,
        monitoring,
        timeout: Duration::from_secs(1),
        ..Broker::new("")
    };
    Config {
        broker,
        replicas: 3,
        ..Config::new("")
    }
}

async fn connect(servers: Vec<String>, monitoring: Vec<String>) -> JetStream {
    let config = config(servers, monitoring);
    JetStream::connect(config).await.unwrap()
}

/// Appends numbered events to a subject of its own, as a role does: what it lost sight of it reads, and sends again at the
/// same expectation when it is not there.
struct Writer {
    ledger: JetStream,
    subject: Subject,
    last: Seq,
    /// What was acknowledged.
    count: usize,
}

impl Writer {
    /// One event or two at once; the number of the last one is what the subject's last event must be then.
    async fn append(&mut self) {
        let size = 1 + self.count % 2;
        let event = |number: usize| Append {
            subject: self.subject.clone(),
            expected: Expected::Previous,
            event: Bytes::from(number.to_string()),
        };
        let mut batch: Vec<_> = (0..size).map(|at| event(self.count + at)).collect();
        batch[0].expected = Expected::Last(self.last);
        loop {
            match self.ledger.append(batch.clone()).await {
                Ok(appended) => {
                    self.last = appended.last;
                    break;
                }
                Err(AppendError::Unavailable { .. } | AppendError::Unknown { .. }) => {
                    look_again().await;
                }
                // Nobody else writes here: the answer that was lost was a yes.
                Err(AppendError::Conflict { .. }) => {
                    self.last = self.find(&batch).await;
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        self.count += size;
    }

    /// Where the batch is. The replica that is asked may not have it yet.
    async fn find(&self, batch: &[Append]) -> Seq {
        loop {
            let read = self.ledger.read_subject(&self.subject, self.last, 10).await;
            let entries = read.unwrap_or_default();
            if let Some(last) = entries.last() {
                let found: Vec<_> = entries.iter().map(|entry| entry.body.clone()).collect();
                let sent = batch.iter().map(|sent| Body::Event(sent.event.clone()));
                assert_eq!(found, sent.collect::<Vec<_>>());
                return last.seq;
            }
            look_again().await;
        }
    }
}

async fn leader(servers: Vec<String>) -> String {
    let client = async_nats::connect(servers).await.unwrap();
    let stream = jetstream::new(client).get_stream("CROFT_LEDGER").await;
    let stream = stream.unwrap();
    let cluster = stream.cached_info().cluster.as_ref();
    cluster.unwrap().leader.clone().unwrap()
}

/// All acknowledge, then the leader is killed, then all acknowledge again; the name of the one that was killed.
async fn kill(cluster: &mut Cluster, acknowledged: &AtomicUsize, counts: &[AtomicUsize]) -> String {
    while acknowledged.load(Ordering::Relaxed) < EACH {
        look_again().await;
    }
    let leader = leader(cluster.addresses()).await;
    cluster.server(&leader).kill();
    let (since, before) = (Instant::now(), acknowledged.load(Ordering::Relaxed));
    // What was under way when the leader died may still be acknowledged: twice each is surely by the new one.
    let counts_before: Vec<_> = counts
        .iter()
        .map(|count| count.load(Ordering::Relaxed))
        .collect();
    let is_again = || {
        let pairs = counts.iter().zip(&counts_before);
        pairs
            .into_iter()
            .all(|(now, before)| now.load(Ordering::Relaxed) >= before + 2)
    };
    while !is_again() {
        look_again().await;
    }
    assert!(since.elapsed() < AGAIN_MAX, "{:?}", since.elapsed());
    while acknowledged.load(Ordering::Relaxed) < before + EACH {
        look_again().await;
    }
    leader
}

#[test]
fn what_a_cluster_acknowledged_survives_its_leader_once_and_in_order() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    run(async {
        // Each knows one server and learns of the others: one of them is connected to the leader.
        let ledgers = cluster.addresses().into_iter();
        let ledgers = ledgers.map(|server| connect(vec![server], vec![]));
        let ledgers = join_all(ledgers).await;
        let (acknowledged, is_over) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let counts = [(); 3].map(|()| AtomicUsize::new(0));
        let writing = ledgers
            .iter()
            .zip(&counts)
            .enumerate()
            .map(|(at, (ledger, count))| {
                let (acknowledged, is_over) = (&acknowledged, &is_over);
                async move {
                    let mut writer = Writer {
                        ledger: ledger.clone(),
                        subject: format!("build.{at}").parse().unwrap(),
                        last: Seq::ZERO,
                        count: 0,
                    };
                    while is_over.load(Ordering::Relaxed) == 0 {
                        writer.append().await;
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    writer
                }
            });
        let killing = async {
            let killed = kill(&mut cluster, &acknowledged, &counts).await;
            is_over.store(1, Ordering::Relaxed);
            killed
        };
        let following = ledgers[0].follow(Seq::ZERO);
        let (writers, killed) = join(join_all(writing), killing).await;
        let stored = read_all(&ledgers[1]).await;
        for writer in &writers {
            let of = stored
                .iter()
                .filter(|entry| entry.subject == writer.subject);
            let found: Vec<_> = of.map(|entry| entry.body.clone()).collect();
            let sent = (0..writer.count).map(|number| Body::Event(number.to_string().into()));
            assert_eq!(found, sent.collect::<Vec<_>>(), "{}", writer.subject);
        }
        assert!(stored.is_sorted_by(|one, next| one.seq < next.seq));
        let followed = following.take(stored.len()).map(Result::unwrap);
        assert_eq!(followed.collect::<Vec<_>>().await, stored);
        // The one that was away has the same in the end.
        cluster.server(&killed).restart();
        cluster.wait_until_whole();
        let servers = vec![cluster.server(&killed).address.clone()];
        let ledger = connect(servers, vec![]).await;
        assert_eq!(read_all(&ledger).await, stored);
    });
}

#[test]
fn a_cluster_is_durable_when_the_monitoring_of_all_its_servers_says_so() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    run(async {
        let all = connect(cluster.addresses(), cluster.monitoring()).await;
        let health = all.health().await;
        assert_eq!((health.durable, health.wrong), (Some(true), vec![]));
        let first = cluster.monitoring().into_iter().take(1).collect();
        let one = connect(cluster.addresses(), first).await;
        let health = one.health().await;
        assert_eq!((health.durable, health.wrong), (None, vec![]));
        let gone = cluster.server("two").monitoring.clone();
        cluster.server("two").kill();
        let mut health = all.health().await;
        while health.durable.is_some() {
            look_again().await;
            health = all.health().await;
        }
        let is_named = |wrong: &String| wrong.contains(&gone);
        assert!(health.wrong.iter().any(is_named), "{:?}", health.wrong);
    });
}
