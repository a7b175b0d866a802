//! Logs written anew from their entries: the same sequences, times, tombstones, and what is refused.

use std::path::Path;

use bytes::Bytes;
use croft_nats_testing::Server;

use super::{crooked_clock, run};
use crate::{
    Append, Config, Embedded, Entry, Expected, JetStream, Ledger, Memory, RestoreError, Restoring,
    Seq, Subject,
};

fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

/// Everything that was ever in a log, and what is left of it: one subject is purged, and others before and after it.
async fn history() -> (Vec<Entry>, Vec<Entry>) {
    let ledger = Memory::new(crooked_clock());
    for number in 0..70 {
        let event = |text: &'static [u8], expected| Append {
            subject: subject(&format!("build.{}", number % 7)),
            expected,
            event: Bytes::from_static(text),
        };
        let head = ledger
            .read_subject(&subject(&format!("build.{}", number % 7)), Seq::ZERO, 100)
            .await
            .unwrap();
        let head = head.last().map(|entry| entry.seq).unwrap_or_default();
        let batch = vec![
            event(b"{\"a\": 1}", Expected::Last(head)),
            event(b"\n not json", Expected::Previous),
        ];
        ledger.append(batch).await.unwrap();
    }
    let mut all = ledger.read(Seq::ZERO, 1000).await.unwrap();
    let purged = subject("build.3");
    let own = ledger.read_subject(&purged, Seq::ZERO, 100).await.unwrap();
    ledger
        .purge(&purged, own.last().unwrap().seq)
        .await
        .unwrap();
    let one_more = Append {
        subject: subject("project.x"),
        expected: Expected::NEW,
        event: Bytes::from_static(b"{}"),
    };
    ledger.append(vec![one_more]).await.unwrap();
    let left = ledger.read(Seq::ZERO, 1000).await.unwrap();
    let last = all.last().unwrap().seq;
    all.extend(left.iter().filter(|entry| entry.seq > last).cloned());
    (all, left)
}

async fn restore(mut restoring: Box<dyn Restoring>, all: &[Entry]) -> Seq {
    for chunk in all.chunks(33) {
        restoring.write(chunk.to_vec()).await.unwrap();
    }
    restoring.finish().await.unwrap()
}

fn embedded(path: &Path) -> Box<dyn Restoring> {
    Box::new(Embedded::restore(path).unwrap())
}

#[test]
fn a_restored_file_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    run(async {
        let (all, left) = history().await;
        // A croft was started once and nothing happened.
        drop(Embedded::open(&path, crooked_clock()).unwrap());
        let last = restore(embedded(&path), &all).await;
        assert_eq!(Some(last), left.last().map(|entry| entry.seq));
        let looking = Embedded::look(&path).unwrap();
        let ledger = Embedded::open(&path, crooked_clock()).unwrap();
        assert_eq!(ledger.read(Seq::ZERO, 1000).await.unwrap(), left);
        assert_eq!(looking.read(Seq::ZERO, 1000).await.unwrap(), left);
        assert_eq!(looking.last().await.unwrap(), last);
        let born_again = Append {
            subject: subject("build.3"),
            expected: Expected::NEW,
            event: Bytes::from_static(b"{}"),
        };
        assert!(ledger.append(vec![born_again]).await.is_err());
    });
}

#[test]
fn a_restored_stream_reads_the_same() {
    let Some(server) = Server::start() else {
        return;
    };
    run(async {
        let (all, left) = history().await;
        let ledger = JetStream::connect(Config::new(&server.address)).await;
        let ledger = ledger.unwrap();
        let restoring = ledger.restore().await.unwrap();
        let last = restore(Box::new(restoring), &all).await;
        assert_eq!(Some(last), left.last().map(|entry| entry.seq));
        let mut read = Vec::new();
        loop {
            let after = read.last().map_or(Seq::ZERO, |entry: &Entry| entry.seq);
            let page = ledger.read(after, 500).await.unwrap();
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }
        assert_eq!(read, left);
        let refused = ledger.restore().await.unwrap_err();
        assert!(matches!(refused, RestoreError::NotEmpty { .. }));
        // What follows is as ever.
        let more = Append {
            subject: subject("project.x"),
            expected: Expected::Last(last),
            event: Bytes::from_static(b"{}"),
        };
        let appended = ledger.append(vec![more]).await.unwrap();
        assert_eq!(appended.first, last.next());
    });
}

#[test]
fn a_ledger_with_entries_is_refused_and_a_restoring_that_was_killed_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    run(async {
        let (all, left) = history().await;
        let mut killed = embedded(&path);
        killed.write(all[..20].to_vec()).await.unwrap();
        drop(killed);
        assert!(!path.exists());
        restore(embedded(&path), &all).await;
        let refused = Embedded::restore(&path).unwrap_err();
        assert!(matches!(refused, RestoreError::NotEmpty { .. }));
        let ledger = Embedded::open(&path, crooked_clock()).unwrap();
        assert!(Embedded::restore(&path).is_err());
        assert_eq!(ledger.read(Seq::ZERO, 1000).await.unwrap(), left);
    });
}

#[test]
fn a_gap_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    run(async {
        let (all, _) = history().await;
        let mut restoring = embedded(&path);
        restoring.write(all[..20].to_vec()).await.unwrap();
        let refused = restoring.write(all[21..].to_vec()).await.unwrap_err();
        assert!(
            matches!(refused, RestoreError::Gap { seq, .. } if seq == all[21].seq),
            "{refused}"
        );
        assert!(Embedded::look(&path).is_err());
    });
}
