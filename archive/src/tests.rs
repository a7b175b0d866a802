//! The past, kept and read back: segments, retention that is killed, backups that are damaged, restores.

/// Segments as bytes.
mod segments;
/// Finished builds that leave the ledger.
mod retention;
/// Copies of read models.
mod snapshots;
/// Backups, and logs restored from them.
mod backups;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use croft_cache::{Depot, Place};
use croft_ledger::{Append, Clock, Entry, Expected, Ledger, Memory, Seq, Subject};
use croft_proto::Timestamp;
use serde_json::json;

pub(crate) fn depot(folder: &Path) -> Depot {
    Depot::open(&Place::from(folder.to_path_buf())).unwrap()
}

pub(crate) fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

/// A second later each time.
pub(crate) fn clock() -> Clock {
    let looks = AtomicU64::new(1_700_000_000);
    Clock::from_fn(move || Timestamp::from_millis(1000 * looks.fetch_add(1, Ordering::Relaxed)))
}

pub(crate) fn build(number: u64) -> String {
    format!("build.00000000-0000-4000-8000-{number:012x}")
}

pub(crate) async fn append(ledger: &dyn Ledger, on: &str, event: impl Into<Bytes>) -> Seq {
    let subject = subject(on);
    let own = ledger.read_subject(&subject, Seq::ZERO, 1000).await;
    let head = own.unwrap().last().map(|entry| entry.seq);
    let append = Append {
        subject,
        expected: Expected::Last(head.unwrap_or_default()),
        event: event.into(),
    };
    ledger.append(vec![append]).await.unwrap().last
}

fn submitted(number: u64) -> String {
    json!({
        "type": "submitted", "project": "web", "number": number, "pool": "default", "priority": 2,
        "queuedMsMax": 28_800_000, "attemptsMax": 3,
        "autoRetry": {"autoRetryLimit": 0, "autoRetryNumber": 0}, "initiator": "someone",
        "request": {
            "source": {"type": "NO_SOURCE"}, "sourceVersion": "main",
            "environment": {"type": "LINUX_CONTAINER", "image": "alpine", "computeType": "BUILD_GENERAL1_SMALL"},
            "artifacts": {"type": "NO_ARTIFACTS"}, "timeoutInMinutes": 60
        }
    })
    .to_string()
}

/// Builds that are over, one beside the other, and one that is not.
pub(crate) async fn farm(builds: u64) -> Arc<dyn Ledger> {
    let ledger: Arc<dyn Ledger> = Arc::new(Memory::new(clock()));
    let pool = json!({"type": "keyed", "generation": 1, "public": "00", "wrapped": "w"});
    append(&*ledger, "pool.default", pool.to_string()).await;
    for number in 1..=builds + 1 {
        append(&*ledger, &build(number), submitted(number)).await;
    }
    for number in 1..=builds {
        let settled = json!({"type": "settled", "attempt": 0, "status": "STOPPED", "by": "stop",
            "message": "stopped", "at": 1_700_000_009.5});
        append(&*ledger, &build(number), settled.to_string()).await;
    }
    ledger
}

pub(crate) async fn all(ledger: &dyn Ledger) -> Vec<Entry> {
    let (mut all, mut after) = (Vec::new(), Seq::ZERO);
    loop {
        let page = ledger.read(after, 100).await.unwrap();
        let Some(last) = page.last() else {
            return all;
        };
        after = last.seq;
        all.extend(page);
    }
}
