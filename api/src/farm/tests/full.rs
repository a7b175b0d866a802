//! A ledger whose disk is full: whoever asks is refused at once, in words that say so, and it is on record when there is room again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use croft_ledger::{Append, AppendError, Appended, Ledger, NO_ROOM, Through};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::rig::{PATIENCE, Rig};

/// A ledger that takes nothing while it is full.
#[derive(Debug)]
struct Full {
    inner: Arc<dyn Ledger>,
    is_full: Arc<AtomicBool>,
}

impl Through for Full {
    fn inner(&self) -> &dyn Ledger {
        self.inner.as_ref()
    }

    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        async move {
            if self.is_full.load(Ordering::SeqCst) {
                let source = NO_ROOM.into();
                return Err(AppendError::Unavailable { source });
            }
            self.inner.append(batch).await
        }
        .boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_does_not_wait_for_a_note_that_nobody_can_write() {
    let is_full = Arc::new(AtomicBool::new(false));
    let full = Arc::clone(&is_full);
    let over = |inner| -> Arc<dyn Ledger> {
        Arc::new(Full {
            inner,
            is_full: full,
        })
    };
    // Whoever waits for a note waits longer than this test does.
    let patient = |settings: &mut super::super::Settings| settings.note_wait = 100 * PATIENCE;
    let rig = Rig::over(patient, over, |bus| bus).await;
    rig.project("web").await;
    let start = json!({"projectName": "web"});
    is_full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let refused = timeout(PATIENCE, rig.send("POST", "/v1/builds", &start));
        let refused = refused.await.unwrap().is(503).json();
        let said = refused["detail"].as_str().unwrap();
        assert!(
            said.contains("nothing happened: its disk is full"),
            "{said}"
        );
        assert_eq!(refused["code"], "ServiceUnavailableException");
    }
    let secret = json!({"value": "hunter2hunter2"});
    let refused = timeout(PATIENCE, rig.send("PUT", "/v1/secrets/s", &secret));
    refused.await.unwrap().is(503);
    let wrong = json!({"projectName": "nope"});
    let refused = timeout(PATIENCE, rig.send("POST", "/v1/builds", &wrong));
    refused.await.unwrap().is(404);
    let ready = rig.get("/readyz").await.is(503).json();
    assert_eq!(
        ready["ledgerWritten"], false,
        "nobody should be sent here: {ready}"
    );
    is_full.store(false, Ordering::SeqCst);
    let until = Instant::now() + PATIENCE;
    loop {
        let page = rig.get("/v1/audit").await.is(200).json();
        let entries = page["entries"].as_array().unwrap();
        let of = |action: &str, outcome: &str| {
            let mut entries = entries.iter();
            entries.any(|entry| entry["action"] == action && entry["outcome"] == outcome)
        };
        let ready = rig.get("/readyz").await.json();
        if ready["ledgerWritten"] == true
            && of("StartBuild", "ServiceUnavailableException")
            && of("StartBuild", "ResourceNotFoundException")
        {
            break;
        }
        assert!(Instant::now() < until, "{page}");
        sleep(Duration::from_millis(20)).await;
    }
    rig.send("POST", "/v1/builds", &start).await.is(201);
}
