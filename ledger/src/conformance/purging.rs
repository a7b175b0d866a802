//! Cases of purging: what goes, what stays, and that a finished subject is never taken for a new one.

use std::sync::Arc;

use super::{all, all_of, append, append_all, followed, one, seqs, subject};
use crate::{AppendError, Body, Expected, Ledger, Seq};

pub(super) async fn a_purged_subject_leaves_a_tombstone(ledger: Arc<dyn Ledger>) {
    let first = append(&ledger, "build.1", Seq::ZERO, "queued").await;
    let other = append(&ledger, "build.2", Seq::ZERO, "queued").await;
    let below = append(&ledger, "build.1.host", Seq::ZERO, "queued").await;
    let last = append(&ledger, "build.1", first, "settled").await;
    let tombstone = ledger.purge(&subject("build.1"), last).await;
    let tombstone = tombstone.expect("it is finished");
    assert!(tombstone > last);
    let entries = all(&ledger).await;
    assert_eq!(seqs(&entries), [other, below, tombstone]);
    assert_eq!(entries[2].body, Body::Tombstone { last });
    assert_eq!(entries[2].subject, subject("build.1"));
    assert_eq!(all_of(&ledger, "build.1").await, entries[2..]);
    assert_eq!(followed(&ledger, Seq::ZERO, 3).await, entries);
    assert_eq!(ledger.last().await.expect("last"), tombstone);
    // Sequences of what is gone are not given again.
    let next = append(&ledger, "build.3", Seq::ZERO, "queued").await;
    assert!(next > tombstone);
}

pub(super) async fn a_purged_subject_is_not_new(ledger: Arc<dyn Ledger>) {
    let last = append(&ledger, "build.1", Seq::ZERO, "settled").await;
    let tombstone = ledger
        .purge(&subject("build.1"), last)
        .await
        .expect("purge");
    for expected in [Expected::NEW, Expected::Last(last)] {
        let alone = vec![one("build.1", expected, "reborn")];
        let among = vec![
            one("build.2", Expected::NEW, "queued"),
            one("build.1", expected, "reborn"),
        ];
        for batch in [alone, among] {
            let error = ledger.append(batch).await.expect_err("it is finished");
            assert!(
                matches!(error, AppendError::Conflict { actual, .. } if actual == Some(tombstone)),
                "{error}"
            );
        }
    }
    assert_eq!(all(&ledger).await.len(), 1);
}

pub(super) async fn purging_at_another_sequence_conflicts(ledger: Arc<dyn Ledger>) {
    let first = append(&ledger, "build.1", Seq::ZERO, "queued").await;
    let batch = vec![one("build.1", Expected::Last(first), "settled")];
    let last = append_all(&ledger, batch).await.last;
    for wrong in [Seq::ZERO, first, last.next()] {
        let error = ledger.purge(&subject("build.1"), wrong).await;
        let error = error.expect_err("it has moved on");
        assert!(
            matches!(error, AppendError::Conflict { actual, expected, .. } if actual == Some(last) && expected == wrong),
            "{error}"
        );
    }
    assert_eq!(all(&ledger).await.len(), 2);
}

pub(super) async fn purging_twice_changes_nothing(ledger: Arc<dyn Ledger>) {
    let last = append(&ledger, "build.1", Seq::ZERO, "settled").await;
    let once = ledger
        .purge(&subject("build.1"), last)
        .await
        .expect("purge");
    let twice = ledger.purge(&subject("build.1"), last).await;
    assert_eq!(twice.expect("it is done"), once);
    assert_eq!(all(&ledger).await.len(), 1);
    assert_eq!(ledger.last().await.expect("last"), once);
}

pub(super) async fn an_unused_subject_can_be_purged(ledger: Arc<dyn Ledger>) {
    // A restored farm forbids the ids of what it has only in the archive.
    let tombstone = ledger.purge(&subject("build.1"), Seq::ZERO).await;
    let tombstone = tombstone.expect("nothing is against it");
    let batch = vec![one("build.1", Expected::NEW, "reborn")];
    let error = ledger.append(batch).await.expect_err("it is forbidden");
    assert!(matches!(error, AppendError::Conflict { .. }), "{error}");
    let entries = all(&ledger).await;
    assert_eq!(seqs(&entries), [tombstone]);
    assert_eq!(entries[0].body, Body::Tombstone { last: Seq::ZERO });
}
