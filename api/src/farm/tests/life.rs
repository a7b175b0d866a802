//! Whether a server is well, and how it ends.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::MetricsAccess;
use super::events::Events;
use super::rig::{PATIENCE, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_says_whether_it_should_be_asked() {
    let rig = Rig::with(|settings| settings.metrics = MetricsAccess::Everybody).await;
    rig.ask("GET", "/healthz", None, &[], "").await.is(200);
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let ready = rig.ask("GET", "/readyz", None, &[], "").await;
        if ready.status == 200 {
            assert_eq!(ready.json()["viewInStep"], true);
            break;
        }
        assert_eq!(ready.json()["ready"], false);
        assert!(tokio::time::Instant::now() < until, "{:?}", ready.json());
    }
    rig.project("web").await;
    let metrics = rig.ask("GET", "/metrics", None, &[], "").await.is(200);
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    let line = "croft_http_request_duration_seconds_count{code=\"201\",method=\"PUT\",route=\"/v1/projects/{name}\"} 1";
    assert!(text.contains(line), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_ends_its_streams_and_takes_no_more() {
    let mut rig = Rig::start().await;
    rig.project("web").await;
    let (id, _) = rig.build("web").await;
    let mut events = Events::of(&rig, &id, None).await;
    events.next().await.unwrap();
    rig.stop.send(true).unwrap();
    let last = events.block().await.unwrap();
    assert!(last.contains("this server stops"), "{last}");
    assert_eq!(events.block().await, None);
    let ended = async { while rig.tasks.join_next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert!(TcpStream::connect(rig.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let rig = Rig::with(|settings| settings.head_wait = Duration::from_millis(200)).await;
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    socket
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
        .await
        .unwrap();
    let mut rest = Vec::new();
    let read = socket.read_to_end(&mut rest);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"));
}
