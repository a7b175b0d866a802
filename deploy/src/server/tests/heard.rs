//! Hosts of a farm of several servers: each server hears some of them, and all know who is not heard by any.

use croft_proto::deploy::WaitKind;

use super::*;

/// The time of day, as it goes on in the test.
fn clock() -> Clock {
    let (began, since) = (Clock::system().now(), tokio::time::Instant::now());
    Clock::from_fn(move || {
        let passed_ms = u64::try_from(since.elapsed().as_millis()).unwrap();
        Timestamp::from_millis(began.millis() + passed_ms)
    })
}

/// A server of a farm.
fn server(
    ledger: &Arc<dyn Ledger>,
    bus: &Arc<dyn Bus>,
    (clock, nonce): (&Clock, u64),
) -> (Server, Handle) {
    Server::new(Parts {
        ledger: Arc::clone(ledger),
        bus: Arc::clone(bus),
        nonce,
        clock: clock.clone(),
        routing: Arc::new(Balancer::default()),
        alerts: None,
        metrics: None,
        counts: Counts::new(&prometheus::Registry::new()).unwrap(),
    })
}

/// The hosts that a server says are not heard.
async fn silent(handle: &Handle, id: &DeploymentId) -> Vec<String> {
    let id = id.clone();
    let waits = handle.look(move |seen| seen.waits(&id)).await.unwrap();
    let is_silent = |wait: &croft_proto::deploy::Wait| {
        wait.kind == WaitKind::Host && wait.message.contains("is not heard")
    };
    let silent = waits.into_iter().filter(is_silent);
    silent.flat_map(|wait| wait.names).collect()
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Asks a server for ever, and does nothing of what it is told.
async fn asks(handle: Handle, host: &'static str) {
    loop {
        handle.take(host, Duration::from_secs(5)).await;
        seconds(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_server_knows_who_is_heard_by_none() {
    let bus: Arc<dyn Bus> = Arc::new(croft_bus::Memory::new(&croft_bus::Settings::default()));
    let mut farm = Farm::start(&[], json!({}), never).await;
    let ledger = Arc::clone(&farm.ledger);
    let hosts = ["first", "second", "leaves", "never"];
    for host in hosts {
        farm.enrol(host).await;
    }
    let (stop, stopped) = watch::channel(false);
    let clock = clock();
    let mut handles = Vec::new();
    for nonce in [11, 12] {
        let (server, handle) = server(&ledger, &bus, (&clock, nonce));
        let stopped = stopped.clone();
        farm.tasks
            .spawn(async move { server.run(stopped).await.unwrap() });
        handles.push(handle);
    }
    farm.tasks.spawn(asks(handles[0].clone(), "first"));
    farm.tasks.spawn(asks(handles[1].clone(), "second"));
    let leaving = farm.tasks.spawn(asks(handles[1].clone(), "leaves"));
    seconds(10).await;
    leaving.abort();
    let id = farm.deploy('1').await;
    seconds(4).await;
    for handle in &handles {
        assert!(silent(handle, &id).await.is_empty(), "it is too early");
    }
    seconds(20).await;
    for handle in &handles {
        assert_eq!(silent(handle, &id).await, ["leaves"]);
    }
    // One that begins now has heard nobody, and says so of nobody before it has listened.
    let (late, third) = server(&ledger, &bus, (&clock, 13));
    let running = stopped.clone();
    farm.tasks
        .spawn(async move { late.run(running).await.unwrap() });
    seconds(14).await;
    assert!(third.progress().is_caught_up);
    assert!(silent(&third, &id).await.is_empty(), "it only just listens");
    seconds(60).await;
    for handle in handles.iter().chain([&third]) {
        let mut silent = silent(handle, &id).await;
        silent.sort();
        assert_eq!(silent, ["leaves", "never"]);
    }
    drop(stop);
}
