//! A change whose caller has gone: it happens, and is on record.

use std::sync::Arc;

use croft_ledger::{Append, AppendError, Appended, Ledger, Through};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::rig::{PATIENCE, Rig};

/// A ledger that takes no build's event before it may.
#[derive(Debug)]
struct Held {
    inner: Arc<dyn Ledger>,
    waits: watch::Sender<bool>,
    may: watch::Receiver<bool>,
}

impl Through for Held {
    fn inner(&self) -> &dyn Ledger {
        self.inner.as_ref()
    }

    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        let mut may = self.may.clone();
        let is_held = batch
            .iter()
            .any(|append| append.subject.as_str().starts_with("build."));
        async move {
            if is_held {
                self.waits.send_replace(true);
                may.wait_for(|may| *may).await.unwrap();
            }
            self.inner.append(batch).await
        }
        .boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_caller_hangs_up_happens_and_is_on_record() {
    let (waits, mut waiting) = watch::channel(false);
    let (let_go, may) = watch::channel(false);
    let held = |inner| -> Arc<dyn Ledger> { Arc::new(Held { inner, waits, may }) };
    let rig = Rig::over(|_| {}, held, |bus| bus).await;
    rig.project("web").await;
    let body = json!({"projectName": "web"}).to_string();
    let request = format!(
        "POST /v1/builds HTTP/1.1\r\nhost: croft\r\nauthorization: Bearer {}\r\nx-request-id: gone-1\r\n\
         content-length: {}\r\n\r\n{body}",
        rig.admin,
        body.len()
    );
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let begun = waiting.wait_for(|waits| *waits);
    timeout(PATIENCE, begun).await.unwrap().unwrap();
    // The server sees that the caller has gone, and closes its side.
    socket.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let closed = socket.read_to_end(&mut rest);
    timeout(PATIENCE, closed).await.unwrap().unwrap();
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    let_go.send_replace(true);
    let until = Instant::now() + PATIENCE;
    let entry = loop {
        let page = rig.get("/v1/audit?limit=1").await.is(200).json();
        if page["entries"][0]["requestId"] == "gone-1" {
            break page["entries"][0].clone();
        }
        assert!(Instant::now() < until, "{page}");
    };
    assert_eq!(
        (&entry["action"], &entry["outcome"]),
        (&json!("StartBuild"), &json!("ok"))
    );
    let builds = rig.get("/v1/builds").await.is(200).json();
    assert_eq!(builds["builds"].as_array().unwrap().len(), 1);
}
