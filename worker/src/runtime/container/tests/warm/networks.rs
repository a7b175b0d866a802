//! Networks that builds join one after the other: who gets which, and that nothing of one build is there for the next.

use std::fs;
use std::os::fd::IntoRawFd as _;
use std::os::unix::fs::MetadataExt;

use super::super::bench::{self, Build};
use super::super::running::{printed, run};
use super::pool::{Pool, until};
use crate::runtime::Slot;
use crate::runtime::container::Options;

/// Which network a place is on. It stays for as long as the test runs: the kernel gives the number of one that is gone to the next.
fn network(slot: &Slot) -> u64 {
    let process = format!("/proc/{}/ns/net", slot.place.process());
    let network = fs::File::open(process).unwrap();
    let number = network.metadata().unwrap().ino();
    let _stays_open = network.into_raw_fd();
    number
}

/// A build that joined a network: which, and what its script printed.
async fn joined(pool: &Pool, options: &Options, script: &str) -> (u64, String) {
    let before = pool.warm.counts().networks_joined;
    let build = Build::new();
    let slot = pool.provision(&build, options).await;
    assert_eq!(pool.warm.counts().networks_joined, before + 1);
    let network = network(&slot);
    let (status, text) = printed(slot, script).await;
    assert_eq!(status, 0, "{text}");
    build.assert_nothing_left();
    (network, text)
}

/// A pool with a network that nobody has. Its containers are started when they are asked for.
async fn pool(options: &Options) -> Pool {
    let pool = Pool::new(0);
    missed(&pool, options).await;
    pool
}

/// A build that finds no network to join, so that one is made.
async fn missed(pool: &Pool, options: &Options) {
    let before = pool.warm.counts();
    let build = Build::new();
    let slot = pool.provision(&build, options).await;
    slot.release().await.unwrap();
    let counts = pool
        .until(|counts| counts.networks_made > before.networks_made)
        .await;
    assert_eq!(counts.networks_joined, before.networks_joined);
}

#[tokio::test]
async fn builds_that_send_nothing_have_one_network_after_the_other_and_find_nothing_of_each_other()
{
    if !bench::engine(
        "builds_that_send_nothing_have_one_network_after_the_other_and_find_nothing_of_each_other",
    ) {
        return;
    }
    let options = bench::options();
    let pool = pool(&options).await;
    // Files that the engine shares among all on a network; a listener in a session of its own; how many sockets are there.
    let script = "cat /etc/hosts /etc/resolv.conf /etc/hostname | grep -c left; cat /proc/net/tcp* | wc -l; \
                  for file in hosts resolv.conf hostname; do echo left >> /etc/$file; done; \
                  setsid nc -l -p 4000 >/dev/null 2>&1 & \
                  for _ in 1 2 3 4 5 6 7 8 9; do test $(cat /proc/net/tcp* | wc -l) = 3 && break; sleep 0.1; done; \
                  cat /proc/net/tcp* | wc -l";
    let first = joined(&pool, &options, script).await;
    assert_eq!(first.1, "0\n2\n3\n");
    let second = joined(&pool, &options, script).await;
    assert_eq!(second, first);
    let counts = pool.close().await;
    assert_eq!((counts.networks_made, counts.networks_used), (1, 0));
    assert_eq!(counts.networks_joined, 2);
}

#[tokio::test]
async fn a_network_that_a_build_used_is_nobodys_afterwards() {
    if !bench::engine("a_network_that_a_build_used_is_nobodys_afterwards") {
        return;
    }
    let ping = "ping -c 1 127.0.0.1 >/dev/null";
    let refused = "bash -c 'echo > /dev/tcp/127.0.0.1/9' 2>/dev/null; true";
    for (options, script) in [(bench::options(), ping), (bench::debian_options(), refused)] {
        let pool = pool(&options).await;
        let holder = pool.holders();
        let used = joined(&pool, &options, script).await.0;
        let counts = pool.until(|counts| counts.networks_used == 1).await;
        assert_eq!(counts.not_removed, 0);
        until("the end of the network's holder", || {
            (!pool.holders().contains(&holder[0])).then_some(())
        })
        .await;
        missed(&pool, &options).await;
        let after = joined(&pool, &options, "wc -l < /proc/net/udp").await;
        assert!(after.0 != used, "{script}");
        assert_eq!(after.1, "1\n");
        pool.close().await;
    }
}

#[tokio::test]
async fn two_builds_at_once_never_have_the_same_network() {
    if !bench::engine("two_builds_at_once_never_have_the_same_network") {
        return;
    }
    let options = bench::options();
    let pool = Pool::new(0);
    let mut taken = Vec::new();
    // Started when they are asked for: each finds what the others have not.
    for _ in 0..4 {
        let before = pool.warm.counts();
        let build = Build::new();
        let slot = pool.provision(&build, &options).await;
        if pool.warm.counts().networks_joined == before.networks_joined {
            pool.until(|counts| counts.networks_made > before.networks_made)
                .await;
        }
        taken.push((build, slot));
    }
    let mut networks: Vec<u64> = taken.iter().map(|(_, slot)| network(slot)).collect();
    networks.sort_unstable();
    networks.dedup();
    assert_eq!(networks.len(), 4);
    let joined = pool.warm.counts().networks_joined;
    assert!(joined > 0);
    for (build, slot) in taken {
        slot.release().await.unwrap();
        build.assert_nothing_left();
    }
    let build = Build::new();
    let slot = pool.provision(&build, &options).await;
    assert!(networks.contains(&network(&slot)));
    assert_eq!(pool.warm.counts().networks_joined, joined + 1);
    slot.release().await.unwrap();
    assert_eq!(pool.close().await.networks_used, 0);
}

#[tokio::test]
async fn on_the_engines_own_network_a_build_that_joined_has_an_address() {
    if !bench::engine("on_the_engines_own_network_a_build_that_joined_has_an_address") {
        return;
    }
    let options = Options {
        network: None,
        ..bench::options()
    };
    let pool = pool(&options).await;
    let script = "ip -4 -o address show dev eth0 | wc -l; grep -c \"$(hostname)\" /etc/hosts";
    let first = joined(&pool, &options, script).await;
    assert_eq!(first.1, "1\n1\n");
    assert_eq!(joined(&pool, &options, script).await, first);
    pool.close().await;
}

#[tokio::test]
async fn a_network_whose_holder_is_gone_is_not_joined() {
    if !bench::engine("a_network_whose_holder_is_gone_is_not_joined") {
        return;
    }
    let options = bench::options();
    let (pool, build) = (pool(&options).await, Build::new());
    let holder = pool.holders().remove(0);
    bench::docker(&["kill", &holder]);
    let slot = pool.provision(&build, &options).await;
    assert_eq!(
        printed(slot, "cat file").await,
        (0, "original\n".to_string())
    );
    assert_eq!(pool.warm.counts().networks_joined, 0);
    pool.close().await;
}

#[tokio::test]
async fn a_holder_that_dies_under_a_build_takes_nothing_along() {
    if !bench::engine("a_holder_that_dies_under_a_build_takes_nothing_along") {
        return;
    }
    let options = bench::options();
    let pool = pool(&options).await;
    let build = Build::new();
    let mut slot = pool.provision(&build, &options).await;
    bench::docker(&["kill", &pool.holders()[0]]);
    let ended = run(&mut slot, "test -e /proc/net/tcp").await.unwrap();
    assert!(format!("{ended:?}").contains("status: 0"), "{ended:?}");
    slot.release().await.unwrap();
    assert_eq!(pool.warm.counts().networks_used, 1);
    pool.close().await;
}

#[tokio::test]
async fn containers_that_stand_ready_join_networks_too() {
    if !bench::engine("containers_that_stand_ready_join_networks_too") {
        return;
    }
    let options = bench::options();
    let pool = Pool::with_ready(&options, 1).await;
    for _ in 0..4 {
        pool.until(|counts| counts.ready == 1 && counts.networks_made > 0)
            .await;
        let build = Build::new();
        let slot = pool.provision(&build, &options).await;
        let script = "cat file; echo new > /etc/hosts";
        assert_eq!(printed(slot, script).await, (0, "original\n".to_string()));
        build.assert_nothing_left();
    }
    let counts = pool.close().await;
    assert_eq!((counts.warm_hits, counts.networks_used), (4, 0));
    assert!(counts.networks_joined > 1, "{counts:?}");
}
