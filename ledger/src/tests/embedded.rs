//! The file: what survives a kill, and what is refused at the door.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use rusqlite::Connection;

use super::run;
use crate::{
    Append, AppendError, Clock, Embedded, Expected, Ledger, OpenError, ReadError, Seq, Subject,
};

/// Names the file to a process of this program that is to be killed.
const CHILD: &str = "CROFT_LEDGER_TEST_CHILD";

fn open(path: &Path) -> Result<Embedded, OpenError> {
    Embedded::open(path, Clock::system())
}

fn append(on: &str, expected: Expected, event: &'static str) -> Append {
    Append {
        subject: on.parse().unwrap(),
        expected,
        event: Bytes::from_static(event.as_bytes()),
    }
}

#[test]
fn reopening_keeps_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let mut before = Vec::new();
    for round in 0..3 {
        let ledger = open(&path).unwrap();
        run(async {
            assert_eq!(ledger.read(Seq::ZERO, 100).await.unwrap(), before);
            let name = format!("build.{round}");
            let batch = vec![
                append(&name, Expected::NEW, "{}"),
                append(&name, Expected::Previous, "{\"n\":1}"),
            ];
            let appended = ledger.append(batch).await.unwrap();
            if round == 1 {
                let on: Subject = name.parse().unwrap();
                ledger.purge(&on, appended.last).await.unwrap();
            }
            before = ledger.read(Seq::ZERO, 100).await.unwrap();
            assert_eq!(ledger.last().await.unwrap(), before[before.len() - 1].seq);
        });
    }
    assert_eq!(before.len(), 5);
}

#[test]
fn a_ledger_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let first = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("another croft has it open"));
    drop(first);
    open(&path).unwrap();
}

#[test]
fn followers_of_a_closed_ledger_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("ledger.db")).unwrap();
    let mut follower = ledger.follow(Seq::ZERO);
    drop(ledger);
    let next = run(async { follower.next().await });
    assert!(matches!(next, Some(Err(ReadError::Closed))), "{next:?}");
    assert!(run(follower.next()).is_none());
}

#[test]
fn a_newer_ledger_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    drop(open(&path).unwrap());
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 2).unwrap();
    drop(newer);
    let before = std::fs::read(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Newer { version: 2, .. }));
    assert!(error.to_string().contains("use the newer croft"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn what_is_no_ledger_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.db");
    std::fs::write(&text, "this is somebody's thesis\n".repeat(200)).unwrap();
    let other = folder.path().join("other.db");
    let database = Connection::open(&other).unwrap();
    database.execute_batch("CREATE TABLE notes (text)").unwrap();
    drop(database);
    for path in [text, other] {
        let before = std::fs::read(&path).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_torn_ledger_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path).unwrap();
    run(async {
        for number in 0..50 {
            let batch = vec![append(&format!("build.{number}"), Expected::NEW, "{}")];
            ledger.append(batch).await.unwrap();
        }
    });
    drop(ledger);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("restore it from a backup"));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = open(Path::new("/nonexistent/ledger.db")).unwrap_err();
    assert!(matches!(error, OpenError::File { .. }), "{error}");
    assert!(error.to_string().contains("/nonexistent/ledger.db"));
}

#[test]
fn conflicts_within_one_group_reject_just_their_batches() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("ledger.db")).unwrap();
    run(async {
        // All wait at once, so that many share a transaction.
        let tries = (0..100).map(|number| {
            let own = format!("build.{number}");
            ledger.append(vec![
                append(&own, Expected::NEW, "{}"),
                append(&format!("token.{}", number / 2), Expected::NEW, "{}"),
            ])
        });
        let outcomes = futures_util::future::join_all(tries).await;
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 50);
        let entries = ledger.read(Seq::ZERO, 500).await.unwrap();
        assert_eq!(entries.len(), 100);
        for (number, outcome) in outcomes.iter().enumerate() {
            let on: Subject = format!("build.{number}").parse().unwrap();
            let is_there = entries.iter().any(|entry| entry.subject == on);
            assert_eq!(is_there, outcome.is_ok());
            if let Err(error) = outcome {
                assert!(matches!(error, AppendError::Conflict { .. }), "{error}");
            }
        }
    });
}

/// Not a test by itself: what the next one starts and kills. It appends in twos and says what was acknowledged.
#[test]
fn child_that_appends_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let ledger = Arc::new(open(Path::new(&path)).unwrap());
    run(async {
        let writers = (0..8).map(|writer| {
            let ledger = Arc::clone(&ledger);
            async move {
                let id = std::process::id();
                for number in 0_u64.. {
                    let on = format!("build.{id}-{writer}-{number}");
                    let batch = vec![
                        append(&on, Expected::NEW, "{}"),
                        append(&on, Expected::Previous, "{}"),
                    ];
                    ledger.append(batch).await.unwrap();
                    writeln!(std::io::stdout(), "acknowledged {on}").unwrap();
                }
            }
        });
        futures_util::future::join_all(writers).await;
    });
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let mut acknowledged = Vec::new();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("tests::embedded::child_that_appends_until_it_is_killed")
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = 0;
        // After the kill, too: what the pipe still holds was acknowledged.
        while let Some(Ok(line)) = lines.next() {
            if let Some((_, on)) = line.split_once("acknowledged ") {
                acknowledged.push(on.to_owned());
                heard += 1;
                if heard == 200 * round {
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        assert!(heard >= 200 * round, "{heard}");
        let ledger = open(&path).unwrap();
        run(async {
            for on in &acknowledged {
                let on = on.parse().unwrap();
                let entries = ledger.read_subject(&on, Seq::ZERO, 10).await.unwrap();
                assert_eq!(entries.len(), 2, "{on}");
            }
            let all = ledger.read(Seq::ZERO, 1_000_000).await.unwrap();
            assert!(all.len() % 2 == 0, "a batch was torn");
            let dense = all
                .iter()
                .zip(1..)
                .all(|(entry, seq)| entry.seq == Seq::new(seq));
            assert!(dense);
        });
    }
}
