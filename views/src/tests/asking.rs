use std::sync::Arc;
use std::time::Duration;

use croft_ledger::{Append, Clock, Expected, Ledger as _, Memory, Seq};
use tokio::sync::watch;

use super::*;
use crate::{BuildFilter, Stage};

const LONG: Duration = Duration::from_secs(30);

/// Builds 1 to `count`: odd ones of `shop`, even ones of `web`, every third one stopped.
fn builds(from: u64, count: u64) -> Vec<(String, Value)> {
    let mut events = Vec::new();
    for number in from..from + count {
        let subject = format!("build.{}", id(number));
        let project = if number % 2 == 0 { "web" } else { "shop" };
        events.push((subject.clone(), submitted(project, number)));
        if number % 3 == 0 {
            events.push((subject, settled(0, "STOPPED", "stop", None)));
        }
    }
    events
}

#[test]
fn pages_of_builds_neither_miss_nor_repeat_one_while_others_come() {
    for (project, stages) in [
        (None, vec![]),
        (Some("web"), vec![]),
        (None, vec![Stage::Waiting]),
        (Some("shop"), Stage::ALL.to_vec()),
        (
            Some("web"),
            Stage::of_status(croft_proto::Status::InProgress),
        ),
    ] {
        let mut events = builds(1, 30);
        let views = told(&events);
        let filter = BuildFilter {
            project: project.map(Into::into),
            stages,
        };
        let wanted: Vec<u64> = (1..=30)
            .rev()
            .filter(|number| match project {
                Some("web") => number % 2 == 0,
                Some(_) => number % 2 == 1,
                None => true,
            })
            .filter(|number| {
                filter.stages.len() != 1 && filter.stages.len() != 3 || number % 3 != 0
            })
            .collect();
        let (mut cursor, mut seen, mut next) = (None, Vec::new(), 31);
        loop {
            let page = views
                .ask_now(|read| read.builds(&filter, cursor, 4))
                .unwrap();
            assert!(page.rows.len() <= 4);
            seen.extend(page.rows.iter().map(|row| row.number));
            let Some(before) = page.next else { break };
            cursor = Some(before);
            events.extend(builds(next, 3));
            next += 3;
            views.apply(&numbered(&events)).unwrap();
        }
        assert_eq!(seen, wanted, "{filter:?}");
    }
}

#[test]
fn a_project_nobody_knows_has_no_builds() {
    let views = told(&builds(1, 3));
    let filter = BuildFilter {
        project: Some("else".into()),
        stages: vec![],
    };
    let page = views.ask_now(|read| read.builds(&filter, None, 9)).unwrap();
    assert_eq!((page.rows.len(), page.next), (0, None));
}

#[test]
fn pages_of_projects_are_in_the_order_of_names() {
    let events: Vec<(String, Value)> = ["b", "a", "d", "c"]
        .map(|name| (format!("project.{name}"), applied()))
        .to_vec();
    let views = told(&events);
    let page = views.ask_now(|read| read.projects(None, 3)).unwrap();
    let names: Vec<&str> = page.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(
        (names, page.next.as_deref()),
        (vec!["a", "b", "c"], Some("c"))
    );
    let rest = views.ask_now(|read| read.projects(Some("c"), 3)).unwrap();
    assert_eq!((rest.rows.len(), rest.next), (1, None));
}

#[test]
fn lines_count_what_is_not_over_and_name_the_oldest() {
    let mut events = builds(1, 4);
    events.push((format!("build.{}", id(2)), started(1)));
    let lines = told(&events).ask_now(|read| read.lines()).unwrap();
    let lines: Vec<_> = lines
        .iter()
        .map(|line| (line.stage, line.count, line.oldest.to_string()))
        .collect();
    assert_eq!(
        lines,
        [(Stage::Waiting, 2, id(1)), (Stage::Running, 1, id(2))]
    );
}

#[test]
fn the_last_success_of_a_project_is_found() {
    let done = Some(finished("SUCCEEDED", &[]));
    let subject = |number| format!("build.{}", id(number));
    let views = told(&[
        (subject(1), submitted("web", 1)),
        (subject(2), submitted("web", 2)),
        (subject(3), submitted("web", 3)),
        (subject(2), settled(1, "SUCCEEDED", "worker", done.clone())),
        (subject(1), settled(1, "SUCCEEDED", "worker", done)),
        (subject(3), settled(1, "FAILED", "worker", None)),
    ]);
    let found = views.ask_now(|read| read.last_succeeded("web")).unwrap();
    assert_eq!(found.unwrap().number, 2);
}

async fn append(ledger: &Memory, subject: &str, last: Seq, event: Value) -> Seq {
    let append = Append {
        subject: subject.parse().unwrap(),
        expected: Expected::Last(last),
        event: event.to_string().into(),
    };
    ledger.append(vec![append]).await.unwrap().last
}

#[tokio::test]
async fn the_ledger_is_followed_and_whoever_waits_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let views = Views::open(&folder.path().join("views.db")).unwrap();
    let ledger = Memory::new(Clock::system());
    let (stop, stopped) = watch::channel(false);
    let subject = format!("build.{ID}");
    let first = append(&ledger, &subject, Seq::ZERO, submitted("web", 1)).await;
    let following = crate::follow(Arc::new(ledger.clone()), views.clone(), stopped);
    let waiting = async {
        assert!(views.reached(first, LONG).await);
        let build = ID.parse().unwrap();
        assert_eq!(
            views.wait_change(build, Seq::ZERO, LONG).await.unwrap(),
            Some(first)
        );
        let change = views.wait_change(build, first, LONG);
        let happens = async {
            // Of another build: nobody is told.
            let other = append(
                &ledger,
                &format!("build.{}", id(9)),
                Seq::ZERO,
                submitted("web", 2),
            )
            .await;
            assert!(views.reached(other, LONG).await);
            append(&ledger, &subject, first, started(1)).await
        };
        let (changed, last) = tokio::join!(change, happens);
        assert_eq!(changed.unwrap(), Some(last));
        let row = views
            .ask(move |read| read.build(build))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(row.stage, Stage::Running);
        assert!(!views.reached(last.next(), Duration::ZERO).await);
        let none = views.wait_change(build, last, Duration::ZERO).await;
        assert_eq!(none.unwrap(), None);
        stop.send_replace(true);
    };
    let (ended, ()) = tokio::join!(following, waiting);
    ended.unwrap();
}

#[tokio::test]
async fn a_long_past_is_folded_in_large_pieces_without_a_gap() {
    let ledger = Memory::new(Clock::system());
    // More than one reading, and more than one piece.
    let long = "x".repeat(6 << 10);
    let builds = 2_500;
    for number in 1..=builds {
        let mut event = submitted("web", number);
        event["initiator"] = long.as_str().into();
        append(&ledger, &format!("build.{}", id(number)), Seq::ZERO, event).await;
    }
    assert!(long.repeat(2_500).len() > crate::PIECE_BYTES);
    let views = Views::in_memory().unwrap();
    let (stop, stopped) = watch::channel(false);
    let mut positions = views.positions();
    let following = crate::follow(Arc::new(ledger), views.clone(), stopped);
    let waiting = async {
        let mut seen = Vec::new();
        while positions.borrow().get() < builds {
            positions.changed().await.unwrap();
            seen.push(positions.borrow_and_update().get());
        }
        stop.send_replace(true);
        seen
    };
    let (ended, seen) = tokio::join!(following, waiting);
    ended.unwrap();
    assert!(seen.len() <= 2, "three readings, folded at {seen:?}");
    for number in [1, 1_024, 1_025, 2_048, 2_049, builds] {
        let build = id(number).parse().unwrap();
        let row = views.ask_now(|read| read.build(build)).unwrap();
        assert_eq!(row.unwrap().number, number);
    }
}

#[tokio::test]
async fn an_event_that_is_not_understood_ends_the_following_with_its_place() {
    let views = Views::in_memory().unwrap();
    let ledger = Memory::new(Clock::system());
    append(
        &ledger,
        "project.web",
        Seq::ZERO,
        json!({"type": "painted"}),
    )
    .await;
    let (_stop, stopped) = watch::channel(false);
    let ended = crate::follow(Arc::new(ledger), views, stopped).await;
    let crate::FollowError::Apply(error) = ended.unwrap_err() else {
        panic!("another error");
    };
    assert_eq!(
        error.to_string(),
        "the event at 1 of project.web is not understood"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_begins_to_wait_while_a_chunk_is_written_is_told_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let views = Views::open(&folder.path().join("views.db")).unwrap();
    let rounds = 3_000;
    for round in 1..=rounds {
        let build = format!("build.{}", id(round));
        let entry = entry(round, &build, submitted("web", round));
        let id = id(round).parse().unwrap();
        let writer = views.clone();
        let written = tokio::task::spawn_blocking(move || writer.apply(&[entry]).unwrap());
        // At another moment of the writing each round.
        (0..round * 37 % 20_000).for_each(|_| std::hint::spin_loop());
        let told = views.wait_change(id, Seq::ZERO, LONG).await.unwrap();
        assert_eq!(told, Some(Seq::new(round)), "in round {round}");
        written.await.unwrap();
    }
}
