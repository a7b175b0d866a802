//! Cases of reading and following: all of it, in order, each once.

use std::sync::Arc;

use futures_util::future::join;

use super::{all, all_of, append, append_all, followed, one, seqs};
use crate::{Expected, Ledger, Seq, Subject};

pub(super) async fn an_empty_log_has_nothing(ledger: Arc<dyn Ledger>) {
    assert_eq!(ledger.last().await.expect("last"), Seq::ZERO);
    assert_eq!(all(&ledger).await, []);
    assert_eq!(all_of(&ledger, "build.1").await, []);
    assert_eq!(ledger.read(Seq::ZERO, 0).await.expect("read"), []);
    let health = ledger.health().await;
    assert!(health.is_well(), "{health:?}");
}

pub(super) async fn a_limit_is_kept_and_the_rest_is_read_after_it(ledger: Arc<dyn Ledger>) {
    for number in 0..10 {
        append(&ledger, &format!("build.{number}"), Seq::ZERO, "queued").await;
    }
    let (mut after, mut pages) = (Seq::ZERO, Vec::new());
    loop {
        let page = ledger.read(after, 4).await.expect("read");
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 4);
        after = last.seq;
        pages.extend(page);
    }
    assert_eq!(pages, all(&ledger).await);
    assert_eq!(pages.len(), 10);
    let behind = ledger.read(Seq::new(1 << 40), 4).await.expect("read");
    assert_eq!(behind, []);
}

pub(super) async fn a_subject_is_read_without_its_neighbours(ledger: Arc<dyn Ledger>) {
    let mut wanted = Vec::new();
    let mut at = Seq::ZERO;
    for round in 0..3 {
        at = append(&ledger, "deployment.1", at, "step").await;
        wanted.push(at);
        for other in ["deployment.1.host", "deployment.11", "deployment"] {
            let new = format!("{other}.r{round}");
            append(&ledger, &new, Seq::ZERO, "step").await;
        }
    }
    append(&ledger, "deployment.1.host", Seq::ZERO, "step").await;
    append(&ledger, "deployment", Seq::ZERO, "step").await;
    assert_eq!(seqs(&all_of(&ledger, "deployment.1").await), wanted);
    let on = super::subject("deployment.1");
    let middle = ledger.read_subject(&on, wanted[0], 1).await.expect("read");
    assert_eq!(seqs(&middle), wanted[1..2]);
    let none = ledger.read_subject(&on, at, 5).await.expect("read");
    assert_eq!(none, []);
}

pub(super) async fn names_of_any_bytes_are_subjects(ledger: Arc<dyn Ledger>) {
    let names = [
        "a.b", "a b", "a*", ">", "$JS", "=", "=2E", "ä", "日本", "\n", "\0", "a\"b", "A", "a", "'",
    ];
    for name in names {
        let on = Subject::of("project", name).expect("a name");
        append(&ledger, on.as_str(), Seq::ZERO, "made").await;
    }
    for (at, name) in names.into_iter().enumerate() {
        let on = Subject::of("project", name).expect("a name");
        let entries = all_of(&ledger, on.as_str()).await;
        assert_eq!(entries.len(), 1, "{name:?}");
        assert_eq!(entries[0].subject, on);
        assert_eq!(entries[0].subject.parts().nth(1).as_deref(), Some(name));
        assert_eq!(all(&ledger).await[at].subject, on);
    }
}

pub(super) async fn time_never_runs_backwards(ledger: Arc<dyn Ledger>) {
    let mut at = Seq::ZERO;
    for _ in 0..20 {
        at = append(&ledger, "build.1", at, "step").await;
    }
    let entries = all(&ledger).await;
    assert!(entries.is_sorted_by_key(|entry| entry.at));
    let followed = followed(&ledger, Seq::ZERO, 20).await;
    assert_eq!(followed, entries, "time included");
}

pub(super) async fn follow_gives_a_burst_in_order_without_gaps(ledger: Arc<dyn Ledger>) {
    const BURST: usize = 200;
    append(&ledger, "build.before", Seq::ZERO, "step").await;
    let burst = async {
        let writers = (0..10).map(|writer| {
            let ledger = Arc::clone(&ledger);
            async move {
                let on = format!("build.{writer}");
                let mut at = append(&ledger, &on, Seq::ZERO, "step").await;
                for _ in 0..(BURST / 20 - 1) {
                    let batch = vec![
                        one(&on, Expected::Last(at), "step"),
                        one(&on, Expected::Previous, "step"),
                    ];
                    at = append_all(&ledger, batch).await.last;
                }
                append(&ledger, &on, at, "step").await;
            }
        });
        futures_util::future::join_all(writers).await;
    };
    let (entries, ()) = join(followed(&ledger, Seq::ZERO, BURST + 1), burst).await;
    assert_eq!(entries, all(&ledger).await);
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.seq.get()).collect();
    let expected: Vec<u64> = (1..=BURST as u64 + 1).collect();
    assert_eq!(numbers, expected);
}

pub(super) async fn follow_begins_in_the_middle(ledger: Arc<dyn Ledger>) {
    let mut at = vec![Seq::ZERO];
    for _ in 0..6 {
        let last = at[at.len() - 1];
        at.push(append(&ledger, "build.1", last, "step").await);
    }
    let later = append(&ledger, "build.2", Seq::ZERO, "step");
    let (entries, last) = join(followed(&ledger, at[3], 4), later).await;
    assert_eq!(seqs(&entries), [at[4], at[5], at[6], last]);
    // Behind the end, it waits for what comes there.
    let later = append(&ledger, "build.3", Seq::ZERO, "step");
    let (entries, last) = join(followed(&ledger, last, 1), later).await;
    assert_eq!(seqs(&entries), [last]);
}

pub(super) async fn followers_do_not_disturb_each_other(ledger: Arc<dyn Ledger>) {
    let gone = followed(&ledger, Seq::ZERO, 1);
    let first = append(&ledger, "build.1", Seq::ZERO, "step");
    join(gone, first).await;
    let writing = async {
        for number in 0..20 {
            append(&ledger, &format!("build.w{number}"), Seq::ZERO, "step").await;
        }
    };
    let both = join(
        followed(&ledger, Seq::ZERO, 21),
        followed(&ledger, Seq::new(1), 20),
    );
    let ((from_start, from_second), ()) = join(both, writing).await;
    assert_eq!(from_start[1..], from_second);
}
