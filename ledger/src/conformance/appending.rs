//! Cases of appending: what is accepted, what is refused, and that nothing of a refused batch is left.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::{all, all_of, append, append_all, one, subject};
use crate::{
    Append, AppendError, BATCH_MAX, EVENT_BYTES_MAX, Expected, Ledger, SUBJECT_BYTES_MAX, Seq,
};

/// Enough that they meet, few enough for a slow disk.
const APPENDERS: usize = 32;

pub(super) async fn events_get_ascending_sequences(ledger: Arc<dyn Ledger>) {
    let first = append(&ledger, "build.1", Seq::ZERO, "queued").await;
    let second = append(&ledger, "build.2", Seq::ZERO, "queued").await;
    let third = append(&ledger, "build.1", first, "started").await;
    assert!(Seq::ZERO < first && first < second && second < third);
    assert_eq!(ledger.last().await.expect("last"), third);
    let batch = vec![
        one("build.1", Expected::Last(third), "a"),
        one("build.2", Expected::Last(second), "b"),
    ];
    let appended = append_all(&ledger, batch).await;
    assert_eq!(appended.first, third.next());
    assert_eq!(appended.last, appended.first.next());
    let texts = all(&ledger).await;
    let texts: Vec<_> = texts.iter().filter_map(|entry| entry.event()).collect();
    assert_eq!(texts.len(), 5);
    assert_eq!(&texts[2][..], br#"{"event":"started"}"#);
}

pub(super) async fn a_conflict_rejects_the_whole_batch(ledger: Arc<dyn Ledger>) {
    let at = append(&ledger, "project.p", Seq::ZERO, "made").await;
    for wrong in 0..3 {
        let mut batch: Vec<Append> = (0..3)
            .map(|number| one(&format!("build.{number}"), Expected::NEW, "queued"))
            .collect();
        batch[wrong] = one("project.p", Expected::Last(at.next()), "started");
        let error = ledger.append(batch).await.expect_err("it conflicts");
        let AppendError::Conflict {
            subject: on,
            expected,
            actual,
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!((on, expected), (subject("project.p"), at.next()));
        assert_eq!(actual, Some(at));
    }
    assert_eq!(all(&ledger).await.len(), 1);
    assert_eq!(ledger.last().await.expect("last"), at);
    // What was refused leaves no trace that would refuse it again.
    let batch = vec![
        one("build.0", Expected::NEW, "queued"),
        one("project.p", Expected::Last(at), "started"),
    ];
    append_all(&ledger, batch).await;
}

pub(super) async fn a_new_subject_must_be_new(ledger: Arc<dyn Ledger>) {
    let at = append(&ledger, "build.1", Seq::ZERO, "queued").await;
    let again = vec![one("build.1", Expected::NEW, "queued")];
    let error = ledger.append(again).await.expect_err("it is there");
    assert!(
        matches!(error, AppendError::Conflict { expected: Seq::ZERO, actual: Some(actual), .. } if actual == at),
        "{error}"
    );
    let absent = vec![one("build.2", Expected::Last(at), "started")];
    let error = ledger.append(absent).await.expect_err("it is not there");
    assert!(
        matches!(
            error,
            AppendError::Conflict {
                actual: Some(Seq::ZERO),
                ..
            }
        ),
        "{error}"
    );
}

pub(super) async fn later_events_of_a_subject_expect_the_previous(ledger: Arc<dyn Ledger>) {
    let batch = vec![
        one("build.1", Expected::NEW, "a"),
        one("project.p", Expected::NEW, "b"),
        one("build.1", Expected::Previous, "c"),
        one("build.1", Expected::Previous, "d"),
    ];
    let appended = append_all(&ledger, batch).await;
    let of_build = all_of(&ledger, "build.1").await;
    assert_eq!(of_build.len(), 3);
    assert_eq!(of_build[2].seq, appended.last);
    append(&ledger, "build.1", appended.last, "e").await;
}

pub(super) async fn what_is_no_batch_is_refused(ledger: Arc<dyn Ledger>) {
    let refused = async |batch| ledger.append(batch).await.expect_err("it is none");
    let error = refused(Vec::new()).await;
    assert!(matches!(error, AppendError::Invalid { .. }), "{error}");
    let new = |number: usize| one(&format!("build.{number}"), Expected::NEW, "a");
    let error = refused((0..=BATCH_MAX).map(new).collect()).await;
    assert!(matches!(error, AppendError::TooMany { count } if count == BATCH_MAX + 1));
    let mut large = new(0);
    large.event = Bytes::from(vec![b' '; EVENT_BYTES_MAX + 1]);
    let error = refused(vec![new(1), large]).await;
    assert!(matches!(error, AppendError::TooLarge { .. }), "{error}");
    let mut empty = new(0);
    empty.event = Bytes::new();
    for batch in [
        vec![empty],
        vec![new(0), new(0)],
        vec![one("build.1", Expected::Previous, "a")],
    ] {
        let error = refused(batch).await;
        assert!(matches!(error, AppendError::Invalid { .. }), "{error}");
    }
    assert_eq!(all(&ledger).await, []);
}

pub(super) async fn the_largest_batch_fits(ledger: Arc<dyn Ledger>) {
    let batch = (0..BATCH_MAX).map(|number| {
        let kind = format!("build.{number:02}.");
        let rest = "x".repeat(SUBJECT_BYTES_MAX - kind.len());
        Append {
            subject: subject(&format!("{kind}{rest}")),
            expected: Expected::NEW,
            event: Bytes::from(vec![b'7'; EVENT_BYTES_MAX]),
        }
    });
    let batch: Vec<Append> = batch.collect();
    let appended = append_all(&ledger, batch.clone()).await;
    assert_eq!(appended.last.get() - appended.first.get() + 1, 64);
    let mut entries = Vec::new();
    let mut after = Seq::ZERO;
    while entries.len() < BATCH_MAX {
        let read = ledger.read(after, BATCH_MAX).await.expect("read");
        after = read.last().expect("there are more").seq;
        entries.extend(read);
    }
    for (entry, append) in entries.iter().zip(&batch) {
        assert_eq!(entry.subject, append.subject);
        assert_eq!(entry.event(), Some(&append.event));
    }
}

pub(super) async fn one_of_many_appenders_wins(ledger: Arc<dyn Ledger>) {
    let mut at = Seq::ZERO;
    for round in 0..4 {
        let tries = (0..APPENDERS).map(|number| {
            // Alone, or together with something that would be accepted.
            let mut batch = vec![one("group.g", Expected::Last(at), &format!("{number}"))];
            if number % 2 == 1 {
                let other = format!("deployment.{round}-{number}");
                batch.insert(0, one(&other, Expected::NEW, "made"));
            }
            ledger.append(batch)
        });
        let mut won = Vec::new();
        for (number, outcome) in join_all(tries).await.into_iter().enumerate() {
            match outcome {
                Ok(_) => won.push(number),
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let [winner] = won[..] else {
            panic!("{won:?} have won");
        };
        let entries = all_of(&ledger, "group.g").await;
        assert_eq!(entries.len(), round + 1);
        at = entries[round].seq;
        let said = entries[round].event().expect("an event");
        assert_eq!(said, &super::event(&winner.to_string()));
    }
    let others = all(&ledger).await;
    let others = others.iter().filter(|e| e.subject.kind() == "deployment");
    assert!(others.count() <= 4, "a loser left something behind");
}

pub(super) async fn an_append_whose_outcome_is_unknown_happens_at_most_once(
    ledger: Arc<dyn Ledger>,
) {
    let mut at = append(&ledger, "build.1", Seq::ZERO, "queued").await;
    for _ in 0..20 {
        let batch = vec![
            one("build.1", Expected::Last(at), "first try"),
            one("build.1", Expected::Previous, "more of it"),
        ];
        // Given up as soon as it has begun: it may be on its way.
        let _gone = ledger.append(batch.clone()).now_or_never();
        let decided = ledger.append(batch).await;
        match decided {
            Ok(_) | Err(AppendError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        let since = ledger.read_subject(&subject("build.1"), at, 10).await;
        let since = since.expect("read");
        assert_eq!(since.len(), 2, "one of the two, wholly");
        at = since[1].seq;
    }
    assert_eq!(all(&ledger).await.len(), 41);
}
